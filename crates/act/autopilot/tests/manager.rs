//! The manager on simulated time, against a simulated system.

mod sim;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kandela_autopilot::calendar::{Freeze, Window};
use kandela_autopilot::explain::{explain, status};
use kandela_autopilot::ledger::{Entry, Ledger, LedgerError, MemoryLedger};
use kandela_autopilot::machine::{Event, Export, MEMORY, Mode, Order, Policy, Reason};
use kandela_autopilot::manager::{ManagerError, Settings};
use kandela_autopilot::runbook::{Advice, RUNBOOK, Way};
use kandela_tune::{Config, Space, Strategy};
use sim::{System, config, ending, events, manager, office, settings, slos, until, went_back};

fn by() -> String {
    "ann".to_owned()
}

fn ledger() -> Arc<MemoryLedger> {
    Arc::new(MemoryLedger::default())
}

#[tokio::test]
async fn what_helps_is_promoted_everywhere_and_its_story_is_told() {
    let (system, ledger) = (System::new(3), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 4_000, |office| {
        !office.state().promotions.is_empty() && office.state().unsettled.is_none()
    })
    .await;
    let promotion = office.state().promotions[0].clone();
    assert!(promotion.config["pool"] != config(16)["pool"]);
    let values = system.values();
    assert!(values.iter().all(|value| config(*value) == promotion.config), "{values:?}");
    assert!(values[0] > 16 && values[0] <= 32, "more is better, and a step doubles at most: {values:?}");
    let rows = ledger.read(0).await.expect("in memory");
    let story = explain(&rows, promotion.proposal).expect("a story").to_string();
    for part in [
        "Goals",
        "pool: 16 -> ",
        "admitted: all guards hold",
        "candidate on the canary",
        "candidate everywhere",
        "promoted: ",
    ] {
        assert!(story.contains(part), "{part} is missing in\n{story}");
    }
    assert!(story.lines().all(|line| line.chars().count() <= 80), "{story}");
    let shown = status(&rows).expect("readable");
    assert_eq!(shown.promoted, [promotion.proposal]);
    assert!(shown.strategies["random"].cut > 0.0, "{shown:?}");
}

#[tokio::test]
async fn what_a_runbook_says_is_tried_first_and_what_failed_is_not_tried_again() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.advice = Advice::from([("pool".to_owned(), Way::Raise)]));
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 4_000, |office| office.state().promotions.len() == 1).await;
    let shown = status(&ledger.read(0).await.expect("in memory")).expect("readable");
    assert_eq!(office.state().promotions[0].config, config(32));
    assert!(shown.strategies[RUNBOOK].cut > 0.0);
    let story = explain(&ledger.read(0).await.expect("in memory"), 1).expect("a story").to_string();
    assert!(story.contains("Proposal 1 by runbook") && story.contains("the runbook: raise pool"), "{story}");
    system.with(|world| world.constraint = |value| if value > 32 { 300.0 } else { 50.0 });
    until(&system, &mut office, 4_000, |office| office.state().proposals >= 4).await;
    let events = events(&ledger).await;
    let by_hand = events
        .iter()
        .filter(|event| matches!(event, Event::Proposed { strategy, .. } if strategy == RUNBOOK))
        .count();
    assert_eq!(by_hand, 2, "64 was tried once");
}

#[tokio::test]
async fn a_canary_waits_for_its_change_to_show_and_then_no_more() {
    let (system, ledger) = (System::new(3), ledger());
    let usual = settings(Mode::Auto);
    let policy = Policy { wash_out: Duration::from_secs(60), ..usual.policy.clone() };
    let slice = policy.slice.as_secs() as i64;
    let mut office = office(&system, &ledger, Settings { policy, ..usual }).await;
    until(&system, &mut office, 400, |office| {
        office.state().trial().is_some_and(|trial| trial.slices.len() > 2)
    })
    .await;
    let rows = ledger.read(0).await.expect("in memory");
    let at = |wanted: fn(&Event) -> bool| {
        let rows = rows.iter().filter(move |row| Event::of(row).is_ok_and(|event| wanted(&event)));
        rows.map(|row| row.at.millis() / 1_000).collect::<Vec<i64>>()
    };
    let turned = at(|event| matches!(event, Event::Turned { .. }));
    let measured = at(|event| matches!(event, Event::Measured { .. }));
    let took: Vec<i64> = turned.iter().zip(&measured).map(|(from, to)| to - from).collect();
    assert!(took[0] >= 60 + slice && took[1..].iter().all(|took| *took < 60), "{took:?}");
}

