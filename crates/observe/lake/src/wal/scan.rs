//! Walks a segment record by record, and past what is no record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crc32c::crc32c;

use super::format::{MAGIC, MARKER, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader};

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// Bytes that can be read from anywhere.
pub(super) trait ReadAt {
    /// Reads what it can from `offset` and says how many bytes that was; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let available = self.get(from..).unwrap_or_default();
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

/// What lies at the scanner's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record; [`Scanner::payload`] has its payload until the next step.
    Record(RecordHeader),
    /// Bytes that are no record.
    Damage(Extent),
    /// The segment ends within a record: its write was never finished.
    Torn(Extent),
    /// Nothing more, for now.
    End,
}

/// A stretch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What stands where a record could begin.
enum Probe {
    Record(RecordHeader),
    /// The header is right, and the record's end lies past the segment's.
    CutShort,
    /// The header is right, the payload is not.
    BadPayload(RecordHeader),
    Nothing,
}

/// Reads one segment in order with a buffer that holds one chunk or one record, whichever is larger.
pub(super) struct Scanner<F> {
    file: F,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are read and not yet passed.
    ready: std::ops::Range<usize>,
    /// The file's offset of the first ready byte.
    position: u64,
    /// Where the segment ends.
    end: u64,
    max_record: u32,
    /// The sequence that comes next; `None` where any may.
    expected: Option<u64>,
    /// How many sequences the damage since the last record may have cost.
    slack: u64,
    /// The record that the last step found.
    current: Option<RecordHeader>,
    header: Option<SegmentHeader>,
}

impl<F: ReadAt> Scanner<F> {
    /// Reads the header of a segment of `end` bytes and stands behind it.
    pub(super) fn open(file: F, number: u64, end: u64, max_record: u32) -> io::Result<Self> {
        let mut scanner = Self {
            file,
            buffer: Vec::new(),
            ready: 0..0,
            position: 0,
            end,
            max_record,
            expected: None,
            slack: u64::MAX,
            current: None,
            header: None,
        };
        scanner.header =
            SegmentHeader::decode(scanner.window(SEGMENT_HEADER)?).filter(|header| header.number == number);
        if let Some(header) = scanner.header {
            scanner.pass(SEGMENT_HEADER);
            scanner.expected = Some(header.first_seq);
            scanner.slack = 0;
        }
        Ok(scanner)
    }

    /// The segment's header, where it checks out.
    pub(super) fn header(&self) -> Option<SegmentHeader> {
        self.header
    }

    /// Refuses records before `seq`: an earlier segment holds them.
    pub(super) fn expect_at_least(&mut self, seq: u64) {
        self.expected = Some(self.expected.map_or(seq, |expected| expected.max(seq)));
    }

    /// What is being read.
    pub(super) fn file(&self) -> &F {
        &self.file
    }

