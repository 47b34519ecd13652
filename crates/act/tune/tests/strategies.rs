//! What every strategy keeps, whichever it is.

use kandela_model::KnobValue;
use kandela_tune::{Config, Measured, Outcome, Strategy, Study};

const MIXED: &str = r#"{
    "x": {"type": "float", "min": -5, "max": 5},
    "rate": {"type": "float", "min": 0.001, "max": 10, "log": true},
    "pool": {"type": "int", "min": 1, "max": 128, "log": true, "default": 8},
    "policy": {"type": "enum", "values": ["a", "b", "c"]},
    "ways": {"type": "int", "min": 1, "max": 4, "when": {"parameter": "policy", "among": ["b"]}},
    "z": {"type": "bool"}
}"#;

fn number(config: &Config, name: &str) -> f64 {
    match config.get(name) {
        Some(KnobValue::Int(n)) => *n as f64,
        Some(KnobValue::Float(x)) => *x,
        Some(KnobValue::Bool(on)) => f64::from(u8::from(*on)),
        Some(KnobValue::Choice(word)) => f64::from(u8::from(word == "b")),
        None => 0.0,
    }
}

fn objective(config: &Config) -> f64 {
    let of = |name: &str| number(config, name);
    (of("x") - 1.0).powi(2) + (of("pool").ln() - 3.0).powi(2) + of("rate").log10().powi(2)
        - 2.0 * of("policy")
        + of("z")
}

fn study(json: &str, strategy: Strategy, budget: usize, seed: u64) -> Study {
    Study::new(serde_json::from_str(json).expect("a space"), strategy, Some(budget), seed)
}

fn run(study: &mut Study, mut outcome: impl FnMut(u64, &Config) -> Outcome) {
    while let Some(asked) = study.ask() {
        let outcome = outcome(asked.id, &asked.config);
        study.tell(asked.id, outcome).expect("under way");
    }
}

/// All but the one that never leaves what is certified to keep constraints; its own tests say what it promises.
fn general() -> impl Iterator<Item = Strategy> {
    Strategy::ALL.into_iter().filter(|strategy| *strategy != Strategy::Safe)
}

#[test]
fn every_strategy_answers_while_many_trials_are_pending_and_told_in_another_order() {
    for strategy in general() {
        let mut study = study(MIXED, strategy, 120, 3);
        let mut pending = Vec::new();
        for round in 0_usize.. {
            match study.ask() {
                Some(asked) => pending.push(asked),
                None if pending.is_empty() => break,
                None => {}
            }
            if pending.len() > 12 || (round >= 120 && !pending.is_empty()) {
                let asked = pending.swap_remove(round * 7 % pending.len());
                let value = objective(&asked.config);
                study.tell(asked.id, Outcome::Measured(Measured::of(value))).expect("under way");
            }
        }
        assert_eq!(study.history().trials().len(), 120, "{strategy}");
        assert!(study.history().trials().iter().flat_map(|t| &t.point).all(|u| (0.0..=1.0).contains(u)));
    }
}

#[test]
fn the_same_seed_gives_the_same_trials_and_another_one_others() {
    for strategy in general() {
        let trials = |seed| {
            let mut study = study(MIXED, strategy, 60, seed);
            run(&mut study, |_, config| Outcome::Measured(Measured::of(objective(config))));
            study.history().clone()
        };
        assert_eq!(trials(1), trials(1), "{strategy}");
        assert_ne!(trials(1), trials(2), "{strategy}");
    }
}

#[test]
fn a_target_that_always_fails_is_still_asked() {
    for strategy in general() {
        let mut study = study(MIXED, strategy, 60, 1);
        run(&mut study, |_, _| Outcome::Failed);
        assert_eq!((study.history().trials().len(), study.best()), (60, None), "{strategy}");
    }
}

#[test]
fn every_strategy_finds_a_feasible_point_between_failures_and_broken_constraints() {
    for strategy in general() {
        let mut study = study(MIXED, strategy, 100, 5);
        run(&mut study, |id, config| {
            let margin = number(config, "x") - 2.0;
            let measured = Measured {
                feasible: margin >= 0.0,
                margins: vec![margin],
                ..Measured::of(objective(config))
            };
            if id % 10 == 3 { Outcome::Failed } else { Outcome::Measured(measured) }
        });
        let best = study.best().map(|best| number(&best.config, "x"));
        assert!(best.is_some_and(|x| x >= 2.0), "{strategy}: {best:?}");
    }
}

#[test]
fn values_of_any_size_are_taken() {
    for strategy in general() {
        for value in [0.0, f64::MAX, -f64::MAX, 5e-324] {
            let mut study = study(MIXED, strategy, 60, 1);
            run(&mut study, |id, _| {
                Outcome::Measured(Measured::of(if id % 2 == 0 { value } else { -value }))
            });
            assert_eq!(study.history().trials().len(), 60, "{strategy}");
        }
    }
}

#[test]
fn every_strategy_goes_on_where_all_settings_are_known() {
    for strategy in general() {
        let json = r#"{"a": {"type": "bool"}, "n": {"type": "int", "min": 1, "max": 3}}"#;
        let mut study = study(json, strategy, 40, 1);
        run(&mut study, |_, config| {
            Outcome::Measured(Measured::of(number(config, "n") - number(config, "a")))
        });
        assert_eq!(study.best().map(|best| best.value), Some(0.0), "{strategy}");
    }
}

#[test]
fn every_strategy_goes_on_under_noise() {
    for strategy in general() {
        let mut study = study(MIXED, strategy, 80, 1);
        run(&mut study, |id, config| {
            let noise = f64::from(u32::try_from(id * 7919 % 101).expect("small")) / 101.0 - 0.5;
            Outcome::Measured(Measured { noise: Some(0.3), ..Measured::of(objective(config) + noise) })
        });
        assert!(study.best().is_some(), "{strategy}");
    }
}

#[test]
fn every_strategy_but_random_comes_near_the_minimum_of_a_bowl() {
    let json = r#"{"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}"#;
    for strategy in general().filter(|strategy| *strategy != Strategy::Random) {
        let mut study = study(json, strategy, 150, 1);
        run(&mut study, |_, config| {
            let (x, y) = (number(config, "x") - 0.3, number(config, "y") - 0.9);
            Outcome::Measured(Measured::of(x * x + y * y))
        });
        let best = study.best().map_or(1.0, |best| best.value);
        assert!(best < 1e-3, "{strategy}: {best}");
    }
}

#[test]
fn a_word_names_each_strategy() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.as_str().parse(), Ok(strategy));
    }
    let unknown = "quantum".parse::<Strategy>().expect_err("no strategy").to_string();
    assert!(
        unknown.starts_with("there is no strategy \"quantum\"; there are auto, random, cma-es"),
        "{unknown}"
    );
}
