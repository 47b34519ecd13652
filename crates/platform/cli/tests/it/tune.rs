//! `kandela tune`, as people run it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const SPACE: &str =
    r#"{"x": {"type": "int", "min": 0, "max": 40, "default": 0}, "z": {"type": "bool", "default": false}}"#;
/// Lowest, at 1, for x = 30 with z.
const MEASURE: &str = r#"[ "$z" = true ] && off=0 || off=50; echo "{\"value\": $((1 + off + (x - 30) * (x - 30))), \"x\": $x}""#;

fn tune(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandela"));
    command.current_dir(folder).arg("tune").args(arguments).output().unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("space.json"), SPACE).unwrap();
    folder
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_search_finds_better_settings_and_goes_on_where_it_stopped() {
    let folder = folder();
    let run = |budget: &str| {
        let arguments = [
            "--space",
            "space.json",
            "--exec",
            MEASURE,
            "--budget",
            budget,
            "--verify",
            "0",
            "--format",
            "json",
        ];
        json(&tune(folder.path(), &arguments))
    };
    assert_eq!(run("5")["trials"], 5);
    let found = run("30");
    assert_eq!(found["trials"], 30);
    assert_eq!(found["best"]["config"]["z"], true, "{}", found["best"]);
    assert!(found["best"]["value"].as_f64().unwrap() <= 10.0, "{}", found["best"]);
    let record = std::fs::read_to_string(folder.path().join("space.trials.jsonl")).unwrap();
    assert_eq!(record.lines().count(), 31, "the heading and each trial once");
}

