//! Mounted file systems: size, what is left, and whether they answer.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kandela_model::MetricKind::Gauge;
use rustix::fs::StatVfs;

use super::page::Page;
use super::read::{form, optional, text};
use super::{Found, HostError, HostPaths};

/// How long a network file system may take to answer before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Types that hold no user's files.
const IGNORED_TYPES: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// One line of `mountinfo`, proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    major: String,
    minor: String,
    mountpoint: String,
    device: String,
    fstype: String,
    readonly: bool,
}

/// `filesystem`, for the mounts that process 1 sees.
pub(super) fn filesystem(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let mut seen = BTreeSet::new();
    for mount in mounts(paths)? {
        let is_new = seen.insert((mount.device.clone(), mount.mountpoint.clone()));
        if is_new && !IGNORED_TYPES.contains(&mount.fstype.as_str()) && !is_ignored_point(&mount.mountpoint) {
            serve(paths, &mount, page);
        }
    }
    Ok(Found::Something)
}

fn serve(paths: &HostPaths, mount: &Mount, page: &mut Page<'_>) {
    let below_root = paths.root.join(mount.mountpoint.trim_start_matches('/'));
    let answer = if is_remote(&mount.fstype) {
        stat_patiently(&below_root)
    } else {
        rustix::fs::statvfs(&below_root).map_err(io::Error::from)
    };
    let device_error = answer.as_ref().err().map(io::Error::to_string).unwrap_or_default();
    let labels = [
        ("device", mount.device.as_str()),
        ("device_error", &device_error),
        ("fstype", &mount.fstype),
        ("mountpoint", &mount.mountpoint),
    ];
    let mut gauge = |name, help, value| page.family(name, Gauge, help).add(&labels, value);
    gauge(
        "node_filesystem_device_error",
        "Whether the file system failed to say how full it is.",
        f64::from(u8::from(answer.is_err())),
    );
    gauge(
        "node_filesystem_readonly",
        "Whether the file system can't be written.",
        f64::from(u8::from(mount.readonly)),
    );
    let Ok(stat) = answer else { return };
    let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
    gauge("node_filesystem_size_bytes", "Size of the file system.", bytes(stat.f_blocks));
    gauge("node_filesystem_free_bytes", "Space left, with what only root may use.", bytes(stat.f_bfree));
    gauge("node_filesystem_avail_bytes", "Space left for users other than root.", bytes(stat.f_bavail));
    gauge("node_filesystem_files", "Files that the file system can hold.", stat.f_files as f64);
    gauge("node_filesystem_files_free", "Files that can still be made.", stat.f_ffree as f64);
    page.family("node_filesystem_mount_info", Gauge, "Which device is mounted where.").add(
        &[
            ("device", &mount.device),
            ("major", &mount.major),
            ("minor", &mount.minor),
            ("mountpoint", &mount.mountpoint),
        ],
        1.0,
    );
}

fn mounts(paths: &HostPaths) -> Result<Vec<Mount>, HostError> {
    // Inside a container with the host's /proc, `self` would show the container's mounts.
    let of_init = paths.proc.join("1/mountinfo");
    let of_self = paths.proc.join("self/mountinfo");
    let (path, text) = match optional(&of_init) {
        Ok(Some(text)) => (of_init, text),
        _ => {
            let text = text(&of_self)?;
            (of_self, text)
        }
    };
    text.lines()
        .map(|line| mount(line).ok_or_else(|| form(&path, format!("the line {line:?} is no mount"))))
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS`
fn mount(line: &str) -> Option<Mount> {
    let (here, filesystem) = line.split_once(" - ")?;
    let mut here = here.split(' ').skip(2);
    let (major, minor) = here.next()?.split_once(':')?;
    let mountpoint = here.nth(1)?;
    let options = here.next()?;
    let mut filesystem = filesystem.split(' ');
    let (fstype, device) = (filesystem.next()?, filesystem.next()?);
    let super_options = filesystem.next().unwrap_or_default();
    let is_readonly = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        major: major.to_owned(),
        minor: minor.to_owned(),
        mountpoint: unescape(mountpoint),
        device: unescape(device),
        fstype: fstype.to_owned(),
        readonly: is_readonly(options) || is_readonly(super_options),
    })
}

/// The kernel writes blank, tab, newline and backslash as `\040`, `\011`, `\012` and `\134`.
fn unescape(field: &str) -> String {
    let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    plain.iter().fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// node_exporter's `^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`.
fn is_ignored_point(mountpoint: &str) -> bool {
    let is_at_or_below = |folder: &str| {
        mountpoint.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_below = |folder: &str| {
        mountpoint
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| !rest.is_empty())
    };
    ["/dev", "/proc", "/sys"].into_iter().any(is_at_or_below)
        || ["/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"].into_iter().any(is_below)
}

/// Whether another machine, or a process, answers for the file system, and so may never answer.
fn is_remote(fstype: &str) -> bool {
    fstype.starts_with("nfs")
        || fstype.starts_with("fuse")
        || matches!(
            fstype,
            "9p" | "afs" | "beegfs" | "ceph" | "cifs" | "glusterfs" | "gpfs" | "lustre" | "ncpfs" | "smb3"
        )
}

/// Mount points with a question still open. The kernel can't take such a question back, so a stuck mount must not be
/// asked again: each asker would be one more thread that never ends.
static STUCK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn stat_patiently(point: &Path) -> io::Result<StatVfs> {
    let stuck = || io::Error::new(io::ErrorKind::TimedOut, "mountpoint timeout");
    let is_new = STUCK.lock().unwrap_or_else(PoisonError::into_inner).insert(point.to_owned());
    if !is_new {
        return Err(stuck());
    }
    let (answered, answer) = mpsc::sync_channel(1);
    let asked = point.to_owned();
    std::thread::Builder::new().name("kandela-statvfs".into()).spawn(move || {
        let stat = rustix::fs::statvfs(&asked).map_err(io::Error::from);
        STUCK.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked);
        // Nobody listens any more when the answer comes after the patience ended.
        let _ = answered.send(stat);
    })?;
    answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(stuck()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_line_with_tags_and_escapes_is_read() {
        let line =
            r"36 35 98:0 /mnt1 /my\040disk rw,noatime master:1 shared:2 - ext3 /dev/root ro,errors=continue";
        let expected = Mount {
            major: "98".into(),
            minor: "0".into(),
            mountpoint: "/my disk".into(),
            device: "/dev/root".into(),
            fstype: "ext3".into(),
            readonly: true,
        };
        assert_eq!(mount(line), Some(expected));
    }

    #[test]
    fn a_mount_line_cut_short_is_refused() {
        assert_eq!(mount("36 35 98:0 /mnt1"), None);
        assert_eq!(mount("36 35 98:0 / / rw - ext4"), None);
    }

    #[test]
    fn data_disks_are_served_and_container_layers_are_not() {
        for served in ["/", "/mnt", "/media/usb", "/home", "/device", "/var/lib/docker", "/run"] {
            assert!(!is_ignored_point(served), "{served}");
        }
        for ignored in
            ["/dev", "/dev/shm", "/proc/x", "/sys", "/var/lib/docker/overlay2/a", "/run/credentials/x"]
        {
            assert!(is_ignored_point(ignored), "{ignored}");
        }
    }

    #[test]
    fn a_remote_file_system_that_answers_is_not_stuck_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert!(stat_patiently(folder.path()).is_ok());
        assert!(stat_patiently(folder.path()).is_ok());
    }
}
