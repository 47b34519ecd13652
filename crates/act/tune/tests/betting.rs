//! Bets, intervals and watches.

use kandela_tune::betting::{Bets, EVEN, Sequence, Watch};
use kandela_tune::random::seeded;
use proptest::prelude::*;
use rand::Rng;

/// Sizes that drift and correlate, with signs by a fair coin: what a block gives when a change does nothing.
fn fair(seed: u64, count: usize) -> Vec<f64> {
    let mut random = seeded(seed, 1);
    let mut size: f64 = 0.0;
    let mut next = || {
        size = 0.95 * size + random.random_range(-0.3..0.3);
        if random.random::<bool>() { size } else { -size }
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn capital_bet_against_a_truth_rarely_reaches_its_goal_however_often_one_looks() {
    let reaches = |seed: &u64| {
        let mut bets = Bets::new(0.5, EVEN);
        fair(*seed, 300).into_iter().any(|value| {
            bets.observe(value);
            bets.capital() >= 20.0
        })
    };
    let reached = (0..1_000).filter(reaches).count();
    // 1,000 tosses at 0.05 give 50; three standard deviations are 21.
    assert!((1..=71).contains(&reached), "{reached} of 1000");
}

#[test]
fn an_interval_holds_the_mean_and_only_narrows() {
    let missed = |seed: &u64| {
        let mut sequence = Sequence::new(0.5, 0.05, 0.05, EVEN);
        let mut before = sequence.interval();
        fair(*seed, 150).into_iter().any(|value| {
            sequence.observe(0.1 + value.clamp(-0.4, 0.4));
            let now = sequence.interval();
            assert!(now.lower >= before.lower && now.upper <= before.upper);
            before = now;
            now.lower > 0.1 || now.upper < 0.1
        })
    };
    let missed = (0..200).filter(missed).count();
    assert!(missed <= 33, "{missed} of 200 where 0.1 are 20");
}

#[test]
fn an_interval_closes_in_on_a_clear_mean() {
    let mut sequence = Sequence::new(0.5, 0.05, 0.05, EVEN);
    (0..100).for_each(|i| sequence.observe(if i % 2 == 0 { 0.15 } else { 0.05 }));
    let interval = sequence.interval();
    assert!(interval.lower > 0.06 && interval.upper < 0.13, "{interval:?}");
}

#[test]
fn a_long_good_time_gives_no_credit_for_a_bad_one() {
    let mut watch = Watch::new(0.5);
    (0..20_000).for_each(|_| watch.observe(-0.2));
    assert!(!watch.alarms(0.01));
    let bad = (1..=20).find(|_| {
        watch.observe(0.5);
        watch.alarms(0.01)
    });
    assert!(bad.is_some_and(|bad| bad <= 10), "{bad:?}");
}

#[test]
fn a_watch_over_nothing_alarms_no_more_often_than_declared() {
    let first_alarm = |seed: u64| {
        let mut watch = Watch::new(0.5);
        let alarms = |value| {
            watch.observe(value);
            watch.alarms(0.02)
        };
        fair(seed, 2_000).into_iter().position(alarms).unwrap_or(2_000)
    };
    let mean = (0..300).map(first_alarm).sum::<usize>() / 300;
    assert!(mean >= 50, "after {mean} observations");
}

#[test]
fn what_is_no_number_counts_as_the_worst() {
    let (mut with_nan, mut with_worst) = (Bets::new(0.5, EVEN), Bets::new(0.5, EVEN));
    with_nan.observe(f64::NAN);
    with_worst.observe(f64::NEG_INFINITY);
    assert_eq!(with_nan.seen(), with_worst.seen());
    assert_eq!(with_nan.capital(), with_worst.capital());
}

proptest! {
    #[test]
    fn capital_falls_as_the_mean_it_bets_against_rises(
        seen in prop::collection::vec(-0.5..0.5f64, 0..40), a in -0.49..0.5f64, b in -0.49..0.5f64,
    ) {
        let mut bets = Bets::new(0.5, EVEN);
        seen.into_iter().for_each(|value| bets.observe(value));
        let (low, high) = (bets.capital_against(a.min(b)), bets.capital_against(a.max(b)));
        prop_assert!(low >= high * (1.0 - 1e-9), "{low} {high}");
        let (kept, anew) = (bets.capital(), bets.capital_against(0.0));
        prop_assert!((kept - anew).abs() <= 1e-9 * kept.max(1.0));
    }

    #[test]
    fn what_is_refuted_has_lost_its_bets(seen in prop::collection::vec(-0.5..0.5f64, 1..60), level in 0.01..0.5f64) {
        let mut bets = Bets::new(0.5, EVEN);
        seen.into_iter().for_each(|value| bets.observe(value));
        let refuted = bets.refuted(level, -0.5);
        prop_assert!(refuted == -0.5 || bets.capital_against(refuted) * level >= 1.0);
        prop_assert!(refuted > 0.498 || bets.capital_against(refuted + 0.002) * level < 1.0);
    }

    #[test]
    fn no_goal_is_reached_sooner_than_was_said(seen in prop::collection::vec(-0.5..0.5f64, 0..30), goal in 1.0..1e4f64) {
        let mut bets = Bets::new(0.5, EVEN);
        seen.into_iter().for_each(|value| bets.observe(value));
        let least = bets.at_least_until(goal);
        (0..least).for_each(|_| {
            assert!(bets.capital() < goal);
            bets.observe(0.5);
        });
        prop_assert!(bets.capital() >= goal);
    }
}
