//! Reads a log back after a restart.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::folder::{quarantine_path, segment_numbers, segment_path};
use super::format::{SegmentHeader, VERSION};
use super::scan::{Extent, Scanner, Step};
use super::{Record, SegmentInfo, WalError};

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Every segment, ascending.
    pub segments: Vec<SegmentInfo>,
    /// The greatest sequence that the log knows of; 0 where it is empty.
    pub last_seq: u64,
    /// How many records were handed out.
    pub records: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// Writes that a crash cut short. They were never acknowledged.
    pub torn: Vec<Stretch>,
    /// Bytes that are no record although they stand where records were.
    pub damaged: Vec<Damage>,
    /// Sequences from the first one asked for that once were given out and are in no segment.
    pub missing: Vec<RangeInclusive<u64>>,
}

/// A part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The segment.
    pub segment: u64,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// A part of a segment that could not be read as records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which part.
    pub stretch: Stretch,
    /// Where its bytes were put aside; `None` where that failed, for want of room, say.
    pub quarantined: Option<PathBuf>,
}

/// Hands every record of the log in `dir` from sequence `from_seq` on to `visit`, in order, with a buffer of one record.
/// Segments that hold only earlier records are not read. What is no record is skipped, copied to the folder `quarantine`
/// and named in the report; the segments stay as they are. A payload of more than `max_record` bytes counts as damage.
///
/// # Errors
/// When a segment is of a later format, the file system fails, or `visit` does.
pub fn replay<E: From<WalError>>(
    dir: &Path,
    from_seq: u64,
    max_record: u32,
    mut visit: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<ReplayReport, E> {
    let mut report = ReplayReport::default();
    let mut next_seq = None;
    let mut segments = open_segments(dir, max_record)?;
    let starts: Vec<Option<u64>> =
        segments.iter().map(|segment| segment.header().map(|header| header.first_seq)).collect();
    for (index, segment) in segments.iter_mut().enumerate() {
        let after = starts.iter().skip(index + 1).flatten().next().copied();
        if let (Some(header), Some(after)) = (segment.header(), after)
            && after <= from_seq
        {
            next_seq = Some(after);
            report.segments.push(segment.info(header.first_seq, after - 1));
            continue;
        }
        let first_seq = segment.begin(next_seq, &mut report);
        let last_seq = segment.read(first_seq, from_seq, &mut report, &mut visit)?;
        report.segments.push(segment.info(first_seq, last_seq));
        next_seq = Some(last_seq + 1);
    }
    report.last_seq = next_seq.map_or(0, |next| next - 1);
    report.missing.retain(|missing| *missing.end() >= from_seq);
    if let Some(first) = report.segments.first().map(|segment| segment.first_seq)
        && (1..first).contains(&from_seq)
    {
        report.missing.insert(0, from_seq..=first - 1);
    }
    Ok(report)
}

/// Hands the records of one segment's bytes to `visit` and returns the stretches, as offset and length, that are none. For
/// looking into what was put aside, and for fuzzing: no input panics, and no allocation exceeds the input.
pub fn scan_segment(
    number: u64,
    bytes: &[u8],
    max_record: u32,
    mut visit: impl FnMut(Record<'_>),
) -> Vec<Stretch> {
    let stretch = |Extent { offset, length }| Stretch { segment: number, offset, length };
    let mut damaged = Vec::new();
    let Ok(mut scanner) = Scanner::open(bytes, number, bytes.len() as u64, max_record) else {
        return damaged;
    };
    loop {
        match scanner.step() {
            Ok(Step::Record(header)) => visit(Record {
                seq: header.seq,
                segment: number,
                kind: header.kind,
                payload: scanner.payload(),
            }),
            Ok(Step::Damage(extent) | Step::Torn(extent)) => damaged.push(stretch(extent)),
            Ok(Step::End) | Err(_) => return damaged,
        }
    }
}

/// One segment on its way through a replay.
struct Segment<'a> {
    dir: &'a Path,
    path: PathBuf,
    number: u64,
    bytes: u64,
    scanner: Scanner<File>,
}

fn open_segments(dir: &Path, max_record: u32) -> Result<Vec<Segment<'_>>, WalError> {
    segment_numbers(dir)?.into_iter().map(|number| Segment::open(dir, number, max_record)).collect()
}

