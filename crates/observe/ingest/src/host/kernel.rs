//! What the kernel counts for the machine as a whole.

use kandela_model::MetricKind::Counter;

use super::page::Page;
use super::read::{form, number, optional, single, text};
use super::{Found, HostError, HostPaths};

/// `stat`: boot time, interrupts, context switches, forks and runnable tasks from `/proc/stat`.
pub(super) fn stat(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("stat");
    for line in text(&path)?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(key), Some(field)) = (fields.next(), fields.next()) else { continue };
        let mut counter = |name, help| -> Result<(), HostError> {
            page.counter(name, help, number(&path, field)?);
            Ok(())
        };
        match key {
            "intr" => counter("node_intr_total", "Interrupts served.")?,
            "ctxt" => counter("node_context_switches_total", "Context switches.")?,
            "processes" => counter("node_forks_total", "Processes and threads started.")?,
            "btime" => page.gauge(
                "node_boot_time_seconds",
                "When the machine started, in seconds since the Unix epoch.",
                number(&path, field)?,
            ),
            "procs_running" => {
                page.gauge("node_procs_running", "Tasks that run or could run now.", number(&path, field)?);
            }
            "procs_blocked" => {
                page.gauge(
                    "node_procs_blocked",
                    "Tasks that wait for input or output.",
                    number(&path, field)?,
                );
            }
            _ => {}
        }
    }
    Ok(Found::Something)
}

/// `loadavg`: tasks that run or wait, averaged over 1, 5 and 15 minutes.
pub(super) fn loadavg(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("loadavg");
    let text = text(&path)?;
    let mut fields = text.split_ascii_whitespace();
    for (name, help) in [
        ("node_load1", "Load average over one minute."),
        ("node_load5", "Load average over five minutes."),
        ("node_load15", "Load average over fifteen minutes."),
    ] {
        let field = fields.next().ok_or_else(|| form(&path, "fewer than three averages"))?;
        page.gauge(name, help, number(&path, field)?);
    }
    Ok(Found::Something)
}

/// `entropy`: bits in the kernel's random pool.
pub(super) fn entropy(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let folder = paths.proc.join("sys/kernel/random");
    let available = single(&folder.join("entropy_avail"))?;
    page.gauge("node_entropy_available_bits", "Entropy in the kernel's pool.", available);
    let size = single(&folder.join("poolsize"))?;
    page.gauge("node_entropy_pool_size_bits", "Size of the kernel's entropy pool.", size);
    Ok(Found::Something)
}

/// `filefd`: open files of the machine and their limit, from `/proc/sys/fs/file-nr`.
pub(super) fn filefd(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("sys/fs/file-nr");
    let text = text(&path)?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [allocated, _, maximum] = fields.as_slice() else {
        return Err(form(&path, "not three numbers"));
    };
    page.gauge("node_filefd_allocated", "File handles in use.", number(&path, allocated)?);
    page.gauge("node_filefd_maximum", "File handles that the kernel allows.", number(&path, maximum)?);
    Ok(Found::Something)
}

/// `kernel_hung`: tasks that the hung-task detector found.
pub(super) fn kernel_hung(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("sys/kernel/hung_task_detect_count");
    let Some(text) = optional(&path)? else { return Ok(Found::Nothing) };
    let count = number(&path, text.trim())?;
    page.counter("node_kernel_hung_tasks_total", "Tasks found hanging since the machine started.", count);
    Ok(Found::Something)
}

/// `pressure`: time lost to waiting for a resource (`some`: at least one task waited, `full`: all did), kernel
/// documentation, accounting/psi.
pub(super) fn pressure(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    const SHARES: [(&str, &str, &str, &str); 6] = [
        (
            "cpu",
            "some",
            "node_pressure_cpu_waiting_seconds_total",
            "Time in which tasks waited for a processor.",
        ),
        ("io", "some", "node_pressure_io_waiting_seconds_total", "Time in which tasks waited for I/O."),
        ("io", "full", "node_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O."),
        (
            "memory",
            "some",
            "node_pressure_memory_waiting_seconds_total",
            "Time in which tasks waited for memory.",
        ),
        (
            "memory",
            "full",
            "node_pressure_memory_stalled_seconds_total",
            "Time in which all tasks waited for memory.",
        ),
        (
            "irq",
            "full",
            "node_pressure_irq_stalled_seconds_total",
            "Time in which interrupts held all tasks up.",
        ),
    ];
    let mut found = Found::Nothing;
    for (resource, share, name, help) in SHARES {
        let path = paths.proc.join("pressure").join(resource);
        let Some(text) = optional(&path)? else { continue };
        let total = text
            .lines()
            .filter_map(|line| line.strip_prefix(share))
            .find_map(|line| line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total=")));
        let Some(micros) = total else { continue };
        page.family(name, Counter, help).add(&[], number(&path, micros)? / 1e6);
        found = Found::Something;
    }
    Ok(found)
}