#[tokio::test]
async fn a_regression_in_the_canary_is_taken_back_and_never_reaches_the_rest() {
    let (system, ledger) = (System::new(3), ledger());
    system.with(|world| world.constraint = |value| if value == 16 { 50.0 } else { 300.0 });
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    let slices = loop {
        let begun = office.state().trial().map(|trial| trial.begun);
        system.pass(10);
        office.tick().await.expect("in office");
        assert_eq!(system.values()[1..], [16, 16], "the rest is not touched");
        if office.state().trial().is_none() {
            break begun.unwrap_or_default();
        }
    };
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::Regressed));
    assert_eq!(system.values(), [16, 16, 16]);
    println!("taken back after {slices} slices");
}

#[tokio::test]
async fn a_knob_that_does_nothing_is_not_promoted() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.objective = |_| 6.0);
    let mut office =
        office(&system, &ledger, Settings { alpha: 0.05, expected: 30, ..settings(Mode::Auto) }).await;
    until(&system, &mut office, 20_000, |office| office.state().proposals > 10).await;
    assert!(office.state().promotions.is_empty());
    assert_eq!(system.values()[1..], [16]);
}

#[tokio::test]
async fn of_two_managers_the_older_stops_before_it_turns_anything() {
    let (system, ledger) = (System::new(2), ledger());
    let mut first = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut first, 400, |office| office.state().trial().is_some()).await;
    let second =
        office(&system, &ledger, Settings { holder: "second".to_owned(), ..settings(Mode::Auto) }).await;
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::Restarted));
    assert_eq!(system.values(), [16, 16]);
    let turned = system.with(|world| world.turned);
    system.pass(10);
    let lost = first.tick().await.expect_err("another is in office").to_string();
    assert!(lost.contains("second took office as epoch 2"), "{lost}");
    assert_eq!(system.with(|world| world.turned), turned);
    assert_eq!(second.state().office.as_ref().map(|office| office.holder.as_str()), Some("second"));
}

#[tokio::test]
async fn a_manager_with_a_ledger_of_its_own_takes_the_system_from_the_first_for_good() {
    let (system, ledgers) = (System::new(2), [ledger(), ledger()]);
    let mut first = office(&system, &ledgers[0], settings(Mode::Auto)).await;
    until(&system, &mut first, 400, |office| office.state().trial().is_some()).await;
    let mut second = office(&system, &ledgers[1], settings(Mode::Auto)).await;
    until(&system, &mut second, 400, |office| office.state().trial().is_some()).await;
    let mut lost = Ok(());
    for _ in 0..20 {
        system.pass(10);
        lost = first.tick().await;
        if lost.is_err() {
            break;
        }
    }
    let lost = lost.expect_err("another has turned it").to_string();
    assert!(lost.contains("another ledger, which has turned sim, took office as epoch 2"), "{lost}");
    second.tick().await.expect("in office");
}

#[tokio::test]
async fn what_was_turned_during_a_pause_is_brought_back_when_it_is_over() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    office.order(Order::Pause { by: by(), why: "by hand".to_owned() }).await.expect("paused");
    system.with(|world| world.parts.iter_mut().for_each(|part| (part.0, part.1) = (40, 40)));
    office.order(Order::Resume { by: by() }).await.expect("resumed");
    assert_eq!(system.with(|world| world.parts.iter().map(|part| part.1).collect::<Vec<_>>()), [16, 16]);
}

#[tokio::test]
async fn a_manager_whose_append_conflicts_does_not_turn_what_it_decided() {
    let (system, ledger) = (System::new(2), ledger());
    let mut first = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut first, 400, |office| office.state().trial().is_some()).await;
    let _second = office(&system, &ledger, settings(Mode::Auto)).await;
    let turned = system.with(|world| world.turned);
    // An order is decided on without looking at the ledger first: the append is what stops it.
    let lost = first.order(Order::RollBack { proposal: None, by: by() }).await;
    assert!(matches!(lost, Err(ManagerError::LostOffice { .. })), "{lost:?}");
    assert_eq!(system.with(|world| world.turned), turned);
}

