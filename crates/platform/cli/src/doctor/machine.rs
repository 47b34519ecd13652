//! What the machine gives a server.

use super::Finding;
use crate::output::size;

/// Open files below which a busy server runs out.
const COMFORTABLE_FILES: u64 = 4_096;
/// Open files without which it does not start.
const LEAST_FILES: u64 = 512;

/// Whether the memory limit fits the machine, or the control group that the process runs in.
pub(super) fn memory(limit: u64) -> Finding {
    const CHECK: &str = "memory";
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_of(&text, "MemTotal:"));
    let group =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let Some(there) = machine.into_iter().chain(group).min() else {
        return Finding::warn(
            CHECK,
            "cannot tell how much memory there is",
            "see that it is more than --memory-limit",
        );
    };
    let found = format!("the limit is {} of {}", size(limit), size(there));
    if limit > there {
        Finding::fail(CHECK, found, format!("lower --memory-limit to at most {} bytes", there / 4 * 3))
    } else if limit > there / 4 * 3 {
        Finding::warn(CHECK, found, "leave a quarter to the system's file cache: lower --memory-limit")
    } else {
        Finding::ok(CHECK, found)
    }
}

fn kib_of(meminfo: &str, field: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// How many files and connections the process may hold open.
pub(super) fn open_files() -> Finding {
    const CHECK: &str = "open files";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(soft) = soft_limit(&limits, "Max open files") else {
        return Finding::warn(CHECK, "cannot tell how many files may be open", "see `ulimit -n`");
    };
    let found =
        if soft == u64::MAX { "unlimited".to_owned() } else { format!("{soft} may be open at a time") };
    let todo = "raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the service's unit";
    match soft {
        ..LEAST_FILES => Finding::fail(CHECK, found, todo),
        LEAST_FILES..COMFORTABLE_FILES => Finding::warn(CHECK, found, todo),
        _ => Finding::ok(CHECK, found),
    }
}

fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::State;

    #[test]
    fn a_limit_above_all_memory_fails_and_a_small_one_is_fine() {
        assert_eq!(memory(u64::MAX / 8).state, State::Fail);
        assert_eq!(memory(64 << 20).state, State::Ok);
    }

    #[test]
    fn the_soft_limit_is_what_counts() {
        let limits =
            "Limit          Soft Limit  Hard Limit  Units\nMax open files  1024        524288      files\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        assert_eq!(
            soft_limit("Max open files  unlimited unlimited files\n", "Max open files"),
            Some(u64::MAX)
        );
    }
}
