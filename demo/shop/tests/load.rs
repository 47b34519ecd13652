//! The load generator against a shop and against what is none.

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{PROGRAM, Shop, put};
use serde_json::Value;

fn load(arguments: &[&str]) -> std::process::Output {
    Command::new(PROGRAM).arg("load").args(arguments).output().expect("runs")
}

fn lines(output: &std::process::Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn a_few_minutes_of_a_file_are_replayed_and_summed_up() {
    let shop = Shop::start(&[]);
    let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    std::fs::write(file.path(), "minute,count\n00:00,600\n00:01,0\n00:02,1200\n").expect("writable");
    let (target, replay) = (shop.url("gateway", 0), file.path().display().to_string());
    let arguments =
        ["--target", &target, "--replay", &replay, "--compress", "60", "--slo", "p99=5s,errors=1%"];

    let output = load(&[&arguments[..], &["--format", "json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output);
    let [first, third, summary] = &lines[..] else { panic!("the empty minute is not told of: {lines:?}") };
    assert_eq!((&first["kind"], &first["minute"]), (&"minute".into(), &0.into()));
    assert_eq!(third["minute"], 2);
    assert_eq!((&summary["kind"], &summary["minutes"]), (&"summary".into(), &2.into()));
    assert_eq!(summary["ok"], summary["requests"], "{summary}");
    assert_eq!(summary["share_met"], 1.0, "{summary}");

    let table = load(&arguments);
    assert!(String::from_utf8_lossy(&table.stdout).contains("within the SLO: 2 of 2 minutes"), "{table:?}");
}

#[test]
fn requests_do_not_wait_for_answers_and_their_time_counts_from_when_they_were_due() {
    let shop = Shop::start(&[]);
    let gateway = shop.url("gateway", 0);
    put(&format!("{gateway}/faults"), r#"{"kind":"latency","fixed_ms":1000}"#);
    let arguments = ["--target", &gateway, "--day", "--skip", "3h", "--duration", "2s", "--format", "json"];

    let stalled = lines(&load(&arguments));
    let summary = stalled.last().expect("a summary");
    assert!(summary["requests"].as_u64().is_some_and(|requests| requests > 8), "{summary}");
    assert!(summary["p50_ms"].as_f64().is_some_and(|ms| (1000.0..2000.0).contains(&ms)), "{summary}");

    let impatient = lines(&load(&[&arguments[..], &["--timeout", "200ms"]].concat()));
    let summary = impatient.last().expect("a summary");
    assert!(summary["timed_out"].as_u64().is_some_and(|left| left > 8), "{summary}");
    assert_eq!(summary["timed_out"], summary["errors"], "{summary}");

    let bounded = lines(&load(&[&arguments[..], &["--in-flight", "2"]].concat()));
    let summary = bounded.last().expect("a summary");
    assert!(summary["dropped"].as_u64().is_some_and(|dropped| dropped > 2), "{summary}");
    assert_eq!(summary["minutes_met"], 0, "what was dropped counts as failed: {summary}");
}

#[test]
fn a_rate_from_standard_input_is_in_force_at_once_until_the_input_ends() {
    let shop = Shop::start(&[]);
    let gateway = shop.url("gateway", 0);
    let mut running = Command::new(PROGRAM)
        .args(["load", "--stdin", "--format", "json", "--target", &gateway])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut rates = running.stdin.take().expect("piped");
    for (rate, seconds) in [("20", 3), ("0", 3), ("40", 2)] {
        writeln!(rates, "{rate}").expect("is read");
        std::thread::sleep(Duration::from_secs(seconds));
    }
    drop(rates);
    let output = running.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output);
    let requests = |line: &Value| line["requests"].as_u64().expect("a count");
    let (summary, seconds) = lines.split_last().expect("a summary");
    assert!((90..210).contains(&requests(summary)), "some 140: {summary}");
    assert!(
        seconds.len() <= 7 && seconds.iter().all(|second| second["minute"] != 4),
        "nobody came then: {seconds:?}"
    );
    assert_eq!(summary["within"], summary["ok"], "a quiet shop is quick: {summary}");
}

#[test]
fn what_can_not_be_done_is_said() {
    let nobody = load(&["--day", "--target", "http://127.0.0.1:9"]);
    assert!(!nobody.status.success());
    assert!(nobody.stdout.is_empty(), "there is nothing to report: {nobody:?}");
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("does not answer; start the shop"),
        "{nobody:?}"
    );

    let file = load(&["--replay", "no-such-file.csv"]);
    assert!(String::from_utf8_lossy(&file.stderr).contains("no-such-file.csv"), "{file:?}");
    let compress = load(&["--day", "--compress", "-1"]);
    let said = "--compress is -1; it may be 0.01 to 100000";
    assert!(String::from_utf8_lossy(&compress.stderr).contains(said), "{compress:?}");
    let slo = load(&["--day", "--slo", "fast"]);
    assert!(String::from_utf8_lossy(&slo.stderr).contains("give p99=300ms,errors=1%"), "{slo:?}");
}
