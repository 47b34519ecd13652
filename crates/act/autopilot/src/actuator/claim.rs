//! That a system is held shows in the system itself, so that watchdogs of other folders, users and machines see it too.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::ActuateError;

/// What all watchdogs' names begin with.
pub(super) const WATCHDOG: &str = "kandela-watchdog";

/// The name by which this process shows itself: `kandela-watchdog:4711@db1`, and when it began, so that a number that is used again
/// is no other's.
pub(super) fn own_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host: String = host.chars().filter(char::is_ascii_graphic).take(24).collect();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        format!("{WATCHDOG}:{}@{host}:{began:x}", std::process::id())
    })
}

/// Why a system that is another's can't be had. `holder` is that other's name and where it comes from, `gone` what to do where it is there
/// no longer, such as after its machine failed.
pub(super) fn is_held(target: &str, holder: &str, gone: &str) -> ActuateError {
    let holder = format!("{holder} holds values there; end its manager or tuner, or wait for it{gone}");
    ActuateError::Held { target: target.to_owned(), holder }
}

/// A file's claim: a lock on a file beside it, for as long as this process wants or lives.
pub(super) struct Beside {
    path: PathBuf,
    held: Mutex<Option<File>>,
}

impl Beside {
    pub(super) fn of(file: &Path) -> Beside {
        // Hidden: whoever reads all files of a folder reads none with a dot.
        let mut name = OsString::from(".");
        name.push(file.file_name().unwrap_or_default());
        name.push(".kandela-lock");
        Beside { path: file.with_file_name(name), held: Mutex::new(None) }
    }

    /// Takes it, unless it is held here already.
    pub(super) fn claim(&self, target: &str) -> Result<(), ActuateError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        let fault = |error| ActuateError::unguarded(target, format!("{}: {error}", self.path.display()));
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.path)
                .map_err(fault)?;
            match file.try_lock() {
                // The one before may have removed it since it was opened.
                Ok(()) if !self.is(&file) => {}
                Ok(()) => {
                    file.set_len(0).and_then(|()| file.write_all(own_name().as_bytes())).map_err(fault)?;
                    *held = Some(file);
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => return Err(is_held(target, &self.signed(), "")),
                Err(TryLockError::Error(error)) => return Err(fault(error)),
            }
        }
    }

    /// Whether `file` is what lies there.
    fn is(&self, file: &File) -> bool {
        let number = |found: std::io::Result<std::fs::Metadata>| found.ok().map(|found| found.ino());
        number(file.metadata()) == number(std::fs::metadata(&self.path))
    }

    /// Nobody else has it.
    pub(super) fn is_free(&self, target: &str) -> Result<(), ActuateError> {
        self.holder().map_or(Ok(()), |holder| Err(is_held(target, &holder, "")))
    }

    /// Whoever has it, where that is somebody else.
    fn holder(&self) -> Option<String> {
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return None;
        }
        // One that nobody may read is one that nobody here can have.
        let file = File::open(&self.path).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| self.signed())
    }

    fn signed(&self) -> String {
        let mut name = String::new();
        let read = File::open(&self.path).and_then(|file| file.take(128).read_to_string(&mut name));
        if read.is_ok() && !name.is_empty() { name } else { "another process".to_owned() }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.held.get_mut().is_ok_and(|held| held.is_some()) {
            // While it is still locked, so that it is nobody else's. One that stays behind claims nothing.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_claimed_once_and_free_again_when_its_holder_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("nginx.conf");
        let (one, other) = (Beside::of(&file), Beside::of(&file));
        assert_eq!(other.holder(), None);
        one.claim("it").expect("it is free");
        one.claim("it").expect("it is its own");
        assert_eq!((one.holder(), other.holder()), (None, Some(own_name().to_owned())));
        let refused = other.claim("it").expect_err("it is held").to_string();
        assert!(refused.contains(own_name()), "{refused}");
        drop(one);
        assert_eq!((other.holder(), folder.path().read_dir().expect("readable").count()), (None, 0));
        other.claim("it").expect("it is free again");
    }
}
