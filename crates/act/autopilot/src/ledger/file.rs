//! A ledger in a file of JSON lines, one row a line.
//!
//! `{"seq":7,"at":"2026-03-01T12:00:00Z","epoch":2,"subject":"shop","verdict":null,"more":0,"payload":{…}}`
//!
//! `more` says how many rows of the same append follow, so that what a crash has torn is told from what is whole. Writers take the
//! file's lock for the time of one append; a torn end is put aside in a file beside it, `….torn`, before the next row is written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kandela_model::{Epoch, Timestamp};
use serde::Deserialize;

use super::{Entry, Ledger, LedgerError, VERDICTS, in_order};

/// A ledger in a file, which several processes of one machine may open.
#[derive(Clone, Debug)]
pub struct FileLedger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// How far the file has been read: whole appends only.
    read: Mutex<Mark>,
}

/// A place between two appends.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    bytes: u64,
    next: u64,
}

#[derive(Deserialize)]
struct Line {
    seq: u64,
    at: String,
    epoch: u64,
    subject: String,
    verdict: Option<String>,
    more: u64,
    payload: serde_json::Value,
}

impl FileLedger {
    /// The ledger at `path`, which is made where there is none.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`], where the file can't be opened, or holds what is no row.
    pub fn open(path: impl Into<PathBuf>) -> Result<FileLedger, LedgerError> {
        let inner = Inner { path: path.into(), read: Mutex::default() };
        inner.read(0)?;
        // A file that was just made is there after a loss of power only if its folder says so.
        let folder = inner.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        synced.map_err(|error| {
            LedgerError::Unavailable(format!("the folder of {}: {error}", inner.path.display()))
        })?;
        Ok(FileLedger(Arc::new(inner)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(LedgerError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Ledger for FileLedger {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        self.blocking(move |inner| inner.read(seq)).await
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        let rows = rows.to_vec();
        self.blocking(move |inner| inner.append(&rows)).await
    }
}

impl Inner {
    fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let from = if seq >= read.next { *read } else { Mark::default() };
        let (mut rows, mark) = self.with_file(|file| {
            file.lock_shared()?;
            self.rows_from(file, from)
        })?;
        *read = mark;
        rows.retain(|row| row.seq >= seq);
        Ok(rows)
    }

    fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = self.with_file(|file| {
            file.lock()?;
            let (_, mark) = self.rows_from(file, *read)?;
            in_order(rows, mark.next)?;
            self.put_aside(file, mark.bytes)?;
            let mut text = String::new();
            for (row, more) in rows.iter().zip((0..rows.len()).rev()) {
                text.push_str(&shown(row, more)?);
            }
            file.seek(SeekFrom::Start(mark.bytes))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            Ok(Mark { bytes: mark.bytes + text.len() as u64, next: mark.next + rows.len() as u64 })
        })?;
        Ok(())
    }

    /// The rows of the whole appends from `from` on, and where they end.
    fn rows_from(&self, file: &mut File, from: Mark) -> Result<(Vec<Entry>, Mark), Failure> {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(from.bytes))?;
        file.read_to_end(&mut text)?;
        let (mut whole, mut begun, mut mark) = (Vec::new(), Vec::new(), from);
        let mut bytes = from.bytes;
        for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            bytes += line.len() as u64;
            let next = mark.next + begun.len() as u64;
            let (row, more) = entry(line, next).map_err(|what| {
                Failure::Damaged(format!(
                    "{}, where row {next} comes: {what}; put a copy of the file back, or move it away to begin anew",
                    self.path.display()
                ))
            })?;
            begun.push(row);
            if more == 0 {
                mark = Mark { bytes, next: next + 1 };
                whole.append(&mut begun);
            }
        }
        Ok((whole, mark))
    }

    /// Moves what lies behind `end`, an append that a crash has torn, to a file beside this one.
    fn put_aside(&self, file: &mut File, end: u64) -> Result<(), Failure> {
        let mut torn = Vec::new();
        file.seek(SeekFrom::Start(end))?;
        file.read_to_end(&mut torn)?;
        if torn.is_empty() {
            return Ok(());
        }
        let beside = beside(&self.path);
        let mut aside = OpenOptions::new().create(true).append(true).open(&beside)?;
        aside.write_all(&torn)?;
        aside.write_all(b"\n")?;
        aside.sync_data()?;
        file.set_len(end)?;
        tracing::warn!(
            ledger = %self.path.display(), bytes = torn.len(), kept = %beside.display(),
            "the ledger ended in an append that a crash had torn and nobody was told of; it was put aside"
        );
        Ok(())
    }

    fn with_file<T>(&self, work: impl FnOnce(&mut File) -> Result<T, Failure>) -> Result<T, LedgerError> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        options.map_err(Failure::from).and_then(|mut file| work(&mut file)).map_err(|failure| match failure {
            Failure::File(error) => LedgerError::Unavailable(format!("{}: {error}", self.path.display())),
            Failure::Damaged(what) => LedgerError::Unavailable(what),
            Failure::Ledger(error) => error,
        })
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    PathBuf::from(name)
}

fn shown(row: &Entry, more: usize) -> Result<String, Failure> {
    let damaged = |what: String| Failure::Damaged(format!("row {}: {what}", row.seq));
    let at =
        jiff::Timestamp::from_microsecond(row.at.micros()).map_err(|error| damaged(error.to_string()))?;
    let payload: serde_json::Value = serde_json::from_str(&row.payload)
        .map_err(|error| damaged(format!("its payload is no JSON: {error}")))?;
    let (subject, verdict) = (serde_json::json!(row.subject), serde_json::json!(row.verdict));
    Ok(format!(
        "{{\"seq\":{},\"at\":\"{at}\",\"epoch\":{},\"subject\":{subject},\"verdict\":{verdict},\"more\":{more},\"payload\":{payload}}}\n",
        row.seq, row.epoch.0
    ))
}

fn entry(line: &[u8], next: u64) -> Result<(Entry, u64), String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if line.seq != next {
        return Err(format!("it calls itself row {}", line.seq));
    }
    let at: jiff::Timestamp = line.at.parse().map_err(|_| format!("{:?} is no time", line.at))?;
    let known = |word: &str| VERDICTS.into_iter().find(|verdict| *verdict == word);
    let verdict =
        line.verdict.map(|word| known(&word).ok_or(format!("there is no verdict {word:?}"))).transpose()?;
    let row = Entry {
        seq: line.seq,
        at: Timestamp::from_micros(at.as_microsecond()),
        epoch: Epoch(line.epoch),
        subject: line.subject,
        verdict,
        payload: line.payload.to_string(),
    };
    Ok((row, line.more))
}

enum Failure {
    File(std::io::Error),
    Damaged(String),
    Ledger(LedgerError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::File(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        Failure::Ledger(error)
    }
}
