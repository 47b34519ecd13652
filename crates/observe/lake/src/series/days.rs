//! Indexes of the series that the days' files tell of.
//!
//! Each flush tells of all living series again, so a day has one index of all its files, and of each file only those series
//! are read in full that no file before it told of. Files never change: an index is right as long as each of its files is
//! listed, and is made anew once one was compacted or put aside. Days that were not asked for lately leave first when their
//! indexes are past their share of memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::errors::ParquetError;

use super::rows;
use crate::error::{LakeError, Result};
use crate::index::SeriesIndex;
use crate::table::DataFile;

/// One day's series. Parts are made as files are asked for, and no series stands in two.
#[derive(Debug, Default)]
struct Day {
    files: HashSet<String>,
    ids: Arc<HashSet<i64>>,
    parts: Vec<Arc<SeriesIndex>>,
}

#[derive(Debug, Default)]
struct Kept {
    day: Arc<tokio::sync::Mutex<Day>>,
    used: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Cache {
    days: HashMap<i32, Kept>,
    clock: u64,
}

#[derive(Debug)]
pub(super) struct DayIndexes {
    store: Arc<dyn ObjectStore>,
    cache: Mutex<Cache>,
    cache_bytes: usize,
}

impl DayIndexes {
    pub(super) fn new(store: Arc<dyn ObjectStore>, cache_bytes: usize) -> Self {
        Self { store, cache: Mutex::default(), cache_bytes }
    }

    /// Indexes that together hold every series of the `wanted` files of `day`, of which `listed` are all.
    pub(super) async fn of(
        &self,
        day: i32,
        listed: &[&DataFile],
        wanted: impl Fn(&DataFile) -> bool,
    ) -> Result<Vec<Arc<SeriesIndex>>> {
        let kept = self.kept(day);
        // Whoever asks while the index is being made waits for it.
        let mut held = kept.lock().await;
        let still_listed = listed.iter().filter(|file| held.files.contains(&file.path)).count();
        if still_listed < held.files.len() {
            *held = Day::default();
        }
        let missing: Vec<_> =
            listed.iter().filter(|file| wanted(file) && !held.files.contains(&file.path)).collect();
        if !missing.is_empty() {
            let (mut part, mut ids) = (SeriesIndex::default(), HashSet::new());
            for file in &missing {
                let bytes = self.read(file).await?;
                let (place, before) = (file.path.clone(), held.ids.clone());
                let add = move || add_new(&bytes, &before, &mut ids, &mut part).map(|()| (part, ids));
                let added = tokio::task::spawn_blocking(add).await;
                (part, ids) = added.map_err(|e| LakeError::defect("index series", e))?.map_err(|e| {
                    LakeError::Damaged { what: "a series file", place, reason: e.to_string() }
                })?;
            }
            Arc::make_mut(&mut held.ids).extend(ids);
            held.files.extend(missing.iter().map(|file| file.path.clone()));
            if part.len() > 0 {
                held.parts.push(Arc::new(part));
            }
            self.grew(day, held.heap_bytes());
        }
        Ok(held.parts.clone())
    }

    async fn read(&self, file: &DataFile) -> Result<Bytes> {
        let place = object_store::path::Path::from(file.path.as_str());
        let read = async { self.store.get(&place).await?.bytes().await };
        read.await.map_err(|e| LakeError::store(format!("read {}", file.path), e))
    }

    fn kept(&self, day: i32) -> Arc<tokio::sync::Mutex<Day>> {
        let mut cache = self.cache.lock();
        cache.clock += 1;
        let now = cache.clock;
        let kept = cache.days.entry(day).or_default();
        kept.used = now;
        kept.day.clone()
    }

    fn grew(&self, day: i32, bytes: usize) {
        let mut cache = self.cache.lock();
        if let Some(kept) = cache.days.get_mut(&day) {
            kept.bytes = bytes;
        }
        while cache.days.len() > 1
            && cache.days.values().map(|kept| kept.bytes).sum::<usize>() > self.cache_bytes
        {
            let oldest = cache.days.iter().min_by_key(|(_, kept)| kept.used).map(|(day, _)| *day);
            oldest.and_then(|day| cache.days.remove(&day));
        }
    }
}

impl Day {
    fn heap_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.heap_bytes()).sum();
        parts + self.ids.capacity() * (size_of::<i64>() + 1)
    }
}

/// Adds the file's series that are neither in `before` nor in `ids` yet to both `ids` and `part`.
fn add_new(
    file: &Bytes,
    before: &HashSet<i64>,
    ids: &mut HashSet<i64>,
    part: &mut SeriesIndex,
) -> std::result::Result<(), ParquetError> {
    let is_new = |id| !before.contains(&id) && ids.insert(id);
    rows::for_each_series(file, is_new, |series| {
        part.add(series.id, series.salt, series.labels.as_ref());
    })
}
