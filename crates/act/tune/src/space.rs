//! What may be set, and within which bounds.
//!
//! A [`Space`] is a list of [`Parameter`]s. Strategies search the unit cube instead: each parameter that has a choice is one *axis*
//! from 0 to 1, on its own scale; [`Space::decode`] says which settings a point stands for. Whole numbers and categories own a cell
//! each; [`Space::snap`] moves a point to the middle of its cells, so equal settings have equal points.

mod wire;

use std::collections::{BTreeMap, BTreeSet};

use kandela_model::{KnobError, KnobSpec, KnobType, KnobValue, StepCap};

/// Settings by name. A parameter whose condition does not hold is not in it.
pub type Config = BTreeMap<String, KnobValue>;

/// Something that may be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name, range, scale, step cap and cost.
    pub spec: KnobSpec,
    /// Where it stands before anything was tried.
    pub default: Option<KnobValue>,
    /// When it matters at all; always, where there is none.
    pub when: Option<Condition>,
    /// Whether a search may touch it.
    pub class: Class,
}

/// A parameter matters only while another has one of some values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The other one, listed before.
    pub parameter: String,
    /// Its values.
    pub among: Vec<KnobValue>,
}

/// Whether a search may touch a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// It may.
    #[default]
    Free,
    /// Never: it decides whether acknowledged data survive.
    Durability,
    /// Never: it decides who may do what.
    Security,
}

/// What one coordinate of a point means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A real number.
    Real,
    /// A whole number, one of so many.
    Whole(u64),
    /// One of so many that have no order; a switch is one of two.
    Category(u64),
}

/// Why a list of parameters is no space.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// Two parameters of one name.
    #[error("parameter {0} is there twice")]
    Twice(String),
    /// A range that holds nothing, or no finite range.
    #[error("parameter {parameter}: {what}")]
    Range {
        /// The parameter.
        parameter: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A value that the parameter does not take.
    #[error("{0}")]
    Value(#[from] KnobError),
    /// A condition on what is not listed before.
    #[error("parameter {parameter} depends on {on}, which is not listed before it")]
    Condition {
        /// The parameter.
        parameter: String,
        /// What it depends on.
        on: String,
    },
    /// A value for a parameter that the space does not have.
    #[error("there is no parameter {0}")]
    Unknown(String),
    /// A setting without a value.
    #[error("parameter {0} has no value")]
    Missing(String),
}

/// What may be set. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    parameters: Vec<Parameter>,
    /// For each axis, the parameter that it is.
    searched: Vec<usize>,
    axes: Vec<Axis>,
}

impl Space {
    /// A space of these parameters.
    ///
    /// # Errors
    /// [`SpaceError`], which names the parameter.
    pub fn new(parameters: Vec<Parameter>) -> Result<Space, SpaceError> {
        let mut names = BTreeSet::new();
        for (place, parameter) in parameters.iter().enumerate() {
            let name = &parameter.spec.name;
            if !names.insert(name.as_str()) {
                return Err(SpaceError::Twice(name.clone()));
            }
            check(parameter)?;
            if let Some(condition) = &parameter.when {
                check_condition(&parameters[..place], name, condition)?;
            }
        }
        let axis = |parameter: &Parameter| match parameter.class {
            Class::Free => axis_of(&parameter.spec.kind),
            Class::Durability | Class::Security => None,
        };
        let found = parameters.iter().enumerate().filter_map(|(place, p)| Some((place, axis(p)?)));
        let (searched, axes) = found.unzip();
        Ok(Space { parameters, searched, axes })
    }

