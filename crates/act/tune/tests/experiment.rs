//! Experiments and the account of their errors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_algebra::verdict::Verdict;
use kandela_tune::experiment::{
    Account, AccountError, Arm, Decision, Design, Experiment, ExperimentError, Phase, Plan, Slice,
};
use kandela_tune::guard::Better;
use kandela_tune::random::seeded;
use proptest::prelude::*;
use rand::Rng;

const STAKE: f64 = 0.05 / 30.0;

fn switchback() -> Plan {
    Plan::new(Design::Switchback { wash_out: 1 }, Better::Lower, 0.02)
}

fn canary() -> Plan {
    Plan::new(Design::Canary, Better::Lower, 0.02)
}

fn experiment(plan: Plan, seed: u64) -> Experiment {
    Experiment::new(plan, STAKE, seed).unwrap()
}

fn value(value: f64) -> Slice {
    Slice { value: Some(value), ..Slice::default() }
}

fn beside(value: f64, control: f64) -> Slice {
    Slice { value: Some(value), control: Some(control), ..Slice::default() }
}

/// Runs it to its end on what each slice of an arm gives, and gives how many slices it took.
fn run(experiment: &mut Experiment, mut gives: impl FnMut(Arm, bool) -> Slice) -> u64 {
    let mut slices = 0;
    while let Some(asked) = experiment.asks() {
        experiment.observe(asked.slice, &gives(asked.arm, asked.wash_out)).unwrap();
        slices += 1;
    }
    slices
}

/// Latencies of a noisy system whose changed arm is better by `gain`.
fn noisy(seed: u64, gain: f64) -> impl FnMut(Arm, bool) -> Slice {
    let mut random = seeded(seed, 3);
    let mut drift: f64 = 0.0;
    move |arm, _| {
        drift = 0.9 * drift + random.random_range(-0.1..0.1);
        let effect = if arm == Arm::Treated { gain } else { 0.0 };
        value((drift - effect + random.random_range(-0.05..0.05)).exp())
    }
}

#[test]
fn a_clear_gain_is_promoted_after_it_was_shown_twice() {
    let mut experiment = experiment(switchback(), 1);
    let mut phases = Vec::new();
    let mut world = noisy(1, 0.2);
    while let Some(asked) = experiment.asks() {
        let progress = experiment.observe(asked.slice, &world(asked.arm, asked.wash_out)).unwrap();
        phases.push(progress.phase);
    }
    let progress = experiment.progress();
    assert_eq!((progress.decision, experiment.verdict()), (Some(Decision::Promote), Verdict::Holds));
    assert!(phases.contains(&Phase::Screening) && phases.contains(&Phase::Confirmation));
    assert!(experiment.capital() >= 1.0 / STAKE && progress.gain.lower > 0.0 && progress.missing.is_none());
}

#[test]
fn a_harm_and_a_gain_too_small_are_given_up_as_futile() {
    for gain in [-0.2, 0.0] {
        let plan = Plan { smallest_gain: 0.05, clip: 0.25, ..switchback() };
        let mut experiment = experiment(plan, 2);
        let slices = run(&mut experiment, noisy(2, gain));
        assert_eq!(experiment.progress().decision, Some(Decision::Futile));
        assert_eq!(experiment.verdict(), Verdict::Violated);
        assert!(slices < 4 * u64::from(plan.most_blocks));
    }
}

#[test]
fn what_shows_nothing_ends_undecided_with_its_last_block() {
    let plan = Plan { most_blocks: 5, ..switchback() };
    let mut experiment = experiment(plan, 3);
    let slices = run(&mut experiment, noisy(3, 0.02));
    assert_eq!((slices, experiment.progress().decision), (5 * plan.block(), Some(Decision::Exhausted)));
    assert_eq!(experiment.verdict(), Verdict::Unknown);
}

#[test]
fn a_change_that_does_nothing_is_promoted_no_more_often_than_staked() {
    let promoted = |seed: &u64| {
        let mut experiment = Experiment::new(switchback(), 0.1, *seed).unwrap();
        run(&mut experiment, noisy(*seed, 0.0));
        experiment.verdict() == Verdict::Holds
    };
    let promoted = (0..300).filter(promoted).count();
    // 300 tosses at 0.1 give 30; three standard deviations are 16.
    assert!(promoted <= 46, "{promoted} of 300");
}

