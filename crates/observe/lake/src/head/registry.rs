//! The series that are alive: found by the hash of their labels, in shards that lock apart.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hashbrown::HashTable;
use kandela_model::{LabelsRef, Metadata};
use parking_lot::{Mutex, MutexGuard, RwLock};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::block::NONE;
use crate::index::SeriesIndex;

/// Shards of the registry and of every memtable.
pub(crate) const SHARDS: usize = 16;

/// What the head knows of a living series; one cache line.
#[derive(Debug)]
pub(crate) struct Live {
    fingerprint: u128,
    /// Its identity in every table.
    pub(crate) id: i64,
    /// Its newest sample in microseconds; `i64::MIN` while unknown.
    pub(crate) last_ts: i64,
    /// Its number in the catalog.
    pub(crate) number: u32,
    /// Its newest block in the memtable of `generation`.
    pub(crate) tail: u32,
    /// The memtable that `tail` lies in.
    pub(crate) generation: u32,
    /// The log segment that defines it.
    pub(crate) logged_in: u64,
    /// The last UTC day for which it has a row in the series table.
    pub(crate) day: i32,
}

/// Where a living series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) shard: u32,
    pub(crate) entry: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Shard {
    by_fingerprint: HashTable<u32>,
    entries: Vec<Live>,
}

impl Shard {
    pub(crate) fn find(&self, fingerprint: u128) -> Option<u32> {
        let same = |entry: &u32| {
            self.entries.get(*entry as usize).is_some_and(|live| live.fingerprint == fingerprint)
        };
        self.by_fingerprint.find(fingerprint as u64, same).copied()
    }

    pub(crate) fn get(&self, entry: u32) -> Option<&Live> {
        self.entries.get(entry as usize)
    }

    pub(crate) fn get_mut(&mut self, entry: u32) -> Option<&mut Live> {
        self.entries.get_mut(entry as usize)
    }

    fn insert(&mut self, live: Live) -> u32 {
        let entry = self.entries.len() as u32;
        let fingerprint = live.fingerprint as u64;
        self.entries.push(live);
        let entries = &self.entries;
        let rehash = |entry: &u32| entries.get(*entry as usize).map_or(0, |live| live.fingerprint as u64);
        self.by_fingerprint.insert_unique(fingerprint, entry, rehash);
        entry
    }

    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Live>() + self.by_fingerprint.capacity() * 5
    }
}

/// The catalog of living series, and who owns which identity.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) index: SeriesIndex,
    owners: HashMap<i64, u32>,
}

impl Catalog {
    /// The identity and salt for a label set: its own where it has been here, else the first that nobody owns.
    fn identify(&self, labels: LabelsRef<'_>) -> (i64, u32) {
        (0..)
            .map(|salt| (labels.series_id(salt), salt))
            .find(|(id, _)| {
                self.owners.get(id).is_none_or(|owner| self.index.labels(*owner).eq(labels.iter()))
            })
            .unwrap_or((labels.series_id(0), 0))
    }
}

/// The series that are alive.
#[derive(Debug)]
pub(crate) struct Registry {
    seed: u64,
    shards: Vec<Mutex<Shard>>,
    catalog: RwLock<Catalog>,
    families: RwLock<HashMap<String, Metadata>>,
    flushed_through: AtomicI64,
    covers_from: AtomicU64,
}

impl Registry {
    pub(crate) fn new() -> Self {
        // Secret and new in every process: nobody can make label sets that collide on purpose.
        let seed = RandomState::new().hash_one("kandela");
        Self {
            seed,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            catalog: RwLock::default(),
            families: RwLock::default(),
            flushed_through: AtomicI64::new(i64::MIN),
            covers_from: AtomicU64::new(0),
        }
    }

    /// The newest sample that tables held when this process began, or that a forgotten series may have, in microseconds. What
    /// is not newer may stand in a table already.
    pub(crate) fn flushed_through(&self) -> i64 {
        self.flushed_through.load(Ordering::Relaxed)
    }

    pub(crate) fn set_flushed_through(&self, micros: i64) {
        self.flushed_through.store(micros, Ordering::Relaxed);
    }

    /// The log sequence from which on every series that was logged is alive here: tables written since hold no others.
    pub(crate) fn covers_from(&self) -> u64 {
        self.covers_from.load(Ordering::Relaxed)
    }

    pub(crate) fn set_covers_from(&self, seq: u64) {
        self.covers_from.store(seq, Ordering::Relaxed);
    }

    pub(crate) fn fingerprint(&self, labels: LabelsRef<'_>) -> u128 {
        xxh3_128_with_seed(labels.as_bytes(), self.seed)
    }

    /// The shard of a fingerprint; other bits than those the shard's table hashes by.
    pub(crate) fn shard_of(fingerprint: u128) -> usize {
        (fingerprint >> 64) as usize % SHARDS
    }

    pub(crate) fn shard(&self, shard: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(shard).map(Mutex::lock)
    }

