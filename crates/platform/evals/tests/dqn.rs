//! The suite of control tasks, at a size that tells of its bookkeeping, not of learning.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SETTINGS: &str = r#"{"hidden": [8], "batch": 8, "warm_up": 16}"#;

fn evals(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandela-evals"));
    command.arg("dqn").args(arguments).output().unwrap()
}

fn short(results: &Path, seeds: &str) -> serde_json::Value {
    let results = results.to_str().unwrap();
    let output = evals(&[
        "--environments",
        "cartpole,mountaincar",
        "--seeds",
        seeds,
        "--steps",
        "300",
        "--settings",
        SETTINGS,
        "--results",
        results,
        "--format",
        "json",
    ]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_that_was_cut_off_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.jsonl");
    let first = short(&results, "1-2");
    let cut: String =
        fs::read_to_string(&results).unwrap().lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(&results, &cut[..cut.len() - 20]).unwrap();

    let again = short(&results, "1-2");
    for (old, new) in first.as_array().unwrap().iter().zip(again.as_array().unwrap()) {
        for row in 0..2 {
            let figure =
                |of: &serde_json::Value| (of["rows"][row]["mean"].clone(), of["rows"][row]["worst"].clone());
            assert_eq!(figure(old), figure(new), "a seed gives one figure");
        }
    }
    // Two lines survived, and their times tell that they were not run again.
    assert_eq!(first[0]["rows"], again[0]["rows"]);
    assert_eq!(fs::read_to_string(&results).unwrap().lines().count(), 5);
}

#[test]
fn what_is_no_environment_no_seed_and_no_setting_is_refused() {
    let refused = |arguments: &[&str]| {
        let output = evals(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--environments", "pong"]).contains("there are cartpole, acrobot, mountaincar"));
    assert!(refused(&["--seeds", "5-1"]).contains("a range goes up"));
    assert!(refused(&["--settings", r#"{"depth": 3}"#]).contains("unknown field `depth`"));
    assert!(refused(&["--settings", r#"{"batch": 0}"#]).contains("setting batch"));
}
