//! A cache that measures which eviction policy suits its load, and changes to that.
//!
//! ```
//! use kandela_runtime::cache::Cache;
//!
//! let cache: Cache<String, u64> = Cache::builder("lengths", 10_000).build().expect("10,000 entries are a size");
//! let length = cache.get_or_load_sync("kandela".to_owned(), |key| Ok::<_, String>(key.len() as u64));
//! assert_eq!(length, Ok(7));
//! assert_eq!(cache.get("kandela"), Some(7));
//! assert_eq!(cache.stats().hits, 1);
//! ```
//!
//! **Policies.** The cache runs one [policy](PolicyKind), and beside it *shadows*: caches of hashes alone that see a sample of the
//! keys under each of the other policies. A [`Chooser`] changes to the policy that would have hit more, once that is beyond
//! doubt and worth the change; each change stands in the [steward's](crate::steward::Steward) log with the miss ratios expected
//! and observed. From shadows of other sizes follow the miss-ratio curve and the size that the cache recommends for itself.
//!
//! **Cost.** A hit costs one short lock of one shard and the policy's bookkeeping; a miss an eviction more. Shadows see as many
//! keys as make about 1,024 entries each, so in a large cache one access in many pays for them. Memory beside keys and values is
//! 50 (`lru`) to 300 bytes (`gittins`) an entry.
//!
//! **Time to live.** An entry that has expired is not found any more. It leaves when its key is asked for or as insertions pass by,
//! each of which looks at two entries.
//!
//! **Weights.** With a weigher the capacity is in its units. Each shard holds its share of the capacity, and an entry heavier than
//! that does not come in.
//!
//! The page `docs/runtime-cache.md` has the numbers.

mod builder;
mod choose;
mod curve;
mod hash;
mod loading;
mod nested;
mod policy;
mod shadow;
mod shard;
mod steer;
mod watch;

use std::any::Any;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::knob::LeasedKnob;
use crate::steward::Steward;
use crate::sync::Mutex;
pub use builder::CacheBuilder;
pub use choose::{Chooser, Window};
pub use curve::MissRatio;
use loading::{Ended, Flights, Lead, Role};
use nested::Loading;
pub use policy::PolicyKind;
pub use shadow::Shadow;
use shard::{Incoming, Shard};
use steer::Steering;
use watch::Watch;

/// How keys are hashed where nothing else is asked for: fast, and seeded anew in each process.
pub type DefaultHasher = foldhash::fast::RandomState;

/// A concurrent cache. Copies share one.
pub struct Cache<K, V, S = DefaultHasher> {
    inner: Arc<Inner<K, V, S>>,
}

type Weigher<K, V> = dyn Fn(&K, &V) -> u64 + Send + Sync;

struct Inner<K, V, S> {
    shards: Box<[Padded<K, V>]>,
    hasher: S,
    clock: Arc<dyn Clock>,
    time_to_live: Option<Duration>,
    /// Whether anything that was inserted has a time to live.
    may_expire: AtomicBool,
    weigher: Option<Box<Weigher<K, V>>>,
    watch: Option<Watch>,
    flights: Flights<K, V, S>,
    policy: Arc<LeasedKnob<PolicyKind>>,
    capacity: Arc<LeasedKnob<usize>>,
    steering: Mutex<Steering>,
    /// The steward of a cache that nobody else looks after: it is called whenever the shadows have looked at accesses.
    own_steward: Option<Steward>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Padded<K, V>(Mutex<Counted<K, V>>);

struct Counted<K, V> {
    shard: Shard<K, V>,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    hits: u64,
    misses: u64,
    inserted: u64,
    evicted: u64,
    expired: u64,
}

/// What happened so far, and what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Keys that came in and were not there.
    pub inserted: u64,
    /// Entries that left to make room.
    pub evicted: u64,
    /// Entries that were found expired and left.
    pub expired: u64,
    /// Entries held, those that have expired and were not found yet among them.
    pub entries: u64,
    /// What they weigh.
    pub weight: u64,
    /// What they may weigh.
    pub capacity: u64,
}

impl CacheStats {
    /// Misses for each lookup, from 0 to 1; none before the first.
    pub fn miss_ratio(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.misses as f64 / lookups as f64)
    }
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Begins a cache of `capacity` entries, or of what a weigher gives. `name` is how its knobs and decisions are called:
    /// `catalogue.items` has the knob `catalogue.items.policy`.
    pub fn builder(name: &str, capacity: usize) -> CacheBuilder<K, V> {
        CacheBuilder::new(name, capacity)
    }
}

