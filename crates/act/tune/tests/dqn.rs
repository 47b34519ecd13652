//! A deep Q-network as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kandela_tune::dqn::{Dqn, DqnError, End, Saved, Settings, Target, Transition};

fn small() -> Settings {
    Settings { hidden: vec![16], batch: 16, warm_up: 32, horizon: 600, ..Settings::default() }
}

/// One observation, one action, a reward of 1 a step; episodes have one step and end like `end`. What the step is said to be worth.
fn worth_of_a_step(end: End, settings: Settings) -> f32 {
    let mut dqn = Dqn::new(1, 1, settings, 3).unwrap();
    for _ in 0..600 {
        dqn.observe(&Transition { observation: &[1.0], action: 0, reward: 1.0, next: &[1.0], end }).unwrap();
        dqn.learn();
    }
    dqn.values(&[1.0]).unwrap()[0]
}

/// A discount of a half, so that going on forever is worth 2.
fn halving() -> Settings {
    Settings { discount: 0.5, learning_rate: 0.02, target: Target::Soft(0.1), ..small() }
}

#[test]
fn a_truncated_episode_could_have_earned_more_and_a_terminal_one_could_not() {
    let terminal = worth_of_a_step(End::Terminal, halving());
    let truncated = worth_of_a_step(End::Truncated, halving());
    assert!((terminal - 1.0).abs() < 0.05, "{terminal}");
    assert!((truncated - 2.0).abs() < 0.1, "{truncated}");
}

#[test]
fn returns_over_several_steps_and_hard_targets_come_to_the_same_worth() {
    for steps_ahead in [1, 4] {
        let settings = Settings { steps_ahead, target: Target::Hard(10), ..halving() };
        let worth = worth_of_a_step(End::Goes, settings);
        assert!((worth - 2.0).abs() < 0.1, "{worth} at {steps_ahead} steps");
    }
}

/// A corridor of five places with the prize at its right end; the wrong way costs nothing but time.
fn corridor(seed: u64) -> Dqn {
    let settings = Settings { horizon: 1500, steps_ahead: 2, learning_rate: 3e-3, ..small() };
    let mut dqn = Dqn::new(1, 2, settings, seed).unwrap();
    let mut place = 0_u8;
    for _ in 0..1500 {
        let observation = [f32::from(place)];
        let action = dqn.act(&observation).unwrap();
        place = if action == 1 { place + 1 } else { place.saturating_sub(1) };
        let won = place == 4;
        let transition = Transition {
            observation: &observation,
            action,
            reward: f32::from(u8::from(won)),
            next: &[f32::from(place)],
            end: if won { End::Terminal } else { End::Goes },
        };
        dqn.observe(&transition).unwrap();
        dqn.learn();
        place = if won { 0 } else { place };
    }
    dqn
}

#[test]
fn it_finds_the_way_to_a_prize_that_is_several_steps_off() {
    let mut dqn = corridor(1);
    for place in 0..4_u8 {
        assert_eq!(dqn.greedy(&[f32::from(place)]).unwrap(), 1, "at {place}");
    }
}

#[test]
fn one_seed_gives_one_network_and_another_gives_another() {
    assert_eq!(corridor(5).save(), corridor(5).save());
    assert_ne!(corridor(5).save(), corridor(6).save());
}

#[test]
fn a_saved_network_acts_as_it_did() {
    let mut dqn = corridor(2);
    let json = serde_json::to_string(&dqn.save()).unwrap();
    let mut again = Dqn::load(serde_json::from_str::<Saved>(&json).unwrap(), 9).unwrap();
    for place in 0..5_u8 {
        let place = [f32::from(place)];
        assert_eq!(dqn.values(&place).unwrap(), again.values(&place).unwrap());
    }
    assert_eq!(again.save(), dqn.save());
}

#[test]
fn a_saved_network_that_is_none_is_refused() {
    let saved = serde_json::to_value(corridor(2).save()).unwrap();
    let refusal = |change: fn(&mut serde_json::Value)| {
        let mut changed = saved.clone();
        change(&mut changed);
        Dqn::load(serde_json::from_value(changed).unwrap(), 1).unwrap_err().to_string()
    };
    assert!(refusal(|saved| saved["version"] = 2.into()).contains("version 2, this build reads 1"));
    assert!(
        refusal(|saved| saved["online"] = serde_json::json!([1.0])).contains("weights, and it has 1 and")
    );
    assert!(refusal(|saved| saved["normal"]["mean"] = serde_json::json!([])).contains("normalise 1 numbers"));
    assert!(refusal(|saved| saved["settings"]["batch"] = 0.into()).contains("setting batch"));
    assert!(refusal(|saved| saved["actions"] = 0.into()).contains("0 actions"));
}

#[test]
fn what_cannot_be_learned_from_is_refused_and_changes_nothing() {
    let mut dqn = Dqn::new(2, 2, small(), 1).unwrap();
    let before = dqn.save();
    let good = Transition { observation: &[0.0; 2], action: 0, reward: 0.0, next: &[0.0; 2], end: End::Goes };
    let mut refused = |transition: &Transition<'_>| dqn.observe(transition).unwrap_err();
    let short = refused(&Transition { observation: &[0.0], ..good });
    assert_eq!(short, DqnError::Observation { expected: 2, got: vec![0.0] });
    let infinite = refused(&Transition { next: &[0.0, f32::INFINITY], ..good });
    assert!(matches!(infinite, DqnError::Observation { .. }));
    assert_eq!(refused(&Transition { action: 2, ..good }), DqnError::Action { action: 2, actions: 2 });
    assert!(matches!(refused(&Transition { reward: f32::NAN, ..good }), DqnError::Reward(_)));
    assert!(matches!(refused(&Transition { reward: 1e10, ..good }), DqnError::Reward(_)));
    assert!(dqn.act(&[f32::NAN, 0.0]).is_err());
    assert_eq!(dqn.save(), before);
}

#[test]
fn extremes_leave_every_weight_finite() {
    let mut dqn = Dqn::new(1, 2, small(), 1).unwrap();
    for step in 0..200_usize {
        let reward = if step % 2 == 0 { 1e9 } else { -1e9 };
        let number = [if step % 3 == 0 { f32::MAX } else { f32::MIN }];
        let transition =
            Transition { observation: &number, action: step % 2, reward, next: &number, end: End::Goes };
        dqn.observe(&transition).unwrap();
        dqn.learn();
    }
    assert!(dqn.values(&[0.0]).unwrap().iter().all(|value| value.is_finite()));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refuse = |settings| Dqn::new(1, 1, settings, 1).unwrap_err().to_string();
    assert!(
        refuse(Settings { hidden: vec![12], ..small() })
            .starts_with("setting hidden: it has to be multiples")
    );
    assert!(refuse(Settings { replay: 8, ..small() }).contains("setting replay"));
    assert!(refuse(Settings { discount: f64::NAN, ..small() }).contains("setting discount"));
    assert!(refuse(Settings { target: Target::Soft(0.0), ..small() }).contains("setting target"));
}
