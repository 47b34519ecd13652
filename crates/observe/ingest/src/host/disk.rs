//! Block devices: operations, bytes and time from `/proc/diskstats`, identity from `/sys` and udev.

use std::collections::HashMap;

use kandela_model::MetricKind::{self, Counter, Gauge};

use super::page::Page;
use super::read::{attribute, form, number, text};
use super::{Found, HostError, HostPaths};

const SECTOR: f64 = 512.0;
const MILLI: f64 = 1e-3;

/// The columns after the device's name, with the factor to the metric's unit (kernel documentation, admin-guide/iostats).
const COLUMNS: [(&str, MetricKind, f64, &str); 17] = [
    ("node_disk_reads_completed_total", Counter, 1.0, "Reads completed."),
    ("node_disk_reads_merged_total", Counter, 1.0, "Reads merged with one next to them."),
    ("node_disk_read_bytes_total", Counter, SECTOR, "Bytes read."),
    ("node_disk_read_time_seconds_total", Counter, MILLI, "Time spent on reads, added up over them."),
    ("node_disk_writes_completed_total", Counter, 1.0, "Writes completed."),
    ("node_disk_writes_merged_total", Counter, 1.0, "Writes merged with one next to them."),
    ("node_disk_written_bytes_total", Counter, SECTOR, "Bytes written."),
    ("node_disk_write_time_seconds_total", Counter, MILLI, "Time spent on writes, added up over them."),
    ("node_disk_io_now", Gauge, 1.0, "Operations in progress."),
    ("node_disk_io_time_seconds_total", Counter, MILLI, "Time in which an operation was in progress."),
    (
        "node_disk_io_time_weighted_seconds_total",
        Counter,
        MILLI,
        "Time in operation times operations in progress.",
    ),
    ("node_disk_discards_completed_total", Counter, 1.0, "Discards completed."),
    ("node_disk_discards_merged_total", Counter, 1.0, "Discards merged with one next to them."),
    ("node_disk_discarded_sectors_total", Counter, 1.0, "Sectors discarded."),
    ("node_disk_discard_time_seconds_total", Counter, MILLI, "Time spent on discards, added up over them."),
    ("node_disk_flush_requests_total", Counter, 1.0, "Flushes completed."),
    (
        "node_disk_flush_requests_time_seconds_total",
        Counter,
        MILLI,
        "Time spent on flushes, added up over them.",
    ),
];

/// `diskstats`, without partitions, RAM disks, loop devices and floppies.
pub(super) fn diskstats(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let path = paths.proc.join("diskstats");
    for line in text(&path)?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(device)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(form(&path, format!("no major, minor and name in the line {line:?}")));
        };
        if is_ignored(device) {
            continue;
        }
        identity(paths, page, device, major, minor);
        for ((name, kind, factor, help), field) in COLUMNS.into_iter().zip(fields) {
            let value = number(&path, field)? * factor;
            page.family(name, kind, help).add(&[("device", device)], value);
        }
    }
    Ok(Found::Something)
}

/// node_exporter's `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_ignored(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let is_partition = |prefix| {
        stem.strip_prefix(prefix)
            .is_some_and(|letter| letter.len() == 1 && letter.bytes().all(|b| b.is_ascii_lowercase()))
    };
    matches!(stem, "ram" | "zram" | "loop" | "fd")
        || ["hd", "sd", "vd", "xvd"].into_iter().any(is_partition)
        || is_nvme_partition(stem)
}

/// Whether `stem` is `nvme<digits>n<digits>p`.
fn is_nvme_partition(stem: &str) -> bool {
    let numbers = stem.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers
        .and_then(|numbers| numbers.split_once('n'))
        .is_some_and(|(controller, namespace)| is_number(controller) && is_number(namespace))
}

fn identity(paths: &HostPaths, page: &mut Page<'_>, device: &str, major: &str, minor: &str) {
    let udev = udev_properties(paths, major, minor);
    let property = |key: &str| udev.get(key).map(String::as_str).unwrap_or_default();
    let rotational =
        attribute(&paths.sys.join("block").join(device).join("queue/rotational")).unwrap_or_default();
    let serial = [property("SCSI_IDENT_SERIAL"), property("ID_SERIAL_SHORT")]
        .into_iter()
        .find(|serial| !serial.is_empty())
        .unwrap_or_default();
    page.family("node_disk_info", Gauge, "Identity of a block device.").add(
        &[
            ("device", device),
            ("major", major),
            ("minor", minor),
            ("model", property("ID_MODEL")),
            ("path", property("ID_PATH")),
            ("revision", property("ID_REVISION")),
            ("rotational", &rotational),
            ("serial", serial),
            ("wwn", property("ID_WWN")),
        ],
        1.0,
    );
    if !property("ID_FS_TYPE").is_empty() {
        page.family("node_disk_filesystem_info", Gauge, "The file system that lies on a block device.").add(
            &[
                ("device", device),
                ("type", property("ID_FS_TYPE")),
                ("usage", property("ID_FS_USAGE")),
                ("uuid", property("ID_FS_UUID")),
                ("version", property("ID_FS_VERSION")),
            ],
            1.0,
        );
    }
    if !property("DM_NAME").is_empty() {
        page.family("node_disk_device_mapper_info", Gauge, "What the device mapper says of a block device.")
            .add(
                &[
                    ("device", device),
                    ("name", property("DM_NAME")),
                    ("uuid", property("DM_UUID")),
                    ("vg_name", property("DM_VG_NAME")),
                    ("lv_name", property("DM_LV_NAME")),
                    ("lv_layer", property("DM_LV_LAYER")),
                ],
                1.0,
            );
    }
}

/// udev's properties of a block device: the lines `E:KEY=VALUE` of its database. A machine without udev has none.
fn udev_properties(paths: &HostPaths, major: &str, minor: &str) -> HashMap<String, String> {
    let path = paths.root.join("run/udev/data").join(format!("b{major}:{minor}"));
    let text = attribute(&path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("E:")?.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_ignored;

    #[test]
    fn whole_disks_are_served_and_their_partitions_are_not() {
        for served in ["sda", "vda", "nvme0n1", "dm-0", "md127", "xvdba", "mmcblk0p1", "sr0"] {
            assert!(!is_ignored(served), "{served}");
        }
        for ignored in ["sda1", "vdb12", "xvda1", "hdc3", "nvme0n1p2", "loop7", "ram0", "zram0", "fd0"] {
            assert!(is_ignored(ignored), "{ignored}");
        }
    }
}
