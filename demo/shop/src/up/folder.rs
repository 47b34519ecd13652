//! One shop at a time in a data folder: its databases and its `shop.json` belong to whoever holds the folder's lock.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

const LOCK: &str = "shop.lock";

/// A data folder that is this process's own for as long as this is kept. The lock is the operating system's: it ends with the
/// process, however that ends. The file stays.
pub(super) struct Held {
    _lock: File,
}

/// Takes the folder `data`, and makes it if there is none.
///
/// # Errors
/// Where another process holds it: which one, if it said so.
pub(super) fn hold(data: &Path) -> Result<Held> {
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    let path = data.join(LOCK);
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let mut lock = opened.with_context(|| format!("opening {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let who = std::fs::read_to_string(&path).unwrap_or_default();
            let who =
                who.trim().parse::<u32>().map_or("another process".to_owned(), |pid| format!("pid {pid}"));
            bail!("{} is in use by {who}; stop that shop, or give another folder by --data", data.display());
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()))?;
    Ok(Held { _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_with_its_holder_and_is_free_again_afterwards() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let held = hold(data.path()).expect("nobody holds it");
        let error = hold(data.path()).err().expect("it is held").to_string();
        assert!(
            error.contains(&format!("is in use by pid {}; stop that shop", std::process::id())),
            "{error}"
        );
        drop(held);
        assert!(hold(data.path()).is_ok(), "nobody holds it any more");
    }
}
