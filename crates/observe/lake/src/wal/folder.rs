//! Names of files in the log's folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::WalError;

/// The path of segment `number`.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.log"))
}

/// The numbers of all segments, ascending. Other files are left alone.
pub(super) fn segment_numbers(dir: &Path) -> Result<Vec<u64>, WalError> {
    let failed = |source| WalError::io("list", dir, source);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().and_then(segment_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

/// Where bytes of segment `number` from `offset` are put aside.
pub(super) fn quarantine_path(dir: &Path, number: u64, offset: u64) -> PathBuf {
    dir.join("quarantine").join(format!("{number}-{offset}.bin"))
}

/// Takes the folder for this process; the lock falls when the file is dropped or the process dies.
pub(super) fn lock(dir: &Path) -> Result<File, WalError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| WalError::io("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WalError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(WalError::io("lock", &path, source)),
    }
}