#[test]
fn each_block_runs_both_arms_in_an_order_that_the_coin_decides() {
    let mut experiment = experiment(Plan { most_blocks: 100, futility: 1e-9, ..switchback() }, 4);
    let mut arms = Vec::new();
    run(&mut experiment, |arm, wash_out| {
        arms.push((arm, wash_out));
        value(1.0)
    });
    let first_treated = arms.chunks(4).filter(|block| block[0].0 == Arm::Treated).count();
    assert!((30..=70).contains(&first_treated), "{first_treated} of 100");
    for block in arms.chunks(4) {
        assert_eq!(block.iter().map(|slice| slice.1).collect::<Vec<_>>(), [true, false, true, false]);
        assert!(block[0].0 == block[1].0 && block[2].0 == block[3].0 && block[0].0 != block[2].0);
    }
}

#[test]
fn what_a_wash_out_slice_gives_counts_nothing() {
    let ends_with = |garbage: f64| {
        let mut experiment = experiment(switchback(), 5);
        let mut world = noisy(5, 0.1);
        run(&mut experiment, |arm, wash_out| {
            let slice = world(arm, wash_out);
            if wash_out { value(garbage) } else { slice }
        });
        experiment.progress()
    };
    assert_eq!(ends_with(1e9), ends_with(f64::NAN));
}

#[test]
fn a_unit_that_is_always_worse_cancels_in_a_canary() {
    let mut experiment = experiment(canary(), 6);
    let mut random = seeded(6, 0);
    run(&mut experiment, |arm, _| {
        let common = random.random_range(0.5..2.0);
        let effect = if arm == Arm::Treated { 0.9 } else { 1.0 };
        beside(3.0 * common * effect * random.random_range(0.97..1.03), common)
    });
    assert_eq!(experiment.progress().decision, Some(Decision::Promote));
}

#[test]
fn slices_that_the_change_broke_count_as_the_worst() {
    let mut experiment = experiment(switchback(), 7);
    run(&mut experiment, |arm, _| match arm {
        Arm::Treated => Slice::default(),
        Arm::Control => value(1.0),
    });
    let progress = experiment.progress();
    assert_eq!((progress.decision, progress.rejected.control), (Some(Decision::Futile), 0));
    assert_eq!(progress.mean, Some(-experiment.plan().clip));
}

#[test]
fn slices_that_broke_without_the_change_count_for_nobody() {
    let mut experiment = experiment(Plan { most_blocks: 20, ..switchback() }, 8);
    run(&mut experiment, |arm, _| match arm {
        Arm::Treated => value(0.01),
        Arm::Control => value(0.0),
    });
    let progress = experiment.progress();
    assert_eq!((progress.rejected.control, progress.blocks), (20, 0));
}

#[test]
fn blocks_are_dropped_for_disturbances_load_and_a_wild_control() {
    let dropped = |slice: fn(u64) -> Slice, rules: fn(&mut Plan)| {
        let mut plan = Plan { most_blocks: 40, futility: 1e-9, ..canary() };
        rules(&mut plan);
        let mut experiment = experiment(plan, 9);
        let mut count = 0;
        run(&mut experiment, |_, _| {
            count += 1;
            slice(count)
        });
        experiment.progress().rejected
    };
    let steady = |count: u64| beside(1.0, 1.0 + 0.01 * (count % 2) as f64);
    let rejected = dropped(move |count| Slice { disturbed: count == 3, ..beside(1.0, 1.0) }, |_| ());
    assert_eq!(rejected.disturbed, 1);
    let rejected = dropped(
        |count| Slice { offered: Some(if count > 20 { 50.0 } else { 200.0 }), ..beside(1.0, 1.0) },
        |plan| plan.rules.fewest_requests = 100.0,
    );
    assert_eq!(rejected.too_few, 30);
    let rejected = dropped(|_| beside(1.0, 1.0), |plan| plan.rules.fewest_requests = 100.0);
    assert_eq!(rejected.too_few, 40);
    let rejected = dropped(
        |count| Slice { offered: Some(if count == 8 { 500.0 } else { 200.0 }), ..beside(1.0, 1.0) },
        |_| (),
    );
    assert_eq!(rejected.load, 1);
    assert_eq!(dropped(steady, |_| ()).control, 0);
    let rejected =
        dropped(|count| beside(1.0, if count == 41 { 9.0 } else { 1.0 + 0.01 * (count % 2) as f64 }), |_| ());
    assert_eq!(rejected.control, 1);
    assert_eq!(dropped(|_| value(1.0), |_| ()).control, 40);
}

