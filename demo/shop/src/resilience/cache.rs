//! A cache that forgets the oldest first and everything after a time; capacity and time to live are knobs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use kandela_runtime::knob::LeasedKnob;
use parking_lot::Mutex;

use crate::knobs::KnobMaker;
use crate::telemetry;

/// Answers by key.
pub(crate) struct Cache<V> {
    capacity: Arc<LeasedKnob<usize>>,
    ttl: Arc<LeasedKnob<Duration>>,
    kept: Mutex<Kept<V>>,
}

struct Kept<V> {
    by_key: HashMap<String, (Instant, V)>,
    /// Keys in the order in which they came, with when; a key that was renewed stands here twice.
    order: VecDeque<(Instant, String)>,
}

impl<V: Clone> Cache<V> {
    /// A service's cache, with the knobs `cache.capacity` and `cache.ttl_seconds`.
    pub(crate) fn new(knobs: &KnobMaker) -> Result<Cache<V>> {
        Ok(Cache {
            capacity: knobs.wide_size("cache.capacity", 1..=100_000)?,
            ttl: knobs.time("cache.ttl_seconds", 0.1..=600.0)?,
            kept: Mutex::new(Kept { by_key: HashMap::new(), order: VecDeque::new() }),
        })
    }

    /// The answer for `key`, if it is kept and fresh.
    pub(crate) fn get(&self, key: &str) -> Option<V> {
        let ttl = self.ttl.read();
        let kept = self.kept.lock();
        let found =
            kept.by_key.get(key).filter(|(since, _)| since.elapsed() < ttl).map(|(_, value)| value.clone());
        drop(kept);
        telemetry::cache_asked(found.is_some());
        found
    }

    /// Keeps `value` for `key`.
    pub(crate) fn put(&self, key: String, value: V) {
        let (capacity, ttl, now) = (self.capacity.read(), self.ttl.read(), Instant::now());
        let mut kept = self.kept.lock();
        kept.order.push_back((now, key.clone()));
        kept.by_key.insert(key, (now, value));
        while let Some((since, _)) = kept.order.front() {
            if kept.by_key.len() <= capacity && since.elapsed() < ttl {
                break;
            }
            kept.forget_oldest();
        }
    }
}

impl<V> Kept<V> {
    fn forget_oldest(&mut self) {
        let Some((came, key)) = self.order.pop_front() else { return };
        if self.by_key.get(&key).is_some_and(|(since, _)| *since == came) {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use kandela_runtime::steward::Steward;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_oldest_goes_when_the_cache_is_full() {
        let settings = Settings::defaults().expect("built in");
        let cache =
            Cache::new(&KnobMaker::new("payment", Steward::default(), settings)).expect("has defaults");
        for number in 0..60 {
            cache.put(number.to_string(), number);
        }
        assert_eq!((cache.get("9"), cache.get("10"), cache.get("59")), (None, Some(10), Some(59)));
    }
}
