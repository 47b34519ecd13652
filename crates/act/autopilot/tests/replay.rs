//! The state is the fold of the ledger: whatever came in, any prefix of the rows leads to the state that the manager was in there.

use std::time::Duration;

use kandela_algebra::feedback::{Step, run};
use kandela_algebra::laws;
use kandela_algebra::verdict::Verdict;
use kandela_autopilot::evidence::Evidence;
use kandela_autopilot::machine::{
    Candidate, Event, Export, Input, Learnt, Machine, Mode, Observation, Order, Policy, Reading, Replay,
    Seen, Side, State, Trouble,
};
use kandela_model::{Epoch, KnobValue, Timestamp};
use kandela_tune::Config;
use kandela_tune::experiment::{Design, Plan};
use kandela_tune::guard::{Better, Bound, Constraint, Objective, Of};
use proptest::prelude::*;

fn machine() -> Machine<Evidence> {
    let objective =
        Objective { name: "latency".to_owned(), expression: "l".to_owned(), better: Better::Lower };
    let constraint = Constraint {
        name: "errors".to_owned(),
        expression: "e".to_owned(),
        bound: Bound::Max(1.0),
        of: Of::Value,
        window: Duration::from_secs(300),
        clip: 0.7,
    };
    let plan = Plan { clip: 0.5, ..Plan::new(Design::Switchback { wash_out: 0 }, Better::Lower, 0.05) };
    let judge = Evidence::new(objective, vec![constraint], plan, 0.2, true, 1).expect("evidence");
    Machine { policy: Policy { wash_out: Duration::ZERO, ..Policy::default() }, judge }
}

fn config(value: i64) -> Config {
    Config::from([
        ("pool".to_owned(), KnobValue::Int(value)),
        ("ratio".to_owned(), KnobValue::Float(value as f64 / 7.0)),
    ])
}

fn office() -> Input {
    Input::Office {
        holder: "test".to_owned(),
        mode: Mode::Auto,
        initial: config(8),
        goals: vec!["lower latency".to_owned()],
        space: "space".to_owned(),
        alpha: 0.5,
        expected: 4,
        reports: Vec::new(),
    }
}

fn seen(load: f64, verdict: Verdict) -> Observation {
    Observation {
        objective: Some(2.0),
        constraints: vec![Seen {
            name: "errors".to_owned(),
            verdict,
            margin: Some(0.5),
            value: None,
            wanted: String::new(),
        }],
        workload: [("load".to_owned(), load)].into(),
        ..Observation::default()
    }
}

/// What comes in next, by what is under way; `choice` picks among what may.
fn input(state: &State, choice: u8, value: f64) -> Input {
    let by = || "ann".to_owned();
    let slice = state.trial().map_or(0, |trial| trial.begun.saturating_sub(1));
    let unsettled = state.unsettled.as_ref().map_or(0, |unsettled| unsettled.row);
    let trouble = |refused| Err(Trouble { refused, what: "trouble".to_owned() });
    let candidate = Candidate {
        config: config(state.proposals as i64 + 9),
        point: vec![value, 0.25],
        asked: 1,
        strategy: "random".to_owned(),
    };
    let side =
        |objective: f64| Side { objective: Some(objective), offered: None, constraints: vec![Some(value)] };
    match choice {
        0..=79 => {
            // What a healthy system would answer.
            let waits = state.trial().and_then(|trial| trial.current.as_ref());
            match waits {
                Some(current) if current.turned.is_none() => Input::Turned(slice, Ok(())),
                Some(_) => Input::Measured(slice, Reading { turned: side(value), rest: Some(side(1.0)) }),
                None if state.unsettled.is_some() => Input::Settled(unsettled, Ok(())),
                None if state.open.is_none() && state.began => {
                    Input::Candidate(Ok(candidate), seen(0.2, Verdict::Holds))
                }
                None => Input::Tick(seen(0.2, Verdict::Holds)),
            }
        }
        80..=84 => Input::Tick(seen(value, Verdict::Holds)),
        85 => Input::Tick(seen(0.2, Verdict::Unknown)),
        86 => Input::Turned(slice, trouble(true)),
        87 => Input::Turned(slice, trouble(false)),
        88 => Input::Settled(unsettled, trouble(true)),
        89 => Input::Settled(unsettled, trouble(false)),
        90 => Input::Measured(slice, Reading::default()),
        91 => Input::Candidate(Err("nothing new".to_owned()), seen(0.2, Verdict::Holds)),
        92 => Input::Order(Order::Pause { by: by(), why: "lunch".to_owned() }),
        93 | 94 => Input::Order(Order::Resume { by: by() }),
        95 => Input::Order(Order::RollBack { proposal: None, by: by() }),
        96 => Input::Order(Order::RollBack { proposal: Some(state.proposals), by: by() }),
        97 => Input::Order(Order::SetMode { mode: Mode::Approve, by: by() }),
        98 => Input::Order(Order::Approve { proposal: state.proposals, by: by() }),
        100 => Input::Order(Order::Suggest { values: config(12), by: by() }),
        99 => {
            let contexts =
                vec![Learnt { measures: [("load".to_owned(), value)].into(), config: config(12), gain: 0.1 }];
            Input::Order(Order::Import(Export {
                system: "staging".to_owned(),
                space: "space".to_owned(),
                contexts,
            }))
        }
        _ => office(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_prefix_of_the_ledger_leads_to_the_state_that_was(inputs in prop::collection::vec((0_u8..103, 0.05_f64..1.2, 1_i64..40), 1..90)) {
        let machine = machine();
        let (mut state, mut epoch, mut now) = (State::default(), Epoch(1), Timestamp::from_millis(1_772_366_400_000));
        let mut rows: Vec<(Timestamp, Epoch, Event)> = Vec::new();
        let mut states = vec![state.clone()];
        let first = std::iter::once((u8::MAX, 0.5, 1));
        for (choice, value, seconds) in first.chain(inputs) {
            now = now.plus_micros(seconds * 1_000_000);
            let input = input(&state, choice, value);
            if matches!(input, Input::Office { .. }) {
                epoch = Epoch(epoch.0 + 1);
            }
            let decision = machine.decide(&state, epoch, now, input.clone());
            prop_assert_eq!(&decision, &machine.decide(&state, epoch, now, input), "the same input is decided alike");
            prop_assert!(!decision.events.is_empty() || !decision.commands.iter().any(|c| c.turns()), "an act without a row");
            for event in decision.events {
                state.apply(now, epoch, &event);
                // As it is read back: from JSON.
                let row = event.row(rows.len() as u64, now, epoch, "test");
                let read = Event::of(&row).expect("what was written can be read");
                prop_assert_eq!(&read, &event);
                rows.push((row.at, row.epoch, read));
                states.push(state.clone());
            }
        }
        for (length, was) in states.iter().enumerate() {
            let (replayed, _) = run(&Replay, Replay.begin(), rows[..length].iter().cloned());
            prop_assert_eq!(&replayed, was);
        }
        if rows.len() >= 2 {
            laws::replay(&Replay, &rows).expect("replay is an action of lists of rows");
        }
    }
}

#[test]
fn a_row_of_a_newer_version_says_what_to_do() {
    let row = Event::Settled.row(3, Timestamp::from_millis(0), Epoch(1), "test");
    let newer =
        kandela_autopilot::ledger::Entry { payload: row.payload.replace("\"v\":1", "\"v\":2"), ..row };
    let error = Event::of(&newer).expect_err("too new").to_string();
    assert_eq!(error, "row 3 of the ledger: it is of version 2, this program reads up to 1: use a newer one");
}
