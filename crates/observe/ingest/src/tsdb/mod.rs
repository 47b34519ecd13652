//! Prometheus' TSDB as it lies on disk: blocks, and the head with its write-ahead log.
//!
//! [`Tsdb::read`] hands out everything that a folder holds in batches of about ten thousand points, block by block in the order
//! of time and series by series within a block, then the head. Points that several sources hold may come more than once, with
//! the same time and value. Memory is bounded by a block's table of strings and by the series of the head. What is damaged is
//! named and skipped; everything else goes on.
//!
//! ```no_run
//! use kandela_ingest::tsdb::{Tsdb, TsdbError};
//!
//! let tsdb = Tsdb::open("/var/lib/prometheus/metrics2")?;
//! let report = tsdb.read(false, |batch, progress| {
//!     println!("{} points, {} of {} bytes", batch.points(), progress.done, progress.total);
//!     Ok::<(), TsdbError>(())
//! })?;
//! for damage in &report.damaged {
//!     eprintln!("skipped: {damage}");
//! }
//! # Ok::<(), TsdbError>(())
//! ```

mod batches;
mod block;
pub mod chunk;
mod cursor;
mod error;
mod file;
mod head;
mod index;
mod record;
#[cfg(test)]
mod tests;
mod tombstones;
mod wal;

pub use batches::{Progress, Report};
pub use error::{Damage, TsdbError};

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use kandela_model::MetricBatch;

use batches::{Batches, Halt};
use block::Block;
use head::HeadFiles;

/// A folder of Prometheus' TSDB.
#[derive(Debug)]
pub struct Tsdb {
    blocks: Vec<Block>,
    head: HeadFiles,
    /// Keeps Prometheus from starting on the folder while it is read.
    _lock: Option<File>,
}

impl Tsdb {
    /// Looks at a folder: that of `--storage.tsdb.path`, a snapshot of it, or a single block.
    ///
    /// # Errors
    /// When it holds no TSDB, a Prometheus is running on it, or the disk fails.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, TsdbError> {
        let root = root.as_ref();
        let is_block = root.join("meta.json").is_file() && root.join("index").is_file();
        let folders = if is_block { vec![root.to_owned()] } else { block_folders(root)? };
        if folders.is_empty() && !root.join("wal").is_dir() {
            return Err(TsdbError::NotATsdb(root.to_owned()));
        }
        let lock = lock(root)?;
        let mut blocks = folders.iter().map(|folder| Block::look(folder)).collect::<Result<Vec<_>, _>>()?;
        blocks.sort_by(|a, b| a.begins().cmp(&b.begins()));
        Ok(Self { blocks, head: HeadFiles::look(root)?, _lock: lock })
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How many bytes are there to read; the write-ahead log counts twice.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes).sum::<u64>() + self.head.bytes()
    }

    /// Reads all of it, calling `take` with one batch after the other. `strict` makes damage an error.
    ///
    /// # Errors
    /// What `take` says, or when the disk fails, or, with `strict`, the first damage.
    pub fn read<E: From<TsdbError>>(
        &self,
        strict: bool,
        mut take: impl FnMut(MetricBatch, Progress) -> Result<(), E>,
    ) -> Result<Report, E> {
        let mut refused = None;
        let mut take = |batch, progress| match take(batch, progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        };
        let mut batches = Batches::new(self.bytes(), strict, &mut take);
        let read = self.read_all(&mut batches);
        let report = batches.report;
        match (read, refused) {
            (Ok(()), None) => Ok(report),
            (Err(Halt::Error(error)), None) => Err(error.into()),
            (_, Some(error)) => Err(error),
            // Only a refusal stops it.
            (Err(Halt::Stopped), None) => Ok(report),
        }
    }

    fn read_all(&self, batches: &mut Batches<'_>) -> Result<(), Halt> {
        let mut in_blocks_until = i64::MIN;
        for block in &self.blocks {
            let intact = block.read(batches)?;
            // What a damaged block lacks may still stand in the log.
            if let Some(until) = block.in_order_until().filter(|_| intact) {
                in_blocks_until = in_blocks_until.max(until);
            }
            batches.hand_out()?;
        }
        self.head.read(in_blocks_until, batches)?;
        batches.hand_out()
    }
}

/// Holds Prometheus' own lock, where the folder has one.
fn lock(root: &Path) -> Result<Option<File>, TsdbError> {
    let path = root.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TsdbError::io("open", &path, source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(TsdbError::InUse(root.to_owned())),
        // A file system without locks has no Prometheus that holds one.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// The folders below `root` that are named as blocks are, by a ULID.
fn block_folders(root: &Path) -> Result<Vec<PathBuf>, TsdbError> {
    let is_ulid = |name: &str| {
        name.len() == 26
            && name
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() && !b"ILOU".contains(&byte))
    };
    let mut folders = names(root)?;
    folders.retain(|(name, path)| is_ulid(name) && path.is_dir());
    Ok(folders.into_iter().map(|(_, path)| path).collect())
}

/// Files whose names are numbers, by number; none where there is no such folder.
fn numbered(folder: &Path) -> Result<BTreeMap<u64, PathBuf>, TsdbError> {
    numbered_after(folder, "")
}

/// What is named `prefix` and a number, by number.
fn numbered_after(folder: &Path, prefix: &str) -> Result<BTreeMap<u64, PathBuf>, TsdbError> {
    let number = |(name, path): (String, PathBuf)| {
        let digits = name.strip_prefix(prefix).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()))?;
        Some((digits.parse().ok()?, path))
    };
    Ok(names(folder)?.into_iter().filter_map(number).collect())
}

fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>, TsdbError> {
    let failed = |source| TsdbError::io("list", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.path()));
        }
    }
    Ok(names)
}
