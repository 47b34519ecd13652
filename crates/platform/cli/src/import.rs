//! `kandela import`: take in history, straight into a data folder that no server uses.

mod intake;
mod openmetrics;
mod remote;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kandela_config::parse_size;
use kandela_ingest::tsdb::Tsdb;
use kandela_lake::{Lake, LakeConfig};
use kandela_model::{TenantId, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::output::{Format, Outcome, grouped, line};
use intake::{Intake, Parcel, Taken};

/// Batches that wait for the lake at most; their memory comes on top of the lake's.
const WAITING: usize = 4;
/// Damages that the summary names.
const MAX_NAMED: usize = 20;

#[derive(Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    source: Source,
    /// The folder that keeps everything; no server may be using it
    #[arg(long, value_name = "DIR", default_value = "data", global = true)]
    data: PathBuf,
    /// Whose telemetry it becomes
    #[arg(long, value_name = "NAME", env = "KANDELA_TENANT", default_value = "default", global = true)]
    tenant: String,
    /// Memory that the import may hold
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "2GiB", global = true)]
    memory_limit: u64,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Subcommand)]
enum Source {
    /// A Prometheus data folder, a snapshot of one, or a single block
    Tsdb {
        /// The folder of --storage.tsdb.path; Prometheus must not be running on it
        dir: PathBuf,
        /// Stop at what is damaged instead of skipping it
        #[arg(long)]
        strict: bool,
    },
    /// A file of OpenMetrics text in which every sample has its time
    Openmetrics {
        /// The file, as `promtool tsdb create-blocks-from openmetrics` takes it
        file: PathBuf,
    },
    /// What a server keeps that answers Prometheus' remote read
    RemoteRead(remote::RemoteRead),
}

/// What a source noticed besides the points that it gave.
#[derive(Debug, Default)]
struct Findings {
    /// Damaged things that were skipped.
    skipped: u64,
    /// The first of them.
    damaged: Vec<String>,
    /// Points that the source was told to delete.
    deleted: u64,
    /// Points whose series the source does not define.
    undefined: u64,
}

/// What the import did.
#[derive(Debug, Serialize)]
struct Summary {
    source: &'static str,
    /// Whether it was asked to end before it was done.
    interrupted: bool,
    series: usize,
    samples: u64,
    histograms: u64,
    exemplars: u64,
    /// Points that the lake had already, as far as it noticed; the rest are dropped when they are read.
    duplicates: u64,
    rejected: BTreeMap<&'static str, u64>,
    skipped: u64,
    damaged: Vec<String>,
    deleted: u64,
    undefined: u64,
    oldest: Option<String>,
    newest: Option<String>,
    /// Points older than metrics are kept by default.
    past_retention: u64,
    seconds: f64,
    points_per_second: f64,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let tenant = TenantId::new(self.tenant.as_str())?;
        let config = LakeConfig {
            memory_limit: usize::try_from(self.memory_limit).unwrap_or(usize::MAX),
            ..LakeConfig::at(self.data.join(tenant.as_str()))
        };
        let (name, taken, findings) = match self.source {
            Source::Tsdb { dir, strict } => {
                let tsdb = Tsdb::open(&dir)?;
                let (taken, findings) =
                    feed(config, |send| tokio::task::spawn_blocking(move || read_tsdb(&tsdb, strict, &send)))
                        .await?;
                ("tsdb", taken, findings)
            }
            Source::Openmetrics { file } => {
                let checked = file.clone();
                tokio::task::spawn_blocking(move || openmetrics::check(&checked)).await??;
                let (taken, findings) = feed(config, |send| {
                    tokio::task::spawn_blocking(move || {
                        openmetrics::read(&file, &mut |parcel| Ok(send.blocking_send(parcel)?))
                    })
                })
                .await?;
                ("openmetrics", taken, findings)
            }
            Source::RemoteRead(remote) => {
                let reading = remote.prepare()?;
                let (taken, findings) = feed(config, |send| tokio::spawn(reading.run(send))).await?;
                ("remote-read", taken, findings)
            }
        };
        let summary = summarise(name, taken, findings);
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(&summary)?),
            Format::Table => print(&summary),
        }
        Ok(if summary.interrupted { Outcome::Interrupted } else { Outcome::Done })
    }
}

