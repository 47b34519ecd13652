//! Summaries of several things at once: pairs, triples, options and maps inherit the laws of their parts.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::{Approximate, Commutative, Idempotent, Merge, Subtract, Summary};

impl<A: Merge, B: Merge> Merge for (A, B) {
    fn empty(&self) -> Self {
        (self.0.empty(), self.1.empty())
    }
    fn merge_from(&mut self, other: &Self) {
        self.0.merge_from(&other.0);
        self.1.merge_from(&other.1);
    }
}
impl<A: Commutative, B: Commutative> Commutative for (A, B) {}
impl<A: Idempotent, B: Idempotent> Idempotent for (A, B) {}
impl<A: Approximate, B: Approximate> Approximate for (A, B) {}
impl<A: Subtract, B: Subtract> Subtract for (A, B) {
    fn subtract(&mut self, other: &Self) {
        self.0.subtract(&other.0);
        self.1.subtract(&other.1);
    }
}
impl<A: Summary, B: Summary> Summary for (A, B) {
    type Item = (A::Item, B::Item);
    type Out = (A::Out, B::Out);
    fn lift(&self, item: Self::Item) -> Self {
        (self.0.lift(item.0), self.1.lift(item.1))
    }
    fn present(&self) -> Self::Out {
        (self.0.present(), self.1.present())
    }
    fn observe(&mut self, item: Self::Item) {
        self.0.observe(item.0);
        self.1.observe(item.1);
    }
}

impl<A: Merge, B: Merge, C: Merge> Merge for (A, B, C) {
    fn empty(&self) -> Self {
        (self.0.empty(), self.1.empty(), self.2.empty())
    }
    fn merge_from(&mut self, other: &Self) {
        self.0.merge_from(&other.0);
        self.1.merge_from(&other.1);
        self.2.merge_from(&other.2);
    }
}
impl<A: Commutative, B: Commutative, C: Commutative> Commutative for (A, B, C) {}
impl<A: Idempotent, B: Idempotent, C: Idempotent> Idempotent for (A, B, C) {}
impl<A: Approximate, B: Approximate, C: Approximate> Approximate for (A, B, C) {}
impl<A: Subtract, B: Subtract, C: Subtract> Subtract for (A, B, C) {
    fn subtract(&mut self, other: &Self) {
        self.0.subtract(&other.0);
        self.1.subtract(&other.1);
        self.2.subtract(&other.2);
    }
}
impl<A: Summary, B: Summary, C: Summary> Summary for (A, B, C) {
    type Item = (A::Item, B::Item, C::Item);
    type Out = (A::Out, B::Out, C::Out);
    fn lift(&self, item: Self::Item) -> Self {
        (self.0.lift(item.0), self.1.lift(item.1), self.2.lift(item.2))
    }
    fn present(&self) -> Self::Out {
        (self.0.present(), self.1.present(), self.2.present())
    }
    fn observe(&mut self, item: Self::Item) {
        self.0.observe(item.0);
        self.1.observe(item.1);
        self.2.observe(item.2);
    }
}

/// `None` is empty: what is absent on one side is taken from the other.
impl<T: Merge + Clone> Merge for Option<T> {
    fn empty(&self) -> Self {
        None
    }
    fn merge_from(&mut self, other: &Self) {
        match (self.as_mut(), other) {
            (Some(held), Some(more)) => held.merge_from(more),
            (None, Some(more)) => *self = Some(more.clone()),
            (_, None) => {}
        }
    }
}
impl<T: Commutative + Clone> Commutative for Option<T> {}
impl<T: Idempotent + Clone> Idempotent for Option<T> {}
impl<T: Approximate + Clone> Approximate for Option<T> {}

/// Merged key by key; a key that one side lacks is taken from the other.
impl<K: Ord + Clone, V: Merge + Clone> Merge for BTreeMap<K, V> {
    fn empty(&self) -> Self {
        BTreeMap::new()
    }
    fn merge_from(&mut self, other: &Self) {
        for (key, value) in other {
            match self.get_mut(key) {
                Some(held) => held.merge_from(value),
                None => {
                    self.insert(key.clone(), value.clone());
                }
            }
        }
    }
}
impl<K: Ord + Clone, V: Commutative + Clone> Commutative for BTreeMap<K, V> {}
impl<K: Ord + Clone, V: Idempotent + Clone> Idempotent for BTreeMap<K, V> {}
impl<K: Ord + Clone, V: Approximate + Clone> Approximate for BTreeMap<K, V> {}

/// Merged key by key; a key that one side lacks is taken from the other.
impl<K: Eq + Hash + Clone, V: Merge + Clone, H: BuildHasher + Clone> Merge for HashMap<K, V, H> {
    fn empty(&self) -> Self {
        HashMap::with_hasher(self.hasher().clone())
    }
    fn merge_from(&mut self, other: &Self) {
        for (key, value) in other {
            match self.get_mut(key) {
                Some(held) => held.merge_from(value),
                None => {
                    self.insert(key.clone(), value.clone());
                }
            }
        }
    }
}
impl<K: Eq + Hash + Clone, V: Commutative + Clone, H: BuildHasher + Clone> Commutative for HashMap<K, V, H> {}
impl<K: Eq + Hash + Clone, V: Idempotent + Clone, H: BuildHasher + Clone> Idempotent for HashMap<K, V, H> {}
impl<K: Eq + Hash + Clone, V: Approximate + Clone, H: BuildHasher + Clone> Approximate for HashMap<K, V, H> {}
