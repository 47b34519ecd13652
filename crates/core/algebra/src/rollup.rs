//! Roll-ups along ownership: pod → service → team, without double counts.
//!
//! A [`Hierarchy`] says who owns what. It refuses a child with two owners, because then a total over owners
//! counts the child twice; [`Shares`] takes such a child with weights. What comes out is a function of the
//! totals alone: rolling up in two steps equals rolling up in one, and what nobody owns is reported beside
//! the groups, so that nothing is lost.
//!
//! ```
//! use std::collections::BTreeMap;
//! use kandela_algebra::merge::Count;
//! use kandela_algebra::rollup::Hierarchy;
//!
//! let service = Hierarchy::new([("pod-1", "cart"), ("pod-2", "cart"), ("pod-3", "pay")])?;
//! let requests = BTreeMap::from([("pod-1", Count(5)), ("pod-2", Count(7)), ("pod-9", Count(1))]);
//!
//! let by_service = service.rollup(&requests);
//! assert_eq!(by_service.groups, BTreeMap::from([("cart", Count(12))]));
//! assert_eq!(by_service.unowned, Some(Count(1)));
//! assert_eq!(service.complete(&requests)["pay"].missing, ["pod-3"]);
//! # Ok::<(), kandela_algebra::rollup::ManyToMany<&str, &str>>(())
//! ```

mod shares;

use std::collections::BTreeMap;
use std::fmt;

use crate::merge::{Commutative, Merge};
pub use shares::{Scale, ShareError, Shares};

/// Which owner each child has: at most one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy<C, D> {
    owners: BTreeMap<C, D>,
}

/// What was rolled up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup<D, S> {
    /// The merge over the children of each owner that has any with a value.
    pub groups: BTreeMap<D, S>,
    /// The merge over the children that have no owner, if there are any with a value.
    pub unowned: Option<S>,
}

/// Which children of an owner have reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members<C> {
    /// How many have.
    pub reported: usize,
    /// Those that have not, ascending.
    pub missing: Vec<C>,
}

impl<C> Members<C> {
    /// Whether no child is missing, so that a total over them is one over all.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Attributes of things, to be joined to values by key.
///
/// They are read and joined, but never merged: an attribute of a service that was joined to its three pods
/// would count three times. So this is no [`Merge`], and a roll-up of it does not compile:
///
/// ```compile_fail
/// use std::collections::BTreeMap;
/// use kandela_algebra::merge::Count;
/// use kandela_algebra::rollup::{Attributes, Hierarchy};
/// let service = Hierarchy::new([("pod-1", "cart"), ("pod-2", "cart")]).unwrap();
/// let quota = Attributes::new([("cart", Count(100))]);
/// service.rollup(&service.enrich(&quota));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<K, Y>(BTreeMap<K, Y>);

impl<K: Ord + Clone, Y> Attributes<K, Y> {
    /// Attributes by key; of two for one key, the last.
    pub fn new(attributes: impl IntoIterator<Item = (K, Y)>) -> Attributes<K, Y> {
        Attributes(attributes.into_iter().collect())
    }

    /// The attribute of `key`.
    pub fn get(&self, key: &K) -> Option<&Y> {
        self.0.get(key)
    }

    /// Each value that has an attribute, combined with it by `f`; `None` from `f` leaves the value out.
    ///
    /// If `f` of a merge is the merge of `f` (a filter by the attribute, a price per unit), then joining the
    /// children of a hierarchy with what [`Hierarchy::enrich`] gave them and rolling up equals rolling up and
    /// joining the owners.
    pub fn join<S, T>(&self, values: &BTreeMap<K, S>, f: impl Fn(&S, &Y) -> Option<T>) -> BTreeMap<K, T> {
        let joined = |(key, value): (&K, &S)| Some((key.clone(), f(value, self.0.get(key)?)?));
        values.iter().filter_map(joined).collect()
    }
}

impl<C: Ord + Clone, D: Ord + Clone> Hierarchy<C, D> {
    /// Takes pairs of child and owner; a pair may come twice, a child with two owners is refused.
    pub fn new(pairs: impl IntoIterator<Item = (C, D)>) -> Result<Hierarchy<C, D>, ManyToMany<C, D>> {
        let mut owners: BTreeMap<C, D> = BTreeMap::new();
        for (child, owner) in pairs {
            match owners.get(&child) {
                Some(first) if *first != owner => {
                    return Err(ManyToMany { child, owners: (first.clone(), owner) });
                }
                Some(_) => {}
                None => {
                    owners.insert(child, owner);
                }
            }
        }
        Ok(Hierarchy { owners })
    }

