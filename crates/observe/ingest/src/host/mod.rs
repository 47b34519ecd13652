//! Metrics of the machine that Kandela runs on, under node_exporter's names and labels.
//!
//! A dashboard or an alert that was written for node_exporter 1.11 with its default collectors works on these series
//! unchanged. Everything is read below the roots in [`HostPaths`], so a container can serve the machine around it and a
//! test can serve a folder. `docs/host-metrics.md` lists the collectors and what is left out.
//!
//! ```no_run
//! use kandela_ingest::host::{self, HostPaths};
//! use kandela_model::{MetricBatch, Timestamp};
//!
//! let mut batch = MetricBatch::default();
//! let now = Timestamp::from_millis(1_700_000_000_000);
//! for failure in host::collect(&HostPaths::default(), now, "web-1", &mut batch) {
//!     eprintln!("{failure}");
//! }
//! ```

mod cpu;
mod disk;
mod filesystem;
mod kernel;
mod machine;
mod memory;
mod network;
mod page;
mod protocol;
mod read;
mod sensors;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use kandela_model::{MetricBatch, MetricKind, Timestamp};
use thiserror::Error;

use page::Page;

/// The `job` label of every host series: what dashboards for node_exporter select.
pub const JOB: &str = "node";

/// Where the machine's files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPaths {
    /// The `proc` file system, `/proc`.
    pub proc: PathBuf,
    /// The `sys` file system, `/sys`.
    pub sys: PathBuf,
    /// The root below which mount points, `/etc/os-release` and udev's data are looked up, `/`.
    pub root: PathBuf,
}

impl Default for HostPaths {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }
}

/// Why a collector could not do its work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// A file or folder could not be read.
    #[error("reading {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file did not have the form that the kernel documents.
    #[error("{path}: {what}")]
    Form {
        /// Which.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// The operating system has no `/proc` as Linux has it.
    #[error(
        "host metrics are read from Linux' /proc and /sys, which this operating system lacks; scrape an exporter"
    )]
    Unsupported,
}

/// A collector that failed. The others went on.
#[derive(Debug, Error)]
#[error("host collector {collector}: {source}")]
pub struct CollectorError {
    /// node_exporter's name for the collector, as in `node_scrape_collector_success{collector}`.
    pub collector: &'static str,
    /// What went wrong.
    #[source]
    pub source: HostError,
}

/// What a collector found.
enum Found {
    /// Its part of the machine is there.
    Something,
    /// This machine has no such part; that is no fault, yet `node_scrape_collector_success` is 0 as in node_exporter.
    Nothing,
}

type Collector = fn(&HostPaths, &mut Page<'_>) -> Result<Found, HostError>;

/// By node_exporter's names, in their order.
const COLLECTORS: [(&str, Collector); 26] = [
    ("arp", network::arp),
    ("conntrack", protocol::conntrack),
    ("cpu", cpu::cpu),
    ("cpufreq", cpu::cpufreq),
    ("diskstats", disk::diskstats),
    ("entropy", kernel::entropy),
    ("filefd", kernel::filefd),
    ("filesystem", filesystem::filesystem),
    ("hwmon", sensors::hwmon),
    ("kernel_hung", kernel::kernel_hung),
    ("loadavg", kernel::loadavg),
    ("meminfo", memory::meminfo),
    ("netclass", network::netclass),
    ("netdev", network::netdev),
    ("netstat", protocol::netstat),
    ("os", machine::os),
    ("pressure", kernel::pressure),
    ("schedstat", cpu::schedstat),
    ("sockstat", protocol::sockstat),
    ("softnet", protocol::softnet),
    ("stat", kernel::stat),
    ("thermal_zone", sensors::thermal_zone),
    ("time", machine::time),
    ("udp_queues", protocol::udp_queues),
    ("uname", machine::uname),
    ("vmstat", memory::vmstat),
];

/// Appends the machine's metrics at `now` to `batch`, each with `job="node"` and `instance`, and says which collectors
/// failed. `up` is among the series, since no scrape of this job writes it.
///
/// Blocks on file reads for a few milliseconds, and up to five seconds on a network file system that hangs: call it off
/// the threads that serve requests.
pub fn collect(
    paths: &HostPaths,
    now: Timestamp,
    instance: &str,
    batch: &mut MetricBatch,
) -> Vec<CollectorError> {
    if !cfg!(target_os = "linux") {
        return vec![CollectorError { collector: "all", source: HostError::Unsupported }];
    }
    let mut page = Page::new(batch, now, instance);
    let mut failures = Vec::new();
    page.gauge("up", "Whether the host's metrics could be read.", 1.0);
    for (name, collector) in COLLECTORS {
        let started = Instant::now();
        let outcome = collector(paths, &mut page);
        let seconds = started.elapsed().as_secs_f64();
        let success = matches!(outcome, Ok(Found::Something));
        if let Err(source) = outcome {
            failures.push(CollectorError { collector: name, source });
        }
        let labels = [("collector", name)];
        page.family(
            "node_scrape_collector_duration_seconds",
            MetricKind::Gauge,
            "How long the collector took this time.",
        )
        .add(&labels, seconds);
        page.family(
            "node_scrape_collector_success",
            MetricKind::Gauge,
            "Whether the collector found its part of the machine and read it.",
        )
        .add(&labels, f64::from(u8::from(success)));
    }
    failures
}