#[tokio::test]
async fn a_system_that_dies_on_trial_is_brought_back_once_it_answers() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    system.with(|world| world.dead = true);
    until(&system, &mut office, 20, |office| office.state().trial().is_none()).await;
    until(&system, &mut office, 20, |office| office.state().notes.contains_key("target")).await;
    system.with(|world| world.dead = false);
    until(&system, &mut office, 60, |office| office.state().unsettled.is_none()).await;
    assert_eq!(system.values(), [16, 16]);
    assert!(office.state().promotions.is_empty() && !office.state().notes.contains_key("target"));
}

#[tokio::test]
async fn a_refused_knob_ends_the_trial() {
    let (system, ledger) = (System::new(1), ledger());
    system.with(|world| world.refused = (1..=64).filter(|value| *value != 16).collect());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().proposals >= 2).await;
    let (why, detail) = ending(&ledger).await.expect("it ended");
    assert!(why == Reason::Refused && detail.contains("not this one"), "{why:?} {detail}");
}

#[tokio::test]
async fn an_objective_that_gives_nothing_lets_nothing_be_tried() {
    let (system, ledger) = (System::new(1), ledger());
    system.with(|world| world.silent = true);
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 50, |office| office.state().notes.contains_key("objective")).await;
    assert!(office.waits_for().expect("it waits").contains("gives nothing"));
    system.with(|world| world.silent = false);
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    system.with(|world| world.silent = true);
    until(&system, &mut office, 20, |office| office.state().trial().is_none()).await;
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::NoObjective));
    assert_eq!(system.values(), [16]);
}

#[tokio::test]
async fn an_objective_that_never_changes_is_said_to_be_none() {
    let (system, ledger) = (System::new(1), ledger());
    system.with(|world| world.constant = true);
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 50, |office| office.state().notes.contains_key("objective")).await;
    let note = &office.state().notes["objective"];
    assert!(note.contains("exactly 1 10 times in a row"), "{note}");
    assert_eq!(office.state().promotions.len(), 0);
}

#[tokio::test]
async fn a_constraint_that_nobody_can_meet_is_named_and_the_search_stops() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.constraint = |value| if value == 16 { 50.0 } else { 300.0 });
    let policy = Policy { patience: 3, ..settings(Mode::Auto).policy };
    let mut office = office(&system, &ledger, Settings { policy, ..settings(Mode::Auto) }).await;
    until(&system, &mut office, 2_000, |office| office.state().notes.contains_key("constraint")).await;
    let note = &office.state().notes["constraint"];
    assert!(note.contains("errors") && note.contains("nobody seems able to meet it"), "{note}");
    let proposals = office.state().proposals;
    for _ in 0..50 {
        system.pass(10);
        office.tick().await.expect("in office");
    }
    assert_eq!((office.state().proposals, proposals), (3, 3));
    office.order(Order::Resume { by: by() }).await.expect("it goes on");
    until(&system, &mut office, 50, |office| office.state().proposals > 3).await;
}

#[tokio::test]
async fn a_space_of_one_point_leaves_nothing_to_try_and_says_so() {
    let (system, ledger) = (System::new(1), ledger());
    let space: Space =
        serde_json::from_str(r#"{"pool": {"type": "int", "min": 16, "max": 16}}"#).expect("a space");
    let mut office = office(&system, &ledger, Settings { space, ..settings(Mode::Auto) }).await;
    until(&system, &mut office, 400, |office| office.state().notes.contains_key("proposals")).await;
    assert!(office.state().notes["proposals"].contains("one point"));
    assert_eq!(office.state().proposals, 0);
}

#[tokio::test]
async fn a_fault_that_hits_both_arms_is_not_held_against_the_candidate() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    system.with(|world| world.fault = 8.0);
    until(&system, &mut office, 100, |office| office.state().trial().is_none()).await;
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::BothDegraded));
    assert_eq!(system.values(), [16, 16]);
    assert!(office.state().promotions.is_empty() && office.state().broken.is_empty());
    let tried = office.state().admitted;
    system.with(|world| world.fault = 1.0);
    until(&system, &mut office, 400, |office| office.state().admitted > tried).await;
}

#[tokio::test]
async fn who_watches_turns_nothing() {
    let (system, ledger) = (System::new(2), ledger());
    for mode in [Mode::Observe, Mode::Advise] {
        let mut office = office(&system, &ledger, settings(mode)).await;
        for _ in 0..200 {
            system.pass(10);
            office.tick().await.expect("in office");
        }
        assert_eq!(system.with(|world| world.turned), 0, "{mode:?}");
        assert_eq!(office.state().proposals > 0, mode == Mode::Advise);
    }
}

