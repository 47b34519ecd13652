//! Real servers for one test, on loopback and free ports, gone when the test ends; and managers to kill.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kandela_autopilot::actuator::Actuator;
use kandela_autopilot::actuator::config::targets_from_yaml;
use kandela_autopilot::watchdog::Watch;
use kandela_model::{Epoch, KnobValue, Lease};
use kandela_tune::Config;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kandela-watchdog");

/// Says on standard error that a test is not run, and why.
pub(crate) fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, not tested: {what}");
}

/// The program of that name, in the folders given or on the path.
pub(crate) fn find(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    all.extend(std::env::split_paths(&path));
    all.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A process that is killed when the test ends.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long it takes until `holds`; a test fails where it takes longer than `most`.
pub(crate) fn until(what: &str, most: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < most, "not within {most:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// A GET over a connection of its own: status line and body.
pub(crate) fn get(address: &str, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.lines().next()?.to_owned(), body.to_owned()))
}

/// One target, described, with a folder for its watchdogs.
pub(crate) struct Described {
    pub(crate) folder: tempfile::TempDir,
    yaml: PathBuf,
    pub(crate) text: String,
}

impl Described {
    /// `system` is YAML, as in `kandela.yaml`, of a target called `it`; `$FOLDER` in it is a folder of the test's own.
    pub(crate) fn new(system: &str) -> Described {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let system = system.replace("$FOLDER", &folder.path().display().to_string());
        let text =
            format!("- name: it\n{}", system.lines().map(|line| format!("  {line}\n")).collect::<String>());
        let yaml = folder.path().join("targets.yaml");
        std::fs::write(&yaml, &text).expect("writable");
        Described { folder, yaml, text }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch::new(self.folder.path().join("watch"), vec![PROGRAM.into(), "watch".into()])
    }

    pub(crate) async fn open(&self) -> Arc<dyn Actuator> {
        let targets = targets_from_yaml(&self.text).expect("a target");
        targets[0].open(&self.watch()).await.expect("opens")
    }

    /// As another user's program, or another server's, would open it: with a folder of its own.
    pub(crate) async fn open_elsewhere(&self) -> Arc<dyn Actuator> {
        let watch = Watch { folder: self.folder.path().join("elsewhere"), ..self.watch() };
        targets_from_yaml(&self.text).expect("a target")[0].open(&watch).await.expect("opens")
    }

    /// A manager that holds `values`; it may not have begun yet.
    pub(crate) fn begin(&self, values: &str, lease_s: f64, epoch: u64) -> Process {
        let lease = lease_s.to_string();
        self.program(&["hold"], &[values, &lease, &epoch.to_string()])
    }

    /// A manager that confirms `values`.
    pub(crate) fn begin_confirm(&self, values: &str, epoch: u64) -> Process {
        self.program(&["confirm"], &[values, &epoch.to_string()])
    }

