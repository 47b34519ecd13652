//! How a cache is set up.

use std::hash::{BuildHasher, Hash};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kandela_model::{ApplyCost, KnobSpec, KnobType, StepCap};

use super::loading::Flights;
use super::policy::PolicyKind;
use super::shard::Shard;
use super::steer::Steering;
use super::watch::Watch;
use super::{Cache, Counted, Counts, DefaultHasher, Inner, Padded, Weigher};
use crate::clock::SystemClock;
use crate::knob::LeasedKnob;
use crate::range::{OutOfRange, within};
use crate::steward::{Steered, Steward};
use crate::sync::Mutex;

/// The policies that a cache measures unless it is told which.
const MEASURED: [PolicyKind; 6] = [
    PolicyKind::Gittins,
    PolicyKind::S3Fifo,
    PolicyKind::Lru,
    PolicyKind::Arc,
    PolicyKind::Lirs,
    PolicyKind::TinyLfu,
];
/// A shadow's entries, about.
const SAMPLED: usize = 1024;
/// A shard has this many entries at least: of fewer, chance would fill some shards more than others.
const LEAST_OF_SHARD: usize = 4096;
/// The capacity knob's range, as a factor down and up.
const CAPACITY_RANGE: usize = 16;

/// A cache to be.
pub struct CacheBuilder<K, V, S = DefaultHasher> {
    name: String,
    capacity: usize,
    capacities: Option<RangeInclusive<usize>>,
    entries: usize,
    weigher: Option<Box<Weigher<K, V>>>,
    time_to_live: Option<Duration>,
    policies: Vec<PolicyKind>,
    sampled: usize,
    shards: Option<usize>,
    steward: Option<Steward>,
    hasher: S,
}

impl<K, V> CacheBuilder<K, V> {
    pub(super) fn new(name: &str, capacity: usize) -> CacheBuilder<K, V> {
        CacheBuilder {
            name: name.to_owned(),
            capacity,
            capacities: None,
            entries: capacity,
            weigher: None,
            time_to_live: None,
            policies: MEASURED.to_vec(),
            sampled: SAMPLED,
            shards: None,
            steward: None,
            hasher: DefaultHasher::default(),
        }
    }
}

