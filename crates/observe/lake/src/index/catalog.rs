//! The catalog of series: labels by number, numbers by label.
//!
//! Label names and values are kept once each; a series is a short list of (name, value) numbers. Memory per series is
//! eight bytes a label, four bytes a label of postings, and its share of new strings. Looking up a value costs a hash;
//! values are sorted when somebody lists them; matching costs the length of the shortest posting list.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_table::Entry as Place;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use kandela_model::{Labels, LabelsRef, METRIC_NAME};

use kandela_config::matcher::Matcher;

use super::Postings;
use super::postings::{intersect, subtract, union};

/// What a value takes besides its text and postings: its place in the list and the table, and its allocation.
const BYTES_OF_A_VALUE: usize = 80;

/// A series as the catalog knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedSeries {
    /// Its identity in every table.
    pub id: i64,
    /// The salt with which the identity was hashed; 0 unless hashes collided.
    pub salt: u32,
    /// Its labels.
    pub labels: Labels,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    salt: u32,
    labels: Box<[(u32, u32)]>,
}

#[derive(Debug)]
struct Name {
    name: Arc<str>,
    /// The number of each value.
    by_value: HashTable<u32>,
    values: Vec<(Arc<str>, Postings)>,
}

/// Series by number and by label.
#[derive(Debug, Default)]
pub(crate) struct SeriesIndex {
    series: Vec<Entry>,
    names: Vec<Name>,
    by_name: HashMap<Arc<str>, u32>,
    hasher: DefaultHashBuilder,
    string_bytes: usize,
    label_count: usize,
}

impl SeriesIndex {
    /// Adds a series that is not in the catalog yet and gives its number.
    pub(crate) fn add(&mut self, id: i64, salt: u32, labels: LabelsRef<'_>) -> u32 {
        let number = self.series.len() as u32;
        let labels: Box<[_]> =
            labels.iter().map(|(name, value)| self.add_label(name, value, number)).collect();
        self.label_count += labels.len();
        self.series.push(Entry { id, salt, labels });
        number
    }

    fn add_label(&mut self, name: &str, value: &str, number: u32) -> (u32, u32) {
        let name_number = match self.by_name.get(name) {
            Some(found) => *found,
            None => {
                let name: Arc<str> = name.into();
                let next = self.names.len() as u32;
                self.string_bytes += name.len() + 64;
                self.names.push(Name { name: name.clone(), by_value: HashTable::new(), values: Vec::new() });
                self.by_name.insert(name, next);
                next
            }
        };
        let Some(entry) = self.names.get_mut(name_number as usize) else { return (name_number, 0) };
        let hasher = &self.hasher;
        let Name { by_value, values, .. } = entry;
        let text = |number: &u32| values.get(*number as usize).map(|(value, _)| &**value);
        let place = by_value.entry(
            hasher.hash_one(value),
            |number| text(number) == Some(value),
            |number| hasher.hash_one(text(number).unwrap_or_default()),
        );
        let value_number = match place {
            Place::Occupied(found) => {
                let found = *found.get();
                if let Some((_, postings)) = values.get_mut(found as usize) {
                    postings.push(number);
                }
                found
            }
            Place::Vacant(place) => {
                let next = values.len() as u32;
                place.insert(next);
                self.string_bytes += value.len() + BYTES_OF_A_VALUE;
                values.push((value.into(), Postings::One(number)));
                next
            }
        };
        (name_number, value_number)
    }

    /// How many series it holds.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// The identity of series `number`.
    pub(crate) fn id(&self, number: u32) -> Option<i64> {
        self.series.get(number as usize).map(|entry| entry.id)
    }

    /// The salt of series `number`.
    pub(crate) fn salt(&self, number: u32) -> Option<u32> {
        self.series.get(number as usize).map(|entry| entry.salt)
    }

    /// Series `number` in full.
    pub(crate) fn get(&self, number: u32) -> Option<IndexedSeries> {
        let entry = self.series.get(number as usize)?;
        let labels = Labels::new(self.labels_of(entry)).unwrap_or_default();
        Some(IndexedSeries { id: entry.id, salt: entry.salt, labels })
    }

    /// The labels of series `number`, in ascending order of names.
    pub(crate) fn labels(&self, number: u32) -> impl Iterator<Item = (&str, &str)> {
        self.series.get(number as usize).into_iter().flat_map(|entry| self.labels_of(entry))
    }