    /// All parameters, those included that no search touches.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.spec.name == name)
    }

    /// What each coordinate of a point means: one for each parameter that may be searched and has more than one value.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The parameter that axis `index` is.
    pub fn axis_parameter(&self, index: usize) -> &Parameter {
        &self.parameters[self.searched[index]]
    }

    /// How many settings there are, where they can be counted. Conditions are not looked at: there may be fewer.
    pub fn size(&self) -> Option<u64> {
        self.axes.iter().try_fold(1_u64, |size, axis| match axis {
            Axis::Real => None,
            Axis::Whole(count) | Axis::Category(count) => size.checked_mul(*count),
        })
    }

    /// The settings that a point stands for: those of all parameters that may be searched and whose condition holds. Coordinates
    /// outside of 0 to 1 count as the nearer end, what is no number as the middle.
    ///
    /// # Panics
    /// Where `point` has not one coordinate for each axis.
    pub fn decode(&self, point: &[f64]) -> Config {
        assert_eq!(point.len(), self.axes.len(), "a point has one coordinate for each axis");
        let mut coordinates = self.searched.iter().zip(point).peekable();
        let mut config = Config::new();
        for (place, parameter) in self.parameters.iter().enumerate() {
            let coordinate = coordinates.next_if(|(searched, _)| **searched == place).map(|(_, u)| *u);
            if parameter.class == Class::Free && applies(parameter, &config) {
                let number = coordinate.filter(|u| !u.is_nan());
                let value = value_at(&parameter.spec.kind, number.unwrap_or(0.5));
                config.insert(parameter.spec.name.clone(), value);
            }
        }
        config
    }

    /// The point that stands for `config`. Parameters whose condition does not hold there, and which are not in it, stand at their default.
    ///
    /// # Errors
    /// [`SpaceError`], where a value is missing, unknown, of another type, or out of range. Values that no search may touch are not
    /// looked at.
    pub fn encode(&self, config: &Config) -> Result<Vec<f64>, SpaceError> {
        for (name, value) in config {
            let parameter = self.parameter(name).ok_or_else(|| SpaceError::Unknown(name.clone()))?;
            if parameter.class == Class::Free {
                parameter.spec.check(value)?;
            }
        }
        let mut point = Vec::with_capacity(self.axes.len());
        for index in 0..self.axes.len() {
            let parameter = self.axis_parameter(index);
            let kind = &parameter.spec.kind;
            point.push(match config.get(&parameter.spec.name) {
                Some(value) => coordinate_of(kind, value),
                None if applies(parameter, config) => {
                    return Err(SpaceError::Missing(parameter.spec.name.clone()));
                }
                None => at_rest(parameter),
            });
        }
        Ok(point)
    }

    /// The middle of the cells that `point` lies in; parameters whose condition does not hold stand at their default. Settings that
    /// are equal have equal points.
    pub fn snap(&self, point: &[f64]) -> Vec<f64> {
        let config = self.decode(point);
        let coordinate = |index: usize, u: f64| {
            let parameter = self.axis_parameter(index);
            match (config.get(&parameter.spec.name), self.axes[index]) {
                (None, _) => at_rest(parameter),
                (Some(_), Axis::Real) => {
                    if u.is_nan() {
                        0.5
                    } else {
                        u.clamp(0.0, 1.0)
                    }
                }
                (Some(value), Axis::Whole(_) | Axis::Category(_)) => {
                    coordinate_of(&parameter.spec.kind, value)
                }
            }
        };
        point.iter().enumerate().map(|(index, u)| coordinate(index, *u)).collect()
    }

    /// The ends of the cell of axis `index` that holds `coordinate`; `None` on a real axis. All of them lie within the unit cube.
    pub fn cell(&self, index: usize, coordinate: f64) -> Option<(f64, f64)> {
        let kind = &self.axis_parameter(index).spec.kind;
        let (low, high) = ends(kind);
        let (from, to) = match (kind, value_at(kind, coordinate)) {
            (KnobType::Int { log: false, .. }, KnobValue::Int(n)) => (n as f64 - 0.5, n as f64 + 0.5),
            (KnobType::Int { log: true, .. }, KnobValue::Int(n)) => {
                ((n as f64 - 0.5).ln(), (n as f64 + 0.5).ln())
            }
            (KnobType::Bool | KnobType::Choice(_), value) => {
                let middle = low + coordinate_of(kind, &value) * (high - low);
                (middle - 0.5, middle + 0.5)
            }
            _ => return None,
        };
        let unit = |on_scale: f64| ((on_scale - low) / (high - low)).clamp(0.0, 1.0);
        Some((unit(from), unit(to)))
    }

    /// The point of all defaults; the middle of its axis where a parameter has none.
    pub fn start(&self) -> Vec<f64> {
        let rest: Vec<f64> = (0..self.axes.len()).map(|index| at_rest(self.axis_parameter(index))).collect();
        self.snap(&rest)
    }

    /// Whether every parameter says where it stands before anything was tried.
    pub fn has_start(&self) -> bool {
        (0..self.axes.len()).all(|index| self.axis_parameter(index).default.is_some())
    }
}

fn applies(parameter: &Parameter, config: &Config) -> bool {
    let holds = |c: &Condition| config.get(&c.parameter).is_some_and(|value| c.among.contains(value));
    parameter.when.as_ref().is_none_or(holds)
}

