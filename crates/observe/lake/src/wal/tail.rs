//! Follows the log as it grows.

use std::fs::File;
use std::ops::RangeInclusive;
use std::sync::Weak;

use tokio::sync::watch;

use super::folder::segment_path;
use super::format::RecordHeader;
use super::replay::open_scanner;
use super::scan::{Scanner, Step};
use super::writer::{Head, Log};
use super::{Record, SegmentInfo, WalError};

/// Reads records in order, from disk, up to the last one appended. It holds nothing back: segments may be removed under it,
/// and it then says what it missed.
pub struct WalReader {
    log: Weak<Log>,
    head: watch::Receiver<Head>,
    next_seq: u64,
    place: Place,
}

/// What a reader comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailItem<'a> {
    /// The next record.
    Record(Record<'a>),
    /// Sequences that are gone: their segments were removed before they were read, or are damaged.
    Lost(RangeInclusive<u64>),
}

enum Place {
    /// Before the segment that holds the next sequence.
    Start,
    Within(Box<Open>),
    /// Behind the segment of this number.
    Behind(u64),
}

/// The segment being read.
struct Open {
    number: u64,
    scanner: Scanner<File>,
    /// Whether it is known to have its final length.
    complete: bool,
    /// A record that was found behind a gap and waits until the gap was reported.
    pending: Option<RecordHeader>,
}

impl WalReader {
    pub(super) fn new(log: Weak<Log>, head: watch::Receiver<Head>, from_seq: u64) -> Self {
        Self { log, head, next_seq: from_seq.max(1), place: Place::Start }
    }

    /// The sequence of the next record that [`WalReader::next`] gives.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next record, or `None` when all that was appended is read; then [`WalReader::wait`].
    ///
    /// # Errors
    /// When a segment cannot be read, or the log was closed.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows from its reader; an iterator's item cannot"
    )]
    pub fn next(&mut self) -> Result<Option<TailItem<'_>>, WalError> {
        loop {
            let head = *self.head.borrow();
            if self.next_seq > head.last_seq {
                return Ok(None);
            }
            let Place::Within(open) = &mut self.place else {
                if let Some(lost) = self.open_segment()? {
                    return Ok(Some(TailItem::Lost(lost)));
                }
                continue;
            };
            open.grow(head, &self.log)?;
            let Some(header) = open.next_record(&self.log)? else {
                if open.number == head.segment {
                    return Ok(Some(self.lost_before(head.last_seq + 1)));
                }
                self.place = Place::Behind(open.number);
                continue;
            };
            if header.seq < self.next_seq {
                continue;
            }
            if header.seq > self.next_seq {
                open.pending = Some(header);
                return Ok(Some(self.lost_before(header.seq)));
            }
            self.next_seq += 1;
            return Ok(self.record(header));
        }
    }

    /// Returns when there is something to read.
    ///
    /// # Errors
    /// [`WalError::Closed`] when the log is closed first.
    pub async fn wait(&mut self) -> Result<(), WalError> {
        let next_seq = self.next_seq;
        self.head.wait_for(|head| next_seq <= head.last_seq).await.map(drop).map_err(|_| WalError::Closed)
    }

    fn record(&self, header: RecordHeader) -> Option<TailItem<'_>> {
        let Place::Within(open) = &self.place else { return None };
        Some(TailItem::Record(Record {
            seq: header.seq,
            segment: open.number,
            kind: header.kind,
            payload: open.scanner.payload(),
        }))
    }

    fn lost_before(&mut self, seq: u64) -> TailItem<'static> {
        let lost = self.next_seq..=seq - 1;
        self.next_seq = seq;
        TailItem::Lost(lost)
    }

    /// Opens the next segment to read; returns the sequences that lie before it and were not read.
    fn open_segment(&mut self) -> Result<Option<RangeInclusive<u64>>, WalError> {
        let log = self.log.upgrade().ok_or(WalError::Closed)?;
        // Within the list's lock, since a segment could be removed between being found and being opened.
        let (segment, scanner) = log.with_segments(|segments| {
            let segment = *choose(segments, &self.place, self.next_seq).ok_or(WalError::Closed)?;
            let path = segment_path(&log.dir, segment.number);
            let scanner = open_scanner(&path, segment.number, segment.bytes, log.options.max_record)?;
            Ok::<_, WalError>((segment, scanner))
        })?;
        let number = segment.number;
        self.place = Place::Within(Box::new(Open { number, scanner, complete: false, pending: None }));
        if self.next_seq >= segment.first_seq {
            return Ok(None);
        }
        let lost = self.next_seq..=segment.first_seq - 1;
        self.next_seq = segment.first_seq;
        Ok(Some(lost))
    }
}

/// The segment to go on with.
fn choose<'a>(segments: &'a [SegmentInfo], place: &Place, next_seq: u64) -> Option<&'a SegmentInfo> {
    match place {
        Place::Behind(number) => segments.iter().find(|segment| segment.number > *number),
        Place::Start | Place::Within(_) => {
            let holds = segments.iter().rev().find(|segment| segment.first_seq <= next_seq);
            holds.or(segments.first())
        }
    }
}

impl Open {
    /// Learns how long the segment is by now.
    fn grow(&mut self, head: Head, log: &Weak<Log>) -> Result<(), WalError> {
        if self.number == head.segment {
            self.scanner.extend_to(head.bytes);
        } else if !self.complete {
            let log = log.upgrade().ok_or(WalError::Closed)?;
            let listed = log.with_segments(|segments| {
                segments.iter().find(|segment| segment.number == self.number).map(|segment| segment.bytes)
            });
            // A removed segment can be read to its end for as long as it is open.
            let bytes = match listed {
                Some(bytes) => bytes,
                None => self.scanner.file().metadata().map_err(|source| self.read_error(&log, source))?.len(),
            };
            self.scanner.extend_to(bytes);
            self.complete = true;
        }
        Ok(())
    }

    /// The next record of this segment; damage is passed over, since the gap in the sequences tells of it.
    fn next_record(&mut self, log: &Weak<Log>) -> Result<Option<RecordHeader>, WalError> {
        if let Some(header) = self.pending.take() {
            return Ok(Some(header));
        }
        loop {
            match self.scanner.step() {
                Ok(Step::Record(header)) => return Ok(Some(header)),
                Ok(Step::Damage(_) | Step::Torn(_)) => {}
                Ok(Step::End) => return Ok(None),
                Err(source) => {
                    let log = log.upgrade().ok_or(WalError::Closed)?;
                    return Err(self.read_error(&log, source));
                }
            }
        }
    }

    fn read_error(&self, log: &Log, source: std::io::Error) -> WalError {
        WalError::io("read", &segment_path(&log.dir, self.number), source)
    }
}
