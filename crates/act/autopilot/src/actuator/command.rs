//! Runs a command that the user gave: without a shell, for a limited time, and with its last words in the error.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// How much of what a command says is kept, and how many of its last lines are shown.
const KEPT_BYTES: u64 = 16 * 1024;
const SHOWN_LINES: usize = 10;

tokio::task_local! {
    /// Where a watchdog notes which command it runs, so that whoever takes its place does not get in that command's way.
    pub(crate) static NOTED_IN: PathBuf;
}

/// A command that was running when its watchdog was killed.
#[derive(Debug, Serialize, Deserialize)]
struct Running {
    pid: u32,
    /// When the process began, as the system counts: what tells it from a later one of the same number.
    began: u64,
    left_s: f64,
}

/// Waits for a command that was left behind, for as long as it may take; then kills it.
///
/// # Errors
/// Where it is not known whether there is one.
pub(crate) async fn wait_for_orphan(note: &Path) -> Result<(), String> {
    let fault = |what: String| format!("{}: {what}", note.display());
    let text = match fs::read_to_string(note) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error.to_string())),
    };
    // One that broke off was written by somebody who was killed over it, right after the command began.
    if let Ok(running) = serde_json::from_str::<Running>(&text) {
        let patience = time("left_s", running.left_s).unwrap_or(Duration::from_secs(60));
        let since = Instant::now();
        while began(running.pid) == Some(running.began) {
            if since.elapsed() >= patience {
                let group = i32::try_from(running.pid).ok().and_then(Pid::from_raw);
                let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    match fs::remove_file(note) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(error.to_string())),
        _ => Ok(()),
    }
}

/// When a living process began, in the system's ticks; none where there is no such process, or it has ended and nobody has asked how.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    // The 22nd field of proc_pid_stat(5); the third was taken above.
    fields.nth(18)?.parse().ok()
}

/// A command and how long it may take. In YAML: a list of words, or `{argv: […], timeout_s: 60}`, or `{shell: "…"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Command {
    argv: Vec<String>,
    timeout: Duration,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a command is a list of words ([nginx, -s, reload]), {argv: [nginx, -s, reload], timeout_s: 60}, or {shell: \"nginx -s reload\"}"
)]
enum Written {
    Argv(Vec<String>),
    Full(Full),
    Shell(Shell),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    argv: Vec<String>,
    #[serde(default = "default_timeout_s")]
    timeout_s: f64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shell {
    shell: String,
    #[serde(default = "default_timeout_s")]
    timeout_s: f64,
}

fn default_timeout_s() -> f64 {
    60.0
}

impl TryFrom<Written> for Command {
    type Error = String;

    fn try_from(written: Written) -> Result<Command, String> {
        let (argv, seconds) = match written {
            Written::Argv(argv) => (argv, default_timeout_s()),
            Written::Full(Full { argv, timeout_s }) => (argv, timeout_s),
            Written::Shell(Shell { shell, timeout_s }) => {
                (vec!["/bin/sh".to_owned(), "-c".to_owned(), shell], timeout_s)
            }
        };
        if argv.first().is_none_or(String::is_empty) {
            return Err("a command has at least one word, the program".to_owned());
        }
        Ok(Command { argv, timeout: time("timeout_s", seconds)? })
    }
}

impl From<Command> for Written {
    fn from(command: Command) -> Written {
        Written::Full(Full { argv: command.argv, timeout_s: command.timeout.as_secs_f64() })
    }
}

/// `seconds` as a time between a millisecond and a day.
pub(crate) fn time(name: &str, seconds: f64) -> Result<Duration, String> {
    if (0.001..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{name} is {seconds}; give seconds, 0.001 to 86400"))
    }
}

impl Command {
    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What `/bin/sh -c` makes of `text`, within `timeout`.
    pub fn shell(text: &str, timeout: Duration) -> Command {
        Command { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()], timeout }
    }

    /// The same command with every `{{name}}` in its words replaced by `value`.
    pub(crate) fn with(&self, name: &str, value: &str) -> Command {
        let mark = format!("{{{{{name}}}}}");
        Command { argv: self.argv.iter().map(|word| word.replace(&mark, value)).collect(), ..self.clone() }
    }

