//! Memory: what it is used for, and how pages move.

use kandela_model::MetricKind::{Gauge, Unknown};

use super::page::{Page, metric_name};
use super::read::{form, number, text};
use super::{Found, HostError, HostPaths};

/// `meminfo`: every field of `/proc/meminfo`, in bytes where the kernel states kilobytes.
pub(super) fn meminfo(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("meminfo");
    for line in text(&path)?.lines() {
        let (field, rest) =
            line.split_once(':').ok_or_else(|| form(&path, format!("no colon in the line {line:?}")))?;
        let mut words = rest.split_ascii_whitespace();
        let value = number(&path, words.next().unwrap_or_default())?;
        let stem = metric_name(field.trim_end_matches(')'));
        let (name, value) = match words.next() {
            Some("kB") => (format!("node_memory_{stem}_bytes"), value * 1_024.0),
            _ => (format!("node_memory_{stem}"), value),
        };
        page.family(&name, Gauge, &format!("Field {field} of /proc/meminfo.")).add(&[], value);
    }
    Ok(Found::Something)
}

/// `vmstat`: the fields of `/proc/vmstat` that node_exporter serves by default.
pub(super) fn vmstat(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("vmstat");
    for line in text(&path)?.lines() {
        let Some((field, value)) = line.split_once(' ') else { continue };
        if is_default_field(field) {
            let name = format!("node_vmstat_{}", metric_name(field));
            let value = number(&path, value.trim())?;
            page.family(&name, Unknown, &format!("Field {field} of /proc/vmstat.")).add(&[], value);
        }
    }
    Ok(Found::Something)
}

/// node_exporter's `^(oom_kill|pgpg|pswp|pg.*fault).*`.
fn is_default_field(field: &str) -> bool {
    ["oom_kill", "pgpg", "pswp"].iter().any(|prefix| field.starts_with(prefix))
        || field.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"))
}
