//! Sorted lists of series numbers.

use std::borrow::Cow;

/// The series that carry one label value, as ascending numbers. Numbers are handed out in ascending order, so adding is
/// appending; a value of one series only, the commonest case, takes no allocation.
#[derive(Clone, Debug)]
pub(crate) enum Postings {
    One(u32),
    Many(Vec<u32>),
}

impl Postings {
    pub(crate) fn push(&mut self, number: u32) {
        match self {
            Self::One(first) if *first != number => *self = Self::Many(vec![*first, number]),
            Self::Many(numbers) if numbers.last() != Some(&number) => numbers.push(number),
            _ => {}
        }
    }

    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Many(numbers) => numbers,
        }
    }
}

/// The numbers that stand in both lists.
pub(crate) fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut rest = long;
    let mut both = Vec::with_capacity(short.len());
    for &number in short {
        // Gallop: the lists often differ in length by orders of magnitude.
        let mut step = 1;
        while rest.get(step).is_some_and(|&n| n < number) {
            step *= 2;
        }
        let window = rest.get(..(step + 1).min(rest.len())).unwrap_or(rest);
        rest = rest.get(window.partition_point(|&n| n < number)..).unwrap_or_default();
        if rest.first() == Some(&number) {
            both.push(number);
        }
    }
    both
}

/// The numbers that stand in any list, ascending and once each. One list alone may have millions, and is not copied.
pub(crate) fn union<'a>(lists: &[&'a [u32]]) -> Cow<'a, [u32]> {
    match lists {
        [] => Cow::default(),
        [only] => Cow::Borrowed(only),
        _ => {
            let mut all: Vec<u32> = lists.concat();
            all.sort_unstable();
            all.dedup();
            all.into()
        }
    }
}

/// The numbers of `a` that do not stand in `b`.
pub(crate) fn subtract(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut rest = b;
    let mut left = Vec::with_capacity(a.len());
    for &number in a {
        rest = rest.get(rest.partition_point(|&n| n < number)..).unwrap_or_default();
        if rest.first() != Some(&number) {
            left.push(number);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sorted(set: &BTreeSet<u32>) -> Vec<u32> {
        set.iter().copied().collect()
    }

    proptest! {
        #[test]
        fn list_operations_are_set_operations(
            a in proptest::collection::btree_set(0u32..500, 0..200),
            b in proptest::collection::btree_set(0u32..500, 0..20),
        ) {
            let (x, y) = (sorted(&a), sorted(&b));
            prop_assert_eq!(intersect(&x, &y), a.intersection(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(union(&[&x, &y]).into_owned(), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(subtract(&x, &y), a.difference(&b).copied().collect::<Vec<_>>());
        }
    }
}