#[tokio::test]
async fn what_was_only_advised_does_not_keep_a_search_from_going_on() {
    let (system, ledger) = (System::new(2), ledger());
    let bayes = Settings { strategy: Strategy::Auto, ..settings(Mode::Advise) };
    let mut office = office(&system, &ledger, bayes).await;
    until(&system, &mut office, 400, |office| office.state().proposals >= 4).await;
    office.order(Order::SetMode { mode: Mode::Auto, by: by() }).await.expect("set");
    until(&system, &mut office, 4_000, |office| office.state().admitted >= 2).await;
}

#[tokio::test]
async fn settings_that_the_system_does_not_bear_are_learned_from_and_not_tried_again() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.refused = (17..=64).collect());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 4_000, |office| office.state().proposals >= 6).await;
    let tried: Vec<_> = events(&ledger)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::Proposed { config, .. } => Some(config),
            _ => None,
        })
        .collect();
    let refused: Vec<_> =
        tried.iter().filter(|tried| (17..=64).any(|value| **tried == config(value))).collect();
    let again = |one: &&Config| refused.iter().filter(|other| **other == *one).count() > 1;
    assert!(!refused.is_empty() && !refused.iter().any(again), "{tried:?}");
}

#[tokio::test]
async fn a_restart_goes_no_further_than_a_person_last_allowed() {
    let (system, ledger) = (System::new(2), ledger());
    let mut before = office(&system, &ledger, settings(Mode::Auto)).await;
    before.order(Order::SetMode { mode: Mode::Advise, by: by() }).await.expect("set");
    drop(before);
    let mut after = office(&system, &ledger, settings(Mode::Auto)).await;
    assert_eq!(after.state().mode, Mode::Advise);
    after.order(Order::SetMode { mode: Mode::Auto, by: by() }).await.expect("set");
    assert_eq!(after.state().mode, Mode::Auto);
}

#[tokio::test]
async fn what_is_no_number_is_never_written() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.objective = |value| if value == 16 { 6.0 } else { f64::NAN });
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().proposals >= 2).await;
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::NoObjective));
    let state = office.state().clone();
    drop(office);
    // Everything can be read back, and leads to the same.
    let again = status(&ledger.read(0).await.expect("in memory")).expect("readable");
    assert_eq!(again, kandela_autopilot::explain::status_of(&state));
}

#[tokio::test]
async fn a_proposal_waits_for_approval_and_the_ledger_names_who_gave_it() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Approve)).await;
    until(&system, &mut office, 400, |office| office.state().open.is_some()).await;
    for _ in 0..20 {
        system.pass(10);
        office.tick().await.expect("in office");
    }
    assert!(office.state().trial().is_none(), "nobody approved it");
    let wrong = office.order(Order::Approve { proposal: 7, by: by() }).await.expect_err("no such proposal");
    assert!(wrong.to_string().contains("proposal 7 does not wait; proposal 1 does"), "{wrong}");
    office.order(Order::Approve { proposal: 1, by: by() }).await.expect("it waits");
    let twice = office.order(Order::Approve { proposal: 1, by: "bob".to_owned() }).await;
    assert!(twice.is_err_and(|why| why.to_string().contains("ann has approved proposal 1 already")));
    until(&system, &mut office, 3, |office| office.state().trial().is_some()).await;
    let admitted = events(&ledger).await.into_iter().any(|event| match event {
        Event::Admitted { why, .. } => why.contains("approved by ann"),
        _ => false,
    });
    assert!(admitted);
}

#[tokio::test]
async fn a_pause_ends_what_is_tried_and_holds_until_it_is_over() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    office.order(Order::Pause { by: by(), why: "lunch".to_owned() }).await.expect("paused");
    assert_eq!(system.values(), [16, 16]);
    let proposals = office.state().proposals;
    for _ in 0..50 {
        system.pass(10);
        office.tick().await.expect("in office");
    }
    assert_eq!(office.state().proposals, proposals);
    office.order(Order::Resume { by: by() }).await.expect("resumed");
    until(&system, &mut office, 50, |office| office.state().proposals > proposals).await;
}

