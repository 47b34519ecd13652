//! What is kept for each operation, for a bounded number of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::range::{OutOfRange, within};

/// Where operations are counted that came after the bound was reached.
pub const OTHER: &str = "other";

/// One `T` for each operation by name.
#[derive(Debug)]
pub(crate) struct Operations<T> {
    by_name: RwLock<HashMap<Box<str>, Arc<T>>>,
    most: usize,
}

impl<T: Default> Operations<T> {
    /// Names come from requests, so a caller must not be able to make up as many as it likes: beyond `most` they are [`OTHER`].
    pub(crate) fn new(most: usize) -> Result<Operations<T>, OutOfRange> {
        let most = within("operations.most", most, 1..=100_000)?;
        Ok(Operations { by_name: RwLock::default(), most })
    }

    pub(crate) fn get(&self, name: &str) -> Arc<T> {
        let by_name = self.by_name.read();
        let known = by_name.get(name);
        let other = || if by_name.len() < self.most { None } else { by_name.get(OTHER) };
        if let Some(known) = known.or_else(other) {
            return known.clone();
        }
        drop(by_name);
        self.add(name)
    }

    #[cold]
    fn add(&self, name: &str) -> Arc<T> {
        let mut by_name = self.by_name.write();
        let is_known = by_name.contains_key(name);
        let name = if is_known || by_name.len() < self.most { name } else { OTHER };
        by_name.entry(name.into()).or_default().clone()
    }

    /// All operations in the order of their names.
    pub(crate) fn all(&self) -> Vec<(String, Arc<T>)> {
        let by_name = self.by_name.read();
        let mut all: Vec<_> = by_name.iter().map(|(name, kept)| (name.to_string(), kept.clone())).collect();
        drop(by_name);
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_beyond_the_bound_are_counted_together() {
        let operations: Operations<String> = Operations::new(2).expect("2 is a number of operations");
        let first = operations.get("a");
        for name in ["b", "c", "d", "a"] {
            operations.get(name);
        }
        let names: Vec<String> = operations.all().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "other"]);
        assert!(Arc::ptr_eq(&first, &operations.get("a")));
    }

    #[test]
    fn no_operations_at_all_are_refused() {
        assert!(Operations::<()>::new(0).is_err());
    }
}