    /// Where the living series with these labels is.
    pub(crate) fn find(&self, labels: LabelsRef<'_>) -> Option<Slot> {
        let fingerprint = self.fingerprint(labels);
        let shard = Self::shard_of(fingerprint);
        let entry = self.shard(shard)?.find(fingerprint)?;
        Some(Slot { shard: shard as u32, entry })
    }

    /// The identity of the series in `slot`.
    pub(crate) fn id_of(&self, slot: Slot) -> Option<i64> {
        self.shard(slot.shard as usize)?.get_mut(slot.entry).map(|live| live.id)
    }

    /// How many series are alive.
    pub(crate) fn len(&self) -> usize {
        self.catalog.read().index.len()
    }

    /// Reads the catalog.
    pub(crate) fn with_index<T>(&self, read: impl FnOnce(&SeriesIndex) -> T) -> T {
        read(&self.catalog.read().index)
    }

    /// Finds a series or makes it; `None` when that would pass `max_series`. `identity` is what the log or a table says that
    /// it is; without it, one is found.
    pub(crate) fn find_or_add(
        &self,
        labels: LabelsRef<'_>,
        identity: Option<(i64, u32)>,
        max_series: usize,
    ) -> Option<Slot> {
        let fingerprint = self.fingerprint(labels);
        let number_of_shard = Self::shard_of(fingerprint);
        let mut catalog = self.catalog.write();
        let mut shard = self.shard(number_of_shard)?;
        let slot = |entry| Slot { shard: number_of_shard as u32, entry };
        if let Some(entry) = shard.find(fingerprint) {
            return Some(slot(entry));
        }
        if catalog.index.len() >= max_series {
            return None;
        }
        let (id, salt) = identity.unwrap_or_else(|| catalog.identify(labels));
        let number = catalog.index.add(id, salt, labels);
        catalog.owners.insert(id, number);
        let live = Live {
            fingerprint,
            id,
            last_ts: i64::MIN,
            number,
            tail: NONE,
            generation: 0,
            logged_in: 0,
            day: i32::MIN,
        };
        Some(slot(shard.insert(live)))
    }

    /// How many series have had no sample since `cutoff`.
    pub(crate) fn idle(&self, cutoff: i64) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().entries.iter().filter(|live| live.last_ts < cutoff).count())
            .sum()
    }

    /// Forgets the series that have had no sample since `cutoff`, except those of the numbers `keep` and those with samples in
    /// generation `active`, the only one in memory, and numbers the others anew; gives the new number of each old one. Nothing may
    /// be appended meanwhile, and slots found before mean nothing afterwards. Costs a copy of what stays.
    pub(crate) fn forget_idle(&self, cutoff: i64, keep: &HashSet<u32>, active: u32) -> Vec<Option<u32>> {
        let mut catalog = self.catalog.write();
        let mut fresh = Catalog::default();
        let mut renumbered = vec![None; catalog.index.len()];
        for shard in &self.shards {
            let mut shard = shard.lock();
            let mut kept = Shard::default();
            for mut live in std::mem::take(&mut shard.entries) {
                let in_memory = live.generation == active || keep.contains(&live.number);
                if live.last_ts < cutoff && !in_memory {
                    continue;
                }
                let Some(series) = catalog.index.get(live.number) else { continue };
                let number = fresh.index.add(series.id, series.salt, series.labels.as_ref());
                fresh.owners.insert(series.id, number);
                if let Some(new) = renumbered.get_mut(live.number as usize) {
                    *new = Some(number);
                }
                live.number = number;
                // The log knows it by its old number.
                live.logged_in = 0;
                kept.insert(live);
            }
            *shard = kept;
        }
        *catalog = fresh;
        // A forgotten series that comes back may have samples up to here.
        self.flushed_through.fetch_max(cutoff.saturating_sub(1), Ordering::Relaxed);
        renumbered
    }

    /// Takes note of what a metric family is.
    pub(crate) fn describe(&self, metadata: &Metadata) {
        let known = self.families.read().get(&metadata.family) == Some(metadata);
        if !known && !metadata.family.is_empty() {
            self.families.write().insert(metadata.family.clone(), metadata.clone());
        }
    }

    /// What is known of the family of series named `metric`.
    pub(crate) fn family_of(&self, metric: &str) -> Option<Metadata> {
        let families = self.families.read();
        let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_created", "_info"];
        suffixes.iter().find_map(|suffix| families.get(metric.strip_suffix(suffix)?)).cloned()
    }

    /// All families described so far, in no order.
    pub(crate) fn families(&self) -> Vec<Metadata> {
        self.families.read().values().cloned().collect()
    }

    /// Heap bytes in use, estimated from counts.
    pub(crate) fn heap_bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|shard| shard.lock().heap_bytes()).sum();
        let catalog = self.catalog.read();
        shards + catalog.index.heap_bytes() + catalog.owners.capacity() * 14
    }
}
