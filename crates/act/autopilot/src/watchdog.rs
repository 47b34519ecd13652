//! The dead man's switch of systems that can't keep a lease: a process of its own that holds what to go back to, and goes back when
//! whoever it serves falls silent.
//!
//! All that is written to a target is written by its watchdog, on the manager's behalf and over a pipe. So one process at a time
//! writes (it holds a lock), a manager that hangs has nothing under way, and one that comes back is refused by its epoch.
//!
//! What a lapse leads back to lies on disk, synchronised, before anything is changed. The watchdog goes back when the pipe closes,
//! which a `kill -9` of the manager does at once; when the lease is not renewed in time; when a manager of a newer epoch wants
//! the target; and when it is told to end. Where the watchdog itself is killed, the manager sees that and starts another, which
//! finds on disk what to go back to; where both are, the next start does. Once all is confirmed, nothing is left to go back to, and
//! it ends.

mod folder;
mod serve;
pub(crate) mod wire;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use folder::{Folder, Inverse};
pub(crate) use serve::go_back_from_disk;
pub use wire::{Cause, Report};

/// Where watchdogs keep what they hold, and how one is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// A folder that outlasts the manager and the machine's restart; each target has one of its own in it.
    pub folder: PathBuf,
    /// Program and first arguments; the target's folder is the last one: `["/usr/bin/kandela", "autopilot", "watchdog"]`.
    pub program: Vec<OsString>,
    /// How long a watchdog that goes back is waited for.
    pub patience: Duration,
}

impl Watch {
    /// Watchdogs that are `program`, with what they hold in `folder`, and ten minutes to go back.
    pub fn new(folder: impl Into<PathBuf>, program: Vec<OsString>) -> Watch {
        Watch { folder: folder.into(), program, patience: Duration::from_secs(600) }
    }
}

/// What the watchdog process runs: serves the one who started it, over standard input and output, until nothing is held or nobody is
/// there. `arguments` is the target's folder. It makes a runtime of its own, so it is called outside of one.
///
/// Ends with success when all that it held is confirmed or restored.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let [folder] = arguments else {
        eprintln!("a watchdog is started by the autopilot, with the folder of its target and nothing else");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the watchdog can't run: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = runtime.block_on(serve::serve(Path::new(folder)));
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What watchdogs of a target did that nobody has settled yet, oldest first. `folder` is that of [`Watch`].
///
/// # Errors
/// Where the target's folder can't be read.
pub fn reports(folder: &Path, target: &str) -> Result<Vec<Report>, String> {
    Folder::of(&folder.join(target)).reports()
}

/// Forgets a report, once it is in the ledger.
///
/// # Errors
/// Where it can't be removed; it is then told again.
pub fn settle(folder: &Path, report: &Report) -> Result<(), String> {
    Folder::of(&folder.join(&report.target)).settle(report)
}
