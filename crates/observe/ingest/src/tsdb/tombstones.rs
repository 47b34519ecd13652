//! What Prometheus was told to delete and has not rewritten yet.

use std::collections::HashMap;
use std::path::Path;

use super::cursor::{Cursor, Unreadable};
use super::error::{Fault, TsdbError};
use super::file::Window;

const MAGIC: u32 = 0x0130_ba30;
const HEADER_BYTES: usize = 5;

/// Deleted times of series, both ends included, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tombstones(HashMap<u64, Vec<(i64, i64)>>);

impl Tombstones {
    /// Reads a block's `tombstones`; none where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Self, Fault> {
        let mut file = match Window::open(path) {
            Ok(file) => file,
            Err(TsdbError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.into()),
        };
        let len = usize::try_from(file.len()).unwrap_or(usize::MAX);
        let bytes = file.need(0, len, "the list of deletions")?;
        match parse(bytes) {
            Ok(tombstones) => Ok(tombstones),
            Err(Unreadable(what)) => Err(file.damage(
                0,
                format!(
                    "the list of deletions cannot be read ({what}), so the block was skipped; delete the file to import \
                     the block with what was deleted from it"
                ),
            )),
        }
    }

    pub(super) fn add(&mut self, series: u64, from: i64, through: i64) {
        self.0.entry(series).or_default().push((from, through));
    }

    /// The deleted times of a series.
    pub(super) fn of(&self, series: u64) -> &[(i64, i64)] {
        self.0.get(&series).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Whether `ts`, in milliseconds, lies in one of `deleted`.
#[inline]
pub(super) fn covers(deleted: &[(i64, i64)], ts: i64) -> bool {
    deleted.iter().any(|(from, through)| (*from..=*through).contains(&ts))
}

fn parse(bytes: &[u8]) -> Result<Tombstones, Unreadable> {
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(Unreadable("it is too short"))?;
    let mut header = Cursor(body);
    if header.be32()? != MAGIC || header.byte()? != 1 {
        return Err(Unreadable("it does not begin as a list of deletions of version 1"));
    }
    let entries = body.get(HEADER_BYTES..).unwrap_or_default();
    if crc32c::crc32c(entries) != u32::from_be_bytes(*checksum) {
        return Err(Unreadable("its checksum is wrong"));
    }
    let mut tombstones = Tombstones::default();
    let mut cursor = Cursor(entries);
    while !cursor.is_empty() {
        let series = cursor.uvarint()?;
        tombstones.add(series, cursor.varint()?, cursor.varint()?);
    }
    Ok(tombstones)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_without_the_file_has_no_deletions() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Tombstones::read(&folder.path().join("tombstones")).unwrap(), Tombstones::default());
    }

    #[test]
    fn deletions_are_read_behind_their_checksum() {
        let entries = [7, 20, 40, 7, 60, 60];
        let mut bytes = vec![0x01, 0x30, 0xba, 0x30, 1];
        bytes.extend(entries);
        bytes.extend(crc32c::crc32c(&entries).to_be_bytes());
        let read = parse(&bytes).unwrap();
        assert_eq!(read.of(7), [(10, 20), (30, 30)]);
        assert!(covers(read.of(7), 20) && covers(read.of(7), 30));
        assert!(!covers(read.of(7), 21) && !covers(read.of(8), 20));
        bytes[6] ^= 1;
        assert_eq!(parse(&bytes), Err(Unreadable("its checksum is wrong")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