#[test]
fn slices_out_of_turn_and_after_the_end_are_refused() {
    let mut experiment = experiment(Plan { most_blocks: 1, ..canary() }, 10);
    let refused = experiment.observe(1, &beside(1.0, 1.0));
    assert_eq!(refused, Err(ExperimentError::OutOfTurn { told: 1, expected: 0 }));
    run(&mut experiment, |_, _| beside(1.0, 1.0));
    assert_eq!(experiment.observe(2, &beside(1.0, 1.0)), Err(ExperimentError::Over(2)));
}

#[test]
fn a_new_epoch_forgets_what_was_seen_and_never_adds_to_the_stake() {
    let mut experiment = experiment(switchback(), 11);
    let mut world = noisy(11, 0.2);
    for _ in 0..30 {
        let asked = experiment.asks().unwrap();
        experiment.observe(asked.slice, &world(asked.arm, asked.wash_out)).unwrap();
    }
    assert!(experiment.capital() > 1.0);
    experiment.begin_epoch();
    let progress = experiment.progress();
    assert_eq!((progress.epoch, progress.phase, progress.blocks), (1, Phase::Screening, 0));
    assert!((experiment.capital() - 1.0).abs() < 1e-12);
    run(&mut experiment, world);
    assert_eq!(experiment.progress().decision, Some(Decision::Promote));
}

#[test]
fn plans_that_mean_nothing_are_refused_by_field() {
    let refused = |plan: Plan, stake| Experiment::new(plan, stake, 0).unwrap_err().field;
    assert_eq!(refused(canary(), 0.0), "stake");
    assert_eq!(refused(Plan { smallest_gain: f64::NAN, ..canary() }, STAKE), "smallest_gain");
    assert_eq!(refused(Plan { clip: 0.01, ..canary() }, STAKE), "clip");
    assert_eq!(refused(Plan { slices: 0, ..canary() }, STAKE), "slices");
    assert_eq!(refused(Plan { confirmation: 1.0, ..canary() }, STAKE), "confirmation");
    let message = Experiment::new(Plan { most_blocks: 0, ..canary() }, STAKE, 0).unwrap_err().to_string();
    assert_eq!(message, "the experiment's most_blocks is 0; it must be at least 1");
}

#[test]
fn the_longest_plan_and_the_least_levels_are_counted_without_end() {
    let design = Design::Switchback { wash_out: u32::MAX };
    let (slices, most_blocks, confirmation) = (u32::MAX, u32::MAX, f64::MIN_POSITIVE / 1e10);
    let plan = Plan { slices, most_blocks, confirmation, ..Plan::new(design, Better::Lower, 0.02) };
    let mut experiment = Experiment::new(plan, f64::MIN_POSITIVE / 1e10, 1).unwrap();
    let before = experiment.progress().missing.unwrap();
    experiment.observe(0, &value(1.0)).unwrap();
    let after = experiment.progress().missing.unwrap();
    assert!(before.at_least <= before.at_most);
    assert_eq!((after.at_least, after.at_most), (before.at_least - 1, before.at_most - 1));
}

