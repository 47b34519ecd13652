//! Knobs that somebody or something else turned, between two looks of the manager.

mod sim;

use std::sync::Arc;

use kandela_autopilot::ledger::MemoryLedger;
use kandela_autopilot::machine::{Mode, Order, Policy};
use kandela_autopilot::manager::{Office, Settings};
use kandela_autopilot::runbook::{Advice, Way};
use sim::{System, office, settings, until};

/// A system whose knobs all stand at `value` right after a promotion.
async fn strayed_to(value: i64) -> (System, Office) {
    let (system, ledger) = (System::new(2), Arc::new(MemoryLedger::default()));
    let settings = Settings { policy: Policy { per_hour: 1, ..Policy::default() }, ..settings(Mode::Auto) };
    system.with(|world| world.advice = Advice::from([("pool".to_owned(), Way::Raise)]));
    let mut office = office(&system, &ledger, settings).await;
    until(&system, &mut office, 4_000, |office| {
        office.state().promotions.len() == 1 && office.state().unsettled.is_none()
    })
    .await;
    system.with(|world| world.parts.iter_mut().for_each(|part| (part.0, part.1) = (value, value)));
    system.pass(10);
    office.tick().await.expect("in office");
    (system, office)
}

#[tokio::test]
async fn what_a_restart_lost_is_brought_back() {
    let (system, mut office) = strayed_to(16).await;
    assert_eq!(system.values(), [32, 32]);
    system.pass(10);
    office.tick().await.expect("in office");
    assert!(!office.state().notes.contains_key("drift"), "{:?}", office.state().notes);
}

#[tokio::test]
async fn what_somebody_else_set_stays_and_is_told_until_a_person_resumes() {
    let (system, mut office) = strayed_to(20).await;
    let note = office.state().notes["drift"].clone();
    assert!(note.contains("pool of ") && note.contains("stands at 20, not at 32 (and 1 more)"), "{note}");
    for _ in 0..400 {
        system.pass(10);
        office.tick().await.expect("in office");
    }
    assert_eq!((system.values(), office.state().proposals), (vec![20, 20], 1));
    office.order(Order::Resume { by: "ann".to_owned() }).await.expect("followed");
    assert_eq!(system.values(), [32, 32]);
}