    fn program(&self, act: &[&str], arguments: &[&str]) -> Process {
        let child = Command::new(PROGRAM)
            .args(act)
            .arg(&self.yaml)
            .arg("it")
            .args(arguments)
            .arg(self.folder.path().join("watch"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        Process(child.expect("starts"))
    }

    /// The next start of a manager, which only looks. It takes back what it finds.
    pub(crate) fn next_start(&self) -> String {
        let mut process = self.program(&["show"], &[]);
        let mut said = String::new();
        process.0.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(process.0.wait().expect("ends").success(), "{said}");
        said
    }

    /// A manager that holds `values`.
    pub(crate) fn hold(&self, values: &str, lease_s: f64, epoch: u64) -> Process {
        let mut manager = self.begin(values, lease_s, epoch);
        let mut line = String::new();
        let mut out = BufReader::new(manager.0.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("text");
        assert_eq!(line, "held\n");
        manager
    }

    pub(crate) fn of_target(&self, name: &str) -> PathBuf {
        self.folder.path().join("watch/it").join(name)
    }

    /// Whether something on disk is to be gone back to.
    pub(crate) fn is_pending(&self) -> bool {
        self.of_target("inverse.json").exists()
    }

    /// The watchdog that has the target.
    pub(crate) fn watchdog(&self) -> i32 {
        let text = std::fs::read_to_string(self.of_target("lock")).expect("a watchdog has been here");
        text.trim().parse().expect("a process number")
    }

    /// The watchdog, if one is alive.
    pub(crate) fn living_watchdog(&self) -> Option<i32> {
        let number: i32 = std::fs::read_to_string(self.of_target("lock")).ok()?.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(self.folder.path().to_str()?).then_some(number)
    }
}

pub(crate) fn send(process: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(process).expect("a process number"), signal);
}

/// A manager that keeps what it holds in another folder can neither take the values on trial for those in force, nor change them, nor
/// come in between where a trial goes back to the good values for a while.
pub(crate) async fn one_at_a_time(it: &Described, trial: &Config) {
    let long = Lease::For(Duration::from_secs(60));
    let knobs: Vec<String> = trial.keys().cloned().collect();
    let (one, other) = (it.open().await, it.open_elsewhere().await);
    let before = other.state().await.expect("nobody holds it");
    one.apply(trial, Epoch(1), long).await.expect("is taken");
    let looked = other.state().await.expect_err("it is held").to_string();
    let turned = other.apply(trial, Epoch(1), long).await.expect_err("it is held").to_string();
    for error in [looked, turned] {
        assert!(error.contains("kandela-watchdog:") && error.contains("holds values there"), "{error}");
    }
    one.apply(trial, Epoch(1), long).await.expect("goes on");
    one.revert(&knobs, Epoch(1)).await.expect("goes back");
    other.state().await.expect_err("its trial may go on");
    one.apply(trial, Epoch(1), long).await.expect("its trial goes on");
    one.revert(&knobs, Epoch(1)).await.expect("goes back");
    drop(one);
    assert_eq!(other.state().await.expect("it is free"), before);
    other.apply(trial, Epoch(1), long).await.expect("it is free");
    other.revert(&knobs, Epoch(1)).await.expect("goes back");
}

pub(crate) fn values(pairs: &[(&str, KnobValue)]) -> Config {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Kills managers and watchdogs of a target at every step that a sweep of times meets, and looks each time whether the confirmed
/// value is back. `value` is what the target has now; `confirmed` is it before, and `trial` what is tried, as JSON.
pub(crate) fn kill_at_every_step(
    it: &Described,
    confirmed: &str,
    trial: &str,
    mut value: impl FnMut() -> String,
    whole: Duration,
) {
    const LEASE_S: f64 = 1.5;
    let late = Duration::from_secs_f64(LEASE_S) + Duration::from_secs(3);
    let back = |it: &Described, value: &mut dyn FnMut() -> String| !it.is_pending() && value() == confirmed;
    let mut epoch = 10;
    let mut worst = [Duration::ZERO; 5];
    assert_eq!(value(), confirmed);

    // The manager, at each of so many times after its start; `held` is somewhere in the middle.
    for step in 0..8_u32 {
        epoch += 1;
        let mut manager = it.begin(trial, LEASE_S, epoch);
        std::thread::sleep(whole * step / 5);
        manager.kill();
        let gone = || it.living_watchdog().is_none() && back(it, &mut value);
        worst[0] = worst[0].max(until("back after the manager was killed", late, gone));
    }

    // The manager, while it holds.
    epoch += 1;
    let mut manager = it.hold(trial, LEASE_S, epoch);
    until("the trial is in force", late, || value() != confirmed);
    manager.kill();
    worst[1] = until("back after the manager was killed while it held", late, || back(it, &mut value));

    // The manager hangs: its lease is what counts.
    epoch += 1;
    let mut manager = it.hold(trial, LEASE_S, epoch);
    until("the trial is in force", late, || value() != confirmed);
    send(manager.0.id() as i32, Signal::STOP);
    worst[2] = until("back after the manager hung", late, || back(it, &mut value));
    manager.kill();

    // The watchdog: the manager has another go back.
    epoch += 1;
    let mut manager = it.hold(trial, LEASE_S, epoch);
    until("the trial is in force", late, || value() != confirmed);
    send(it.watchdog(), Signal::KILL);
    worst[3] = until("back after the watchdog was killed", late, || back(it, &mut value));
    manager.kill();
    until("no watchdog is left", late, || it.living_watchdog().is_none());

    // Both, at several times: the next start goes back.
    for step in 1..4_u32 {
        epoch += 1;
        let mut manager = it.begin(trial, LEASE_S, epoch);
        std::thread::sleep(whole * step / 2);
        send(manager.0.id() as i32, Signal::STOP);
        if let Some(watchdog) = it.living_watchdog() {
            send(watchdog, Signal::KILL);
            until("the watchdog is dead", late, || it.living_watchdog().is_none());
        }
        manager.kill();
        let began = Instant::now();
        it.next_start();
        until("back after both were killed", late, || back(it, &mut value));
        worst[4] = worst[4].max(began.elapsed());
    }
    let [swept, held, hung, dog, both] = worst.map(|time| time.as_millis());
    eprintln!(
        "back to the confirmed value after: manager killed at any step {swept} ms (worst of 8, its watchdog's end included); manager \
         killed while it held {held} ms; manager hung {hung} ms (lease {LEASE_S} s, renewed every 0.5 s); watchdog killed {dog} ms; \
         both killed, from the next start {both} ms"
    );
}

pub(crate) fn whole(number: i64) -> KnobValue {
    KnobValue::Int(number)
}
