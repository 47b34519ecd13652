//! Groups of series that agree in some labels.

use std::collections::HashMap;

use kandela_model::{Labels, LabelsRef};

use super::labels::is_metadata;
use crate::ast::Grouping;

/// Members of groups by what their series agree in; finding one allocates only for the first series of a group.
pub(super) struct Groups<'a, T> {
    grouping: &'a Grouping,
    places: HashMap<Box<[u8]>, usize>,
    key: Vec<u8>,
    /// In the order in which they were found.
    pub(super) found: Vec<(Labels, T)>,
}

impl<'a, T> Groups<'a, T> {
    pub(super) fn new(grouping: &'a Grouping) -> Self {
        Self { grouping, places: HashMap::new(), key: Vec::new(), found: Vec::new() }
    }

    /// What is kept of the group of a series with these labels; a series without its name is in no group by name.
    pub(super) fn of(&mut self, labels: &Labels, has_name: bool, make: impl FnOnce() -> T) -> Option<&mut T> {
        let Grouping { labels: named, without } = self.grouping;
        self.key.clear();
        labels.as_ref().retain_into(&mut self.key, |name| {
            let is_named = named.iter().any(|one| one == name);
            if *without {
                !is_named && !is_metadata(name)
            } else {
                is_named && (has_name || !is_metadata(name))
            }
        });
        let place = match self.places.get(self.key.as_slice()) {
            Some(place) => *place,
            None => {
                let place = self.found.len();
                self.found.push((LabelsRef::from_trusted(&self.key).to_owned(), make()));
                self.places.insert(self.key.as_slice().into(), place);
                place
            }
        };
        self.found.get_mut(place).map(|(_, kept)| kept)
    }

    /// Joins groups of other series; `join` adds what is kept of the same group.
    pub(super) fn merge(&mut self, other: Self, join: impl Fn(&mut T, T)) {
        for (labels, kept) in other.found {
            match self.places.get(labels.as_ref().as_bytes()).and_then(|place| self.found.get_mut(*place)) {
                Some((_, here)) => join(here, kept),
                None => {
                    self.places.insert(labels.as_ref().as_bytes().into(), self.found.len());
                    self.found.push((labels, kept));
                }
            }
        }
    }
}
