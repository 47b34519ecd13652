//! `kandela demo` for its first seconds: whatever ends it, nothing is left running and the data are kept.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::kandela::kandela;

/// How long children may take to end: the platform writes what it holds.
const GRACE: Duration = Duration::from_secs(40);

/// A demo, as far as the first line that has `part`.
fn play(folder: &Path, part: &str) -> (Child, Vec<String>) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_kandela"))
        .args(["demo", "--headless", "--minutes", "4", "--data"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let found = line.contains(part);
        said.push(line);
        if found {
            return (demo, said);
        }
    }
    panic!("{:?} ended before it said {part:?}: {said:?}", demo.wait());
}

/// Processes that a demo in the folder has started: it marks them.
fn left(folder: &Path) -> Vec<PathBuf> {
    let mark = format!("KANDELA_DEMO={}", folder.display());
    let is_marked = |path: &PathBuf| {
        std::fs::read(path.join("environ")).is_ok_and(|all| String::from_utf8_lossy(&all).contains(&mark))
    };
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes.filter(is_marked).collect()
}

fn until_nothing_is_left(folder: &Path) {
    let began = Instant::now();
    while !left(folder).is_empty() {
        assert!(began.elapsed() < GRACE, "{:?} are left", left(folder));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn send(demo: &Child, signal: Signal) {
    kill_process(Pid::from_child(demo), signal).unwrap();
}

/// The one folder that a demo made.
fn own(folder: &Path) -> PathBuf {
    let made: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made[0].clone()
}

#[test]
fn an_interrupted_demo_ends_its_children_and_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, said) = play(folder.path(), "noon");
    assert!(said.iter().any(|line| line.contains("night")), "{said:?}");
    assert_eq!(left(folder.path()).len(), 11, "platform, shop and its eight services, customers");
    send(&demo, Signal::INT);
    assert_eq!(demo.wait().unwrap().code(), Some(1), "it did not show what it was to show");
    until_nothing_is_left(folder.path());
    let own = own(folder.path());
    assert!(own.join("lake").is_dir() && own.join("kandela.yaml").is_file() && own.join("shop").is_dir());
}

#[test]
fn the_children_of_a_killed_demo_end_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, _) = play(folder.path(), "night");
    send(&demo, Signal::KILL);
    demo.wait().unwrap();
    until_nothing_is_left(folder.path());
}

#[test]
fn a_port_that_is_taken_is_replaced_and_said() {
    // Somebody has it already, or this test.
    let _held = std::net::TcpListener::bind("127.0.0.1:4318");
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, said) = play(folder.path(), "night");
    assert!(said.iter().any(|line| line.starts_with("port 4318 is taken, so ")), "{said:?}");
    send(&demo, Signal::TERM);
    demo.wait().unwrap();
    until_nothing_is_left(folder.path());
}

#[test]
fn a_demo_has_time_for_all_its_acts_or_is_refused() {
    let output = kandela(&["demo", "--headless", "--minutes", "3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 is not in 4..=60"));
}
