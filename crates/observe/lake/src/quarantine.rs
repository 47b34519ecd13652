//! Files that are not what was written leave their table, so that everything else is served.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{LakeError, Result};
use crate::table::{DamagedFile, DataFile, LakeTable, TableState, date_text, day_of_folder};

/// Tables that a query reads, and which days of them.
pub(crate) type Reads = Vec<(&'static str, RangeInclusive<i32>)>;

/// A file that left its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The table that it was part of.
    pub table: &'static str,
    /// Its path below the table's folder.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
    /// Rows that went with it.
    pub rows: u64,
    /// Where it lies now, or where a note says that it is gone.
    pub place: PathBuf,
}

/// Tells of files that were put aside, to whoever waits.
#[derive(Debug)]
pub(crate) struct Notices {
    sender: UnboundedSender<Quarantined>,
    receiver: tokio::sync::Mutex<UnboundedReceiver<Quarantined>>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { sender, receiver: receiver.into() }
    }

    pub(crate) fn tell(&self, file: Quarantined) {
        // The receiver lives as long as the sender.
        let _ = self.sender.send(file);
    }

    pub(crate) async fn next(&self) -> Option<Quarantined> {
        self.receiver.lock().await.recv().await
    }
}

/// Takes `damaged` out of `table`; `None` when the table does not list it any more. What cannot be put aside stays listed, since
/// an unlisted file is deleted in time.
pub(crate) async fn put_aside(
    root: &Path,
    table: &LakeTable,
    damaged: &DamagedFile,
) -> Result<Option<(TableState, Quarantined)>> {
    let listed = table.current().await.files.into_iter().find(|file| file.path == damaged.path);
    let Some(file) = listed else { return Ok(None) };
    let place = move_aside(root, table.spec.name, &file)?;
    let rows = file.rows;
    let state = table.commit_removal(&[Arc::clone(&file)]).await?;
    let DamagedFile { path, reason, .. } = damaged.clone();
    Ok(Some((state, Quarantined { table: table.spec.name, file: path, reason, rows, place })))
}

/// The folder of files that were put aside.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("quarantine")
}

/// Moves a file away; of one that is gone, a note stays in its place.
fn move_aside(root: &Path, table: &str, file: &DataFile) -> Result<PathBuf> {
    let to = folder(root).join(table).join(&file.path);
    let failed = |e| LakeError::io(format!("put a damaged file aside as {}", to.display()), e);
    std::fs::create_dir_all(to.parent().unwrap_or(root)).map_err(failed)?;
    match std::fs::rename(root.join(table).join(&file.path), &to) {
        Ok(()) => Ok(to),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let note = to.with_extension("missing");
            let text = format!("{} rows of {table}/{} are missing\n", file.rows, file.path);
            std::fs::write(&note, text).map_err(failed)?;
            Ok(note)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Says what of `reads`, tables and the days that were read of them, lies there instead: a sentence for each table and day.
pub(crate) fn lacking(root: &Path, reads: &Reads) -> Vec<String> {
    let mut files: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    for (table, days) in reads {
        for entry in std::fs::read_dir(folder(root).join(table)).into_iter().flatten().flatten() {
            let day = entry.file_name().to_str().and_then(day_of_folder);
            if let Some(day) = day.filter(|day| days.contains(day)) {
                let count = std::fs::read_dir(entry.path()).into_iter().flatten().count();
                files.insert((table, day), count);
            }
        }
    }
    let said = files.into_iter().filter(|(_, count)| *count > 0).map(|((table, day), count)| {
        let (word, verb, whose) = if count == 1 { ("file", "is", "its") } else { ("files", "are", "their") };
        format!(
            "{count} {word} of {table} of {} {verb} damaged or missing, and {whose} rows are not in this answer; `kandela doctor` names the files",
            date_text(day)
        )
    });
    said.chain(log_lacks(root)).collect()
}

/// What was damaged of the log may have been of any table and any day.
fn log_lacks(root: &Path) -> Option<String> {
    let folder = root.join("wal/quarantine");
    let damaged = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    damaged.then(|| {
        format!(
            "damaged parts of the write-ahead log lie in {}, and rows that were in them may be missing in this answer; `kandela \
             doctor` tells more",
            folder.display()
        )
    })
}

/// What lies there, and what of the log was put aside.
pub(crate) fn list(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder(root), root.join("wal/quarantine")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}