    fn labels_of<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = (&'a str, &'a str)> {
        entry.labels.iter().filter_map(|(name, value)| {
            let name = self.names.get(*name as usize)?;
            let (value, _) = name.values.get(*value as usize)?;
            Some((&*name.name, &**value))
        })
    }

    /// The numbers of all series that match every matcher, ascending.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        let (excluding, including): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_missing());
        let mut lists: Vec<Cow<'_, [u32]>> = including.iter().map(|m| self.having(m)).collect();
        lists.sort_by_key(|list| list.len());
        let mut lists = lists.into_iter();
        let everything = || (0..self.series.len() as u32).collect();
        let first = lists.next().unwrap_or_else(everything);
        let included = lists.fold(first, |found, list| intersect(&found, &list).into());
        excluding.iter().fold(included.into_owned(), |found, matcher| {
            if found.is_empty() { found } else { subtract(&found, &self.having_other(matcher)) }
        })
    }

    /// Series that carry the label with a value that matches.
    fn having(&self, matcher: &Matcher) -> Cow<'_, [u32]> {
        let Some(name) = self.name(&matcher.name) else { return Cow::default() };
        match matcher.literal_values() {
            Some(values) => {
                let found = values.iter().filter_map(|value| self.postings(name, value));
                union(&found.map(Postings::as_slice).collect::<Vec<_>>())
            }
            None => union(&matching(name, |value| matcher.matches(value))),
        }
    }

    /// Series that carry the label with a value that does not match.
    fn having_other(&self, matcher: &Matcher) -> Cow<'_, [u32]> {
        let Some(name) = self.name(&matcher.name) else { return Cow::default() };
        union(&matching(name, |value| !matcher.matches(value)))
    }

    fn postings<'a>(&self, name: &'a Name, value: &str) -> Option<&'a Postings> {
        let text = |number: u32| name.values.get(number as usize);
        let is_it = |number: &u32| text(*number).is_some_and(|(text, _)| &**text == value);
        let number = name.by_value.find(self.hasher.hash_one(value), is_it)?;
        text(*number).map(|(_, postings)| postings)
    }

    fn name(&self, name: &str) -> Option<&Name> {
        self.names.get(*self.by_name.get(name)? as usize)
    }

    /// All label names, sorted.
    pub(crate) fn label_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.names.iter().map(|name| name.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The values of label `name`, sorted; at most `limit` of them.
    pub(crate) fn label_values(&self, name: &str, limit: usize) -> Vec<Arc<str>> {
        let Some(name) = self.name(name) else { return Vec::new() };
        let mut values: Vec<_> = name.values.iter().map(|(value, _)| value).collect();
        if limit < values.len() {
            values.select_nth_unstable(limit);
            values.truncate(limit);
        }
        values.sort_unstable();
        values.into_iter().cloned().collect()
    }

    /// The label names that these series carry, in no order.
    pub(crate) fn label_names_of(&self, numbers: &[u32]) -> Vec<Arc<str>> {
        let mut seen = vec![false; self.names.len()];
        for (name, _) in
            numbers.iter().filter_map(|n| self.series.get(*n as usize)).flat_map(|entry| &entry.labels)
        {
            if let Some(seen) = seen.get_mut(*name as usize) {
                *seen = true;
            }
        }
        let names = self.names.iter().zip(seen).filter(|(_, seen)| *seen);
        names.map(|(name, _)| name.name.clone()).collect()
    }

    /// The values of label `name` that these series carry, sorted.
    pub(crate) fn label_values_of(&self, name: &str, numbers: &[u32]) -> Vec<Arc<str>> {
        let (Some(wanted), Some(name)) = (self.by_name.get(name), self.name(name)) else { return Vec::new() };
        let mut seen = vec![false; name.values.len()];
        for (_, value) in numbers
            .iter()
            .filter_map(|n| self.series.get(*n as usize))
            .filter_map(|entry| entry.labels.iter().find(|(name, _)| name == wanted))
        {
            if let Some(seen) = seen.get_mut(*value as usize) {
                *seen = true;
            }
        }
        let values = name.values.iter().zip(seen).filter(|(_, seen)| *seen);
        let mut values: Vec<_> = values.map(|((value, _), _)| value.clone()).collect();
        values.sort_unstable();
        values
    }

    /// How many series each metric has, in no order.
    pub(crate) fn series_per_metric(&self) -> impl Iterator<Item = (&str, usize)> {
        let name = self.name(METRIC_NAME);
        name.into_iter().flat_map(|name| {
            name.values.iter().map(|(value, postings)| (&**value, postings.as_slice().len()))
        })
    }

    /// Every label's values with how many series carry each, in no order of names.
    pub(crate) fn values_by_name(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, usize)>)> {
        self.names.iter().map(|name| {
            (&*name.name, name.values.iter().map(|(value, postings)| (&**value, postings.as_slice().len())))
        })
    }

    /// How many series carry `name = value`.
    pub(crate) fn count(&self, name: &str, value: &str) -> usize {
        let postings = self.name(name).and_then(|name| self.postings(name, value));
        postings.map_or(0, |postings| postings.as_slice().len())
    }

    /// Heap bytes in use, estimated from counts.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.label_count * 12 + self.series.capacity() * size_of::<Entry>() + self.string_bytes
    }
}

