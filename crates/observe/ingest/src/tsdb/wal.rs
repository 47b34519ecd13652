//! The write-ahead log and its checkpoints: records in fragments, in pages of 32 KiB, in numbered segments.
//!
//! Format: <https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/wal.md>.

use std::path::{Path, PathBuf};

use crate::compression::decompress;

use super::batches::{Batches, Halt};
use super::file::Window;

const PAGE: u64 = 32 << 10;
const HEADER: usize = 7;
/// The largest record that is believed once decompressed.
const MAX_RECORD_BYTES: usize = 256 << 20;
/// Snappy's longest copy of 64 bytes takes two; nothing unpacks to more than this many times its size.
const SNAPPY_MOST: usize = 32;

/// A segment of a log.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Whether it is the newest, in which the process may have died.
    pub(super) last: bool,
}

/// Where a record ends: in the fragment that begins here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) offset: u64,
}

/// What is done with a record.
pub(super) type Visit<'v> = dyn FnMut(&mut Batches<'_>, &[u8], Place<'_>) -> Result<(), Halt> + 'v;

/// Whether damage of the log itself is news, or an earlier pass named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damages {
    Named,
    Known,
}

/// Calls `visit` with every record of `segments`.
pub(super) fn read_records(
    segments: &[Segment],
    damages: Damages,
    batches: &mut Batches<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), Halt> {
    let mut records =
        Records { fragments: Vec::new(), unpacked: Vec::new(), open: false, lost: false, damages };
    for segment in segments {
        let mut file = Window::open(&segment.path)?;
        records.reset();
        let mut at = 0;
        while at < file.len() {
            let page = file.up_to(at, PAGE as usize)?;
            records.read_page(page, at, segment, batches, visit)?;
            batches.advance(page.len() as u64);
            at += PAGE;
        }
        if records.pending() && !segment.last {
            records.damaged(batches, segment, file.len(), "a record lacks its end and was skipped")?;
        }
    }
    Ok(())
}

/// Puts records together from their fragments.
struct Records {
    fragments: Vec<u8>,
    unpacked: Vec<u8>,
    /// Whether a record has begun and not ended.
    open: bool,
    /// Whether the rest of a record whose beginning is lost is to be passed over.
    lost: bool,
    damages: Damages,
}

