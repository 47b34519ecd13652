//! The data folder: room, and what lies in it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_lake::wal::WalError;
use kandela_lake::{Lake, LakeConfig, LakeError};

use super::Finding;
use crate::output::size;
use crate::progress::Progress;

/// Free bytes below which a server soon refuses writes.
const LEAST_FREE: u64 = 256 << 20;
/// Free bytes below which it is time to act.
const COMFORTABLE_FREE: u64 = 4 << 30;
/// How far the newest sample may be ahead of this machine's clock.
const CLOCK_MICROS: i64 = 600_000_000;

/// Whether the folder can be written, and how much room is left.
pub(super) fn space(data: &Path) -> Finding {
    const CHECK: &str = "disk";
    let shown = data.display();
    let existing = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let probe = existing.join(format!(".kandela-doctor-{}", std::process::id()));
    if let Err(error) = std::fs::write(&probe, b"probe") {
        return Finding::fail(
            CHECK,
            format!("{shown} cannot be written: {error}"),
            "choose another folder with --data",
        );
    }
    // What is left behind where this fails is five bytes.
    let _ = std::fs::remove_file(&probe);
    let stat = match rustix::fs::statvfs(existing) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::warn(CHECK, format!("room in {shown} is unknown: {error}"), "see `df`");
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{shown} has {} free", size(free));
    let todo = "free some, or cap what is kept with kandela.retention.size";
    match free {
        ..LEAST_FREE => Finding::fail(CHECK, found, todo),
        LEAST_FREE..COMFORTABLE_FREE => Finding::warn(CHECK, found, todo),
        _ => Finding::ok(CHECK, found),
    }
}

/// Opens every lake in the folder as a server would, and says what it found.
pub(super) async fn lakes(data: &Path, verify: bool) -> Vec<Finding> {
    const CHECK: &str = "data";
    let Ok(entries) = std::fs::read_dir(data) else {
        return vec![Finding::ok(
            CHECK,
            format!("{} is not there yet; the first start makes it", data.display()),
        )];
    };
    let mut folders: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("wal").is_dir())
        .collect();
    folders.sort();
    let mut findings = Vec::new();
    for folder in folders {
        let name = folder.display().to_string();
        match Lake::open(LakeConfig::at(&folder)).await {
            Ok(lake) => {
                let verified = if verify { verified(&name, &lake).await } else { Vec::new() };
                findings.extend(of_lake(&name, &lake, verify && verified.is_empty()));
                findings.extend(verified);
            }
            Err(LakeError::Log { source: WalError::Locked { .. } }) if verify => {
                let found = format!("{name} is in use and was not verified");
                findings.push(Finding::warn(CHECK, found, "stop its server first; it checks what it reads"));
            }
            Err(LakeError::Log { source: WalError::Locked { .. } }) => {
                findings.push(Finding::ok(CHECK, format!("{name} is in use; its server looks after it")));
            }
            Err(error) => findings.push(Finding::fail(
                CHECK,
                format!("{name} cannot be opened: {error}"),
                "restore the named file from a backup, or move the folder away and start empty",
            )),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{} holds no lake yet", data.display())));
    }
    findings
}

/// Reads every file; gives what cannot be read.
async fn verified(name: &str, lake: &Lake) -> Vec<Finding> {
    let all: u64 = lake.stats().tables.values().map(|table| table.bytes).sum();
    let (mut read, mut progress) = (0, Progress::default());
    let outcome = lake
        .verify(|bytes| {
            read += bytes;
            progress.show(|_| format!("{name}: {} of {} checked", size(read), size(all)));
        })
        .await;
    progress.clear();
    let todo = "look at the disk, then restore the file from a backup";
    outcome.err().map(|e| Finding::fail("data", format!("{name}: {e}"), todo)).into_iter().collect()
}

fn of_lake(name: &str, lake: &Lake, verified: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let recovery = lake.recovery();
    for damaged in &recovery.damaged {
        let todo = "keep what was put aside; what the tables have is not affected";
        findings.push(Finding::fail("data", format!("{name}: {damaged}"), todo));
    }
    for missing in &recovery.missing {
        let found = format!("{name}: acknowledged log sequences {missing:?} are missing");
        findings.push(Finding::fail("data", found, "look for removed files in the folder wal"));
    }
    for file in lake.in_quarantine() {
        let found = match file.extension().is_some_and(|kind| kind == "missing") {
            true => format!("{name}: a data file is missing; {} says which", file.display()),
            false => format!("{name}: {} is damaged and was put aside", file.display()),
        };
        let todo = "look at the disk; delete it when it is of no more use";
        findings.push(Finding::fail("data", found, todo));
    }
    let stats = lake.stats();
    if findings.is_empty() {
        let bytes: u64 = stats.tables.values().map(|table| table.bytes).sum();
        let rows: u64 = stats.tables.values().map(|table| table.rows + table.in_memory).sum();
        let state = if verified { "every byte as written" } else { "--verify checks every byte" };
        let found = format!("{name} opens: {rows} rows in tables of {}; {state}", size(bytes));
        findings.push(Finding::ok("data", found));
    }
    if let Some(newest) = stats.newest {
        findings.push(clock(newest.micros()));
    }
    findings
}

/// A clock that lags behind its own data refuses what comes in next.
fn clock(newest_micros: i64) -> Finding {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ahead = newest_micros.saturating_sub(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX));
    if ahead > CLOCK_MICROS {
        let found = format!("the newest sample is {} s ahead of this machine's clock", ahead / 1_000_000);
        Finding::fail("clock", found, "set the clock, with a time service such as chrony")
    } else {
        Finding::ok("clock", "not behind the newest sample")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::State;

    #[test]
    fn a_folder_that_cannot_be_written_fails_and_one_that_is_not_there_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(space(&folder.path().join("not/there/yet")).state, State::Fail);
        assert_eq!(space(Path::new("/proc/kandela")).state, State::Fail);
    }

    #[test]
    fn data_from_the_future_means_a_wrong_clock() {
        assert_eq!(clock(i64::MAX).state, State::Fail);
        assert_eq!(clock(0).state, State::Ok);
    }
}