#[tokio::test]
async fn one_order_rolls_back_a_proposal_or_everything() {
    let (system, ledger) = (System::new(1), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 8_000, |office| {
        office.state().promotions.len() >= 2 && office.state().unsettled.is_none()
    })
    .await;
    office.order(Order::Pause { by: by(), why: "looking".to_owned() }).await.expect("paused");
    let promotions = office.state().promotions.clone();
    office.order(Order::RollBack { proposal: Some(promotions[1].proposal), by: by() }).await.expect("undone");
    assert_eq!(system.values().into_iter().map(config).collect::<Vec<_>>(), [promotions[0].config.clone()]);
    let again = office.order(Order::RollBack { proposal: Some(promotions[1].proposal), by: by() }).await;
    assert!(again.expect_err("it is undone").to_string().contains("is not in force"));
    office.order(Order::RollBack { proposal: None, by: by() }).await.expect("all undone");
    assert_eq!(system.values(), [16]);
    assert!(office.state().promotions.is_empty() && office.state().unsettled.is_none());
    assert!((office.state().strategies["random"].gain).abs() < 1e-9, "what is undone earned nothing");
}

#[tokio::test]
async fn nothing_is_tried_while_frozen_or_low_on_error_budget_or_too_often() {
    let window = Window::Once {
        from: "2026-03-01T12:00:00Z".to_owned(),
        to: "2026-03-01T14:00:00Z".to_owned(),
        why: "sale".to_owned(),
    };
    let freeze = Freeze::new(&[window]).expect("a window");
    let (system, ledger) = (System::new(2), ledger());
    let policy = Policy { freeze, per_hour: 2, ..settings(Mode::Auto).policy };
    let mut office = office(&system, &ledger, Settings { policy, ..settings(Mode::Auto) }).await;
    until(&system, &mut office, 100, |office| office.state().notes.contains_key("freeze")).await;
    system.pass(7_200);
    until(&system, &mut office, 100, |office| office.state().trial().is_some()).await;
    assert!(!office.state().notes.contains_key("freeze"));
    system.with(|world| world.error_budget = 0.05);
    until(&system, &mut office, 3, |office| office.state().trial().is_none()).await;
    assert_eq!(ending(&ledger).await.map(|(why, _)| why), Some(Reason::Gated));
    system.with(|world| {
        (world.error_budget, world.constraint) = (1.0, |value| if value == 16 { 50.0 } else { 300.0 });
    });
    until(&system, &mut office, 300, |office| {
        office.waits_for().is_some_and(|what| what.contains("2 proposals within the hour"))
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_ledger_alone() {
    let (system, ledger) = (System::new(2), ledger());
    let mut before = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut before, 4_000, |office| {
        !office.state().promotions.is_empty() && office.state().unsettled.is_none()
    })
    .await;
    let promoted = before.state().promotions.clone();
    drop(before);
    // Left alone, leases lapse; and the initial settings given now are not those that hold.
    system.pass(3_600);
    let other = manager(&system, &ledger, settings(Mode::Auto));
    let after = other.take_office(config(8), slos(), Duration::from_secs(10)).await.expect("it takes over");
    assert_eq!((&after.state().promotions, &after.state().initial), (&promoted, &config(16)));
    assert!(system.values().iter().all(|value| config(*value) == promoted[0].config));
}

#[tokio::test]
async fn each_workload_has_its_own_good_settings_which_are_remembered() {
    let (system, ledger) = (System::new(1), ledger());
    let load = |load: f64| system.with(|world| world.workload = [("load".to_owned(), load)].into());
    load(0.2);
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 4_000, |office| {
        !office.state().promotions.is_empty() && office.state().unsettled.is_none()
    })
    .await;
    let export = office.state().export("sim");
    assert_eq!((export.contexts.len(), export.space.as_str()), (1, office.state().space.as_str()));
    let best = export.contexts[0].config.clone();
    load(0.9);
    until(&system, &mut office, 10, |office| office.state().context == Some(1)).await;
    office.order(Order::RollBack { proposal: None, by: by() }).await.expect("back");
    assert_eq!(office.state().contexts.len(), 2);
    // What was undone is not remembered; what is imported is.
    assert_eq!(office.state().contexts[0].best, None);
    let space = office.state().space.clone();
    let learnt = kandela_autopilot::machine::Learnt {
        measures: [("load".to_owned(), 0.9)].into(),
        config: best.clone(),
        gain: 0.5,
    };
    let contexts = vec![learnt];
    let import = |space: String| {
        Order::Import(Export { system: "staging".to_owned(), space, contexts: contexts.clone() })
    };
    assert!(office.order(import("another".to_owned())).await.is_err());
    office.order(import(space)).await.expect("the same space");
    let proposals = office.state().proposals;
    until(&system, &mut office, 50, |office| office.state().proposals > proposals).await;
    let proposed = events(&ledger).await.into_iter().rev().find_map(|event| match event {
        Event::Proposed { strategy, config, .. } => Some((strategy, config)),
        _ => None,
    });
    assert_eq!(proposed, Some((MEMORY.to_owned(), best)));
}

#[tokio::test]
async fn an_idle_manager_costs_next_to_nothing() {
    let (system, ledger) = (System::new(3), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Observe)).await;
    let (ticks, began) = (500, Instant::now());
    for _ in 0..ticks {
        system.pass(10);
        office.tick().await.expect("in office");
    }
    let tick = began.elapsed() / ticks;
    println!("an idle tick takes {tick:?}; one each 10 s is {:.4} % of a core", tick.as_secs_f64() * 10.0);
    assert!(tick < Duration::from_millis(100), "{tick:?} each 10 s are more than 1 % of a core");
}

