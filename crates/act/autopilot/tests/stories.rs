//! What the story of a proposal and the guards say, on simulated time.

mod sim;

use std::sync::Arc;

use kandela_algebra::verdict::Verdict;
use kandela_autopilot::explain::explain;
use kandela_autopilot::ledger::{Ledger, MemoryLedger};
use kandela_autopilot::machine::Mode;
use kandela_autopilot::manager::Office;
use sim::{System, office, settings, until};

#[tokio::test]
async fn a_trial_that_the_workload_ends_says_what_of_it_changed() {
    let (system, ledger) = (System::new(2), Arc::new(MemoryLedger::default()));
    let load = |load: f64| system.with(|world| world.workload = [("load".to_owned(), load)].into());
    load(0.2);
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| {
        office.state().trial().is_some_and(|trial| !trial.slices.is_empty())
    })
    .await;
    load(0.9);
    until(&system, &mut office, 100, |office| office.state().trial().is_none()).await;
    let story = explain(&ledger.read(0).await.expect("in memory"), 1).expect("a story");
    let said = "load is 0.900, and was 0.200 in the context that the trial began in";
    assert!(story.steps.iter().any(|step| step.what.contains(said)), "{story}");
}

#[tokio::test]
async fn a_story_ends_with_its_own_proposal_and_names_what_each_slice_kept() {
    let (system, ledger) = (System::new(2), Arc::new(MemoryLedger::default()));
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 8_000, |office| {
        office.state().proposals >= 3 && office.state().unsettled.is_none()
    })
    .await;
    let rows = ledger.read(0).await.expect("in memory");
    for proposal in 1..=2 {
        let story = explain(&rows, proposal).expect("a story");
        let settled = story.steps.iter().filter(|step| step.what.starts_with("all knobs stand")).count();
        assert!(settled <= 1, "{story}");
        let slices = || story.steps.iter().filter(|step| step.what.starts_with("slice "));
        assert!(slices().count() > 0 && slices().all(|step| step.what.contains(", errors ")), "{story}");
    }
}

#[tokio::test]
async fn a_guard_is_told_with_its_value_and_what_is_wanted() {
    let (system, ledger) = (System::new(2), Arc::new(MemoryLedger::default()));
    system.with(|world| world.constraint = |_| 61.5);
    let mut office = office(&system, &ledger, settings(Mode::Observe)).await;
    let holds = |office: &Office| office.status().guards.iter().any(|guard| guard.verdict == Verdict::Holds);
    until(&system, &mut office, 400, holds).await;
    let guards = office.status().guards;
    assert_eq!(guards.len(), 1);
    let what = &guards[0].what;
    assert!(what.starts_with("errors: holds, 6") && what.ends_with("; wanted: at most 100"), "{what}");
}