    /// The owner of a child.
    pub fn owner(&self, child: &C) -> Option<&D> {
        self.owners.get(child)
    }

    /// The hierarchy from these children to the owners of their owners. A child whose owner has none has
    /// none.
    pub fn then<E: Ord + Clone>(&self, next: &Hierarchy<D, E>) -> Hierarchy<C, E> {
        let owner_of = |(child, owner): (&C, &D)| Some((child.clone(), next.owner(owner)?.clone()));
        Hierarchy { owners: self.owners.iter().filter_map(owner_of).collect() }
    }

    /// Merges the values of the children of each owner.
    ///
    /// Groups come in another order than children, hence [`Commutative`]; for summaries that are
    /// [`Approximate`](crate::merge::Approximate), the guarantees hold up to rounding.
    pub fn rollup<S: Commutative + Clone>(&self, values: &BTreeMap<C, S>) -> Rollup<D, S> {
        let mut groups: BTreeMap<D, S> = BTreeMap::new();
        let mut unowned: Option<S> = None;
        for (child, value) in values {
            match self.owners.get(child) {
                Some(owner) => match groups.get_mut(owner) {
                    Some(group) => group.merge_from(value),
                    None => {
                        groups.insert(owner.clone(), value.clone());
                    }
                },
                None => unowned.merge_from(&Some(value.clone())),
            }
        }
        Rollup { groups, unowned }
    }

    /// Gives each child the attributes of its owner.
    pub fn enrich<Y: Clone>(&self, attributes: &Attributes<D, Y>) -> Attributes<C, Y> {
        let of_owner = |(child, owner): (&C, &D)| Some((child.clone(), attributes.get(owner)?.clone()));
        Attributes(self.owners.iter().filter_map(of_owner).collect())
    }

    /// For every owner, which of its children have a value in `reported`.
    pub fn complete<S>(&self, reported: &BTreeMap<C, S>) -> BTreeMap<D, Members<C>> {
        let mut members: BTreeMap<D, Members<C>> = BTreeMap::new();
        for (child, owner) in &self.owners {
            let of_owner =
                members.entry(owner.clone()).or_insert_with(|| Members { reported: 0, missing: Vec::new() });
            if reported.contains_key(child) {
                of_owner.reported += 1;
            } else {
                of_owner.missing.push(child.clone());
            }
        }
        members
    }
}

impl<D: Ord + Clone, S: Commutative + Clone> Rollup<D, S> {
    /// Rolls the groups up once more. What had no owner keeps having none.
    pub fn then<E: Ord + Clone>(&self, next: &Hierarchy<D, E>) -> Rollup<E, S> {
        let mut rolled = next.rollup(&self.groups);
        rolled.unowned.merge_from(&self.unowned);
        rolled
    }
}

/// A child has two owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManyToMany<C, D> {
    /// The child.
    pub child: C,
    /// Its first owner, and another.
    pub owners: (D, D),
}

impl<C: fmt::Debug, D: fmt::Debug> fmt::Display for ManyToMany<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManyToMany { child, owners: (first, other) } = self;
        write!(
            f,
            "{child:?} belongs to both {first:?} and {other:?}, so totals would count it twice; \
             remove one, or give each a share"
        )
    }
}

impl<C: fmt::Debug, D: fmt::Debug> std::error::Error for ManyToMany<C, D> {}
