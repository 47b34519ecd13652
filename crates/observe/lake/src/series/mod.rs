//! All series of a time range: those alive in the head, and those of the days' files.

mod days;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use kandela_config::matcher::Matcher;
use kandela_model::tables::SERIES;
use object_store::ObjectStore;

use self::days::DayIndexes;
use crate::error::Result;
use crate::head::Registry;
use crate::index::{IndexedSeries, SeriesIndex};
use crate::sql::LabelsById;
use crate::table::DataFile;
use crate::view::View;

/// Series of any time, found by matchers.
#[derive(Debug)]
pub(crate) struct SeriesSets {
    registry: Arc<Registry>,
    days: DayIndexes,
}

impl SeriesSets {
    pub(crate) fn new(registry: Arc<Registry>, store: Arc<dyn ObjectStore>, cache_bytes: usize) -> Self {
        Self { registry, days: DayIndexes::new(store, cache_bytes) }
    }

    /// Whether living series are series of these days: memory may hold samples of them. Where it holds none, the days' files
    /// say who had some.
    fn head_counts(view: &View, days: &RangeInclusive<i32>) -> bool {
        view.days_in_memory()
            .is_none_or(|memory| days.start() <= memory.end() && memory.start() <= days.end())
    }

    /// The indexes of the days' files; where the head counts, files whose series are all alive there need not be in them.
    async fn of_days(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        head_counts: bool,
    ) -> Result<Vec<Arc<SeriesIndex>>> {
        let Some(state) = view.tables.get(SERIES.name) else { return Ok(Vec::new()) };
        let covered = if head_counts { self.registry.covers_from() } else { u64::MAX };
        let mut by_day: BTreeMap<i32, Vec<&DataFile>> = BTreeMap::new();
        for file in state.files.iter().filter(|file| days.contains(&file.day)) {
            by_day.entry(file.day).or_default().push(file);
        }
        let mut indexes = Vec::new();
        for (day, listed) in by_day {
            let wanted = |file: &DataFile| file.seq < covered;
            if listed.iter().any(|file| wanted(file)) {
                indexes.extend(self.days.of(day, &listed, wanted).await?);
            }
        }
        Ok(indexes)
    }

    /// Reads the indexes of the days' files, so that the first who asks need not wait for them.
    pub(crate) async fn read_ahead(&self, view: &View, days: RangeInclusive<i32>) -> Result<()> {
        let head_counts = Self::head_counts(view, &days);
        self.of_days(view, days, head_counts).await.map(drop)
    }

    /// Where the labels are of every series of the days that matches.
    pub(crate) async fn labels_by_id(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        matchers: &[Matcher],
    ) -> Result<LabelsById> {
        let mut found = LabelsById::new();
        for index in self.of_days(view, days, true).await? {
            for number in index.select(matchers) {
                if let Some(id) = index.id(number) {
                    found.insert(id, (index.clone(), number));
                }
            }
        }
        // The head's index changes under its lock, so what is found there is copied.
        let alive = self.registry.with_index(|index| {
            let mut copy = SeriesIndex::default();
            for number in index.select(matchers) {
                if let Some(series) = index.get(number).filter(|series| !found.contains_key(&series.id)) {
                    copy.add(series.id, series.salt, series.labels.as_ref());
                }
            }
            Arc::new(copy)
        });
        for number in 0..alive.len() as u32 {
            if let Some(id) = alive.id(number) {
                found.insert(id, (alive.clone(), number));
            }
        }
        Ok(found)
    }

    /// Series of the days that match, by identity; at most `limit`.
    pub(crate) async fn select(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<IndexedSeries>> {
        let mut found: Vec<IndexedSeries> = Vec::new();
        let mut add = |index: &SeriesIndex| {
            // The index and a day's files mostly know the same series.
            let known = found.len();
            let is_new = |number: &u32| {
                let known = found.get(..known).unwrap_or_default();
                index
                    .id(*number)
                    .is_some_and(|id| known.binary_search_by_key(&id, |series| series.id).is_err())
            };
            let numbers: Vec<u32> = index.select(matchers).into_iter().filter(is_new).take(limit).collect();
            found.extend(numbers.into_iter().filter_map(|number| index.get(number)));
            found.sort_unstable_by_key(|series| series.id);
            found.dedup_by_key(|series| series.id);
            found.truncate(limit);
        };
        let head_counts = Self::head_counts(view, &days);
        if head_counts {
            self.registry.with_index(&mut add);
        }
        for index in self.of_days(view, days, head_counts).await? {
            add(&index);
        }
        Ok(found)
    }

    /// Label names of the days' series that match, sorted.
    pub(crate) async fn label_names(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<str>>> {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut add = |index: &SeriesIndex| {
            if matchers.is_empty() {
                names.extend(index.label_names());
            } else {
                names.extend(index.label_names_of(&index.select(matchers)));
            }
        };
        let head_counts = Self::head_counts(view, &days);
        if head_counts {
            self.registry.with_index(&mut add);
        }
        for index in self.of_days(view, days, head_counts).await? {
            add(&index);
        }
        Ok(names.into_iter().collect())
    }

    /// Values of one label among the days' series that match, sorted; at most `limit`.
    pub(crate) async fn label_values(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<Arc<str>>> {
        let mut lists: Vec<Vec<Arc<str>>> = Vec::new();
        let mut add = |index: &SeriesIndex| {
            lists.push(if matchers.is_empty() {
                index.label_values(name, limit)
            } else {
                index.label_values_of(name, &index.select(matchers))
            });
        };
        let head_counts = Self::head_counts(view, &days);
        if head_counts {
            self.registry.with_index(&mut add);
        }
        for index in self.of_days(view, days, head_counts).await? {
            add(&index);
        }
        let mut values = match lists.len() {
            1 => lists.pop().unwrap_or_default(),
            _ => {
                let mut all = lists.concat();
                all.sort_unstable();
                all.dedup();
                all
            }
        };
        values.truncate(limit);
        Ok(values)
    }
}
