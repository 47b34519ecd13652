//! How a cache carries out what is decided about it, and tells what followed.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use kandela_model::Knob;

use super::builder::share;
use super::{CacheStats, Inner, PolicyKind};
use crate::decision::Effect;
use crate::steward::{Floor, Steered};

/// What followed a change is told once there were as many lookups as the cache has room for this often.
const OBSERVED: u64 = 2;

/// Where a cache stands.
pub(super) struct Steering {
    kind: PolicyKind,
    capacity: usize,
    observing: Option<Observing>,
    /// What was advised while somebody outside holds the policy: it is advised once.
    advised: Option<PolicyKind>,
}

/// A change whose effect is being measured.
struct Observing {
    number: u64,
    before: f64,
    since: CacheStats,
}

impl Steering {
    pub(super) fn new(kind: PolicyKind, capacity: usize) -> Steering {
        Steering { kind, capacity, observing: None, advised: None }
    }
}

impl<K, V, S> Inner<K, V, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// Has the cache follow its knobs.
    pub(super) fn listen(inner: &Arc<Self>) {
        let follow = |inner: std::sync::Weak<Self>| {
            move || {
                if let Some(inner) = inner.upgrade() {
                    inner.follow_knobs();
                }
            }
        };
        inner.policy.on_change(follow(Arc::downgrade(inner)));
        inner.capacity.on_change(follow(Arc::downgrade(inner)));
    }

    fn follow_knobs(&self) {
        loop {
            // Read without the lock: a read that finds a lease lapsed comes back here. Once more after each change, since another
            // thread may have turned the knobs between our reading and our turn.
            let (kind, capacity) = (self.policy.read(), self.capacity.read());
            let mut steering = self.steering.lock();
            let changes_kind = std::mem::replace(&mut steering.kind, kind) != kind;
            let changes_capacity = std::mem::replace(&mut steering.capacity, capacity) != capacity;
            if !changes_kind && !changes_capacity {
                return;
            }
            self.follow(kind, changes_kind, capacity, changes_capacity);
        }
    }

    fn follow(&self, kind: PolicyKind, changes_kind: bool, capacity: usize, changes_capacity: bool) {
        let learned = self.watch.as_ref().filter(|_| changes_kind);
        let learned = learned.and_then(|watch| watch.learned(kind, self.shards.len().ilog2()));
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.0.lock();
            let left = changes_capacity.then(|| {
                let left = shard.shard.resize(share(capacity, self.shards.len(), number));
                shard.counts.evicted += left.evicted;
                left
            });
            if changes_kind {
                shard.shard.switch(kind, learned.as_ref());
            }
            // What left may run anybody's code when it is dropped.
            drop(shard);
            drop(left);
        }
        let Some(watch) = &self.watch else { return };
        if changes_kind {
            watch.changed_to(kind);
        }
        if changes_capacity {
            watch.resized(kind, capacity as u64);
        }
    }

    /// Tells what followed the last change, once that can be told.
    fn observe(&self, floor: &mut Floor<'_>) {
        if self.steering.lock().observing.is_none() {
            return;
        }
        let stats = self.stats();
        let mut steering = self.steering.lock();
        let Some(Observing { number, before, since }) = &steering.observing else { return };
        let (hits, misses) = (stats.hits - since.hits, stats.misses - since.misses);
        let lookups = hits + misses;
        if lookups < OBSERVED * stats.entries.max(1) {
            return;
        }
        let after = misses as f64 / lookups as f64;
        floor.observed(*number, Effect { measure: "cache_miss_ratio", before: *before, after });
        steering.observing = None;
    }
}

impl<K, V, S> Steered for Inner<K, V, S>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn tick(&self, floor: &mut Floor<'_>) {
        // A lease that has lapsed is noticed here too.
        self.policy.read();
        self.capacity.read();
        self.observe(floor);
        if !floor.is_free() {
            return;
        }
        let Some(decision) = self.watch.as_ref().and_then(super::Watch::take_wanted) else { return };
        let wanted = decision.value;
        if self.policy.hold().held && self.steering.lock().advised.replace(wanted) == Some(wanted) {
            return;
        }
        let before = decision.reason.expected.as_ref().map_or(f64::NAN, |effect| effect.before);
        let number = floor.turn(&self.policy, decision);
        if self.policy.read() != wanted {
            return;
        }
        let since = self.stats();
        let mut steering = self.steering.lock();
        steering.advised = None;
        steering.observing = number.map(|number| Observing { number, before, since });
    }
}