#[tokio::test]
async fn the_framework_starts_it_by_its_own_name() {
    let (system, ledger) = (System::new(1), ledger());
    let manager = manager(&system, &ledger, settings(Mode::Auto));
    let running = manager
        .start_autonomous_management(config(16), slos(), Duration::from_secs(10))
        .await
        .expect("it runs");
    running.order(Order::Pause { by: by(), why: "a test".to_owned() }).await.expect("it takes orders");
    assert!(running.status().await.expect("it answers").state.contains("paused by ann"));
    running.stop().await.expect("it stops");
    assert!(events(&ledger).await.iter().any(|event| matches!(event, Event::Paused { .. })));
}

#[tokio::test]
async fn a_manager_that_is_to_stop_waits_for_no_system_that_hangs() {
    let (system, ledger) = (System::new(1), ledger());
    let manager = manager(&system, &ledger, settings(Mode::Observe));
    let running = manager
        .start_autonomous_management(config(16), slos(), Duration::from_secs(10))
        .await
        .expect("it runs");
    system.with(|world| world.hangs = true);
    let mut answers = 0;
    while tokio::time::timeout(Duration::from_millis(200), running.status()).await.is_ok() {
        answers += 1;
        assert!(answers < 100, "its next look waits for the system");
    }
    let stopped = tokio::time::timeout(Duration::from_secs(5), running.stop()).await;
    stopped.expect("at once").expect("it stops");
}

/// Has forgotten its first rows, as a ledger does that keeps them for some time.
struct Short {
    rows: MemoryLedger,
    first: std::sync::atomic::AtomicU64,
}

#[async_trait::async_trait]
impl Ledger for Short {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        self.rows.read(seq.max(self.first.load(Ordering::SeqCst))).await
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        self.rows.append(rows).await
    }
}

#[tokio::test]
async fn a_ledger_whose_beginning_is_gone_is_begun_anew_from_where_the_system_stands() {
    let (system, short) =
        (System::new(1), Arc::new(Short { rows: MemoryLedger::default(), first: 0.into() }));
    let take = async |initial| {
        let mut manager = manager(&system, &ledger(), settings(Mode::Auto));
        manager.ledger = Arc::clone(&short) as Arc<dyn Ledger>;
        manager.take_office(config(initial), slos(), Duration::from_secs(10)).await.expect("it takes office")
    };
    let mut office = take(16).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    drop(office);
    short.first.store(3, Ordering::SeqCst);
    let mut office = take(20).await;
    let kept = short.read(0).await.expect("in memory");
    assert_eq!((office.state().initial.clone(), office.state().proposals), (config(20), 0));
    assert_eq!(office.state().rows, kept.last().map_or(0, |row| row.seq + 1));
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    let kept = short.read(0).await.expect("in memory");
    assert!(status(&kept).expect("readable").state.contains("proposal 1 is on trial"));
    assert!(explain(&kept, 1).is_ok());
    assert_eq!(take(9).await.state().initial, config(20), "the beginning is there again");
}

/// Writes what it says that it could not write.
#[derive(Default)]
struct Lying {
    rows: MemoryLedger,
    lies: AtomicBool,
}

