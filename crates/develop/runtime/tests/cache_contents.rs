//! What a cache holds: under every policy, the last value of a key or nothing, and never more than its capacity.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kandela_model::{Epoch, KnobValue, Lease};
use kandela_runtime::cache::{Cache, PolicyKind, Shadow};
use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::steward::Steward;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Operation {
    Get(u8),
    Insert(u8, u64),
    Remove(u8),
    Switch(usize),
    Resize(u8),
    Wait(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => any::<u8>().prop_map(Operation::Get),
        8 => (any::<u8>(), 1..40_u64).prop_map(|(key, weight)| Operation::Insert(key, weight)),
        1 => any::<u8>().prop_map(Operation::Remove),
        1 => (0..PolicyKind::ALL.len()).prop_map(Operation::Switch),
        1 => (50..200_u8).prop_map(Operation::Resize),
        1 => any::<u8>().prop_map(Operation::Wait),
    ]
}

proptest! {
    #[test]
    fn a_cache_gives_the_last_value_or_nothing_and_keeps_within_its_capacity(
        operations in proptest::collection::vec(operation(), 1..600),
        start in 0..PolicyKind::ALL.len(),
    ) {
        let clock = ManualClock::new();
        let steward = Steward::new(Arc::new(clock.clone()));
        let mut policies = PolicyKind::ALL.to_vec();
        policies.swap(0, start);
        let cache: Cache<u8, u64> = Cache::builder("c", 100)
            .weigher(10, |_, weight| *weight)
            .policies(&policies)
            .time_to_live(Duration::from_secs(100))
            .steward(&steward)
            .build()
            .expect("a size");
        let mut last: HashMap<u8, (u64, Moment)> = HashMap::new();
        for operation in operations {
            let now = kandela_runtime::clock::Clock::now(&clock);
            match operation {
                Operation::Get(key) => {
                    let expected = last.get(&key).filter(|(_, until)| *until > now).map(|(value, _)| *value);
                    let found = cache.get(&key);
                    prop_assert!(found.is_none() || found == expected, "{found:?} is not {expected:?}");
                }
                Operation::Insert(key, value) => {
                    cache.insert(key, value);
                    last.insert(key, (value, now.after(Duration::from_secs(100))));
                    if value <= cache.stats().capacity {
                        prop_assert_eq!(cache.get(&key), Some(value));
                    }
                }
                Operation::Remove(key) => {
                    let removed = cache.remove(&key);
                    prop_assert!(removed.is_none() || removed == last.get(&key).map(|(value, _)| *value));
                    last.remove(&key);
                    prop_assert_eq!(cache.get(&key), None);
                }
                Operation::Switch(kind) => {
                    let name = PolicyKind::ALL[kind].name().to_owned();
                    let knob = steward.knobs().get("c.policy").expect("every cache has it");
                    knob.set(KnobValue::Choice(name), Epoch(1), Lease::Confirmed).expect("one of its policies");
                    prop_assert_eq!(cache.policy(), PolicyKind::ALL[kind]);
                }
                Operation::Resize(capacity) => {
                    let knob = steward.knobs().get("c.capacity").expect("every cache has it");
                    knob.set(KnobValue::Int(i64::from(capacity)), Epoch(1), Lease::Confirmed).expect("in range");
                    prop_assert_eq!(cache.stats().capacity, u64::from(capacity));
                }
                Operation::Wait(seconds) => clock.advance(Duration::from_secs(u64::from(seconds))),
            }
            let stats = cache.stats();
            prop_assert!(stats.weight <= stats.capacity, "{stats:?}");
        }
    }

    #[test]
    fn every_policy_hits_what_it_holds_and_holds_no_more_than_fits(
        keys in proptest::collection::vec(0..60_u64, 1..800),
        kind in 0..PolicyKind::ALL.len(),
        capacity in 1..64_u64,
    ) {
        let kind = PolicyKind::ALL[kind];
        let mut shadow = Shadow::new(kind, capacity);
        for key in keys {
            // A key has one weight, as it has in a cache of values.
            let weight = 1 + key % 9;
            shadow.access(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), weight);
            prop_assert!(shadow.weight() <= capacity);
            let fits = weight <= capacity;
            prop_assert_eq!(shadow.access(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), weight), fits);
        }
    }
}

/// Numbers that look random.
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

#[test]
fn the_smallest_shadows_work_under_every_policy() {
    for (kind, capacity) in PolicyKind::ALL.into_iter().flat_map(|kind| (1..9).map(move |c| (kind, c))) {
        let mut shadow = Shadow::new(kind, capacity);
        for access in 0..5_000 {
            shadow.access(scatter(scatter(access) % (3 * capacity)), 1);
            assert!(shadow.weight() <= capacity, "{kind} {capacity}");
        }
    }
}