/// Opens the lake, starts the source and brings the one's points into the other.
async fn feed(
    config: LakeConfig,
    start: impl FnOnce(mpsc::Sender<Parcel>) -> tokio::task::JoinHandle<anyhow::Result<Findings>>,
) -> anyhow::Result<(Taken, Findings)> {
    let folder = config.root.clone();
    let lake = Lake::open(config).await.with_context(|| {
        format!("opening {}; a server that uses it has to be stopped first", folder.display())
    })?;
    let (send, receive) = mpsc::channel(WAITING);
    let source = start(send);
    let taken = Intake::new(lake).run(receive).await;
    let findings = source.await?;
    // Where the lake refuses, the source only knows that nobody listens any more.
    let taken = taken?;
    match findings {
        Ok(findings) => Ok((taken, findings)),
        Err(_) if taken.interrupted => Ok((taken, Findings::default())),
        Err(error) => Err(error.context(format!(
            "{} points are in already; importing again adds only what is missing",
            grouped(taken.samples + taken.histograms)
        ))),
    }
}

fn read_tsdb(tsdb: &Tsdb, strict: bool, send: &mpsc::Sender<Parcel>) -> anyhow::Result<Findings> {
    let report = tsdb.read(strict, |batch, progress| {
        send.blocking_send(Parcel { batch, done: progress.done, total: progress.total })?;
        anyhow::Ok(())
    })?;
    Ok(Findings {
        skipped: report.damages,
        damaged: report.damaged.iter().take(MAX_NAMED).map(ToString::to_string).collect(),
        deleted: report.deleted,
        undefined: report.undefined,
    })
}

fn summarise(source: &'static str, taken: Taken, findings: Findings) -> Summary {
    let points = taken.samples + taken.histograms;
    let seconds = taken.took.as_secs_f64();
    let text = |ts: Option<Timestamp>| {
        let instant = jiff::Timestamp::from_microsecond(ts?.micros()).ok()?;
        Some(instant.to_string())
    };
    Summary {
        source,
        interrupted: taken.interrupted,
        series: taken.series.len(),
        samples: taken.samples,
        histograms: taken.histograms,
        exemplars: taken.exemplars,
        duplicates: taken.duplicates,
        rejected: taken.rejected,
        skipped: findings.skipped,
        damaged: findings.damaged,
        deleted: findings.deleted,
        undefined: findings.undefined,
        oldest: text(taken.oldest),
        newest: text(taken.newest),
        past_retention: taken.past_retention,
        seconds,
        points_per_second: if seconds > 0.0 { points as f64 / seconds } else { 0.0 },
    }
}

fn print(summary: &Summary) {
    let state =
        if summary.interrupted { "interrupted; importing again adds only what is missing" } else { "done" };
    line(&format!("import of {} {state}", summary.source));
    line(&format!("  series      {}", grouped(summary.series as u64)));
    line(&format!("  samples     {}", grouped(summary.samples)));
    line(&format!("  histograms  {}", grouped(summary.histograms)));
    line(&format!("  exemplars   {}", grouped(summary.exemplars)));
    if let (Some(oldest), Some(newest)) = (&summary.oldest, &summary.newest) {
        line(&format!("  from        {oldest}"));
        line(&format!("  to          {newest}"));
    }
    line(&format!(
        "  took        {:.1} s, {} points/s",
        summary.seconds,
        grouped(summary.points_per_second as u64)
    ));
    let also = [
        (summary.duplicates, "were there already"),
        (summary.deleted, "were deleted at the source, and left out"),
        (summary.undefined, "belong to series that the source does not define, and were left out"),
        (
            summary.past_retention,
            "are older than metrics are kept by default; raise kandela.retention before a server starts on them",
        ),
    ];
    for (points, what) in also.into_iter().filter(|(points, _)| *points > 0) {
        line(&format!("  {} points {what}", grouped(points)));
    }
    for (reason, points) in &summary.rejected {
        line(&format!("  {} points refused: {reason}", grouped(*points)));
    }
    if summary.skipped > 0 {
        line(&format!("  {} damaged parts were skipped:", grouped(summary.skipped)));
        summary.damaged.iter().for_each(|damage| line(&format!("    {damage}")));
    }
}
