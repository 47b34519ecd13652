//! Children that several owners share.

use std::collections::BTreeMap;
use std::fmt;

use super::Rollup;
use crate::merge::{Commutative, FloatSum, Merge};

/// A summary of which a share can be taken: `(a ⊕ b)·w = a·w ⊕ b·w`, and `a·v ⊕ a·w = a·(v + w)`, up to
/// rounding.
pub trait Scale: Merge {
    /// Multiplies by a factor from 0 to 1.
    fn scale(&mut self, factor: f64);
}

impl Scale for FloatSum {
    fn scale(&mut self, factor: f64) {
        FloatSum::scale(self, factor);
    }
}

impl<A: Scale, B: Scale> Scale for (A, B) {
    fn scale(&mut self, factor: f64) {
        self.0.scale(factor);
        self.1.scale(factor);
    }
}

/// Which share of a child each of its owners has. The shares of a child add up to 1, so that totals are kept.
///
/// ```
/// use std::collections::BTreeMap;
/// use kandela_algebra::merge::{FloatSum, Summary};
/// use kandela_algebra::rollup::Shares;
///
/// let teams = Shares::new([("db", "cart", 0.75), ("db", "pay", 0.25), ("web", "cart", 1.0)])?;
/// let cost = BTreeMap::from([("db", 80.0), ("web", 5.0)].map(|(node, cost)| (node, FloatSum::default().lift(cost))));
/// let by_team = teams.rollup(&cost);
/// assert_eq!(by_team.groups["cart"].value(), 65.0);
/// assert_eq!(by_team.groups["pay"].value(), 20.0);
/// # Ok::<(), kandela_algebra::rollup::ShareError<&str>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Shares<C, D> {
    owners: BTreeMap<C, BTreeMap<D, f64>>,
}

/// How far the shares of a child may add up to something other than 1.
const TOLERANCE: f64 = 1e-9;

impl<C: Ord + Clone, D: Ord + Clone> Shares<C, D> {
    /// Takes child, owner and share; shares that come for one pair add up.
    pub fn new(shares: impl IntoIterator<Item = (C, D, f64)>) -> Result<Shares<C, D>, ShareError<C>> {
        let mut owners: BTreeMap<C, BTreeMap<D, f64>> = BTreeMap::new();
        for (child, owner, share) in shares {
            if !(0.0..=1.0 + TOLERANCE).contains(&share) {
                return Err(ShareError::OutOfRange { child, share });
            }
            *owners.entry(child).or_default().entry(owner).or_insert(0.0) += share;
        }
        for (child, shares) in &owners {
            let total: f64 = shares.values().sum();
            if (total - 1.0).abs() > TOLERANCE {
                return Err(ShareError::Total { child: child.clone(), total });
            }
        }
        Ok(Shares { owners })
    }

    /// Merges, for each owner, its shares of the values of its children.
    pub fn rollup<S: Scale + Commutative + Clone>(&self, values: &BTreeMap<C, S>) -> Rollup<D, S> {
        let mut groups: BTreeMap<D, S> = BTreeMap::new();
        let mut unowned: Option<S> = None;
        for (child, value) in values {
            let Some(shares) = self.owners.get(child) else {
                unowned.merge_from(&Some(value.clone()));
                continue;
            };
            for (owner, &share) in shares {
                let mut part = value.clone();
                part.scale(share);
                match groups.get_mut(owner) {
                    Some(group) => group.merge_from(&part),
                    None => {
                        groups.insert(owner.clone(), part);
                    }
                }
            }
        }
        Rollup { groups, unowned }
    }
}

/// Why shares were refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ShareError<C> {
    /// A share lies outside of 0 to 1.
    OutOfRange {
        /// The child.
        child: C,
        /// The share given.
        share: f64,
    },
    /// The shares of a child don't add up to 1.
    Total {
        /// The child.
        child: C,
        /// What they add up to.
        total: f64,
    },
}

impl<C: fmt::Debug> fmt::Display for ShareError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShareError::OutOfRange { child, share } => {
                write!(f, "a share of {share} of {child:?} is not possible; give a number from 0 to 1")
            }
            ShareError::Total { child, total } => {
                write!(
                    f,
                    "the shares of {child:?} add up to {total}, so totals would not be kept; make them add up to 1"
                )
            }
        }
    }
}

impl<C: fmt::Debug> std::error::Error for ShareError<C> {}
