//! A cache that finds its policy, says why, and does as it is told from outside.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{Epoch, KnobValue, Lease};
use kandela_runtime::cache::{Cache, PolicyKind};
use kandela_runtime::clock::ManualClock;
use kandela_runtime::steward::Steward;

const MINUTE: Duration = Duration::from_secs(60);

/// A cache that starts with LRU, which misses every access of a loop that is longer than the cache.
fn started_with_lru(steward: &Steward) -> Cache<u64, ()> {
    let policies = [PolicyKind::Lru, PolicyKind::S3Fifo, PolicyKind::Lirs];
    Cache::builder("items", 500).policies(&policies).steward(steward).build().expect("a size")
}

fn steward() -> (ManualClock, Steward) {
    let clock = ManualClock::new();
    (clock.clone(), Steward::new(Arc::new(clock)))
}

/// Replays a loop over 700 keys, and has the steward look every 500 accesses.
fn replay_loop(cache: &Cache<u64, ()>, steward: &Steward, accesses: u64) {
    for access in 0..accesses {
        let key = access % 700;
        if cache.get(&key).is_none() {
            cache.insert(key, ());
        }
        if access % 500 == 0 {
            steward.tick();
        }
    }
}

#[test]
fn on_a_loop_the_cache_leaves_lru_and_says_what_it_expected_and_what_followed() {
    let (_, steward) = steward();
    let cache = started_with_lru(&steward);
    replay_loop(&cache, &steward, 50_000);
    assert_eq!(cache.policy(), PolicyKind::Lirs);
    let entries = steward.log().entries();
    let entry = &entries[0];
    assert_eq!(
        (entry.knob.as_str(), entry.to.clone()),
        ("items.policy", KnobValue::Choice("lirs".to_owned()))
    );
    assert!(entry.reason.why.contains("lirs would have hit more than lru"), "{}", entry.reason.why);
    let expected = entry.reason.expected.as_ref().expect("a change expects something");
    let observed = entry.observed.as_ref().expect("the replay was long enough");
    assert!(expected.before > 0.95 && expected.after < 0.5, "{expected:?}");
    assert!(observed.after < 0.5, "{observed:?}");
}

#[test]
fn a_cache_that_nobody_looks_after_looks_after_itself() {
    let policies = [PolicyKind::Lru, PolicyKind::Lirs];
    let cache: Cache<u64, ()> = Cache::builder("items", 500).policies(&policies).build().expect("a size");
    for access in 0..50_000_u64 {
        let key = access % 700;
        if cache.get(&key).is_none() {
            cache.insert(key, ());
        }
    }
    assert_eq!(cache.policy(), PolicyKind::Lirs);
    assert_eq!(cache.steward().expect("its own").log().entries().len(), 1);
}

#[test]
fn a_policy_held_from_outside_stays_and_the_cache_advises_once() {
    let (clock, steward) = steward();
    let cache = started_with_lru(&steward);
    let knob = steward.knobs().get("items.policy").expect("every cache has it");
    knob.set(KnobValue::Choice("lru".to_owned()), Epoch(1), Lease::For(MINUTE)).expect("one of its policies");
    replay_loop(&cache, &steward, 50_000);
    assert_eq!(cache.policy(), PolicyKind::Lru);
    let entries = steward.log().entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0].refused.as_ref().is_some_and(|why| why.contains("epoch 1 holds it")));
    clock.advance(MINUTE);
    replay_loop(&cache, &steward, 50_000);
    assert_eq!(cache.policy(), PolicyKind::Lirs);
}

#[test]
fn a_change_of_policy_loses_no_entry() {
    let (_, steward) = steward();
    let cache = started_with_lru(&steward);
    (0..500).for_each(|key| cache.insert(key, ()));
    let knob = steward.knobs().get("items.policy").expect("every cache has it");
    for name in ["lirs", "s3fifo", "lru"] {
        knob.set(KnobValue::Choice(name.to_owned()), Epoch(1), Lease::Confirmed)
            .expect("one of its policies");
        assert!((0..500).all(|key| cache.get(&key).is_some()), "{name}");
    }
}

#[test]
fn a_size_set_under_a_lease_goes_back_when_the_lease_lapses() {
    let (clock, steward) = steward();
    let cache = started_with_lru(&steward);
    let knob = steward.knobs().get("items.capacity").expect("every cache has it");
    knob.set(KnobValue::Int(1000), Epoch(1), Lease::For(MINUTE)).expect("within range");
    (0..1000).for_each(|key| cache.insert(key, ()));
    assert_eq!(cache.stats().entries, 1000);
    clock.advance(MINUTE);
    steward.tick();
    assert_eq!(cache.stats().entries, 500);
}

#[test]
fn leases_of_policy_and_size_that_lapse_at_once_both_go_back() {
    let (clock, steward) = steward();
    let cache = started_with_lru(&steward);
    let turn = |name: &str, value| {
        let knob = steward.knobs().get(name).expect("every cache has it");
        knob.set(value, Epoch(1), Lease::For(MINUTE)).expect("within range");
    };
    turn("items.policy", KnobValue::Choice("lirs".to_owned()));
    turn("items.capacity", KnobValue::Int(1000));
    clock.advance(MINUTE);
    cache.insert(1, ());
    assert_eq!((cache.policy(), cache.stats().capacity), (PolicyKind::Lru, 500));
}

#[test]
fn a_size_that_was_turned_is_what_policies_are_measured_at() {
    let (_, steward) = steward();
    let cache = started_with_lru(&steward);
    let knob = steward.knobs().get("items.capacity").expect("every cache has it");
    knob.set(KnobValue::Int(1000), Epoch(1), Lease::Confirmed).expect("within range");
    // All of the loop fits now, whatever the policy.
    replay_loop(&cache, &steward, 50_000);
    assert_eq!(cache.policy(), PolicyKind::Lru);
    assert!(cache.what_if(1000).expect("on the curve") < 0.05);
}

#[test]
fn the_curve_tells_how_large_the_cache_should_be() {
    let (_, steward) = steward();
    let cache = started_with_lru(&steward);
    assert!(cache.recommended(0.01).is_none());
    replay_loop(&cache, &steward, 100_000);
    let recommended = cache.recommended(0.01).expect("measured");
    assert_eq!(recommended.capacity, 1000);
    assert!(cache.what_if(1000).expect("on the curve") < 0.05);
    assert_eq!(cache.what_if(10_000), None);
}

#[test]
fn a_cache_of_one_policy_measures_nothing() {
    let (_, steward) = steward();
    let fixed: Cache<u64, ()> =
        Cache::builder("fixed", 500).policies(&[PolicyKind::Lru]).steward(&steward).build().expect("a size");
    replay_loop(&fixed, &steward, 5_000);
    assert!(fixed.miss_ratio_curve().is_empty());
    assert!(steward.log().entries().is_empty());
}
