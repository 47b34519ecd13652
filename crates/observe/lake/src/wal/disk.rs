//! The few calls by which the log changes the disk, behind a seam: tests put a disk there that fills up or fails.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::Path;
use std::sync::Arc;

/// An open segment that grows at its end.
pub(super) trait SegmentFile: Send + Sync {
    /// Appends what it can and says how many bytes that was.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Returns when all that was written survives the loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// Where segments are created and removed.
pub(super) trait Disk: Send + Sync {
    /// Creates a file, or empties what an attempt to create it left behind.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names of created files survive the loss of power.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The file system.
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(0)?;
        Ok(Arc::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl SegmentFile for File {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = self;
        file.write_vectored(slices)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Appends all of `slices`, in one call unless the system takes less at a time. After an error, any part may have been
/// written.
pub(super) fn write_all(file: &dyn SegmentFile, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
