//! Search that keeps constraints *while* it searches: no point is measured that may break one, as far as can be known.
//!
//! A [`Constraint`] is a measured quantity with a bound. From a start that keeps all of them, the search widens a *certified set* of
//! points step by step and looks for the best point within it.
//!
//! - Where the greatest rate of change and the noise are **declared**, a point is certified by the [envelope] of what was measured: no
//!   quantity that changes no faster can break its bound there (Fiedler, Menn, Kreisköther and Trimpe, *On Safety in Safe Bayesian
//!   Optimization*, 2024). If the declaration is true, no trial is unsafe. Measurements that contradict it raise an [`Alarm`].
//! - Where they are not, they are **estimated**, and a certificate is a cautious guess, right in most runs: see [`certificate`].
//!
//! [envelope]: kandela_algebra::envelope

mod certificate;
mod search;
pub(crate) mod surface;

use std::fmt;

pub use search::Safe;

/// A measured quantity that must stay within a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Its name, in the order of [`Measured::margins`](crate::Measured::margins).
    pub name: String,
    /// Its bound.
    pub bound: Bound,
    /// The most by which the quantity changes along the unit cube, in its own unit for each width of the cube, in any direction;
    /// estimated where it is not known.
    pub rate: Option<f64>,
    /// The most by which one measurement of it may be off; estimated where it is not known.
    pub noise: Option<f64>,
}

impl Constraint {
    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let (Bound::Max(bound) | Bound::Min(bound)) = self.bound;
        let no_limit = |limit: Option<f64>| limit.is_some_and(|limit| !limit.is_finite() || limit < 0.0);
        if !bound.is_finite() {
            Some("its bound is no finite number; give one")
        } else if no_limit(self.rate) {
            Some("its rate is no finite number of 0 or more; give one, or leave it out and have it estimated")
        } else if no_limit(self.noise) {
            Some(
                "its noise is no finite number of 0 or more; give one, or leave it out and have it estimated",
            )
        } else {
            None
        }
    }
}

/// On which side of a number a quantity must stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At this or below.
    Max(f64),
    /// At this or above.
    Min(f64),
}

impl Bound {
    /// How far within the bound a value is; below 0 it breaks it.
    pub fn margin(self, value: f64) -> f64 {
        match self {
            Bound::Max(most) => most - value,
            Bound::Min(least) => value - least,
        }
    }
}

/// What a safe search tells of besides its proposals.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Alarm {
    /// Two trials contradict what was declared of a constraint. Its certificates are estimated from here on.
    Contradicted {
        /// The constraint.
        constraint: String,
        /// The trials.
        trials: (u64, u64),
        /// By how much they lie farther apart than declared, in the constraint's unit.
        excess: f64,
    },
    /// The trials together make it likely that the constraint changes faster than was declared. Its certificates are estimated from
    /// here on.
    Doubted {
        /// The constraint.
        constraint: String,
        /// The rate that was declared.
        declared: f64,
        /// The rate that was seen, in the direction in which it is greatest.
        seen: f64,
    },
    /// The start breaks a constraint and nothing near it helps: the search ends.
    Unmet {
        /// The constraint.
        constraint: String,
        /// The best margin that any trial had, below 0.
        margin: f64,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Contradicted { constraint, trials: (low, high), excess } => write!(
                f,
                "constraint {constraint}: trials {low} and {high} lie {excess} farther apart than its declared rate and noise allow; \
                 one of the two is wrong: raise it, or leave it out and have it estimated, as it is from here on"
            ),
            Alarm::Doubted { constraint, declared, seen } => write!(
                f,
                "constraint {constraint}: it was declared to change by at most {declared} and seems to change by {seen}: raise \
                 its rate, or leave it out and have it estimated, as it is from here on"
            ),
            Alarm::Unmet { constraint, margin } => write!(
                f,
                "constraint {constraint}: the start breaks it and nothing near helps, the best margin is {margin}: relax its \
                 bound, or give a start that keeps it"
            ),
        }
    }
}