#[async_trait::async_trait]
impl Ledger for Lying {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        self.rows.read(seq).await
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        self.rows.append(rows).await?;
        if self.lies.swap(false, Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("no answer in time".to_owned()));
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_order_after_an_append_of_which_nothing_is_known_is_followed_in_office() {
    let (system, lying) = (System::new(1), Arc::new(Lying::default()));
    let mut manager = manager(&system, &ledger(), settings(Mode::Auto));
    manager.ledger = Arc::clone(&lying) as Arc<dyn Ledger>;
    let mut office =
        manager.take_office(config(16), slos(), Duration::from_secs(10)).await.expect("it takes office");
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    lying.lies.store(true, Ordering::SeqCst);
    let pause = || Order::Pause { by: by(), why: "lunch".to_owned() };
    let unsure = office.order(pause()).await.expect_err("it is not known");
    assert!(matches!(unsure, ManagerError::Ledger(LedgerError::Unavailable(_))), "{unsure}");
    office.order(pause()).await.expect("followed, and nobody else is in office");
    assert!(office.state().paused.is_some() && office.over().is_none());
    assert_eq!(system.values(), [16]);
}

#[tokio::test]
async fn a_system_that_another_ledger_has_turned_is_taken_over_under_a_higher_epoch() {
    let (system, ledger) = (System::new(2), ledger());
    system.with(|world| world.parts[1].3 = kandela_model::Epoch(7));
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    assert_eq!(office.state().office.as_ref().map(|office| office.epoch.0), Some(8));
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
}

#[tokio::test]
async fn what_a_watchdog_did_while_nobody_was_in_office_is_written_told_and_forgotten() {
    let (system, ledger) = (System::new(2), ledger());
    let mut before = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut before, 400, |office| office.state().trial().is_some()).await;
    let tried = before.state().proposals;
    drop(before);
    system.pass(60);
    let (failed, back) = (went_back(&system, 1, Some("no answer")), went_back(&system, 1, None));
    system.with(|world| world.reports = vec![failed.clone(), back.clone()]);
    let after = office(&system, &ledger, settings(Mode::Auto)).await;
    assert!(system.with(|world| world.reports.is_empty()));
    let written: Vec<_> = events(&ledger)
        .await
        .into_iter()
        .filter_map(|event| if let Event::WentBack { report } = event { Some(report) } else { None })
        .collect();
    assert_eq!(written, [failed, back]);
    let said =
        "the watchdog of sim went back to the confirmed values (its manager was gone): pool = 16; in 30 ms";
    assert!(after.status().news.iter().any(|told| told.what == said), "{:?}", after.status().news);
    assert!(after.state().notes.is_empty(), "in the end it went back: {:?}", after.state().notes);
    let rows = ledger.read(0).await.expect("in memory");
    let story = explain(&rows, tried).expect("a story");
    assert!(story.steps.iter().any(|step| step.what == said), "{story}");
}

#[tokio::test]
async fn a_report_that_is_not_forgotten_is_written_once() {
    let (system, ledger) = (System::new(1), ledger());
    let report = went_back(&system, 1, Some("no answer"));
    system.with(|world| (world.stubborn, world.reports) = (true, vec![report]));
    let mut first = office(&system, &ledger, settings(Mode::Observe)).await;
    first.tick().await.expect("in office");
    let second = office(&system, &ledger, settings(Mode::Observe)).await;
    let reported = |event: &Event| matches!(event, Event::WentBack { .. });
    assert_eq!(events(&ledger).await.iter().filter(|event| reported(event)).count(), 1);
    assert!(second.state().notes["watchdog of sim"].contains("no answer"));
}

#[tokio::test]
async fn a_trial_whose_watchdog_went_back_is_ended_and_not_measured() {
    let (system, ledger) = (System::new(2), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut office, 400, |office| office.state().trial().is_some()).await;
    let older = went_back(&system, 0, None);
    let own = went_back(&system, 1, None);
    system.with(|world| world.reports = vec![older]);
    office.tick().await.expect("in office");
    assert!(office.state().trial().is_some(), "what an earlier manager left is none of this trial's");
    system.with(|world| world.reports = vec![own]);
    office.tick().await.expect("in office");
    let (why, detail) = ending(&ledger).await.expect("it ended");
    assert!(why == Reason::Lapsed && detail.contains("its manager was gone"), "{why:?} {detail}");
    assert!(!events(&ledger).await.iter().any(|event| matches!(event, Event::Measured { .. })));
}

