//! The library's cache. Capacity and time to live are knobs, and the policy it finds by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kandela_runtime::cache;
use kandela_runtime::knob::LeasedKnob;

use crate::knobs::KnobMaker;
use crate::telemetry;

/// Answers by key.
pub(crate) struct Cache<V> {
    cache: cache::Cache<String, V>,
    ttl: Arc<LeasedKnob<Duration>>,
}

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    /// A service's cache, with the knobs `cache.capacity`, `cache.policy` and `cache.ttl_seconds`.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Cache<V>> {
        let capacity = knobs.initial_size("cache.capacity")?;
        let cache = cache::Cache::builder(&knobs.name("cache"), capacity).capacities(1..=100_000);
        let cache = cache.shards(1).steward(knobs.steward()).build();
        let cache = cache.with_context(|| knobs.place(&["cache.capacity"]))?;
        Ok(Cache { cache, ttl: knobs.time("cache.ttl_seconds", 0.1..=600.0)? })
    }

    /// The answer for `key`, if it is kept and fresh.
    pub(crate) fn get(&self, key: &str) -> Option<V> {
        let found = self.cache.get(key);
        telemetry::cache_asked(found.is_some());
        found
    }

    /// Keeps `value` for `key`.
    pub(crate) fn put(&self, key: String, value: V) {
        self.cache.insert_for(key, value, self.ttl.read());
    }
}