proptest! {
    #[test]
    fn the_same_slices_give_the_same_answers_and_none_sooner_than_was_said(seed in 0..50u64, gain in -0.1..0.3f64) {
        let (mut first, mut second) = (experiment(switchback(), seed), experiment(switchback(), seed));
        let mut world = noisy(seed, gain);
        let mut promoted_not_before = 0;
        let mut slices = 0;
        while let Some(asked) = first.asks() {
            promoted_not_before = promoted_not_before.max(slices + first.progress().missing.unwrap().at_least);
            let gave = world(asked.arm, asked.wash_out);
            prop_assert_eq!(first.observe(asked.slice, &gave), second.observe(asked.slice, &gave));
            slices += 1;
        }
        prop_assert!(first.verdict() != Verdict::Holds || slices >= promoted_not_before);
    }

    #[test]
    fn whatever_comes_is_taken_and_an_end_comes(
        seed in 0..9u64, gave in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 1..50),
    ) {
        let plan = Plan { most_blocks: 30, rules: kandela_tune::experiment::Rules { fewest_requests: 1.0, ..canary().rules }, ..canary() };
        let mut experiment = experiment(plan, seed);
        let mut gave = gave.iter().cycle();
        let slices = run(&mut experiment, |_, _| {
            let (value, control, offered) = gave.next().unwrap();
            Slice { value: Some(*value), control: Some(*control), offered: Some(*offered), disturbed: false }
        });
        prop_assert!(slices <= 60 && !experiment.capital().is_nan());
    }

    #[test]
    fn an_account_never_stakes_more_than_it_has(settled in prop::collection::vec((any::<f64>(), any::<bool>()), 0..80)) {
        let mut account = Account::new(0.05, 30).unwrap();
        for (proposal, (capital, promoted)) in settled.into_iter().enumerate() {
            let name = proposal.to_string();
            let left = account.left();
            let staked = account.open(&name).unwrap();
            prop_assert!(staked > 0.0 || left <= 0.0);
            let returned = account.settle(&name, capital, promoted).unwrap();
            prop_assert!((0.0..=staked).contains(&returned));
            let spent: f64 = account.rows().iter().map(kandela_tune::experiment::Row::spent).sum();
            prop_assert!(account.left() >= 0.0 && (account.left() + spent - account.budget()).abs() < 1e-12);
        }
    }
}

#[test]
fn among_true_gains_a_budget_still_bounds_any_mistake() {
    let errs = |run: &u64| {
        let mut account = Account::new(0.3, 6).unwrap();
        (0..6).any(|proposal| {
            let (name, gain) = (format!("{proposal}"), if proposal % 2 == 0 { 0.2 } else { 0.0 });
            let stake = account.open(&name).unwrap();
            let seed = 6 * run + proposal;
            let mut experiment = Experiment::new(switchback(), stake, seed).unwrap();
            self::run(&mut experiment, noisy(seed, gain));
            let promoted = experiment.verdict() == Verdict::Holds;
            account.settle(&name, experiment.capital(), promoted).unwrap();
            promoted && gain <= 0.0
        })
    };
    let wrong = (0..60).filter(errs).count();
    // 60 tosses at 0.3 give 18; three standard deviations are 11.
    assert!(wrong <= 29, "{wrong} of 60");
}

#[test]
fn an_account_gives_equal_stakes_and_shows_what_came_of_each() {
    let mut account = Account::new(0.0625, 4).unwrap();
    assert_eq!(account.open("a"), Ok(0.015_625));
    assert_eq!(account.open("b"), Ok(0.015_625));
    assert_eq!(account.open("a"), Err(AccountError::Twice("a".to_owned())));
    assert_eq!(account.settle("a", 0.0, false), Ok(0.0));
    assert_eq!(account.settle("b", 700.0, true), Ok(0.015_625));
    assert_eq!(account.settle("b", 0.5, false), Err(AccountError::NotOpen("b".to_owned())));
    let rows: Vec<(f64, bool)> = account.rows().iter().map(|row| (row.spent(), row.promoted)).collect();
    assert_eq!(rows, [(0.015_625, false), (0.0, true)]);
    assert!((account.left() - 0.046_875).abs() < 1e-15);
    assert_eq!(Account::new(0.05, 0), Err(AccountError::Proposals));
    assert_eq!(Account::new(f64::NAN, 3).unwrap_err().to_string().split(' ').next(), Some("NaN"));
}