fn matching(name: &Name, keep: impl Fn(&str) -> bool) -> Vec<&[u32]> {
    name.values.iter().filter(|(value, _)| keep(value)).map(|(_, postings)| postings.as_slice()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kandela_config::matcher::MatchOp;
    use proptest::prelude::*;

    fn index(series: &[Vec<(&str, &str)>]) -> SeriesIndex {
        let mut index = SeriesIndex::default();
        for labels in series {
            let labels = Labels::new(labels.iter().copied()).unwrap();
            index.add(labels.as_ref().series_id(0), 0, labels.as_ref());
        }
        index
    }

    fn shop() -> SeriesIndex {
        index(&[
            vec![("__name__", "up"), ("job", "cart")],
            vec![("__name__", "up"), ("job", "stock")],
            vec![("__name__", "up")],
            vec![("__name__", "errors"), ("job", "cart")],
        ])
    }

    fn select(index: &SeriesIndex, matchers: &[(&str, MatchOp, &str)]) -> Vec<u32> {
        let matchers: Vec<_> = matchers.iter().map(|(n, op, v)| Matcher::new(*n, *op, *v).unwrap()).collect();
        index.select(&matchers)
    }

    #[test]
    fn matchers_are_anded() {
        let found = select(&shop(), &[("__name__", MatchOp::Equal, "up"), ("job", MatchOp::Equal, "cart")]);
        assert_eq!(found, [0]);
    }

    #[test]
    fn a_negative_matcher_keeps_series_without_the_label() {
        let found =
            select(&shop(), &[("__name__", MatchOp::Equal, "up"), ("job", MatchOp::NotEqual, "cart")]);
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn an_empty_value_means_without_the_label() {
        assert_eq!(select(&shop(), &[("job", MatchOp::Equal, "")]), [2]);
    }

    #[test]
    fn labels_come_back_as_they_went_in() {
        let index = shop();
        assert_eq!(index.get(3).unwrap().labels.to_string(), r#"errors{job="cart"}"#);
        assert_eq!(index.label_values("job", 10).iter().map(|v| &**v).collect::<Vec<_>>(), ["cart", "stock"]);
    }

    proptest! {
        #[test]
        fn selecting_equals_filtering_one_by_one(
            series in proptest::collection::vec((0..4u8, 0..4u8, 0..4u8), 1..60),
            conditions in proptest::collection::vec((0..3usize, 0..4u8, 0..6u8), 1..4),
        ) {
            let text = |n: u8| if n == 0 { String::new() } else { format!("v{n}") };
            let mut index = SeriesIndex::default();
            let mut all = Vec::new();
            for (a, b, c) in series {
                let labels = Labels::new([("a", text(a)), ("b", text(b)), ("c", text(c))]).unwrap();
                index.add(0, 0, labels.as_ref());
                all.push(labels);
            }
            let matchers: Vec<_> = conditions.iter().map(|(name, op, value)| {
                let value = match value { 4 => "v[12]".to_owned(), 5 => ".*".to_owned(), n => text(*n) };
                let op = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][usize::from(*op)];
                Matcher::new(["a", "b", "c"][*name], op, value).unwrap()
            }).collect();
            let expected: Vec<u32> = (0..all.len() as u32)
                .filter(|n| matchers.iter().all(|m| m.matches(all[*n as usize].get(&m.name).unwrap_or(""))))
                .collect();
            prop_assert_eq!(index.select(&matchers), expected);
        }
    }
}
