//! The cache suite over small traces of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn write_trace(folder: &Path, name: &str, keys: impl IntoIterator<Item = u64>) {
    let bytes: Vec<u8> = keys.into_iter().flat_map(u64::to_le_bytes).collect();
    fs::write(folder.join(format!("{name}.u64le.zst")), zstd::encode_all(&*bytes, 1).unwrap()).unwrap();
}

fn evals(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandela-evals"));
    command.arg("cache").args(arguments).arg("--data").arg(data).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_loop_shows_what_each_policy_and_the_optimum_miss() {
    let data = tempfile::tempdir().unwrap();
    write_trace(data.path(), "loop", (0..60_000).map(|access| access % 200));
    let report = json(&evals(&["--format", "json", "--capacity", "100"], data.path()));
    let row = &report["rows"][0];
    let ratio = |of: &str| row["miss_ratio"][of].as_f64().unwrap();
    assert_eq!(ratio("lru"), 1.0);
    assert!((0.49..0.52).contains(&ratio("belady")), "{row}");
    assert!(ratio("lirs") < 0.52 && ratio("adaptive") < 0.55, "{row}");
    let regret = ratio("adaptive") - ratio(row["best"].as_str().unwrap());
    assert!((report["regret_mean"].as_f64().unwrap() - regret).abs() < 1e-12);
    assert!(report["s3fifo_regret_mean"].as_f64().unwrap() > 0.3);
}

#[test]
fn without_a_capacity_there_is_a_row_for_a_hundredth_and_a_tenth_of_the_keys() {
    let data = tempfile::tempdir().unwrap();
    write_trace(data.path(), "a", (0..3_000).map(|access| access * access % 1_009));
    write_trace(data.path(), "b", 0..40);
    let report = json(&evals(&["--format", "json"], data.path()));
    let rows = report["rows"].as_array().unwrap();
    let sizes: Vec<_> =
        rows.iter().map(|row| (row["trace"].as_str().unwrap(), row["capacity"].as_u64().unwrap())).collect();
    assert_eq!(sizes, [("a", 5), ("a", 50), ("b", 1), ("b", 4)]);
}

#[test]
fn a_run_repeats_to_the_last_digit() {
    let data = tempfile::tempdir().unwrap();
    write_trace(data.path(), "a", (0..20_000).map(|access| access * access % 1_009));
    let run = || evals(&["--format", "json"], data.path()).stdout;
    assert_eq!(run(), run());
}

#[test]
fn a_trace_that_is_not_there_or_cut_off_is_named_with_what_there_is() {
    let data = tempfile::tempdir().unwrap();
    write_trace(data.path(), "a", 0..40);
    let missing = evals(&["--trace", "b"], data.path());
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(2));
    assert!(text.contains("holds no trace b; it has: a"), "{text}");

    let path = data.path().join("a.u64le.zst");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let cut = evals(&[], data.path());
    let text = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert_eq!(cut.status.code(), Some(2));
    assert!(text.contains("is no whole zstd stream"), "{text}");
}
