//! What people suggest, on simulated time.

mod sim;

use std::sync::Arc;

use kandela_autopilot::explain::{explain, status};
use kandela_autopilot::ledger::{Ledger, MemoryLedger};
use kandela_autopilot::machine::{Event, Mode, Order, SUGGESTED};
use kandela_model::KnobValue;
use kandela_tune::Config;
use sim::{System, events, office, settings, until};

fn by() -> String {
    "ann".to_owned()
}

fn ledger() -> Arc<MemoryLedger> {
    Arc::new(MemoryLedger::default())
}

fn suggest(value: KnobValue) -> Order {
    Order::Suggest { values: [("pool".to_owned(), value)].into(), by: by() }
}

/// Of each proposal so far, who made it and what pool it is to have.
async fn proposed(ledger: &MemoryLedger) -> Vec<(String, KnobValue)> {
    let events = events(ledger).await.into_iter();
    let of = |event| match event {
        Event::Proposed { strategy, config, .. } => Some((strategy, config["pool"].clone())),
        _ => None,
    };
    events.filter_map(of).collect()
}

#[tokio::test]
async fn what_a_person_suggests_is_proposed_next_across_a_restart_and_judged_like_the_rest() {
    let (system, ledger) = (System::new(2), ledger());
    let mut before = office(&system, &ledger, settings(Mode::Auto)).await;
    before.order(suggest(KnobValue::Float(24.0))).await.expect("24 is within a step of 16");
    assert_eq!(
        status(&ledger.read(0).await.expect("in memory")).expect("readable").suggested,
        ["pool = 24, by ann"]
    );
    drop(before);
    let mut after = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut after, 4_000, |office| office.state().promotions.len() == 1).await;
    assert_eq!(proposed(&ledger).await, [(SUGGESTED.to_owned(), KnobValue::Int(24))]);
    let rows = ledger.read(0).await.expect("in memory");
    let story = explain(&rows, 1).expect("a story").to_string();
    assert!(story.contains("ann suggested it") && story.contains("pool: 16 -> 24"), "{story}");
    let shown = status(&rows).expect("readable");
    assert!(shown.suggested.is_empty() && shown.strategies[SUGGESTED].cut > 0.0);
}

#[tokio::test]
async fn a_suggestion_that_can_not_be_tried_is_refused_with_the_reason() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    let none = Order::Suggest { values: [("size".to_owned(), KnobValue::Int(3))].into(), by: by() };
    let nothing = Order::Suggest { values: Config::new(), by: by() };
    for (order, said) in [
        (suggest(KnobValue::Int(64)), "16"),
        (suggest(KnobValue::Int(-1)), "-1"),
        (suggest(KnobValue::Choice("large".to_owned())), "pool takes a whole number"),
        (none, "there is no knob size to turn; there are pool"),
        (nothing, "name the knobs"),
    ] {
        let error = office.order(order).await.expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(office.state().suggestions.is_empty());
    for _ in 0..16 {
        office.order(suggest(KnobValue::Int(20))).await.expect("there is room");
    }
    let error = office.order(suggest(KnobValue::Int(20))).await.expect_err("there is none").to_string();
    assert!(error.contains("16 suggestions wait already"), "{error}");
}

#[tokio::test]
async fn a_suggestion_of_what_is_in_force_is_dropped_and_work_goes_on() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    office.order(suggest(KnobValue::Int(16))).await.expect("it is a setting");
    until(&system, &mut office, 400, |office| office.state().proposals == 1).await;
    assert!(proposed(&ledger).await.iter().all(|(strategy, _)| strategy != SUGGESTED));
    let news = status(&ledger.read(0).await.expect("in memory")).expect("readable").news;
    assert!(news.iter().any(|told| told.what.contains("it is where the knobs stand")), "{news:?}");
}
