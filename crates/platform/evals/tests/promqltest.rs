//! PromQL's scripts as a suite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HOLDS: &str =
    "load 1m\n  up 1x5\n\neval instant at 5m up\n  up 1\n\neval instant at 5m up * 2\n  {} 2\n";

fn evals(arguments: &[&str], data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kandela-evals"))
        .arg("promqltest")
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_script_is_one_case_however_much_it_asks() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("holds.test"), HOLDS).unwrap();
    fs::write(data.path().join("README.md"), "no script").unwrap();
    let output = evals(&[], data.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output), "1 passed, 0 failed\n");
}

#[test]
fn a_script_with_one_wrong_answer_fails_and_tells_its_line() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("holds.test"), HOLDS).unwrap();
    fs::write(data.path().join("wrong.test"), HOLDS.replace("{} 2", "{} 3")).unwrap();
    let output = evals(&["--format", "json"], data.path());
    assert_eq!(output.status.code(), Some(1));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["passed"], &summary["failed"]), (&1.into(), &1.into()));
    let failure = &summary["failures"][0];
    assert_eq!(
        (&failure["case"], &failure["expected"]),
        (&"wrong.test".into(), &"2 of 2 as the script expects".into())
    );
    let got = failure["got"].as_str().unwrap();
    assert!(got.starts_with("1 of 2; ") && got.contains("line 7"), "{got}");
}

#[test]
fn a_script_that_asks_nothing_or_cannot_be_read_fails() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("empty.test"), "load 1m\n  up 1x5\n").unwrap();
    fs::write(data.path().join("mangled.test"), "evaluate up\n").unwrap();
    assert!(stdout(&evals(&[], data.path())).ends_with("0 passed, 2 failed\n"));
}

#[test]
fn the_scripts_of_prometheus_all_hold() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let data = std::env::var_os("KANDELA_DATA").map_or_else(beside, PathBuf::from);
    if !data.join("promqltest").is_dir() {
        eprintln!("skipped: {} holds no scripts; name their folder in KANDELA_DATA", data.display());
        return;
    }
    let output = evals(&[], &data);
    assert!(output.status.success(), "{output:?}");
}
