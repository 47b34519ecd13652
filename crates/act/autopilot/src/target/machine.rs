//! How much machine there is.

use std::fs;
use std::path::Path;

/// What a server runs on, or its share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory.
    pub memory: u64,
    /// Cores.
    pub cpus: u32,
}

impl Machine {
    /// This machine, as far as this process may use it: limits of its control groups count. None where the system does not say.
    pub fn this() -> Option<Machine> {
        let total = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let limit = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| limit(&groups));
        let cpus = std::thread::available_parallelism().ok()?.get();
        let memory = limit.map_or(total, |limit| limit.min(total));
        Some(Machine { memory, cpus: u32::try_from(cpus).unwrap_or(u32::MAX) })
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest `memory.max` from this process's control group (version 2) up to the root.
fn limit(groups: &str) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folders = Path::new("/sys/fs/cgroup").join(own);
    let read = |folder: &Path| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok();
    folders.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup")).filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24561284 kB\nMemFree:        1000 kB\n";
        assert_eq!(total(meminfo), Some(24_561_284 * 1024));
        assert_eq!(total("MemFree: 3 kB\n"), None);
    }

    #[test]
    fn this_machine_has_a_core_and_some_memory() {
        let here = Machine::this().expect("a Linux");
        assert!(here.cpus >= 1 && here.memory > 1 << 20, "{here:?}");
    }
}