fn at_rest(parameter: &Parameter) -> f64 {
    parameter.default.as_ref().map_or(0.5, |value| coordinate_of(&parameter.spec.kind, value))
}

/// Up to here a number and the half on either side of it are numbers of their own.
const MOST_WHOLE: u64 = 1 << 51;

fn check(parameter: &Parameter) -> Result<(), SpaceError> {
    let fault = |what: String| SpaceError::Range { parameter: parameter.spec.name.clone(), what };
    let spec = &parameter.spec;
    match &spec.kind {
        KnobType::Int { min, max, .. } if min > max => {
            return Err(fault(format!("min {min} is above max {max}")));
        }
        KnobType::Int { min, log: true, .. } if *min < 1 => {
            return Err(fault(format!("a logarithmic scale begins at 1 or above, not at {min}")));
        }
        KnobType::Int { min, max, .. } if min.unsigned_abs().max(max.unsigned_abs()) > MOST_WHOLE => {
            return Err(fault(format!(
                "{min} to {max} has numbers beyond {MOST_WHOLE}, which a search can't tell apart; count in a larger unit"
            )));
        }
        KnobType::Float { min, max, .. } if !(min.is_finite() && max.is_finite() && min <= max) => {
            return Err(fault(format!("min {min} and max {max} are finite, and min is not above max")));
        }
        KnobType::Float { min, max, .. } if !(max - min).is_finite() => {
            return Err(fault(format!("{min} to {max} is wider than a number can say")));
        }
        KnobType::Float { min, log: true, .. } if *min <= 0.0 => {
            return Err(fault(format!("a logarithmic scale begins above 0, not at {min}")));
        }
        KnobType::Choice(values) if values.is_empty() => return Err(fault("an enum has values".to_owned())),
        KnobType::Choice(values) if values.iter().collect::<BTreeSet<_>>().len() < values.len() => {
            return Err(fault("a value is there twice".to_owned()));
        }
        _ => {}
    }
    match spec.step_cap {
        StepCap::Absolute(cap) if cap.is_nan() || cap <= 0.0 => {
            return Err(fault(format!("a step of at most {cap} leads nowhere; give a number above 0")));
        }
        StepCap::Factor(cap) if cap.is_nan() || cap <= 1.0 => {
            return Err(fault(format!("a factor of at most {cap} leads nowhere; give a number above 1")));
        }
        _ => {}
    }
    parameter.default.as_ref().map_or(Ok(()), |default| Ok(spec.check(default)?))
}

fn check_condition(before: &[Parameter], name: &str, condition: &Condition) -> Result<(), SpaceError> {
    let on = before.iter().find(|parameter| parameter.spec.name == condition.parameter);
    let unlisted = || SpaceError::Condition { parameter: name.to_owned(), on: condition.parameter.clone() };
    let on = on.ok_or_else(unlisted)?;
    condition.among.iter().try_for_each(|value| Ok(on.spec.check(value)?))
}

fn axis_of(kind: &KnobType) -> Option<Axis> {
    match kind {
        KnobType::Int { min, max, .. } => (min < max).then(|| Axis::Whole(max.abs_diff(*min) + 1)),
        KnobType::Float { min, max, .. } => (min < max).then_some(Axis::Real),
        KnobType::Bool => Some(Axis::Category(2)),
        KnobType::Choice(values) => (values.len() > 1).then_some(Axis::Category(values.len() as u64)),
    }
}

/// The ends of an axis on its own scale. A whole number owns half a unit on either side.
fn ends(kind: &KnobType) -> (f64, f64) {
    match kind {
        KnobType::Int { min, max, log: false } => (*min as f64 - 0.5, *max as f64 + 0.5),
        KnobType::Int { min, max, log: true } => ((*min as f64 - 0.5).ln(), (*max as f64 + 0.5).ln()),
        KnobType::Float { min, max, log: false } => (*min, *max),
        KnobType::Float { min, max, log: true } => (min.ln(), max.ln()),
        KnobType::Bool => (0.0, 2.0),
        KnobType::Choice(values) => (0.0, values.len() as f64),
    }
}

fn value_at(kind: &KnobType, coordinate: f64) -> KnobValue {
    let (low, high) = ends(kind);
    let on_scale = low + coordinate.clamp(0.0, 1.0) * (high - low);
    let cell = |count: usize| (on_scale as usize).min(count - 1);
    match kind {
        KnobType::Int { min, max, log } => {
            let number = if *log { on_scale.exp() } else { on_scale };
            KnobValue::Int((number.round() as i64).clamp(*min, *max))
        }
        KnobType::Float { min, max, log } => {
            let number = if *log { on_scale.exp() } else { on_scale };
            KnobValue::Float(number.clamp(*min, *max))
        }
        KnobType::Bool => KnobValue::Bool(cell(2) == 1),
        KnobType::Choice(values) => KnobValue::Choice(values[cell(values.len())].clone()),
    }
}