impl<'a> Segment<'a> {
    fn open(dir: &'a Path, number: u64, max_record: u32) -> Result<Self, WalError> {
        let path = segment_path(dir, number);
        let bytes = fs::metadata(&path).map_err(|source| WalError::io("read", &path, source))?.len();
        let scanner = open_scanner(&path, number, bytes, max_record)?;
        Ok(Self { dir, path, number, bytes, scanner })
    }

    fn header(&self) -> Option<SegmentHeader> {
        self.scanner.header()
    }

    fn info(&self, first_seq: u64, last_seq: u64) -> SegmentInfo {
        SegmentInfo { number: self.number, bytes: self.bytes, first_seq, last_seq }
    }

    /// Joins this segment to those before it, whose records end before `next_seq`; returns the first sequence that it may
    /// hold.
    fn begin(&mut self, next_seq: Option<u64>, report: &mut ReplayReport) -> u64 {
        let claimed = self.header().map(|header| header.first_seq);
        if let Some(next_seq) = next_seq {
            self.scanner.expect_at_least(next_seq);
        }
        if let (Some(next_seq), Some(claimed)) = (next_seq, claimed)
            && next_seq < claimed
        {
            report.missing.push(next_seq..=claimed - 1);
        }
        claimed.max(next_seq).unwrap_or(1)
    }

    /// Hands out the records; returns the last sequence, one less than `first_seq` where there is none.
    fn read<E: From<WalError>>(
        &mut self,
        first_seq: u64,
        from_seq: u64,
        report: &mut ReplayReport,
        visit: &mut impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        report.bytes += self.bytes;
        let mut next_seq = first_seq;
        loop {
            match self.scanner.step().map_err(|source| WalError::io("read", &self.path, source))? {
                Step::Record(header) => {
                    if next_seq < header.seq {
                        report.missing.push(next_seq..=header.seq - 1);
                    }
                    next_seq = header.seq + 1;
                    if header.seq >= from_seq {
                        report.records += 1;
                        visit(Record {
                            seq: header.seq,
                            segment: self.number,
                            kind: header.kind,
                            payload: self.scanner.payload(),
                        })?;
                    }
                }
                Step::Damage(extent) => {
                    let quarantined = self.quarantine(extent).ok();
                    report.damaged.push(Damage { stretch: self.stretch(extent), quarantined });
                }
                Step::Torn(extent) => report.torn.push(self.stretch(extent)),
                Step::End => return Ok(next_seq - 1),
            }
        }
    }

    fn stretch(&self, extent: Extent) -> Stretch {
        Stretch { segment: self.number, offset: extent.offset, length: extent.length }
    }

    /// Copies a part aside, unless an earlier replay has.
    fn quarantine(&self, extent: Extent) -> io::Result<PathBuf> {
        let target = quarantine_path(self.dir, self.number, extent.offset);
        if fs::metadata(&target).is_ok_and(|file| file.len() == extent.length) {
            return Ok(target);
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut source = File::open(&self.path)?;
        source.seek(SeekFrom::Start(extent.offset))?;
        io::copy(&mut source.take(extent.length), &mut File::create(&target)?)?;
        Ok(target)
    }
}

/// A scanner of the first `bytes` of the segment at `path`.
pub(super) fn open_scanner(
    path: &Path,
    number: u64,
    bytes: u64,
    max_record: u32,
) -> Result<Scanner<File>, WalError> {
    let failed = |source| WalError::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let scanner = Scanner::open(file, number, bytes, max_record).map_err(failed)?;
    match scanner.header() {
        Some(SegmentHeader { version, .. }) if version > VERSION => {
            Err(WalError::Version { path: path.to_owned(), version, known: VERSION })
        }
        _ => Ok(scanner),
    }
}