    /// Whether a word has `{{name}}`.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.argv.iter().any(|word| word.contains(&format!("{{{{{name}}}}}")))
    }

    /// Runs it, and returns what it wrote to standard output.
    ///
    /// It leads a process group of its own, which is killed when the time is over; a service that it starts must leave that group, as
    /// those that go into the background do. Output goes to a file that has no name, since a service that keeps a pipe open would
    /// keep whoever reads it.
    ///
    /// # Errors
    /// What it is, how it ended, and its last lines.
    pub async fn run(&self) -> Result<String, String> {
        self.run_with(&BTreeMap::new()).await
    }

    /// Runs it with these variables in its environment. Whoever waits no longer, by dropping what this returns, ends it and all that it
    /// started.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub async fn run_with(&self, environment: &BTreeMap<String, String>) -> Result<String, String> {
        let shown = self.argv.join(" ");
        let file = || {
            tempfile::tempfile()
                .map_err(|e| format!("`{shown}` not run: no temporary file for its output: {e}"))
        };
        let (mut out, mut err) = (file()?, file()?);
        let stdio =
            |file: &File| file.try_clone().map(Stdio::from).map_err(|e| format!("`{shown}` not run: {e}"));
        let mut child = tokio::process::Command::new(&self.argv[0])
            .args(&self.argv[1..])
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(stdio(&out)?)
            .stderr(stdio(&err)?)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("`{shown}` can't be started: {e}"))?;
        let note = NOTED_IN.try_with(PathBuf::clone).ok();
        if let (Some(note), Some(pid)) = (&note, child.id())
            && let Some(began) = began(pid)
        {
            let running = Running { pid, began, left_s: self.timeout.as_secs_f64() };
            let json = serde_json::to_string(&running).unwrap_or_default();
            fs::write(note, json)
                .map_err(|e| format!("`{shown}` is not noted in {}: {e}", note.display()))?;
        }
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let ended = tokio::time::timeout(self.timeout, child.wait()).await;
        if let Some(note) = &note {
            // What stays behind names a process that is gone, which is no harm.
            let _ = fs::remove_file(note);
        }
        let Ok(ended) = ended else {
            drop(group);
            let _ = child.wait().await;
            let seconds = self.timeout.as_secs_f64();
            return Err(format!(
                "`{shown}` took more than {seconds} s and was killed{}",
                last_words(&mut out, &mut err)
            ));
        };
        group.0 = None;
        let status: ExitStatus = ended.map_err(|e| format!("`{shown}` was lost: {e}"))?;
        if status.success() {
            Ok(tail(&mut out))
        } else {
            Err(format!("`{shown}` ended with {status}{}", last_words(&mut out, &mut err)))
        }
    }
}

/// A process group that ends with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only where all of the group are gone by now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn last_words(out: &mut File, err: &mut File) -> String {
    let said = format!("{}\n{}", tail(out), tail(err));
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        [] => " and said nothing".to_owned(),
        last => format!("; it said:\n{}", last.join("\n")),
    }
}

fn tail(file: &mut File) -> String {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(KEPT_BYTES)))
        .and_then(|_| file.take(KEPT_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(its output can't be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(json: &str) -> Command {
        serde_json::from_str(json).expect(json)
    }

    #[tokio::test]
    async fn words_reach_the_program_as_they_are_without_a_shell() {
        let said = command(r#"["echo", "$HOME; {{n}}"]"#).with("n", "a b").run().await;
        assert_eq!(said.expect("echo runs"), "$HOME; a b\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_its_last_lines() {
        let error =
            command(r#"{"shell": "for i in $(seq 50); do echo line $i; done; echo worse >&2; exit 3"}"#)
                .run()
                .await;
        let error = error.expect_err("it ends with 3");
        assert!(error.contains("exit status: 3") && error.ends_with("line 50\nworse"), "{error}");
        assert!(!error.contains("line 40\n"), "{error}");
    }

    #[tokio::test]
    async fn a_command_over_its_time_is_killed_with_all_that_it_started() {
        let began = Instant::now();
        let slow = command(r#"{"shell": "sleep 60 & echo $!; wait", "timeout_s": 0.3}"#);
        let error = slow.run().await.expect_err("it takes a minute");
        assert!(began.elapsed() < Duration::from_secs(5));
        let child: u32 =
            error.lines().last().and_then(|line| line.parse().ok()).expect("the number of the child");
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        assert!(
            (0..100).any(|_| gone() || {
                std::thread::sleep(Duration::from_millis(20));
                false
            }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn nobody_who_waits_is_nobody_who_measures() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let slow = Command::shell(&format!("sleep 1; touch {}", mark.display()), Duration::from_secs(9));
        let waiting = tokio::time::timeout(Duration::from_millis(200), slow.run()).await;
        assert!(waiting.is_err());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn variables_reach_the_program() {
        let environment = BTreeMap::from([("pool_size".to_owned(), "8".to_owned())]);
        let said = Command::shell("echo $pool_size", Duration::from_secs(9)).run_with(&environment).await;
        assert_eq!(said.as_deref(), Ok("8\n"));
    }

    #[tokio::test]
    async fn a_service_left_in_the_background_does_not_hold_up_its_command() {
        let began = Instant::now();
        command(r#"{"shell": "sleep 3 &"}"#).run().await.expect("ends at once");
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_command_that_was_left_behind_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let note = folder.path().join("running");
        let slow = command(r#"["sleep", "0.4"]"#);
        let left = tokio::spawn(NOTED_IN.scope(note.clone(), async move { slow.run().await }));
        while !note.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let since = Instant::now();
        wait_for_orphan(&note).await.expect("it ends");
        assert!(since.elapsed() > Duration::from_millis(200), "{:?}", since.elapsed());
        left.await.expect("no panic").expect("it slept");
        wait_for_orphan(&note).await.expect("there is none");
    }

    #[test]
    fn what_is_no_command_is_told_what_one_is() {
        for json in ["3", "[]", r#"{"argv": ["a"], "timeout": 3}"#, r#"{"argv": ["a"], "timeout_s": -1}"#] {
            let error = serde_json::from_str::<Command>(json).expect_err(json).to_string();
            assert!(error.contains("command") || error.contains("timeout_s is -1"), "{error}");
        }
    }
}