#[test]
fn the_smallest_caches_work_whatever_is_taken_out_and_turned() {
    for (kind, capacity) in PolicyKind::ALL.into_iter().flat_map(|kind| (1..9).map(move |c| (kind, c))) {
        let steward = Steward::default();
        let other = if kind == PolicyKind::Lru { PolicyKind::Lirs } else { PolicyKind::Lru };
        let builder = Cache::<u64, u64>::builder("c", capacity).policies(&[kind, other]);
        let cache = builder.steward(&steward).build().expect("a size");
        let knob = steward.knobs().get("c.policy").expect("every cache has it");
        for turn in 0..5_000_u64 {
            let key = scatter(turn) % (3 * capacity as u64);
            match scatter(turn + 77) % 50 {
                0..5 => drop(cache.remove(&key)),
                5 => cache.clear(),
                6 => {
                    let name = if turn % 2 == 0 { kind.name() } else { other.name() };
                    let value = KnobValue::Choice(name.to_owned());
                    knob.set(value, Epoch(1), Lease::Confirmed).expect("one of its policies");
                }
                7..30 => drop(cache.get(&key)),
                _ => cache.insert(key, key),
            }
            assert!(cache.stats().weight <= capacity as u64, "{kind} {capacity}");
        }
    }
}

#[test]
fn lru_evicts_exactly_what_was_asked_for_longest_ago() {
    let mut shadow = Shadow::new(PolicyKind::Lru, 3);
    let hits: Vec<bool> = [1, 2, 3, 1, 4, 2, 1, 3].iter().map(|key| shadow.access(*key, 1)).collect();
    assert_eq!(hits, [false, false, false, true, false, false, true, false]);
}

#[test]
fn an_entry_is_gone_once_its_time_is_over_and_a_clock_that_steps_back_does_no_harm() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(1000));
    let steward = Steward::new(Arc::new(clock.clone()));
    let cache: Cache<&str, u32> = Cache::builder("c", 10)
        .time_to_live(Duration::from_secs(60))
        .steward(&steward)
        .build()
        .expect("a size");
    cache.insert("a", 1);
    clock.advance(Duration::from_secs(59));
    assert_eq!(cache.get("a"), Some(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get("a"), None);
    cache.insert("b", 2);
    clock.set(Moment::ORIGIN);
    assert_eq!(cache.get("b"), Some(2));
}

#[test]
fn an_entry_with_a_time_to_live_of_its_own_expires_among_others_that_never_do() {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let cache: Cache<&str, u32> = Cache::builder("c", 10).steward(&steward).build().expect("a size");
    cache.insert("for ever", 1);
    cache.insert_for("a second", 2, Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!((cache.get("for ever"), cache.get("a second")), (Some(1), None));
}

#[test]
fn expired_entries_leave_as_insertions_pass() {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let cache: Cache<u32, u32> = Cache::builder("c", 1000)
        .time_to_live(Duration::from_secs(1))
        .steward(&steward)
        .build()
        .expect("a size");
    (0..500).for_each(|key| cache.insert(key, key));
    clock.advance(Duration::from_secs(1));
    (1000..1300).for_each(|key| cache.insert(key, key));
    assert_eq!(cache.stats().expired, 500);
    assert_eq!(cache.stats().entries, 300);
}

#[test]
fn zero_and_absurd_sizes_are_refused_with_the_range() {
    let build =
        |capacity| Cache::<u8, u8>::builder("c", capacity).build().map(|_| ()).map_err(|e| e.to_string());
    assert!(build(0).expect_err("zero").starts_with("cache.capacity is 0; it may be 1 to "));
    assert!(build(usize::MAX).is_err());
    assert!(Cache::<u8, u8>::builder("c", 8).policies(&[]).build().is_err());
    assert!(Cache::<u8, u8>::builder("c", 8).shards(0).build().is_err());
    assert!(Cache::<u8, u8>::builder("c", 8).shards(16).build().is_err());
    assert!(Cache::<u8, u8>::builder("c", 8).time_to_live(Duration::ZERO).build().is_err());
    assert!(Cache::<u8, u8>::builder("c", 8).sampled_entries(0).build().is_err());
    assert!(build(1).is_ok());
}

#[test]
fn what_is_heavier_than_the_cache_does_not_come_in_and_takes_its_old_value_along() {
    let cache: Cache<u8, u64> =
        Cache::builder("c", 100).weigher(10, |_, weight| *weight).build().expect("a size");
    cache.insert(1, 10);
    cache.insert(1, 101);
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.stats().weight, 0);
}

#[test]
fn closures_that_panic_poison_nothing() {
    let cache: Cache<u8, u64> = Cache::builder("c", 100)
        .weigher(10, |key, weight| if *key == 13 { panic!("unlucky") } else { *weight })
        .build()
        .expect("a size");
    cache.insert(1, 10);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cache.insert(13, 1)));
    assert!(panicked.is_err());
    cache.insert(2, 20);
    assert_eq!((cache.get(&1), cache.get(&2), cache.get(&13)), (Some(10), Some(20), None));
}

#[test]
fn threads_that_mix_everything_lose_no_count() {
    let cache: Cache<u64, u64> = Cache::builder("c", 500).shards(4).build().expect("a size");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let cache = &cache;
            scope.spawn(move || {
                for turn in 0..20_000_u64 {
                    let key = (turn * 7 + thread * 13) % 900;
                    match cache.get(&key) {
                        Some(value) => assert_eq!(value, key * 2),
                        None => cache.insert(key, key * 2),
                    }
                }
            });
        }
    });
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, 80_000);
    assert_eq!(stats.entries, stats.inserted - stats.evicted);
    assert!(stats.weight <= 500);
}