#[test]
fn numbers_are_read_by_patterns_and_the_best_is_measured_beside_others() {
    let folder = folder();
    std::fs::write(folder.path().join("mine.json"), r#"{"x": 20, "z": true}"#).unwrap();
    let noisy = r#"echo "speed = $((2000 - (x - 30) * (x - 30) + KANDELA_TRIAL % 3)) a second""#;
    let arguments = [
        ["--space", "space.json"],
        ["--exec", noisy],
        ["--measure", "speed = ([0-9.]+)"],
        ["--budget", "12"],
        ["--verify", "4"],
        ["--compare", "mine.json"],
        ["--format", "json"],
    ];
    let found = json(&tune(folder.path(), &[&arguments.concat()[..], &["--maximize"]].concat()));
    let checks = found["checks"].as_array().unwrap();
    let beside: Vec<&str> = checks.iter().map(|check| check["beside"].as_str().unwrap()).collect();
    assert_eq!(beside, ["the defaults", "those of mine.json"]);
    assert!(checks.iter().all(|check| check["pairs"] == 4));
    assert!(checks[0]["gain"]["low"].as_f64().unwrap() > 0.0, "{}", checks[0]);
}

#[test]
fn a_constraint_that_nothing_meets_is_named() {
    let folder = folder();
    let arguments = ["--space", "space.json", "--exec", MEASURE, "--budget", "8", "--constraint", "x>=41"];
    let output = tune(folder.path(), &arguments);
    let told = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no trial kept every constraint"), "{told}");
    assert!(told.contains("no setting met x>=41: the nearest was"), "{told}");
}

#[test]
fn a_constraint_that_nothing_comes_nearer_to_ends_the_search() {
    let folder = folder();
    let measure = r#"echo "{\"value\": $x, \"p99\": $((180 + x))}""#;
    let arguments =
        ["--space", "space.json", "--exec", measure, "--constraint", "p99<=100", "--budget", "400"];
    let output = tune(folder.path(), &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("nobody seems able to meet p99<=100"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}

/// Whether a process does anything yet: one that nobody has buried does not.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_search_that_is_told_to_end_ends_its_command_and_can_go_on() {
    let folder = folder();
    let measure = "echo $$ > running.new; mv running.new running; sleep 60";
    let mut search = Command::new(env!("CARGO_BIN_EXE_kandela"))
        .current_dir(folder.path())
        .args(["tune", "--space", "space.json", "--exec", measure])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let file = folder.path().join("running");
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "the command does not begin");
        assert!(search.try_wait().unwrap().is_none(), "it runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let search_id = rustix::process::Pid::from_child(&search);
    rustix::process::kill_process(search_id, rustix::process::Signal::TERM).unwrap();
    let output = search.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("stopped; run the same command again to go on"), "{text}");
    let began = Instant::now();
    while runs(pid) {
        assert!(began.elapsed() < Duration::from_secs(20), "the command goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_breaks_its_constraint_when_measured_again_is_not_recommended() {
    let folder = folder();
    // From the tenth time on nothing keeps it.
    let measure = r#"echo >> runs; [ $(wc -l < runs) -gt 10 ] && p=500 || p=50; echo "{\"value\": $((x + 1)), \"p\": $p}""#;
    let arguments = ["--space", "space.json", "--exec", measure, "--maximize", "--constraint", "p<=100"];
    let output = tune(folder.path(), &[&arguments[..], &["--budget", "10", "--verify", "3"]].concat());
    let told = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("not recommended: measured again, it broke a constraint or failed in 3 of 3"),
        "{told}"
    );
}

#[test]
fn what_is_worse_than_what_it_is_compared_with_is_not_recommended() {
    let folder = folder();
    std::fs::write(folder.path().join("mine.json"), r#"{"x": 30, "z": true}"#).unwrap();
    // While it is searched, 30 measures badly.
    let measure = format!(
        "{MEASURE}; echo >> runs; [ $(wc -l < runs) -gt 6 ] || [ $x != 30 ] || echo '{{\"value\": 9999}}'",
    );
    let arguments = [
        "--space",
        "space.json",
        "--exec",
        &measure,
        "--compare",
        "mine.json",
        "--budget",
        "6",
        "--verify",
        "3",
    ];
    let output = tune(folder.path(), &arguments);
    let told = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("not recommended: take those of mine.json, which are better"), "{told}");
}

#[test]
fn a_command_that_fails_whatever_is_set_ends_the_search_with_its_words() {
    let folder = folder();
    let arguments =
        ["--space", "space.json", "--exec", "echo no such database >&2; exit 3", "--budget", "30"];
    let output = tune(folder.path(), &arguments);
    let told = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("fails whatever is set") && told.contains("no such database"), "{told}");
    assert!(told.contains("5 trials"), "{told}");
}

#[test]
fn a_space_of_one_point_is_measured_once() {
    let folder = folder();
    std::fs::write(folder.path().join("space.json"), r#"{"x": {"type": "int", "min": 7, "max": 7}}"#)
        .unwrap();
    let arguments = ["--space", "space.json", "--exec", r#"echo "{\"value\": $x}""#, "--format", "json"];
    let found = json(&tune(folder.path(), &[&arguments[..], &["--budget", "9"]].concat()));
    assert_eq!((&found["trials"], &found["best"]["config"]["x"]), (&1.into(), &7.into()), "{found}");
}

#[test]
fn another_program_drives_the_search_by_lines_of_json() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kandela"))
        .args(["tune", "--ask-tell"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = [
        format!(r#"{{"space": {SPACE}, "seed": 1, "budget": 4}}"#),
        r#"{"ask": 1}"#.to_owned(),
        r#"{"tell": [{"id": 0, "value": 3.5, "seconds": 1}]}"#.to_owned(),
        "nonsense".to_owned(),
        r#"{"tell": [{"id": 9, "value": 1}]}"#.to_owned(),
    ];
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| answers.iter().filter(|answer| !answer[key].is_null()).count();
    assert_eq!((of("trials"), of("best"), of("error")), (1, 1, 2), "{text}");
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = folder();
    let told = |arguments: &[&str]| {
        let output = tune(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(&["--exec", "true"]).contains("--space"));
    assert!(told(&["--space", "none.json", "--exec", "true"]).contains("can't read none.json"));
    let unreachable = ["--target", "postgres://kandela@127.0.0.1:1/bench", "--exec", "true"];
    assert!(told(&unreachable).contains("PostgreSQL at 127.0.0.1:1"), "{}", told(&unreachable));
    assert!(told(&["--target", "mysql://h/db", "--exec", "true"]).contains("the target's URL"));
}
