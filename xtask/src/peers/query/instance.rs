//! A system with its data: asked, ended and started again over them.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::fs::{Advice, fadvise, fsync};
use serde::Serialize;
use tempfile::TempDir;
use ureq::Agent;

use super::Bench;
use super::ask::{self, Question};
use super::times::Took;
use crate::peers::ingest::{self, settle};
use crate::peers::process::{Interrupt, Server};
use crate::peers::remote_write;
use crate::peers::system::System;

const LONGEST_SETTLING: Duration = Duration::from_secs(120);
/// How long a body is sent again and again, and how soon.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) struct Instance {
    pub(super) system: System,
    program: PathBuf,
    // Before its folder, which it may write to until it has ended.
    running: Running,
    home: TempDir,
}

struct Running {
    server: Server,
    agent: Agent,
    base: String,
}

/// Resident memory of a system.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Memory {
    pub(super) resident_bytes: u64,
    /// The highest since it was started.
    pub(super) peak_bytes: u64,
}

impl Instance {
    pub(super) fn start(system: System, program: &Path, bench: &Bench<'_>) -> anyhow::Result<Self> {
        Self::start_with(system, program, &[], bench)
    }

    /// Starts it with more on its command line.
    pub(super) fn start_with(
        system: System,
        program: &Path,
        arguments: &[&str],
        bench: &Bench<'_>,
    ) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix(system.name()).tempdir_in(bench.folder)?;
        let running = running(system, program, arguments, home.path(), bench.interrupt)?;
        Ok(Self { system, program: program.to_owned(), running, home })
    }

    /// Address of its HTTP API.
    pub(super) fn base(&self) -> &str {
        &self.running.base
    }

    /// Sends a body of remote write, which must be taken at once.
    pub(super) fn write(&self, body: &[u8]) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/write", self.running.base);
        let (status, text) = remote_write::post(&self.running.agent, &url, body)?;
        ensure!(status.is_success(), "{} answered a body with {status}: {}", self.system.name(), text.trim());
        Ok(())
    }

    /// As [`Instance::write`], again and again for some seconds where there is no room at the moment.
    pub(super) fn write_in_time(&self, body: &[u8]) -> anyhow::Result<()> {
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            match self.write(body) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(PATIENCE),
                written => return written,
            }
        }
    }

    /// As [`ask::ask`].
    pub(super) fn ask(&self, question: &Question, nocache: bool) -> anyhow::Result<(Vec<u8>, Duration)> {
        ask::ask(&self.running.agent, &self.running.base, question, nocache)
            .with_context(|| self.system.name())
    }

    /// As [`ask::ask_anything`].
    pub(super) fn ask_anything(&self, question: &Question) -> anyhow::Result<(u16, Vec<u8>, Duration)> {
        ask::ask_anything(&self.running.agent, &self.running.base, question, false)
    }

    /// As [`ask::ask`], with the CPU time it took; the bytes are thrown away.
    pub(super) fn time(&self, question: &Question, nocache: bool) -> anyhow::Result<Took> {
        let before = self.running.server.cpu_seconds()?;
        let (_, wall) = self.ask(question, nocache)?;
        let cpu = Duration::from_secs_f64(self.running.server.cpu_seconds()? - before);
        Ok(Took { wall, cpu })
    }

    /// Makes visible what it holds back, and waits until it has done what it put off.
    pub(super) fn settle(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.system.flush(&self.running.agent, &self.running.base)?;
        settle(&self.running.server, LONGEST_SETTLING, interrupt)?;
        self.running.server.check_alive()
    }

    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        let (resident_bytes, peak_bytes) = self.running.server.resident_bytes()?;
        Ok(Memory { resident_bytes, peak_bytes })
    }

    /// Ends it, takes its files out of the page cache, and starts it again; gives what it took from its start until it is ready.
    pub(super) fn restart_cold(mut self, interrupt: &Interrupt) -> anyhow::Result<(Self, Took)> {
        let Running { server, .. } = self.running;
        drop(server);
        forget_pages(&self.home.path().join("data"))?;
        let clock = Instant::now();
        self.running = running(self.system, &self.program, &[], self.home.path(), interrupt)?;
        let wall = clock.elapsed();
        let cpu = Duration::from_secs_f64(self.running.server.cpu_seconds()?);
        Ok((self, Took { wall, cpu }))
    }
}

fn running(
    system: System,
    program: &Path,
    arguments: &[&str],
    home: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Running> {
    let (server, agent, base) = ingest::start(system, program, arguments, home, interrupt)?;
    Ok(Running { server, agent, base })
}

/// Writes out every file below `folder` and has the kernel forget its pages. Nobody may have them mapped.
fn forget_pages(folder: &Path) -> anyhow::Result<()> {
    let told = || format!("{} cannot be taken out of the page cache", folder.display());
    for entry in fs::read_dir(folder).with_context(told)? {
        let path = entry.with_context(told)?.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else {
            let file = fs::File::open(&path).with_context(told)?;
            // Only pages that are on disk can be forgotten.
            fsync(&file).with_context(told)?;
            fadvise(&file, 0, None::<NonZeroU64>, Advice::DontNeed).with_context(told)?;
        }
    }
    Ok(())
}
