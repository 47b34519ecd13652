//! The runner over small cases of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn write_case(folder: &Path, name: &str, page: &str, should_parse: bool) {
    let case = folder.join(name);
    fs::create_dir_all(&case).unwrap();
    fs::write(case.join("metrics"), page).unwrap();
    let description = format!(r#"{{"type": "text", "file": "metrics", "shouldParse": {should_parse}}}"#);
    fs::write(case.join("test.json"), description).unwrap();
}

fn evals(arguments: &[&str], data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kandela-evals"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn cases_that_hold_end_with_the_count_and_success() {
    let data = tempfile::tempdir().unwrap();
    write_case(data.path(), "good", "a 1\n# EOF\n", true);
    write_case(data.path(), "bad", "a 1\n", false);
    let output = evals(&["openmetrics"], data.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "2 passed, 0 failed\n");
}

#[test]
fn a_folder_of_suites_serves_as_well() {
    let data = tempfile::tempdir().unwrap();
    write_case(&data.path().join("openmetrics"), "good", "a 1\n# EOF\n", true);
    assert_eq!(stdout(&evals(&["openmetrics"], data.path())), "1 passed, 0 failed\n");
}

#[test]
fn a_case_that_does_not_hold_is_named_and_fails_the_run() {
    let data = tempfile::tempdir().unwrap();
    write_case(data.path(), "good", "a 1\n# EOF\n", true);
    write_case(data.path(), "wrongly_refused", "a  1\n# EOF\n", true);
    write_case(data.path(), "wrongly_accepted", "a 1\n# EOF\n", false);
    let output = evals(&["openmetrics"], data.path());
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("FAILED wrongly_refused\n  expected: accepted\n  got:      refused: line 1, column 3")
    );
    assert!(text.contains("FAILED wrongly_accepted\n  expected: refused\n  got:      accepted\n"));
    assert!(text.ends_with("1 passed, 2 failed\n"), "{text}");
}

#[test]
fn json_tells_the_same() {
    let data = tempfile::tempdir().unwrap();
    write_case(data.path(), "wrongly_accepted", "a 1\n# EOF\n", false);
    let output = evals(&["openmetrics", "--format", "json"], data.path());
    assert_eq!(output.status.code(), Some(1));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["passed"], 0);
    assert_eq!(summary["failed"], 1);
    assert_eq!(summary["failures"][0]["case"], "wrongly_accepted");
}

#[test]
fn a_case_that_cannot_be_run_fails_alone() {
    let data = tempfile::tempdir().unwrap();
    write_case(data.path(), "good", "a 1\n# EOF\n", true);
    fs::create_dir(data.path().join("broken")).unwrap();
    fs::write(data.path().join("broken/test.json"), "{").unwrap();
    let output = evals(&["openmetrics"], data.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).ends_with("1 passed, 1 failed\n"));
}

#[test]
fn a_run_that_was_cut_off_goes_on_where_it_stopped() {
    let data = tempfile::tempdir().unwrap();
    let results = tempfile::tempdir().unwrap();
    let file = results.path().join("results.jsonl");
    let arguments = ["openmetrics", "--results", file.to_str().unwrap()];
    write_case(data.path(), "a", "a 1\n# EOF\n", true);
    write_case(data.path(), "b", "a 1\n# EOF\n", true);
    assert_eq!(stdout(&evals(&arguments, data.path())), "2 passed, 0 failed\n");

    // Had `a` been run again, it would fail now.
    write_case(data.path(), "a", "a 1\n# EOF\n", false);
    write_case(data.path(), "c", "a 1\n# EOF\n", true);
    let lines = fs::read_to_string(&file).unwrap();
    let first = lines.lines().next().unwrap();
    fs::write(&file, format!("{first}\n{}", &first[..20])).unwrap();
    assert_eq!(
        stdout(&evals(&arguments, data.path())),
        "1 outcomes from the results file\n3 passed, 0 failed\n"
    );

    // Another build's outcomes do not count.
    let foreign = fs::read_to_string(&file).unwrap().replace("\"build\":\"", "\"build\":\"other ");
    fs::write(&file, foreign).unwrap();
    assert!(stdout(&evals(&arguments, data.path())).ends_with("2 passed, 1 failed\n"));
}

#[test]
fn wrong_usage_and_missing_folders_are_told_apart_from_failures() {
    let data = tempfile::tempdir().unwrap();
    let empty = evals(&["openmetrics"], data.path());
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("holds no case"), "{}", stderr(&empty));

    let missing = evals(&["openmetrics"], &data.path().join("nowhere"));
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("is no folder"), "{}", stderr(&missing));

    let unknown = evals(&["openmetric"], data.path());
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("similar subcommand exists: 'openmetrics'"), "{}", stderr(&unknown));
}

#[test]
fn without_data_the_suite_says_so_and_is_skipped() {
    let elsewhere = tempfile::tempdir().unwrap();
    let inner = elsewhere.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kandela-evals"))
        .arg("openmetrics")
        .current_dir(&inner)
        .env_remove("KANDELA_DATA")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("--data DIR or in KANDELA_DATA"), "{}", stderr(&output));
}

#[test]
fn the_public_cases_all_hold() {
    let data = std::env::var_os("KANDELA_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        std::path::PathBuf::from,
    );
    if !data.join("openmetrics").is_dir() {
        eprintln!("skipped: {} holds no public cases; name their folder in KANDELA_DATA", data.display());
        return;
    }
    let output = evals(&["openmetrics"], &data);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}
