//! What a watchdog keeps on disk, in a folder of its target's own:
//!
//! | file | holds |
//! |---|---|
//! | `lock` | locked by whoever may write to the target; the number of that process |
//! | `epoch` | the highest epoch that has turned the target |
//! | `successor` | the epoch of a manager that waits for the lock |
//! | `running` | the command that is being run for the target |
//! | `inverse.json` | what to go back to; only there while something is not confirmed |
//! | `report-*.json` | what was done unasked, until it is in the ledger |

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use kandela_model::WireValue;
use serde::{Deserialize, Serialize};

use super::wire::Report;
use crate::actuator::TargetConfig;
use crate::actuator::replace;
use crate::actuator::settings::Texts;

const VERSION: u32 = 1;

/// A target's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// What to go back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inverse {
    version: u32,
    /// Whose values a lapse takes back.
    pub(crate) epoch: u64,
    /// The target, so that nobody need be asked how to reach it.
    pub(crate) target: TargetConfig,
    /// What was confirmed, of each knob that was touched.
    pub(crate) before: BTreeMap<String, Before>,
    /// What was set since.
    pub(crate) tried: Texts,
}

/// How a knob stood when it was confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// What was set; none where nothing was.
    pub(crate) set: Option<String>,
    /// What was in force.
    pub(crate) value: WireValue,
}

impl Inverse {
    pub(crate) fn new(epoch: u64, target: TargetConfig) -> Inverse {
        Inverse { version: VERSION, epoch, target, before: BTreeMap::new(), tried: Texts::new() }
    }

    /// What to set to go back.
    pub(crate) fn texts(&self) -> Texts {
        self.before.iter().map(|(name, before)| (name.clone(), before.set.clone())).collect()
    }

    /// The values that are in force then.
    pub(crate) fn values(&self) -> BTreeMap<String, WireValue> {
        self.before.iter().map(|(name, before)| (name.clone(), before.value.clone())).collect()
    }
}

impl Folder {
    pub(crate) fn of(path: &Path) -> Folder {
        Folder { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn create(&self) -> Result<(), String> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|e| format!("{} can't be made: {e}", self.path.display()))
    }

    /// The right to write to the target, for as long as what is returned lives; none where another process has it.
    pub(crate) fn lock(&self) -> Result<Option<File>, String> {
        let lock = self.try_lock()?;
        if let Some(mut file) = lock.as_ref() {
            let number = format!("{}\n", std::process::id());
            let signed = file.set_len(0).and_then(|()| file.write_all(number.as_bytes()));
            signed.map_err(|e| format!("{} can't be written: {e}", self.path.join("lock").display()))?;
        }
        Ok(lock)
    }

    /// Whether no process has the right to write to the target.
    pub(crate) fn is_free(&self) -> Result<bool, String> {
        // Let go of at once, and not signed: only a watchdog may have it.
        Ok(self.try_lock()?.is_some())
    }

    fn try_lock(&self) -> Result<Option<File>, String> {
        let path = self.path.join("lock");
        let fault = |e: std::io::Error| format!("{} can't be locked: {e}", path.display());
        let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(fault(error)),
        }
    }

    /// Where commands are noted while they run.
    pub(crate) fn running(&self) -> PathBuf {
        self.path.join("running")
    }

    /// The process that has the lock, as far as it said.
    pub(crate) fn holder(&self) -> String {
        let text = fs::read_to_string(self.path.join("lock")).unwrap_or_default();
        format!("process {}", text.trim())
    }

    /// The highest epoch that has turned the target; 0 before the first.
    pub(crate) fn epoch(&self) -> Result<u64, String> {
        self.number("epoch")
    }

    pub(crate) fn set_epoch(&self, epoch: u64) -> Result<(), String> {
        replace(&self.path.join("epoch"), format!("{epoch}\n").as_bytes())
    }

    /// The epoch of whoever waits for the lock; 0 where nobody does.
    pub(crate) fn successor(&self) -> Result<u64, String> {
        self.number("successor")
    }

    pub(crate) fn set_successor(&self, epoch: u64) -> Result<(), String> {
        replace(&self.path.join("successor"), format!("{epoch}\n").as_bytes())
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .map_err(|_| format!("{} holds {text:?}, which is no epoch", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(format!("{} can't be read: {error}", path.display())),
        }
    }

    pub(crate) fn inverse(&self) -> Result<Option<Inverse>, String> {
        let path = self.path.join("inverse.json");
        let fault = |what: String| {
            format!("{}: {what}; set the target by hand, then remove the file", path.display())
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(format!("it can't be read: {error}"))),
        };
        let inverse: Inverse =
            serde_json::from_str(&text).map_err(|e| fault(format!("it can't be understood: {e}")))?;
        if inverse.version != VERSION {
            return Err(fault(format!(
                "it is of version {}, and this program knows {VERSION}",
                inverse.version
            )));
        }
        Ok(Some(inverse))
    }

    /// Keeps what to go back to; on disk when it returns.
    pub(crate) fn keep(&self, inverse: Option<&Inverse>) -> Result<(), String> {
        let path = self.path.join("inverse.json");
        match inverse {
            Some(inverse) => {
                let json = serde_json::to_vec(inverse)
                    .map_err(|e| format!("what to go back to can't be written: {e}"))?;
                replace(&path, &json)
            }
            None => {
                let fault = |e: std::io::Error| format!("{} can't be removed: {e}", path.display());
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
                    _ => {}
                }
                File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(fault)
            }
        }
    }

    pub(crate) fn report(&self, report: &Report) -> Result<(), String> {
        let json = serde_json::to_vec(report).map_err(|e| format!("a report can't be written: {e}"))?;
        replace(&self.report_path(report), &json)
    }

    pub(crate) fn reports(&self) -> Result<Vec<Report>, String> {
        let fault = |e: std::io::Error| format!("{} can't be read: {e}", self.path.display());
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(error)),
        };
        let mut reports = Vec::new();
        for entry in entries {
            let path = entry.map_err(fault)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("report-") && name.ends_with(".json") {
                let text = fs::read_to_string(&path).map_err(fault)?;
                let read = serde_json::from_str::<Report>(&text);
                reports.push(read.map_err(|e| format!("{} is no report: {e}", path.display()))?);
            }
        }
        reports.sort_by_key(|report| (report.at_ms, report.error.is_none()));
        Ok(reports)
    }

    pub(crate) fn settle(&self, report: &Report) -> Result<(), String> {
        let path = self.report_path(report);
        fs::remove_file(&path).map_err(|e| format!("{} can't be removed: {e}", path.display()))
    }

    fn report_path(&self, report: &Report) -> PathBuf {
        let end = if report.error.is_some() { "failed" } else { "done" };
        self.path.join(format!("report-{}-{}-{end}.json", report.at_ms, report.epoch))
    }
}
