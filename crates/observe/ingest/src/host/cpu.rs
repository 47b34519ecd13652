//! Processors: time by mode, frequencies, throttling and time on the run queue.

use std::collections::BTreeSet;
use std::path::Path;

use kandela_model::MetricKind::{Counter, Gauge};

use super::page::Page;
use super::read::{attribute, attribute_number, entries, form, number, optional, text};
use super::{Found, HostError, HostPaths};

/// Columns of a `cpuN` line of `/proc/stat`, proc_stat(5).
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

/// `cpu`: seconds by mode from `/proc/stat`, and how often the processor throttled itself.
///
/// Values are the kernel's: idle and iowait may step back a little when a processor goes offline and returns.
pub(super) fn cpu(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("stat");
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    for line in text(&path)?.lines() {
        let Some((cpu, columns)) = cpu_line(line) else { continue };
        let mut columns = columns.split_ascii_whitespace();
        // A kernel older than a mode ends the line before it, and counts it as zero.
        for mode in MODES {
            let seconds = number(&path, columns.next().unwrap_or("0"))? / ticks;
            page.family("node_cpu_seconds_total", Counter, "Time that each processor spent in each mode.")
                .add(&[("cpu", cpu), ("mode", mode)], seconds);
        }
        for mode in GUEST_MODES {
            let seconds = number(&path, columns.next().unwrap_or("0"))? / ticks;
            page.family(
                "node_cpu_guest_seconds_total",
                Counter,
                "Time that each processor ran virtual machines, by their mode.",
            )
            .add(&[("cpu", cpu), ("mode", mode)], seconds);
        }
    }
    throttling(&paths.sys, page)?;
    Ok(Found::Something)
}

/// The number and the columns of a `cpuN` line; nothing for the sum line `cpu` and all others.
fn cpu_line(line: &str) -> Option<(&str, &str)> {
    let (cpu, columns) = line.strip_prefix("cpu")?.split_once(' ')?;
    (!cpu.is_empty()).then_some((cpu, columns))
}

/// Cores and packages are counted once, not once a hardware thread.
fn throttling(sys: &Path, page: &mut Page<'_>) -> Result<(), HostError> {
    let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
    for (_, folder) in cpu_folders(sys)? {
        let topology = folder.join("topology");
        let Some(package) = attribute(&topology.join("physical_package_id")) else { continue };
        if let (Some(core), Some(count)) = (
            attribute(&topology.join("core_id")),
            attribute_number(&folder.join("thermal_throttle/core_throttle_count")),
        ) && cores.insert((package.clone(), core.clone()))
        {
            page.family(
                "node_cpu_core_throttles_total",
                Counter,
                "Times that a core slowed down because it was too hot.",
            )
            .add(&[("core", &core), ("package", &package)], count);
        }
        if let Some(count) = attribute_number(&folder.join("thermal_throttle/package_throttle_count"))
            && packages.insert(package.clone())
        {
            page.family(
                "node_cpu_package_throttles_total",
                Counter,
                "Times that a processor package slowed down because it was too hot.",
            )
            .add(&[("package", &package)], count);
        }
    }
    Ok(())
}

fn cpu_folders(sys: &Path) -> Result<Vec<(String, std::path::PathBuf)>, HostError> {
    let folders = entries(&sys.join("devices/system/cpu"))?;
    let numbered = folders.into_iter().filter_map(|(name, path)| {
        let number = name.strip_prefix("cpu")?;
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| (number.to_owned(), path))
    });
    Ok(numbered.collect())
}

/// `cpufreq`: the governor's and the hardware's frequencies.
pub(super) fn cpufreq(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    const FREQUENCIES: [(&str, &str, &str); 6] = [
        ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Frequency that the hardware reports."),
        ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Lowest frequency of the hardware."),
        ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Highest frequency of the hardware."),
        ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Frequency that the governor last set."),
        (
            "scaling_min_freq",
            "node_cpu_scaling_frequency_min_hertz",
            "Lowest frequency allowed to the governor.",
        ),
        (
            "scaling_max_freq",
            "node_cpu_scaling_frequency_max_hertz",
            "Highest frequency allowed to the governor.",
        ),
    ];
    for (cpu, folder) in cpu_folders(&paths.sys)? {
        let folder = folder.join("cpufreq");
        for (file, name, help) in FREQUENCIES {
            if let Some(kilohertz) = attribute_number(&folder.join(file)) {
                page.family(name, Gauge, help).add(&[("cpu", &cpu)], kilohertz * 1_000.0);
            }
        }
        let current = attribute(&folder.join("scaling_governor")).unwrap_or_default();
        let available = attribute(&folder.join("scaling_available_governors")).unwrap_or_default();
        for governor in available.split_ascii_whitespace() {
            page.family("node_cpu_scaling_governor", Gauge, "1 for the governor in force, 0 for the others.")
                .add(&[("cpu", &cpu), ("governor", governor)], f64::from(u8::from(governor == current)));
        }
    }
    Ok(Found::Something)
}

/// `schedstat`: time running and waiting to run, from `/proc/schedstat`, where the kernel keeps it.
pub(super) fn schedstat(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("schedstat");
    let Some(text) = optional(&path)? else { return Ok(Found::Nothing) };
    for line in text.lines() {
        let Some((cpu, columns)) = cpu_line(line) else { continue };
        let columns: Vec<&str> = columns.split_ascii_whitespace().collect();
        let [.., running, waiting, slices] = columns.as_slice() else {
            return Err(form(&path, format!("the line of cpu{cpu} has fewer than three columns")));
        };
        let labels = [("cpu", cpu)];
        let nanos = |field| number(&path, field).map(|n| n / 1e9);
        page.family("node_schedstat_running_seconds_total", Counter, "Time that tasks ran on the processor.")
            .add(&labels, nanos(running)?);
        page.family(
            "node_schedstat_waiting_seconds_total",
            Counter,
            "Time that tasks waited for the processor.",
        )
        .add(&labels, nanos(waiting)?);
        page.family("node_schedstat_timeslices_total", Counter, "Time slices that the processor ran.")
            .add(&labels, number(&path, slices)?);
    }
    Ok(Found::Something)
}
