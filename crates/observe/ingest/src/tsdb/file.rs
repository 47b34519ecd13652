//! Files through a window: positioned reads of a bounded buffer, so that a file may be larger than memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{Damage, Fault, TsdbError};

/// What is read at once. Neighbouring reads are then served from memory.
const WINDOW: usize = 256 << 10;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    path: PathBuf,
    len: u64,
    /// Where in the file `buffer` lies.
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(super) fn open(path: &Path) -> Result<Self, TsdbError> {
        let file = File::open(path).map_err(|source| TsdbError::io("open", path, source))?;
        let len = file.metadata().map_err(|source| TsdbError::io("open", path, source))?.len();
        Ok(Self { file, path: path.to_owned(), len, start: 0, buffer: Vec::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes from `offset` on; `None` where the file has fewer.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, TsdbError> {
        let Some(left) = self.len.checked_sub(offset).filter(|left| *left >= len as u64) else {
            return Ok(None);
        };
        let held = |start: u64, buffer: &[u8]| {
            let at = usize::try_from(offset.checked_sub(start)?).ok()?;
            (at.checked_add(len)? <= buffer.len()).then_some(at)
        };
        let at = match held(self.start, &self.buffer) {
            Some(at) => at,
            None => {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(len.max(WINDOW));
                self.buffer.resize(wanted, 0);
                let read = self.file.read_exact_at(&mut self.buffer, offset);
                if let Err(source) = read {
                    self.buffer.clear();
                    return Err(TsdbError::io("read", &self.path, source));
                }
                self.start = offset;
                0
            }
        };
        Ok(self.buffer.get(at..at + len))
    }

    /// Up to `len` bytes from `offset` on: fewer where the file ends.
    pub(super) fn up_to(&mut self, offset: u64, len: usize) -> Result<&[u8], TsdbError> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        Ok(self.get(offset, len.min(left))?.unwrap_or_default())
    }

    /// As [`Window::get`], where the file must have them.
    pub(super) fn need(&mut self, offset: u64, len: usize, what: &'static str) -> Result<&[u8], Fault> {
        let beyond = self.len.checked_sub(offset).is_none_or(|left| left < len as u64);
        if beyond {
            return Err(self.damage(offset, format!("the file ends within {what}")));
        }
        Ok(self.get(offset, len)?.unwrap_or_default())
    }

    pub(super) fn damage(&self, offset: u64, what: impl Into<String>) -> Fault {
        Fault::Damage(Damage { file: self.path.clone(), offset, what: what.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_past_the_end_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [1, 2, 3]).unwrap();
        let mut file = Window::open(&path).unwrap();
        assert_eq!(file.get(1, 2).unwrap(), Some(&[2, 3][..]));
        assert_eq!(file.get(1, 3).unwrap(), None);
        assert_eq!(file.get(u64::MAX, 1).unwrap(), None);
        assert_eq!(file.up_to(2, 9).unwrap(), [3]);
        assert!(file.up_to(7, 9).unwrap().is_empty());
    }

    #[test]
    fn reads_across_windows_see_the_same_file() {
        let bytes: Vec<u8> = (0..3 * WINDOW).map(|at| (at % 251) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let mut file = Window::open(&path).unwrap();
        for (offset, len) in
            [(0, 10), (WINDOW - 5, 10), (5, 2 * WINDOW), (2 * WINDOW, WINDOW), (0, 3 * WINDOW)]
        {
            assert_eq!(file.get(offset as u64, len).unwrap(), bytes.get(offset..offset + len));
        }
    }
}