    /// Tells a scanner of a segment that is written to how long it is now.
    pub(super) fn extend_to(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The payload of the record that the last step found.
    pub(super) fn payload(&self) -> &[u8] {
        let length = self.current.map_or(0, |header| header.length as usize);
        let from = self.ready.start + RECORD_HEADER;
        self.buffer.get(from..from + length).unwrap_or_default()
    }

    /// Moves on to the next record, stretch of damage, or the end.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if let Some(header) = self.current.take() {
            self.pass(RECORD_HEADER + header.length as usize);
        }
        let offset = self.position;
        if offset >= self.end {
            return Ok(Step::End);
        }
        if offset == 0 && self.is_unfinished_header()? {
            return Ok(Step::Torn(self.pass_rest()));
        }
        match self.probe()? {
            Probe::Record(header) => {
                self.current = Some(header);
                self.expected = Some(header.seq.saturating_add(1));
                self.slack = 0;
                Ok(Step::Record(header))
            }
            Probe::CutShort => Ok(Step::Torn(self.pass_rest())),
            Probe::BadPayload(header) => {
                self.pass(RECORD_HEADER + header.length as usize);
                self.slack = self.slack.saturating_add(1);
                Ok(Step::Damage(Extent { offset, length: header.total() }))
            }
            Probe::Nothing => {
                self.pass_to_next_record()?;
                let length = self.position - offset;
                self.slack = self.slack.saturating_add(length.div_ceil(RECORD_HEADER as u64));
                Ok(Step::Damage(Extent { offset, length }))
            }
        }
    }

    /// Whether a crash left the segment before its header was whole.
    fn is_unfinished_header(&mut self) -> io::Result<bool> {
        let start = self.window(SEGMENT_HEADER)?;
        Ok(start.len() < SEGMENT_HEADER && start.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic))
    }

    fn probe(&mut self) -> io::Result<Probe> {
        let left = self.end - self.position;
        let start = self.window(RECORD_HEADER)?;
        if start.len() < RECORD_HEADER {
            let begins = start.iter().zip(MARKER).all(|(byte, marker)| *byte == marker);
            return Ok(if begins { Probe::CutShort } else { Probe::Nothing });
        }
        let Some(header) = RecordHeader::decode(start).filter(|header| self.may_follow(header.seq)) else {
            return Ok(Probe::Nothing);
        };
        if header.total() > left {
            return Ok(Probe::CutShort);
        }
        if header.length > self.max_record {
            return Ok(Probe::BadPayload(header));
        }
        let length = RECORD_HEADER + header.length as usize;
        let payload = self.window(length)?.get(RECORD_HEADER..length);
        Ok(match payload {
            None => Probe::CutShort,
            Some(payload) if crc32c(payload) == header.payload_crc => Probe::Record(header),
            Some(_) => Probe::BadPayload(header),
        })
    }

    fn may_follow(&self, seq: u64) -> bool {
        self.expected.is_none_or(|expected| seq >= expected && seq - expected <= self.slack)
    }

    /// Passes bytes until a record begins that checks out, or the segment ends.
    fn pass_to_next_record(&mut self) -> io::Result<()> {
        let from = self.position;
        let slack = self.slack;
        self.pass(1);
        loop {
            let window = self.window(RECORD_HEADER)?;
            if window.len() < MARKER.len() {
                self.pass_rest();
                break;
            }
            match window.windows(MARKER.len()).position(|bytes| bytes == MARKER) {
                None => {
                    let passed = window.len() + 1 - MARKER.len();
                    self.pass(passed);
                }
                Some(at) => {
                    self.pass(at);
                    let passed = self.position - from;
                    self.slack = slack.saturating_add(passed.div_ceil(RECORD_HEADER as u64));
                    if matches!(self.probe()?, Probe::Record(_)) {
                        break;
                    }
                    self.pass(1);
                }
            }
        }
        self.slack = slack;
        Ok(())
    }

    /// All bytes that are ready, at least `wanted` of them unless the segment ends before.
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.ready.len() < wanted {
            self.fill(wanted)?;
        }
        Ok(self.buffer.get(self.ready.clone()).unwrap_or_default())
    }

    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.copy_within(self.ready.clone(), 0);
        self.ready = 0..self.ready.len();
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let room = wanted.max(CHUNK).min(left);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        while self.ready.end < room {
            let offset = self.position + self.ready.end as u64;
            let Some(space) = self.buffer.get_mut(self.ready.end..room) else { break };
            match self.file.read_at(space, offset) {
                // The file is shorter than was said: what is missing was never written.
                Ok(0) => {
                    self.end = offset;
                    break;
                }
                Ok(count) => self.ready.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Passes `count` bytes; no more than are ready, or than the segment has where they were never read.
    fn pass(&mut self, count: usize) {
        let buffered = count.min(self.ready.len());
        self.ready.start += buffered;
        self.position = self.position.saturating_add(count as u64).min(self.end);
    }

    fn pass_rest(&mut self) -> Extent {
        let offset = self.position;
        self.ready = 0..0;
        self.position = self.end;
        Extent { offset, length: self.end - offset }
    }
}
