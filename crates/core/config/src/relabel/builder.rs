//! A label set while it is being rewritten.

use std::borrow::Cow;

use kandela_model::{LabelError, Labels, LabelsRef};

/// A label set that rules rewrite; sorted by name, no value is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelBuilder<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> LabelBuilder<'a> {
    /// The value of `name`; empty where the label is absent.
    pub fn get(&self, name: &str) -> &str {
        match self.position(name) {
            Ok(at) => self.pairs.get(at).map_or("", |(_, value)| value),
            Err(_) => "",
        }
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.position(&name) {
            Ok(at) if value.is_empty() => {
                self.pairs.remove(at);
            }
            Ok(at) => {
                if let Some(pair) = self.pairs.get_mut(at) {
                    pair.1 = value;
                }
            }
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name, value)),
        }
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.pairs.remove(at);
        }
    }

    /// Keeps the labels whose name and value `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(name, value)| keep(name, value));
    }

    /// The labels in ascending order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The finished label set.
    ///
    /// # Errors
    /// When a label has an empty name.
    pub fn build(&self) -> Result<Labels, LabelError> {
        Labels::new(self.iter())
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(own, _)| own.as_ref().cmp(name))
    }
}

impl<'a> From<LabelsRef<'a>> for LabelBuilder<'a> {
    fn from(labels: LabelsRef<'a>) -> Self {
        Self { pairs: labels.iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}
