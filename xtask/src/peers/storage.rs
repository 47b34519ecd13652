//! Bytes on disk for each sample of a real node_exporter, once each system has merged what it wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;
use ureq::Agent;

use super::ingest::{Format, programs, start};
use super::pages::{self, EVERY, Page};
use super::process::{self, Interrupt};
use super::remote_write::{self, WriteRequest};
use super::system::System;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Where pages of node_exporter are kept; what is missing is recorded, and an interrupted recording goes on
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
    /// How long to record for
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Systems to measure; ratios are of the first to each other one
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Kandela, System::Prometheus, System::VictoriaMetrics])]
    systems: Vec<System>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What one system needed.
#[derive(Debug, Serialize)]
struct Stored {
    system: System,
    version: String,
    samples: u64,
    series: usize,
    disk_bytes: u64,
    bytes_per_sample: f64,
}

#[derive(Debug, Serialize)]
struct Summary {
    systems: Vec<Stored>,
}

/// What a file takes up on disk is a multiple of this.
const DISK_BLOCK: u64 = 4_096;
const MERGE_LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let programs = programs(root, &arguments.systems)?;
    let interrupt = Interrupt::on_signals()?;
    let folder = root.join("target/peers");
    let recorded = arguments.pages.clone().unwrap_or_else(|| folder.join("pages"));
    pages::record(&recorded, (arguments.minutes * 60 / EVERY.as_secs()) as usize, &interrupt)?;
    let mut pages = pages::read(&recorded)?;
    shift_to_yesterday(&mut pages)?;
    let mut systems = Vec::new();
    for (system, program) in programs {
        eprintln!("{}: {} pages", system.name(), pages.len());
        let stored = measure(system, &program, &pages, &folder, &interrupt)
            .with_context(|| system.name().to_owned())?;
        systems.push(stored);
    }
    let summary = Summary { systems };
    match arguments.format {
        Format::Table => print!("{summary}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    Ok(())
}

/// Moves all pages by one constant, so that they lie within a day that is over: every system then merges all of it.
fn shift_to_yesterday(pages: &mut [Page]) -> anyhow::Result<()> {
    const DAY: i64 = 86_400_000;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let (Some(first), Some(last)) = (pages.first(), pages.last()) else { bail!("there are no pages") };
    ensure!(
        last.unix_ms - first.unix_ms < DAY,
        "the pages span more than a day: record into an empty folder"
    );
    let shift = now / DAY * DAY - DAY - first.unix_ms;
    pages.iter_mut().for_each(|page| page.unix_ms += shift);
    Ok(())
}

fn measure(
    system: System,
    program: &Path,
    pages: &[Page],
    folder: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Stored> {
    let home = tempfile::Builder::new().prefix(system.name()).tempdir_in(folder)?;
    let (mut samples, mut series) = (0, 0);
    // A restart in the middle: Kandela and VictoriaMetrics write what they hold in memory, and have something to merge.
    for half in pages.chunks(pages.len().div_ceil(2)) {
        let (_server, agent, base) = start(system, program, &[], home.path(), interrupt)?;
        for page in half {
            let timeseries = pages::series(page, page.unix_ms)?;
            samples += timeseries.len() as u64;
            series = series.max(timeseries.len());
            let body = remote_write::encode(&WriteRequest { timeseries })?;
            let (status, text) = remote_write::post(&agent, &format!("{base}/api/v1/write"), &body)?;
            ensure!(status.is_success(), "a page was answered {status}: {text}");
            interrupt.check()?;
        }
    }
    let (_server, agent, base) = start(system, program, &[], home.path(), interrupt)?;
    let data = home.path().join("data");
    let disk_bytes = merged(system, &agent, &base, &data, interrupt)?;
    let bytes_per_sample = disk_bytes as f64 / samples as f64;
    Ok(Stored { system, version: system.version(program), samples, series, disk_bytes, bytes_per_sample })
}

/// Bytes of what a system keeps for good once it has merged it; the log that only serves a restart does not count.
fn merged(
    system: System,
    agent: &Agent,
    base: &str,
    data: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<u64> {
    match system {
        // A snapshot is the head as a block, in the form that the head is written in every two hours.
        System::Prometheus => {
            let mut response = agent.post(format!("{base}/api/v1/admin/tsdb/snapshot")).send_empty()?;
            let text = response.body_mut().read_to_string()?;
            ensure!(response.status() == 200, "the snapshot was answered {}: {text}", response.status());
            Ok(process::disk_bytes(&data.join("snapshots")))
        }
        System::VictoriaMetrics => {
            agent.get(format!("{base}/internal/force_merge")).call()?;
            at_rest(data, interrupt)
        }
        System::Kandela => {
            at_rest(data, interrupt)?;
            let tables = ["series", "samples"].map(|table| data.join("default").join(table));
            tables.iter().map(|table| listed_bytes(table)).sum()
        }
    }
}

/// The size of `folder` once it has not changed for ten seconds.
fn at_rest(folder: &Path, interrupt: &Interrupt) -> anyhow::Result<u64> {
    const STEADY: Duration = Duration::from_secs(10);
    let deadline = Instant::now() + MERGE_LIMIT;
    let (mut size, mut since) = (process::disk_bytes(folder), Instant::now());
    while since.elapsed() < STEADY && Instant::now() < deadline {
        interrupt.sleep(Duration::from_millis(500))?;
        let now = process::disk_bytes(folder);
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
    Ok(size)
}

/// What a Delta table keeps for days that are over: the files that its last version lists. Files that a merge replaced stay
/// for ten minutes, for queries that still read them; today's are Kandela's telemetry of itself; and the log of commits is
/// cut after a day, like any log that serves a restart.
fn listed_bytes(table: &Path) -> anyhow::Result<u64> {
    let log = table.join("_delta_log");
    let mut commits: Vec<PathBuf> = std::fs::read_dir(&log)
        .with_context(|| format!("{} cannot be read", log.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    commits.sort();
    let mut listed: BTreeMap<String, u64> = BTreeMap::new();
    for commit in commits {
        for line in std::fs::read_to_string(&commit)?.lines() {
            let action: serde_json::Value = serde_json::from_str(line)?;
            if let (Some(path), Some(size)) = (action["add"]["path"].as_str(), action["add"]["size"].as_u64())
            {
                listed.insert(path.to_owned(), size.next_multiple_of(DISK_BLOCK));
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                listed.remove(path);
            }
        }
    }
    // Paths begin with date=YYYY-MM-DD, so the newest day is today's.
    let today = listed.keys().filter_map(|path| path.split('/').next()).max().map(str::to_owned);
    let over = listed.iter().filter(|(path, _)| path.split('/').next() != today.as_deref());
    let bytes: u64 = over.map(|(_, size)| size).sum();
    ensure!(bytes > 0, "{} lists no file of a day that is over", table.display());
    Ok(bytes)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:<28} {:>9} {:>7} {:>12} {:>13} {:>7}",
            "system", "version", "samples", "series", "bytes", "bytes/sample", "ratio"
        )?;
        let Some(ours) = self.systems.first() else { return Ok(()) };
        for stored in &self.systems {
            let Stored { system, version, samples, series, disk_bytes, bytes_per_sample } = stored;
            let ratio = ours.bytes_per_sample / bytes_per_sample;
            writeln!(
                f,
                "{:<18} {version:<28} {samples:>9} {series:>7} {disk_bytes:>12} {bytes_per_sample:>13.3} {ratio:>7.2}",
                system.name()
            )?;
        }
        writeln!(f, "ratio: {} over the system of the line", ours.system.name())
    }
}
