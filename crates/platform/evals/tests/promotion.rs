//! The promotion suite, with few runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn evals(results: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandela-evals"));
    command.args(["promotion", "--runs", "2", "--format", "json"]);
    results.iter().for_each(|path| {
        command.arg("--results").arg(path);
    });
    command.output().unwrap()
}

#[test]
fn two_runs_show_no_bound_and_what_is_printed_is_what_the_results_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let output = evals(Some(&path));
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kept"], false);
    let rows = ["nothing", "steals", "power"].map(|kind| report[kind].as_array().unwrap().clone()).concat();
    let lines: Vec<serde_json::Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, lines);
    // A +20 % gain in noise of 10 % is found by a canary, and soon.
    let clear = rows.iter().find(|row| row["noise"] == "ar 0.95" && row["gain"] == 0.2).unwrap();
    assert_eq!((&clear["design"], &clear["promoted"]), (&"canary".into(), &1.into()));
    assert!(clear["slices_p90"].as_u64().unwrap() < 100);
    assert_eq!(output.stdout, evals(None).stdout);
}

#[test]
fn a_results_file_that_cannot_be_written_is_named() {
    let output = evals(Some(Path::new("/nowhere/at/all.jsonl")));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all.jsonl"), "{output:?}");
}