impl<K, V, S> Cache<K, V, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// The value of `key`, if it is there.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.inner.hasher.hash_one(key);
        self.lookup(hash, key)
    }

    fn lookup<Q>(&self, hash: u64, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.now_if_it_matters();
        let mut shard = self.inner.shard(hash).0.lock();
        let Some((value, slot)) = shard.shard.get(hash, key, now) else {
            shard.counts.misses += 1;
            return None;
        };
        let value = value.clone();
        shard.counts.hits += 1;
        if self.inner.samples(hash) {
            let weight = shard.shard.weight_of(slot);
            drop(shard);
            self.inner.note(hash, weight);
        }
        Some(value)
    }

    /// Puts `value` under `key`, for as long as the cache's time to live says.
    pub fn insert(&self, key: K, value: V) {
        let hash = self.inner.hasher.hash_one(&key);
        self.put(hash, key, value, self.inner.time_to_live);
    }

    /// Puts `value` under `key` for `time_to_live`.
    pub fn insert_for(&self, key: K, value: V, time_to_live: Duration) {
        let hash = self.inner.hasher.hash_one(&key);
        self.put(hash, key, value, Some(time_to_live));
    }

    fn put(&self, hash: u64, key: K, value: V, time_to_live: Option<Duration>) {
        let inner = &*self.inner;
        if time_to_live.is_some() {
            inner.may_expire.store(true, Ordering::Relaxed);
        }
        let now = inner.now_if_it_matters().unwrap_or(Moment::ORIGIN);
        let expires = time_to_live.map_or(Moment::NEVER, |time| now.after(time));
        let weight = inner.weigher.as_ref().map_or(1, |weigh| weigh(&key, &value).max(1));
        let mut shard = inner.shard(hash).0.lock();
        let inserted = shard.shard.insert(Incoming { hash, key, value, weight, expires }, now);
        shard.counts.inserted += u64::from(inserted.is_new);
        shard.counts.evicted += inserted.evicted;
        shard.counts.expired += inserted.expired;
        drop(shard);
        if inserted.is_new && inner.samples(hash) {
            inner.note(hash, weight);
        }
        // A lease that has lapsed is noticed here.
        self.inner.policy.read();
        self.inner.capacity.read();
    }

    /// Takes `key` out; its value, if it was there.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.inner.hasher.hash_one(key);
        let now = self.inner.now_if_it_matters().unwrap_or(Moment::ORIGIN);
        let taken = self.inner.shard(hash).0.lock().shard.take_out(hash, key, now);
        taken.and_then(|((_, value), was_current)| was_current.then_some(value))
    }

    /// Takes everything out.
    pub fn clear(&self) {
        let kind = self.inner.policy.read();
        for shard in &self.inner.shards {
            let emptied = shard.0.lock().shard.clear(kind);
            drop(emptied);
        }
    }

    /// The value of `key`; where it is not there, what `load` gives, which is kept. Whoever asks for a key while it is being loaded
    /// waits for that load. If the future is dropped, or panics, one of those who wait loads in its place.
    ///
    /// A load that asks the cache for its own key waits for itself, for ever.
    ///
    /// # Errors
    /// The error of the load, the same for all who waited for it; nothing is kept then.
    pub async fn get_or_load<E, F>(&self, key: K, load: impl FnOnce(K) -> F) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<V, E>>,
    {
        let hash = self.inner.hasher.hash_one(&key);
        if let Some(value) = self.lookup(hash, &key) {
            return Ok(value);
        }
        loop {
            match self.inner.flights.join(&key) {
                Role::Lead(lead) => {
                    if let Some(value) = self.peek(hash, &key) {
                        return Ok(value);
                    }
                    let loaded = load(key.clone()).await;
                    return self.land(lead, hash, key, loaded);
                }
                Role::Follow(flight) => {
                    if let Some(outcome) = Ended(flight).await.and_then(of_this_error) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// As [`get_or_load`](Cache::get_or_load), for a load that blocks. Those who wait block their threads.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Where `load` asks this cache for the same key: it would wait for itself.
    pub fn get_or_load_sync<E>(&self, key: K, load: impl FnOnce(&K) -> Result<V, E>) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
    {
        let hash = self.inner.hasher.hash_one(&key);
        if let Some(value) = self.lookup(hash, &key) {
            return Ok(value);
        }
        loop {
            match self.inner.flights.join(&key) {
                Role::Lead(lead) => {
                    if let Some(value) = self.peek(hash, &key) {
                        return Ok(value);
                    }
                    let loading = Loading::begin(self.id(), hash);
                    let loaded = load(&key);
                    drop(loading);
                    return self.land(lead, hash, key, loaded);
                }
                Role::Follow(flight) => {
                    assert!(
                        !Loading::is_under_way(self.id(), hash),
                        "the load of a key asks the cache for the same key: it would wait for itself"
                    );
                    if let Some(outcome) = flight.wait().and_then(of_this_error) {
                        return outcome;
                    }
                }
            }
        }
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// The value of `key`, which another load may just have brought; counts as no lookup.
    fn peek(&self, hash: u64, key: &K) -> Option<V> {
        let now = self.inner.now_if_it_matters();
        let mut shard = self.inner.shard(hash).0.lock();
        shard.shard.get(hash, key, now).map(|(value, _)| value.clone())
    }

    /// Keeps what was loaded, then tells those who wait.
    fn land<E>(&self, lead: Lead<'_, K, V, S>, hash: u64, key: K, loaded: Result<V, E>) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
    {
        match loaded {
            Ok(value) => {
                self.put(hash, key, value.clone(), self.inner.time_to_live);
                lead.end(Ok(value.clone()));
                Ok(value)
            }
            Err(error) => {
                let error = Arc::new(error);
                lead.end(Err(error.clone()));
                Err(error)
            }
        }
    }

    /// What happened so far, and what is held.
    pub fn stats(&self) -> CacheStats {
        self.inner.stats()
    }

    /// The policy that it runs.
    pub fn policy(&self) -> PolicyKind {
        self.inner.policy.read()
    }

    /// What the present policy would miss at other sizes, from a quarter of its own to four times that; empty if the cache runs
    /// one fixed policy, or before enough was sampled to say anything.
    pub fn miss_ratio_curve(&self) -> Vec<MissRatio> {
        self.inner.watch.as_ref().map(Watch::curve).unwrap_or_default()
    }

    /// What the present policy would miss if the cache had `capacity`; none beyond the ends of the
    /// [curve](Cache::miss_ratio_curve).
    pub fn what_if(&self, capacity: usize) -> Option<f64> {
        curve::miss_ratio_at(&self.miss_ratio_curve(), capacity as u64)
    }

    /// The smallest size from which doubling the cache would not turn `worth` of all lookups from misses to hits: 0.01 asks for
    /// one point of the hit ratio for each doubling. Where that is the largest size of the [curve](Cache::miss_ratio_curve), one
    /// beyond may be better still. None while there is no curve.
    pub fn recommended(&self, worth: f64) -> Option<MissRatio> {
        curve::recommended(&self.miss_ratio_curve(), worth)
    }

    /// The steward of a cache that looks after itself, with the log of its decisions and its knobs; none if it was built with
    /// another's.
    pub fn steward(&self) -> Option<&Steward> {
        self.inner.own_steward.as_ref()
    }
}

impl<K, V, S> Inner<K, V, S> {
    /// Now; none as long as nothing can expire, so that nobody looks at the clock in vain.
    fn now_if_it_matters(&self) -> Option<Moment> {
        self.may_expire.load(Ordering::Relaxed).then(|| self.clock.now())
    }

    fn samples(&self, hash: u64) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.samples(hash))
    }

    fn shard(&self, hash: u64) -> &Padded<K, V> {
        // Tables use the low bits and the seven highest.
        let bits = (hash >> 40) as usize;
        &self.shards[bits & (self.shards.len() - 1)]
    }

    /// Shows the shadows an access to a key that they sample.
    fn note(&self, hash: u64, weight: u64) {
        let Some(watch) = &self.watch else { return };
        if watch.note(hash, weight)
            && let Some(steward) = &self.own_steward
        {
            steward.tick();
        }
    }

    fn stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for shard in &self.shards {
            let Counted { shard, counts } = &*shard.0.lock();
            stats.hits += counts.hits;
            stats.misses += counts.misses;
            stats.inserted += counts.inserted;
            stats.evicted += counts.evicted;
            stats.expired += counts.expired;
            stats.entries += shard.len() as u64;
            stats.weight += shard.weight();
            stats.capacity += shard.capacity();
        }
        stats
    }
}

/// None where the error is of another type: two loaders of one key differ, and who waited asks again.
fn of_this_error<V, E>(outcome: loading::Outcome<V>) -> Option<Result<V, Arc<E>>>
where
    E: Any + Send + Sync,
{
    match outcome {
        Ok(value) => Some(Ok(value)),
        Err(error) => error.downcast().ok().map(Err),
    }
}

impl<K, V, S> Clone for Cache<K, V, S> {
    fn clone(&self) -> Self {
        Cache { inner: self.inner.clone() }
    }
}

impl<K, V, S> fmt::Debug for Cache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("policy", &self.inner.policy)
            .field("stats", &self.inner.stats())
            .finish()
    }
}
