//! Units, conversions, and when a conversion may move past an aggregation.
//!
//! ```
//! use kandela_algebra::unit::{Aggregate, MapClass, Unit, commutes};
//!
//! let to_seconds = "ms".parse::<Unit>()?.conversion("seconds".parse()?)?;
//! assert_eq!(to_seconds.apply(250.0), 0.25);
//! // A planner may convert after taking the maximum, and then converts one value instead of all.
//! assert_eq!(to_seconds.class(), MapClass::PositiveScale);
//! assert!(commutes(Aggregate::Max, to_seconds.class()));
//! assert!("ms".parse::<Unit>()?.conversion("By".parse()?).is_err());
//! # Ok::<(), kandela_algebra::unit::UnitError>(())
//! ```

mod commute;
mod names;

use std::fmt;
use std::str::FromStr;

pub use commute::{Aggregate, MapClass, Series, commutes};

/// What is measured. Only units of one quantity convert into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// Durations; base: seconds.
    Time,
    /// Amounts of data; base: bytes.
    Data,
    /// Shares and percentages; base: 1.
    Ratio,
    /// Things counted, such as `{request}`; base: one of them.
    Count,
    /// Temperatures; base: kelvin.
    Temperature,
    /// Lengths; base: metres.
    Length,
    /// Masses; base: grams.
    Mass,
    /// Energies; base: joules.
    Energy,
    /// Power; base: watts.
    Power,
    /// Electric currents; base: amperes.
    Current,
    /// Electric potentials; base: volts.
    Voltage,
}

/// A unit: a quantity, or a quantity per time, and how to get to its base.
///
/// Parsed from the names of OpenMetrics (`seconds`, `bytes`, `ratio`) and of UCUM as OpenTelemetry uses it
/// (`ms`, `KiBy`, `1`, `%`, `{request}/s`). Names are case-sensitive, as in UCUM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    quantity: Quantity,
    per_time: bool,
    /// One unit is `numerator / denominator` of the base; whole numbers, so that a conversion is one product
    /// or one quotient.
    numerator: u128,
    denominator: u128,
    /// What is added to a value before it is multiplied: not zero for temperatures.
    offset: f64,
}

impl Unit {
    const fn new(quantity: Quantity, numerator: u128, denominator: u128) -> Unit {
        Unit { quantity, per_time: false, numerator, denominator, offset: 0.0 }
    }

    /// What is measured.
    pub fn quantity(self) -> Quantity {
        self.quantity
    }

    /// Whether it is measured per time, as in `By/s`.
    pub fn is_rate(self) -> bool {
        self.per_time
    }

    /// The unit that all units of this quantity go back to: seconds, bytes, …, or these per second.
    pub fn base(self) -> Unit {
        Unit { numerator: 1, denominator: 1, offset: 0.0, ..self }
    }

    /// How many base units one of this unit is; of temperatures, of a difference.
    pub fn factor(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// How values in this unit become values in `to`.
    pub fn conversion(self, to: Unit) -> Result<Conversion, UnitError> {
        if (self.quantity, self.per_time) != (to.quantity, to.per_time) {
            return Err(UnitError::Incompatible { from: self, to });
        }
        // Reduced crosswise before multiplying, so that the factors of all usual conversions are exact.
        let (from_whole, to_whole) = reduce(self.numerator, to.numerator);
        let (to_part, from_part) = reduce(to.denominator, self.denominator);
        let (from_whole, from_part) = reduce(from_whole, from_part);
        let (to_part, to_whole) = reduce(to_part, to_whole);
        Ok(Conversion {
            before: self.offset,
            multiply: from_whole as f64 * to_part as f64,
            divide: to_whole as f64 * from_part as f64,
            after: -to.offset,
        })
    }
}

fn reduce(numerator: u128, denominator: u128) -> (u128, u128) {
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (numerator / a.max(1), denominator / a.max(1))
}

impl FromStr for Unit {
    type Err = UnitError;

    fn from_str(name: &str) -> Result<Unit, UnitError> {
        names::parse(name).ok_or_else(|| UnitError::Unknown { name: name.chars().take(64).collect() })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.quantity {
            Quantity::Time => "seconds",
            Quantity::Data => "bytes",
            Quantity::Ratio => "ratio",
            Quantity::Count => "count",
            Quantity::Temperature => "kelvin",
            Quantity::Length => "metres",
            Quantity::Mass => "grams",
            Quantity::Energy => "joules",
            Quantity::Power => "watts",
            Quantity::Current => "amperes",
            Quantity::Voltage => "volts",
        };
        if (self.numerator, self.denominator) != (1, 1) {
            write!(f, "{} × ", self.factor())?;
        }
        f.write_str(base)?;
        if self.per_time { f.write_str(" per second") } else { Ok(()) }
    }
}

/// From one unit to another: `(x + before) · multiply / divide + after`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    before: f64,
    multiply: f64,
    divide: f64,
    after: f64,
}

impl Conversion {
    /// Converts a value.
    pub fn apply(self, value: f64) -> f64 {
        (value + self.before) * self.multiply / self.divide + self.after
    }

    /// What kind of map this is: a scaling, unless zeros differ as those of temperatures do.
    pub fn class(self) -> MapClass {
        if self.before == 0.0 && self.after == 0.0 {
            MapClass::PositiveScale
        } else {
            MapClass::PositiveAffine
        }
    }
}

/// Why a unit or a conversion was refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UnitError {
    /// No unit has this name.
    Unknown {
        /// The name given, at most its first 64 characters.
        name: String,
    },
    /// The units measure different things.
    Incompatible {
        /// The unit of the values.
        from: Unit,
        /// The unit asked for.
        to: Unit,
    },
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitError::Unknown { name } => {
                write!(
                    f,
                    "no unit is called {name:?}; use a name of OpenMetrics (seconds) or of UCUM (s, KiBy, {{request}})"
                )
            }
            UnitError::Incompatible { from, to } => {
                write!(f, "{from} cannot be converted into {to}: they measure different things")
            }
        }
    }
}

impl std::error::Error for UnitError {}
