//! The commits of a Delta log, as they were written.
//!
//! A commit names its files in JSON that carries no checksum, and a byte that flips in a path or a number gives other JSON. So
//! each commit says in its commit info what its actions sum up to, and that is checked before the library reads the log.

use std::collections::BTreeSet;
use std::path::Path;

use deltalake_core::kernel::Action;
use serde_json::Value;

use crate::error::{LakeError, Result};

/// The key of commit info that has the sum.
const SUM: &str = "kandela.crc32c";

/// The commit info that says what `actions` sum up to.
pub(super) fn summed(actions: &[Action]) -> Result<(String, Value)> {
    let lines = actions.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>();
    let lines = lines.map_err(|e| LakeError::defect("write a commit", e))?;
    Ok((SUM.to_owned(), sum(lines).into()))
}

/// CRC-32C of the lines in their order as texts, since the library sets their order in the file.
fn sum(mut lines: Vec<String>) -> u32 {
    lines.sort_unstable();
    lines.iter().fold(0, |sum, line| crc32c::crc32c_append(sum, line.as_bytes()))
}

/// Checks that all commits of the log are there, whole, and as they were written. The library passes over an empty one, and
/// with it its files.
pub(super) fn check(log: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(log) else { return Ok(()) };
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let versions = |suffix: &str| -> BTreeSet<u64> {
        let stems = names.iter().filter_map(|name| name.strip_suffix(suffix));
        stems.filter_map(|stem| stem.split('.').next()?.parse().ok()).collect()
    };
    let commits = versions(".json");
    let checkpoint = versions(".parquet").last().copied();
    // What is older than the newest checkpoint may be gone.
    let first = checkpoint.map_or(0, |version| version + 1);
    let newest = commits.last().copied().unwrap_or(0);
    if let Some(missing) = (first..newest).find(|version| !commits.contains(version)) {
        return Err(damaged(log, missing, "it is missing"));
    }
    for version in commits {
        let path = log.join(format!("{version:020}.json"));
        let text = std::fs::read(&path).map_err(|e| LakeError::io(format!("read {}", path.display()), e))?;
        check_commit(&text).map_err(|reason| damaged(log, version, &reason))?;
    }
    Ok(())
}

fn damaged(log: &Path, version: u64, reason: &str) -> LakeError {
    LakeError::Damaged {
        what: "a commit of a table",
        place: log.join(format!("{version:020}.json")).display().to_string(),
        reason: format!("{reason}; restore the file from a backup"),
    }
}

fn check_commit(text: &[u8]) -> Result<(), String> {
    let cut = || "it is empty or cut short".to_owned();
    let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
    let (mut written, mut actions) = (None, Vec::new());
    for line in text.lines() {
        let action: Value =
            serde_json::from_str(line).map_err(|e| if e.is_eof() { cut() } else { e.to_string() })?;
        match action.get("commitInfo") {
            Some(info) => written = info.get(SUM).and_then(Value::as_u64),
            None => actions.push(line.to_owned()),
        }
    }
    if text.is_empty() {
        return Err(cut());
    }
    match written.filter(|written| *written != u64::from(sum(actions))) {
        Some(written) => Err(format!("its checksum is not the {written} that it was written with")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake_core::kernel::Transaction;

    fn commit() -> String {
        let action = Action::Txn(Transaction::new("local", 108));
        let (key, sum) = summed(std::slice::from_ref(&action)).unwrap();
        format!("{{\"commitInfo\":{{\"{key}\":{sum}}}}}\n{}\n", serde_json::to_string(&action).unwrap())
    }

    #[test]
    fn a_commit_as_it_was_written_is_taken() {
        assert_eq!(check_commit(commit().as_bytes()), Ok(()));
    }

    #[test]
    fn every_flipped_bit_of_an_action_is_noticed() {
        let whole = commit();
        let from = whole.find('\n').unwrap() + 1;
        for at in from..whole.len() - 1 {
            for bit in 0..8 {
                let mut bytes = whole.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(check_commit(&bytes).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_commit_that_is_empty_cut_short_or_missing_is_named() {
        assert_eq!(check_commit(b""), Err("it is empty or cut short".to_owned()));
        assert_eq!(check_commit(b"{\"add\":{"), Err("it is empty or cut short".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        for version in [0, 2] {
            std::fs::write(folder.path().join(format!("{version:020}.json")), commit()).unwrap();
        }
        let told = check(folder.path()).unwrap_err().to_string();
        assert!(told.contains("00000000000000000001.json") && told.contains("missing"), "{told}");
        std::fs::write(folder.path().join("00000000000000000001.checkpoint.parquet"), b"").unwrap();
        assert!(check(folder.path()).is_ok(), "what a checkpoint has may be gone");
    }
}