#[tokio::test]
async fn what_a_person_is_to_hear_stands_in_the_status() {
    let (system, ledger) = (System::new(1), ledger());
    let mut office = office(&system, &ledger, settings(Mode::Approve)).await;
    until(&system, &mut office, 400, |office| office.state().open.is_some()).await;
    let shown = status(&ledger.read(0).await.expect("in memory")).expect("readable");
    let told = &shown.news.last().expect("something was told").what;
    assert_eq!(told, "proposal 1 by random asks for approval: `kandela autopilot explain 1`");
    for round in 0..12 {
        office.order(Order::Pause { by: by(), why: format!("{round}") }).await.expect("paused");
        office.order(Order::RollBack { proposal: None, by: by() }).await.expect("back");
    }
    assert_eq!(office.status().news.len(), 8, "the last of it");
}

#[tokio::test]
async fn other_goals_are_written_and_a_story_tells_those_it_was_judged_by() {
    let (system, ledger) = (System::new(1), ledger());
    let mut before = office(&system, &ledger, settings(Mode::Auto)).await;
    until(&system, &mut before, 400, |office| office.state().proposals == 1).await;
    drop(before);
    let declared = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Declared { .. })).count();
    drop(office(&system, &ledger, settings(Mode::Auto)).await);
    assert_eq!(declared(&events(&ledger).await), 0, "nothing has changed");
    let mut other = slos();
    other.objective.expression = "another_expression".to_owned();
    let manager = manager(&system, &ledger, settings(Mode::Auto));
    let mut after = manager.take_office(config(16), other, Duration::from_secs(10)).await.expect("in office");
    assert_eq!(declared(&events(&ledger).await), 1);
    until(&system, &mut after, 400, |office| office.state().proposals == 2).await;
    let rows = ledger.read(0).await.expect("in memory");
    let goals = |proposal| explain(&rows, proposal).expect("a story").goals[0].clone();
    assert!(!goals(1).contains("another_expression"), "{}", goals(1));
    assert!(goals(2).contains("another_expression"), "{}", goals(2));
}

#[tokio::test]
async fn another_alpha_is_told_and_the_account_stays() {
    let (system, ledger) = (System::new(1), ledger());
    drop(office(&system, &ledger, settings(Mode::Observe)).await);
    let other = Settings { alpha: 0.1, ..settings(Mode::Observe) };
    let after = office(&system, &ledger, other).await;
    assert!(after.state().notes["alpha"].contains("0.1 is declared"), "{:?}", after.state().notes);
    let again = office(&system, &ledger, settings(Mode::Observe)).await;
    assert!(!again.state().notes.contains_key("alpha"));
    let none = Settings { expected: 0, ..settings(Mode::Observe) };
    let refused =
        manager(&system, &ledger, none).take_office(config(16), slos(), Duration::from_secs(10)).await;
    assert!(refused.err().expect("no proposals").to_string().contains("how many are expected"));
}

#[tokio::test]
async fn what_a_portfolio_proposes_is_credited_to_who_proposed_it() {
    let (system, ledger) = (System::new(1), ledger());
    let settings = Settings { strategy: Strategy::Portfolio, ..settings(Mode::Auto) };
    let mut office = office(&system, &ledger, settings).await;
    until(&system, &mut office, 8_000, |office| office.state().proposals >= 12).await;
    let earned = &office.state().strategies;
    let members = ["cma-es", "annealing", "genetic", "spsa"];
    assert!(members.iter().filter(|name| earned.contains_key(**name)).count() >= 2, "{earned:?}");
    assert_eq!(earned.values().map(|earned| earned.proposals).sum::<u64>(), office.state().proposals);
}

#[tokio::test]
async fn a_manager_that_looks_less_often_than_a_slice_is_long_measures_all_the_same() {
    let (system, ledger) = (System::new(1), ledger());
    let manager = manager(&system, &ledger, settings(Mode::Auto));
    let mut office =
        manager.take_office(config(16), slos(), Duration::from_secs(45)).await.expect("it takes office");
    for _ in 0..30 {
        system.pass(45);
        office.tick().await.expect("in office");
    }
    let measured = |event: &Event| matches!(event, Event::Measured { .. });
    assert!(events(&ledger).await.iter().any(measured));
    let lapsed = |event: &Event| matches!(event, Event::Ended { why: Reason::Lapsed, .. });
    assert!(!events(&ledger).await.iter().any(lapsed));
}
