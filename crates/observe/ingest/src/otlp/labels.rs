//! The labels of a series while they are put together.

use std::borrow::Cow;

use kandela_model::{LabelError, MetricBatch, SeriesIndex};

/// Labels in ascending order of names, a name once.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelBuilder<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> LabelBuilder<'a> {
    pub(super) fn with_capacity(labels: usize) -> Self {
        Self { labels: Vec::with_capacity(labels) }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.labels.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// Sets a label, or removes it where the value is empty.
    pub(super) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.find(&name) {
            Ok(at) if value.is_empty() => drop(self.labels.remove(at)),
            Ok(at) => {
                if let Some((_, old)) = self.labels.get_mut(at) {
                    *old = value;
                }
            }
            Err(_) if value.is_empty() => {}
            Err(at) => self.labels.insert(at, (name, value)),
        }
    }

    /// Sets a label that is not there yet.
    pub(super) fn set_if_absent(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let name = name.into();
        if self.find(&name).is_err() {
            self.set(name, value);
        }
    }

    /// Sets a label, or adds to its value after a semicolon where another attribute has taken the name already.
    pub(super) fn join(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match self.find(&name).ok().and_then(|at| self.labels.get_mut(at)) {
            Some((_, old)) => {
                let old = old.to_mut();
                old.push(';');
                old.push_str(&value);
            }
            None => self.set(name, value),
        }
    }

    /// The labels, borrowed for as long as this is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Bytes of all names and values.
    pub(super) fn text_bytes(&self) -> usize {
        self.labels.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(super) fn add_series(&self, batch: &mut MetricBatch) -> Result<SeriesIndex, LabelError> {
        batch.add_series(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_sorted_and_unique() {
        let mut labels = LabelBuilder::default();
        labels.set("b", "1");
        labels.set("a", "1");
        labels.set("b", "2");
        labels.set("c", "3");
        labels.set("c", "");
        labels.set_if_absent("a", "9");
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }

    #[test]
    fn colliding_names_join_their_values() {
        let mut labels = LabelBuilder::default();
        labels.join("a_b".into(), "1".into());
        labels.join("a_b".into(), "2".into());
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a_b", "1;2")]);
    }
}
