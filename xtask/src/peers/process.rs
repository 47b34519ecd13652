//! A server process of ours: what it has cost so far, and its end.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a server may take to end by itself.
const GRACE: Duration = Duration::from_secs(20);

/// A running server. Dropping it ends the process, by its id.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in `log`.
    ///
    /// # Errors
    /// When the program does not start.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = fs::File::create(log).with_context(|| format!("{} cannot be made", log.display()))?;
        // A process group of its own: Ctrl-C reaches only this program, which then ends the server in order.
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// # Errors
    /// When the server has ended; tells the last of what it said.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended ({status}) and said last:\n{}", last_of(&self.log));
        }
        Ok(())
    }

    /// User and system time of all its threads.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/PID/stat reads {stat:?}"))?;
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Resident memory in bytes: now, and at its highest.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<(u64, u64)> {
        let status = self.proc("status")?;
        let kib = |key| status_kib(&status, key).with_context(|| format!("/proc/PID/status has no {key}"));
        Ok((kib("VmRSS:")? * 1024, kib("VmHWM:")? * 1024))
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path)
            .with_context(|| format!("{path} does not read: the measurement needs Linux"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Once it has been waited for, its id may be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + GRACE;
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kernel's `USER_HZ`, in which it reports CPU time to programs: 100 on every architecture that Rust has a Linux
/// target for.
const TICKS_PER_SECOND: f64 = 100.0;

/// `utime + stime` of `/proc/PID/stat` (proc_pid_stat(5)), fields 14 and 15. The name, field 2, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn last_of(log: &Path) -> String {
    const LONGEST: u64 = 4096;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_or_else(
        |error| format!("({} does not read: {error})", log.display()),
        |bytes| String::from_utf8_lossy(&bytes).trim().to_owned(),
    )
}

/// Bytes that a folder takes up on disk. Files that vanish meanwhile count nothing.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    const BLOCK: u64 = 512;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * BLOCK,
            Err(_) => 0,
        })
        .sum()
}

/// A port on loopback that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback port is free")?;
    Ok(listener.local_addr()?.port())
}

/// Whether somebody asked this program to stop.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Set by Ctrl-C, a hang-up and the polite kill, which from now on do not end the program by themselves.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// # Errors
    /// When somebody asked to stop. Passing it up is what ends the servers.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted; the servers have been ended");
        }
        Ok(())
    }

    /// Sleeps, unless somebody asks to stop.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn sleep(&self, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.check()?;
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_any_process_name() {
        let stat = "4242 (a b) c) S 1 4242 4242 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 99 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("4242 (cut"), None);
    }

    #[test]
    fn memory_is_read_by_its_key() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!((status_kib(status, "VmRSS:"), status_kib(status, "VmHWM:")), (Some(1024), Some(2048)));
        assert_eq!(status_kib(status, "VmSwap:"), None);
    }

    #[test]
    fn a_server_that_is_dropped_has_ended() {
        let folder = tempfile::tempdir().expect("folder");
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut server = Server::start(command, &folder.path().join("log")).expect("started");
        server.check_alive().expect("alive");
        let proc = PathBuf::from(format!("/proc/{}", server.child.id()));
        assert!(proc.exists());
        drop(server);
        assert!(!proc.exists());
    }

    #[test]
    fn a_server_that_ended_tells_what_it_said_last() {
        let folder = tempfile::tempdir().expect("folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such flag; exit 3"]);
        let mut server = Server::start(command, &folder.path().join("log")).expect("started");
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            match server.check_alive() {
                Err(error) => break error.to_string(),
                Ok(()) => assert!(Instant::now() < deadline, "it should have ended"),
            }
        };
        assert!(error.contains("no such flag") && error.contains('3'), "{error}");
    }
}
