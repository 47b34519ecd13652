//! What readers are slow to take, in files: the answer it comes from need not be held for them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all such files together.
const MOST: u64 = 1 << 30;

/// Where the files are. They have no names, and end with whoever writes them.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    used: AtomicU64,
}

impl Spool {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, used: AtomicU64::new(0) }
    }

    /// An empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn file(self: &Arc<Self>) -> io::Result<Spooled> {
        Ok(Spooled { file: tempfile::tempfile_in(&self.folder)?, size: 0, spool: self.clone() })
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Spooled {
    file: File,
    size: u64,
    spool: Arc<Spool>,
}

impl Spooled {
    /// # Errors
    /// When the files take too much together, or the disk refuses.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let more = bytes.len() as u64;
        if self.spool.used.fetch_add(more, Ordering::Relaxed) + more > MOST {
            self.spool.used.fetch_sub(more, Ordering::Relaxed);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.size += more;
        self.file.write_all(bytes)
    }

    /// Goes back to its start, for [`Spooled::next`].
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }

    /// At most `most` bytes that follow; none at its end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most);
        (&self.file).take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.spool.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}
