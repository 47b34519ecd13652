//! Whoever is killed at a step of which it is known which one it is: a target that says how far it is, and takes its time.

mod common;

use std::fs;
use std::time::Duration;

use kandela_autopilot::watchdog::{Cause, Report};
use kandela_model::{Epoch, Lease};
use rustix::process::Signal;

use common::{Described, Process, send, until, values, whole};

/// Within which all must be as it was: the lease, the command's own time, and a little.
const SOON: Duration = Duration::from_secs(5);

/// A number that a slow command sets.
struct Slow {
    it: Described,
}

impl Slow {
    fn new() -> Slow {
        let it = Described::new(
            "replicas:
  read: [cat, $FOLDER/count]
  set: [sh, $FOLDER/set.sh, '{{replicas}}']
  knobs: {count: {type: int, min: 1, max: 9}}",
        );
        let folder = it.folder.path().to_owned();
        let script = "cd $(dirname $0); echo before $1 >stage; sleep 0.1; echo $1 >count; echo after $1 >stage; sleep 0.1; echo done $1 >stage";
        fs::write(folder.join("set.sh"), script).expect("writable");
        fs::write(folder.join("count"), "1\n").expect("writable");
        Slow { it }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.it.folder.path().join(name)).unwrap_or_default().trim().to_owned()
    }

    fn wait_for(&self, stage: &str) {
        until(stage, SOON, || self.read("stage") == stage);
    }

    fn kill_watchdog(&self) {
        send(self.it.living_watchdog().expect("is alive"), Signal::KILL);
    }

    fn is_back(&self) -> bool {
        self.read("count") == "1" && !self.it.is_pending()
    }

    /// As it was, with nobody left who might change it.
    fn settle(&self, manager: &mut Process, what: &str) {
        until(what, SOON, || self.is_back());
        manager.kill();
        until("no watchdog is left", SOON, || self.it.living_watchdog().is_none());
        assert!(self.is_back(), "{what}");
    }
}

#[test]
fn a_manager_killed_before_in_and_after_the_change_leaves_the_confirmed_value() {
    for stage in ["before 2", "after 2", "done 2"] {
        let slow = Slow::new();
        let mut manager = slow.it.begin(r#"{"count": 2}"#, 20.0, 1);
        slow.wait_for(stage);
        assert!(slow.it.is_pending(), "what to go back to is on disk before the change");
        manager.kill();
        slow.settle(&mut manager, stage);
    }
}

#[test]
fn a_watchdog_killed_before_in_and_after_the_change_is_replaced_and_the_confirmed_value_is_back() {
    for stage in ["before 2", "after 2", "done 2"] {
        let slow = Slow::new();
        let mut manager = slow.it.begin(r#"{"count": 2}"#, 20.0, 1);
        slow.wait_for(stage);
        slow.kill_watchdog();
        slow.settle(&mut manager, stage);
    }
}

#[test]
fn both_killed_before_in_and_after_the_change_the_next_start_goes_back() {
    for stage in ["before 2", "after 2", "done 2"] {
        let slow = Slow::new();
        let mut manager = slow.it.begin(r#"{"count": 2}"#, 20.0, 1);
        slow.wait_for(stage);
        send(manager.0.id() as i32, Signal::STOP);
        slow.kill_watchdog();
        manager.kill();
        let said = slow.it.next_start();
        assert_eq!(said, "count: 1, confirmed 1\n", "{stage}");
        slow.settle(&mut manager, stage);
    }
}

#[test]
fn a_watchdog_killed_while_it_goes_back_has_the_next_start_go_back() {
    for stage in ["before 1", "after 1"] {
        let slow = Slow::new();
        let mut manager = slow.it.hold(r#"{"count": 2}"#, 20.0, 1);
        manager.kill();
        slow.wait_for(stage);
        slow.kill_watchdog();
        let said = slow.it.next_start();
        assert_eq!(said, "count: 1, confirmed 1\n", "{stage}");
        slow.settle(&mut manager, stage);
    }
}

#[test]
fn a_manager_killed_while_it_confirms_leaves_the_old_value_or_the_new_one_confirmed() {
    for stage in ["before 2", "after 2", "done 2"] {
        let slow = Slow::new();
        let mut manager = slow.it.begin_confirm(r#"{"count": 2}"#, 1);
        slow.wait_for(stage);
        manager.kill();
        until("no watchdog is left", SOON, || slow.it.living_watchdog().is_none());
        assert!(!slow.it.is_pending());
        let now = slow.read("count");
        assert_eq!(slow.it.next_start(), format!("count: {now}, confirmed {now}\n"), "{stage}");
        assert!(["1", "2"].contains(&now.as_str()), "{now}");
    }
}

#[test]
fn a_second_manager_of_the_same_epoch_is_refused_and_changes_nothing() {
    let slow = Slow::new();
    let mut first = slow.it.hold(r#"{"count": 2}"#, 20.0, 1);
    let mut second = slow.it.begin(r#"{"count": 3}"#, 20.0, 1);
    assert!(!second.0.wait().expect("ends").success());
    assert_eq!(slow.read("count"), "2");
    first.kill();
    slow.settle(&mut first, "the first one's value is taken back");
}

#[tokio::test]
async fn an_order_whose_asker_stops_waiting_is_carried_out_and_the_next_one_gets_its_own_answer() {
    let slow = Slow::new();
    let actuator = slow.it.open().await;
    let lease = Lease::For(Duration::from_secs(20));
    let two = values(&[("count", whole(2))]);
    let waited =
        tokio::time::timeout(Duration::from_millis(100), actuator.apply(&two, Epoch(1), lease)).await;
    assert!(waited.is_err(), "it takes longer than that");
    actuator.apply(&values(&[("count", whole(3))]), Epoch(1), lease).await.expect("is set");
    assert_eq!(slow.read("stage"), "done 3", "answered when it was done, not when the first one was");
    actuator.revert(&["count".to_owned()], Epoch(1)).await.expect("goes back");
    assert!(slow.is_back());
}

#[tokio::test]
async fn what_a_watchdog_did_for_a_manager_that_was_killed_is_told_to_the_next_until_it_is_written_down() {
    let slow = Slow::new();
    let mut manager = slow.it.hold(r#"{"count": 2}"#, 20.0, 1);
    manager.kill();
    slow.settle(&mut manager, "back");
    let actuator = slow.it.open().await;
    let reports = actuator.reports().await.expect("readable");
    let told = |report: &Report| (report.epoch, report.cause, report.error.clone());
    assert_eq!(reports.iter().map(told).collect::<Vec<_>>(), [(1, Cause::ManagerGone, None)]);
    let of_another = Report { target: "another".to_owned(), ..reports[0].clone() };
    actuator.forget(&of_another).await.expect("none of its business");
    assert_eq!(actuator.reports().await.expect("readable"), reports);
    actuator.forget(&reports[0]).await.expect("forgotten");
    assert!(actuator.reports().await.expect("readable").is_empty());
}
