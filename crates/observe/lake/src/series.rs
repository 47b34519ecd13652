//! All series of a time range: those alive in the head, and those of the days' files.
//!
//! Every file of the `series` table has an index in memory once something asked for its day. Files never change, so an index
//! is right as long as its file is listed; the cache drops the least recently used ones past its share of memory.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use kandela_config::matcher::Matcher;
use kandela_model::tables::SERIES;
use kandela_model::{Labels, METRIC_NAME};
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{LakeError, Result};
use crate::head::Registry;
use crate::index::{IndexedSeries, SeriesIndex};
use crate::sql::LabelsById;
use crate::table::DataFile;
use crate::view::View;

#[derive(Debug, Default)]
struct Cache {
    indexes: HashMap<String, (Arc<SeriesIndex>, u64)>,
    clock: u64,
}

/// Series of any time, found by matchers.
#[derive(Debug)]
pub(crate) struct SeriesSets {
    registry: Arc<Registry>,
    store: Arc<dyn ObjectStore>,
    cache: Mutex<Cache>,
    cache_bytes: usize,
}

impl SeriesSets {
    pub(crate) fn new(registry: Arc<Registry>, store: Arc<dyn ObjectStore>, cache_bytes: usize) -> Self {
        Self { registry, store, cache: Mutex::default(), cache_bytes }
    }

    /// Whether living series are series of these days: memory may hold samples of them. Where it holds none, the days' files
    /// say who had some.
    fn head_counts(view: &View, days: &RangeInclusive<i32>) -> bool {
        view.days_in_memory()
            .is_none_or(|memory| days.start() <= memory.end() && memory.start() <= days.end())
    }

    /// The indexes of the days' files; where the head counts, files whose series are all alive there are left out.
    async fn of_days(
        &self,
        view: &View,
        days: RangeInclusive<i32>,
        head_counts: bool,
    ) -> Result<Vec<Arc<SeriesIndex>>> {
        let Some(state) = view.tables.get(SERIES.name) else { return Ok(Vec::new()) };
        let mut indexes = Vec::new();
        let covered = if head_counts { self.registry.covers_from() } else { u64::MAX };
        for file in state.files.iter().filter(|file| days.contains(&file.day) && file.seq < covered) {
            indexes.push(self.of_file(file).await?);
        }
        Ok(indexes)
    }

    async fn of_file(&self, file: &DataFile) -> Result<Arc<SeriesIndex>> {
        {
            let mut cache = self.cache.lock();
            cache.clock += 1;
            let now = cache.clock;
            if let Some((index, used)) = cache.indexes.get_mut(&file.path) {
                *used = now;
                return Ok(index.clone());
            }
        }
        let index = Arc::new(read_index(&self.store, file).await?);
        let mut cache = self.cache.lock();
        cache.clock += 1;
        let now = cache.clock;
        cache.indexes.insert(file.path.clone(), (index.clone(), now));
        while cache.indexes.len() > 1
            && cache.indexes.values().map(|(i, _)| i.heap_bytes()).sum::<usize>() > self.cache_bytes
        {
            let oldest =
                cache.indexes.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            oldest.and_then(|path| cache.indexes.remove(&path));
        }
        Ok(index)
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

async fn read_index(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<SeriesIndex> {
    let damaged = |e: parquet::errors::ParquetError| LakeError::Damaged {
        what: "a series file",
        place: file.path.clone(),
        reason: e.to_string(),
    };
    let place = object_store::path::Path::from(file.path.as_str());
    let read = async { store.get(&place).await?.bytes().await };
    let bytes = read.await.map_err(|e| LakeError::store(format!("read {}", file.path), e))?;
    let build = move || -> Result<SeriesIndex, parquet::errors::ParquetError> {
        let mut index = SeriesIndex::default();
        let mut seen = HashSet::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
            for series in series_of(&batch?) {
                if seen.insert(series.id) {
                    index.add(series.id, series.salt, series.labels.as_ref());
                }
            }
        }
        Ok(index)
    };
    let built = tokio::task::spawn_blocking(build).await.map_err(|e| LakeError::defect("index series", e))?;
    built.map_err(damaged)
}

/// The series that rows of the series table describe.
fn series_of(batch: &RecordBatch) -> Vec<IndexedSeries> {
    let column = |name: &str| batch.column_by_name(name);
    let (Some(ids), Some(metrics), Some(labels), Some(salts)) = (
        column("series_id").and_then(|c| c.as_primitive_opt::<Int64Type>()),
        column("metric").and_then(|c| c.as_string_opt::<i32>()),
        column("labels").and_then(|c| c.as_map_opt()),
        column("salt").and_then(|c| c.as_primitive_opt::<Int32Type>()),
    ) else {
        return Vec::new();
    };
    let series = (0..batch.num_rows()).map(|row| {
        let entries = labels.value(row);
        let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
        let pairs = names.iter().zip(values.iter()).filter_map(|(name, value)| Some((name?, value?)));
        let labels = Labels::new(pairs.chain([(METRIC_NAME, metrics.value(row))])).unwrap_or_default();
        IndexedSeries { id: ids.value(row), salt: salts.value(row).unsigned_abs(), labels }
    });
    series.collect()
}