impl<K, V, S> CacheBuilder<K, V, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// Weighs entries, in any unit, such as bytes; zero counts as one. The capacity is in this unit then, and `entries` is about how many
    /// entries it has room for.
    #[must_use]
    pub fn weigher(mut self, entries: usize, weigh: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigh));
        self.entries = entries;
        self
    }

    /// Between which capacities the knob may be turned; from a sixteenth to sixteen times the first one unless set.
    #[must_use]
    pub fn capacities(mut self, capacities: RangeInclusive<usize>) -> Self {
        self.capacities = Some(capacities);
        self
    }

    /// How long an entry is found after it was inserted.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// The policies to measure and choose among; the cache starts with the first. With a single one, nothing is measured.
    #[must_use]
    pub fn policies(mut self, policies: &[PolicyKind]) -> Self {
        self.policies = policies.to_vec();
        self
    }

    /// About how many entries a shadow has; 1,024 unless set. More see small differences sooner, at a cost that grows with them.
    #[must_use]
    pub fn sampled_entries(mut self, entries: usize) -> Self {
        self.sampled = entries;
        self
    }

    /// How many parts with a lock each; rounded up to a power of two. Unless set: four for each core, as long as each has 4,096 entries.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Who looks after the cache: tells the time, holds its knobs and its decisions, and must be ticked. Without one, the
    /// cache looks after itself.
    #[must_use]
    pub fn steward(mut self, steward: &Steward) -> Self {
        self.steward = Some(steward.clone());
        self
    }

    /// How keys are hashed.
    #[must_use]
    pub fn hasher<T>(self, hasher: T) -> CacheBuilder<K, V, T> {
        CacheBuilder {
            hasher,
            name: self.name,
            capacity: self.capacity,
            capacities: self.capacities,
            entries: self.entries,
            weigher: self.weigher,
            time_to_live: self.time_to_live,
            policies: self.policies,
            sampled: self.sampled,
            shards: self.shards,
            steward: self.steward,
        }
    }

    /// The cache.
    ///
    /// # Errors
    /// [`OutOfRange`] for a capacity, a number of entries, shards or shadow entries of zero or beyond reason, a time to live of zero, and no
    /// policies.
    pub fn build(self) -> Result<Cache<K, V, S>, OutOfRange> {
        let capacity = within("cache.capacity", self.capacity, 1..=isize::MAX as usize / CAPACITY_RANGE)?;
        let capacities = self.capacities.unwrap_or(capacity / CAPACITY_RANGE..=capacity * CAPACITY_RANGE);
        within("cache.capacities, their end", *capacities.end(), 1..=isize::MAX as usize)?;
        within("cache.capacity", capacity, capacities.clone())?;
        let entries = within("cache.entries", self.entries, 1..=u32::MAX as usize / 2)?.min(capacity);
        let sampled = within("cache.sampled_entries", self.sampled, 16..=1 << 20)?;
        let shards =
            within("cache.shards", self.shards.unwrap_or_else(|| default_shards(entries)), 1..=1 << 16)?;
        let shards = shards.next_power_of_two().min(within("cache.capacity", capacity, shards..=usize::MAX)?);
        let policies = within("cache.policies", self.policies.len(), 1..=PolicyKind::ALL.len())
            .map(|_| self.policies)?;
        if let Some(time) = self.time_to_live {
            within("cache.time_to_live", time, Duration::from_nanos(1)..=Duration::MAX)?;
        }
        let own = self.steward.is_none();
        let steward = self.steward.unwrap_or_else(|| Steward::new(Arc::new(SystemClock::new())));
        let start = policies[0];
        let watch = (policies.len() > 1)
            .then(|| Watch::new(&policies, capacity as u64, entries as u64, sampled as u64));
        let inner = Arc::new(Inner {
            shards: (0..shards).map(|shard| padded(start, share(capacity, shards, shard))).collect(),
            flights: Flights::new(self.hasher.clone()),
            hasher: self.hasher,
            clock: steward.clock().clone(),
            may_expire: AtomicBool::new(self.time_to_live.is_some()),
            time_to_live: self.time_to_live,
            weigher: self.weigher,
            watch,
            policy: Arc::new(policy_knob(&self.name, start, &policies, &steward)),
            capacity: Arc::new(capacity_knob(&self.name, capacity, capacities, shards, &steward)),
            steering: Mutex::new(Steering::new(start, capacity)),
            own_steward: own.then(|| steward.clone()),
        });
        Inner::listen(&inner);
        steward.knobs().add(&inner.policy);
        steward.knobs().add(&inner.capacity);
        let part: Arc<dyn Steered> = inner.clone();
        steward.add(&part);
        Ok(Cache { inner })
    }
}

fn padded<K, V>(kind: PolicyKind, capacity: u64) -> Padded<K, V> {
    Padded(Mutex::new(Counted { shard: Shard::new(kind, capacity), counts: Counts::default() }))
}

/// What shard number `shard` of `shards` holds of `capacity`.
pub(super) fn share(capacity: usize, shards: usize, shard: usize) -> u64 {
    (capacity / shards + usize::from(shard < capacity % shards)) as u64
}

fn default_shards(entries: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = (entries / LEAST_OF_SHARD).max(1);
    // Rounded down: the shards that are left have more entries, not fewer.
    let wanted = (4 * cores).min(most);
    1 << wanted.ilog2()
}

fn policy_knob(
    name: &str,
    start: PolicyKind,
    policies: &[PolicyKind],
    steward: &Steward,
) -> LeasedKnob<PolicyKind> {
    let spec = KnobSpec {
        name: format!("{name}.policy"),
        kind: KnobType::Choice(policies.iter().map(|kind| kind.name().to_owned()).collect()),
        step_cap: StepCap::Unlimited,
        cost: ApplyCost::Live,
    };
    LeasedKnob::new(spec, start, steward.clock().clone()).expect("the first policy is one of them")
}

fn capacity_knob(
    name: &str,
    capacity: usize,
    capacities: RangeInclusive<usize>,
    shards: usize,
    steward: &Steward,
) -> LeasedKnob<usize> {
    let spec = KnobSpec {
        name: format!("{name}.capacity"),
        kind: KnobType::Int {
            min: (*capacities.start()).max(shards) as i64,
            max: *capacities.end() as i64,
            log: true,
        },
        step_cap: StepCap::Factor(4.0),
        cost: ApplyCost::Live,
    };
    LeasedKnob::new(spec, capacity, steward.clock().clone()).expect("the capacity is within its own range")
}