/// The coordinate of a value that was checked.
fn coordinate_of(kind: &KnobType, value: &KnobValue) -> f64 {
    let (low, high) = ends(kind);
    let on_scale = match (kind, value) {
        (KnobType::Int { log, .. }, KnobValue::Int(number)) => {
            if *log {
                (*number as f64).ln()
            } else {
                *number as f64
            }
        }
        (KnobType::Float { log, .. }, KnobValue::Float(number)) => {
            if *log {
                number.ln()
            } else {
                *number
            }
        }
        (KnobType::Bool, KnobValue::Bool(on)) => f64::from(u8::from(*on)) + 0.5,
        (KnobType::Choice(values), KnobValue::Choice(word)) => {
            values.iter().position(|value| value == word).unwrap_or(0) as f64 + 0.5
        }
        _ => (low + high) / 2.0,
    };
    if high > low { ((on_scale - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use kandela_model::ApplyCost;
    use proptest::prelude::*;

    use super::*;

    fn parameter(name: &str, kind: KnobType) -> Parameter {
        let spec =
            KnobSpec { name: name.to_owned(), kind, step_cap: StepCap::Unlimited, cost: ApplyCost::Live };
        Parameter { spec, default: None, when: None, class: Class::Free }
    }

    fn words(words: &[&str]) -> KnobType {
        KnobType::Choice(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// One of each kind; `ways` matters only under policy `b`.
    fn mixed() -> Space {
        let word = |word: &str| KnobValue::Choice(word.to_owned());
        let ways = Parameter {
            default: Some(KnobValue::Int(2)),
            when: Some(Condition { parameter: "policy".to_owned(), among: vec![word("b")] }),
            ..parameter("ways", KnobType::Int { min: 1, max: 4, log: false })
        };
        Space::new(vec![
            parameter("rate", KnobType::Float { min: 1e-3, max: 10.0, log: true }),
            parameter("pool", KnobType::Int { min: 1, max: 128, log: true }),
            parameter("policy", words(&["a", "b", "c"])),
            ways,
            parameter("fsync", KnobType::Bool),
            parameter("fixed", KnobType::Int { min: 5, max: 5, log: false }),
        ])
        .expect("a space")
    }

    proptest! {
        #[test]
        fn settings_return_from_their_point(point in prop::collection::vec(-0.1..1.1_f64, 5)) {
            let space = mixed();
            let config = space.decode(&point);
            let again = space.encode(&config).expect("what was decoded encodes");
            let (snapped, back) = (space.snap(&point), space.decode(&again));
            prop_assert!(snapped.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-9), "{snapped:?} {again:?}");
            for (name, value) in &config {
                match (value, &back[name]) {
                    (KnobValue::Float(a), KnobValue::Float(b)) => prop_assert!((a / b - 1.0).abs() < 1e-12),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }

        #[test]
        fn a_cell_is_where_the_setting_stays_the_same(u in 0.0..1.0_f64, index in 0..5_usize) {
            let space = mixed();
            let at = |v: f64| {
                let mut point = vec![0.5; 5];
                point[index] = v;
                space.decode(&point)
            };
            match space.cell(index, u) {
                None => prop_assert_eq!(space.axes()[index], Axis::Real),
                Some((low, high)) => {
                    prop_assert!(low <= u && u <= high);
                    prop_assert_eq!(at(low + 1e-9), at(u));
                    prop_assert_eq!(at(high - 1e-9), at(u));
                    prop_assert!(low < 1e-9 || at(low - 1e-9) != at(u));
                    prop_assert!(high > 1.0 - 1e-9 || at(high + 1e-9) != at(u));
                }
            }
        }

        #[test]
        fn snapping_again_changes_nothing(point in prop::collection::vec(-0.1..1.1_f64, 5)) {
            let space = mixed();
            let once = space.snap(&point);
            prop_assert_eq!(space.snap(&once), once);
        }
    }

    #[test]
    fn a_coordinate_that_is_no_number_stands_for_the_middle() {
        let space = mixed();
        let (none, middle) = (vec![f64::NAN; 5], vec![0.5; 5]);
        assert_eq!((space.decode(&none), space.snap(&none)), (space.decode(&middle), space.snap(&middle)));
    }

    #[test]
    fn a_value_that_its_parameter_does_not_take_is_refused_also_where_there_is_no_choice() {
        let space = mixed();
        let mut config = space.decode(&[0.5; 5]);
        config.insert("fixed".to_owned(), KnobValue::Int(6));
        assert!(space.encode(&config).expect_err("5 is all there is").to_string().contains("fixed"));
        config.insert("fixed".to_owned(), KnobValue::Int(5));
        assert!(space.encode(&config).is_ok());
    }

    #[test]
    fn the_largest_whole_numbers_have_cells_of_their_own() {
        let max = MOST_WHOLE as i64;
        let kind = KnobType::Int { min: max - 3, max, log: false };
        let space = Space::new(vec![parameter("n", kind)]).expect("a space");
        let cells: Vec<_> = [0.1, 0.4, 0.6, 0.9].map(|u| space.cell(0, u)).into();
        assert_eq!(cells, [0.0, 0.25, 0.5, 0.75].map(|low| Some((low, low + 0.25))));
    }

    #[test]
    fn a_parameter_whose_condition_fails_is_in_no_setting() {
        let space = mixed();
        let with = |policy: f64| space.decode(&[0.5, 0.5, policy, 0.9, 0.5]);
        assert!(with(0.5).contains_key("ways"));
        assert!(!with(0.1).contains_key("ways"));
        assert_eq!(space.snap(&[0.5, 0.5, 0.1, 0.9, 0.5])[3], space.snap(&[0.5, 0.5, 0.1, 0.1, 0.5])[3]);
    }

    #[test]
    fn whole_numbers_have_equal_shares_of_a_linear_axis() {
        let space =
            Space::new(vec![parameter("n", KnobType::Int { min: 1, max: 4, log: false })]).expect("a space");
        let counts = (0..1000).fold([0; 4], |mut counts, step| {
            let KnobValue::Int(n) = space.decode(&[(f64::from(step) + 0.5) / 1000.0])["n"] else {
                unreachable!()
            };
            counts[n as usize - 1] += 1;
            counts
        });
        assert_eq!(counts, [250; 4]);
    }

    #[test]
    fn what_decides_about_durability_is_no_axis_and_in_no_setting() {
        let space = Space::new(vec![
            Parameter { class: Class::Durability, ..parameter("synchronous_commit", KnobType::Bool) },
            parameter("pool", KnobType::Int { min: 1, max: 2, log: false }),
        ])
        .expect("a space");
        assert_eq!(space.axes(), [Axis::Whole(2)]);
        assert_eq!(space.decode(&[0.1]).into_keys().collect::<Vec<_>>(), ["pool"]);
    }

    #[test]
    fn a_space_of_one_point_has_no_axes() {
        let space = Space::new(vec![parameter("fixed", words(&["only"]))]).expect("a space");
        assert_eq!((space.axes().len(), space.size()), (0, Some(1)));
        assert_eq!(space.decode(&[])["fixed"], KnobValue::Choice("only".to_owned()));
    }

    #[test]
    fn what_is_no_space_is_refused_by_name() {
        let refuse = |parameters: Vec<Parameter>| Space::new(parameters).expect_err("no space").to_string();
        let float = |min, max, log| parameter("x", KnobType::Float { min, max, log });
        assert_eq!(
            refuse(vec![float(0.0, 1.0, false), float(0.0, 1.0, false)]),
            "parameter x is there twice"
        );
        assert!(refuse(vec![float(0.0, 1.0, true)]).contains("begins above 0, not at 0"));
        assert!(refuse(vec![float(f64::NAN, 1.0, false)]).contains("parameter x: min NaN"));
        assert!(refuse(vec![parameter("x", words(&["a", "a"]))]).contains("a value is there twice"));
        let mut capped = float(0.0, 1.0, false);
        capped.spec.step_cap = StepCap::Absolute(f64::NAN);
        assert!(refuse(vec![capped]).contains("leads nowhere"));
        let large = KnobType::Int { min: i64::MAX - 3, max: i64::MAX, log: false };
        assert!(refuse(vec![parameter("x", large)]).contains("count in a larger unit"));
        let condition = Condition { parameter: "later".to_owned(), among: vec![] };
        let early = Parameter { when: Some(condition), ..float(0.0, 1.0, false) };
        assert_eq!(refuse(vec![early]), "parameter x depends on later, which is not listed before it");
    }
}