impl Records {
    fn damaged(
        &self,
        batches: &mut Batches<'_>,
        segment: &Segment,
        offset: u64,
        what: impl Into<String>,
    ) -> Result<(), Halt> {
        match self.damages {
            Damages::Named => batches.damaged_at(&segment.path, offset, what),
            Damages::Known => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.fragments.clear();
        self.open = false;
        self.lost = false;
    }

    fn pending(&self) -> bool {
        self.open
    }

    /// Drops the record that is being put together.
    fn lose(&mut self) {
        self.reset();
        self.lost = true;
    }

    fn read_page(
        &mut self,
        page: &[u8],
        at: u64,
        segment: &Segment,
        batches: &mut Batches<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Halt> {
        let mut next = 0;
        while let Some(rest) = page.get(next..).filter(|rest| !rest.is_empty()) {
            let offset = at + next as u64;
            let cut_off = (page.len() as u64) < PAGE && segment.last;
            let Some(fragment) = Fragment::split(rest) else {
                // Where a page has no room for a header, or its first byte says so, the rest of it is empty.
                let padding = rest.first() == Some(&0) || rest.len() < HEADER && page.len() as u64 == PAGE;
                // The process died while it wrote this.
                if padding || cut_off {
                    return Ok(());
                }
                self.lose();
                return self.damaged(
                    batches,
                    segment,
                    offset,
                    "a record reaches beyond its page; the rest of the page was skipped",
                );
            };
            next += HEADER + fragment.data.len();
            if crc32c::crc32c(fragment.data) != fragment.checksum {
                self.lose();
                self.damaged(batches, segment, offset, "the checksum of a record is wrong; it was skipped")?;
                continue;
            }
            if let Some(compression) = self.join(&fragment, segment, offset, batches)? {
                match self.unpack(compression) {
                    Ok(record) => visit(batches, record, Place { file: &segment.path, offset })?,
                    Err(what) => self.damaged(batches, segment, offset, what)?,
                }
                self.open = false;
            }
        }
        Ok(())
    }

    /// Adds a fragment. Gives how the record is compressed where it is complete.
    fn join(
        &mut self,
        fragment: &Fragment<'_>,
        segment: &Segment,
        offset: u64,
        batches: &mut Batches<'_>,
    ) -> Result<Option<u8>, Halt> {
        let begins = matches!(fragment.kind, 1 | 2);
        if begins {
            let unfinished = self.open;
            self.reset();
            if unfinished {
                self.damaged(batches, segment, offset, "the record before lacks its end and was skipped")?;
            }
        } else if !self.open || !matches!(fragment.kind, 3 | 4) {
            let known = self.lost && matches!(fragment.kind, 3 | 4);
            self.lose();
            if !known {
                self.damaged(batches, segment, offset, "a record lacks its beginning and was skipped")?;
            }
            return Ok(None);
        }
        self.open = true;
        self.fragments.extend_from_slice(fragment.data);
        Ok(matches!(fragment.kind, 1 | 4).then_some(fragment.compression))
    }

    fn unpack(&mut self, compression: u8) -> Result<&[u8], String> {
        match compression {
            0 => Ok(&self.fragments),
            1 => {
                let failed =
                    |error: snap::Error| format!("a record cannot be unpacked and was skipped: {error}");
                let len = snap::raw::decompress_len(&self.fragments).map_err(failed)?;
                if len > self.fragments.len().saturating_mul(SNAPPY_MOST).min(MAX_RECORD_BYTES) {
                    return Err(
                        "a record says that it unpacks to more than it can; it was skipped".to_owned()
                    );
                }
                self.unpacked.resize(len, 0);
                let len = snap::raw::Decoder::new()
                    .decompress(&self.fragments, &mut self.unpacked)
                    .map_err(failed)?;
                Ok(self.unpacked.get(..len).unwrap_or_default())
            }
            _ => {
                let unpacked = decompress("zstd", &self.fragments, MAX_RECORD_BYTES)
                    .map_err(|error| format!("a record cannot be unpacked and was skipped: {error}"))?;
                self.unpacked = unpacked.into_owned();
                Ok(&self.unpacked)
            }
        }
    }
}

/// A part of a record.
struct Fragment<'a> {
    /// 1 all of it, 2 the first, 3 a middle, 4 the last part.
    kind: u8,
    /// 0 none, 1 snappy, 2 zstd.
    compression: u8,
    checksum: u32,
    data: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let ([flags, high, low, checksum @ ..], rest) = bytes.split_first_chunk::<HEADER>()?;
        let data = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))?;
        let kind = flags & 0b111;
        let compression = if flags & 0b1000 != 0 { 1 } else { (flags >> 4 & 1) * 2 };
        (kind != 0).then_some(Self { kind, compression, checksum: u32::from_be_bytes(*checksum), data })
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::TsdbError;
    use super::*;
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    /// Lays records out as Prometheus does, each uncompressed, by snappy, or by zstd.
    fn lay_out(records: &[Vec<u8>]) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let (flags, packed) = match index % 3 {
                0 => (0, record.clone()),
                1 => (0b1000, snap::raw::Encoder::new().compress_vec(record).unwrap()),
                _ => (0b1_0000, zstd::encode_all(&record[..], 1).unwrap()),
            };
            let mut rest = &packed[..];
            let mut first = true;
            while first || !rest.is_empty() {
                let mut room = PAGE as usize - out.len() % PAGE as usize;
                if room <= HEADER {
                    out.resize(out.len() + room, 0);
                    room = PAGE as usize;
                }
                let (now, later) = rest.split_at(rest.len().min(room - HEADER));
                let kind = match (first, later.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                out.push(kind | flags);
                out.extend((now.len() as u16).to_be_bytes());
                out.extend(crc32c::crc32c(now).to_be_bytes());
                out.extend(now);
                (rest, first) = (later, false);
            }
        }
        out
    }

    fn read(bytes: &[u8], last: bool) -> (Vec<Vec<u8>>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000");
        std::fs::write(&path, bytes).unwrap();
        let mut take = |_, _| ControlFlow::Continue(());
        let mut batches = Batches::new(bytes.len() as u64, false, &mut take);
        let mut records = Vec::new();
        let segments = [Segment { path, last }];
        let read = read_records(&segments, Damages::Named, &mut batches, &mut |_, record, _| {
            records.push(record.to_vec());
            Ok(())
        });
        assert!(matches!(read, Ok(())));
        (records, batches.report.damaged.iter().map(|damage| damage.what.clone()).collect())
    }

    fn sample_records() -> Vec<Vec<u8>> {
        [10, 40_000, 0, 32_761, 32_754, 7, 100_000, 3]
            .into_iter()
            .enumerate()
            .map(|(seed, len): (usize, usize)| {
                (0..len).map(|at| (at * 31 + seed * 7 + at / 256) as u8).collect()
            })
            .collect()
    }

    #[test]
    fn records_come_back_whole_across_pages_and_compressions() {
        let records = sample_records();
        assert_eq!(read(&lay_out(&records), true), (records, vec![]));
    }

    #[test]
    fn a_record_that_the_crash_cut_off_is_no_damage() {
        let records = sample_records();
        let bytes = lay_out(&records);
        let (found, damage) = read(&bytes[..bytes.len() - 1], true);
        assert_eq!((found.as_slice(), damage.len()), (&records[..records.len() - 1], 0));
        let (_, damage) = read(&bytes[..bytes.len() - 1], false);
        assert_eq!(damage.len(), 1);
    }

    #[test]
    fn what_follows_a_damaged_record_is_still_read() {
        let records = sample_records();
        let whole = lay_out(&records);
        // In the second record, which is short once packed, and in a middle fragment of one that spans pages.
        for (at, lost) in [(30, 1), (whole.len() - 50_000, 6)] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let (found, damage) = read(&bytes, true);
            let wanted: Vec<_> = records
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != lost)
                .map(|(_, record)| record.clone())
                .collect();
            assert!(found == wanted, "{} of {} records came", found.len(), wanted.len());
            assert_eq!(damage, ["the checksum of a record is wrong; it was skipped"]);
        }
    }

    #[test]
    fn strict_reading_stops_at_damage() {
        let mut bytes = lay_out(&sample_records());
        bytes[30] ^= 1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000");
        std::fs::write(&path, &bytes).unwrap();
        let mut take = |_, _| ControlFlow::Continue(());
        let mut batches = Batches::new(0, true, &mut take);
        let read = read_records(
            &[Segment { path, last: true }],
            Damages::Named,
            &mut batches,
            &mut |_, _, _| Ok(()),
        );
        assert!(matches!(read, Err(Halt::Error(TsdbError::Damaged(_)))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn flipped_bytes_never_panic_and_lose_only_records(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            last in any::<bool>(),
        ) {
            let records = sample_records();
            let mut bytes = lay_out(&records);
            for (at, with) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            let (found, _) = read(&bytes, last);
            prop_assert!(found.len() <= records.len());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), last in any::<bool>()) {
            let _ = read(&bytes, last);
        }
    }
}
