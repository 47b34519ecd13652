//! The end of the log that grows.

use std::fs::File;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::crc32c_append;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::commit::{GroupCommit, Outcome};
use super::disk::{Disk, FileSystem, SegmentFile, write_all};
use super::folder::{lock, segment_path};
use super::format::{RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, VERSION};
use super::replay::{ReplayReport, replay};
use super::tail::WalReader;
use super::{Durability, Record, SegmentInfo, WalError, WalOptions};

/// A log that is open for writing. Cheap to clone: clones are the same log, and any thread may use any of them.
#[derive(Clone)]
pub struct Wal {
    log: Arc<Log>,
}

/// What a rotation closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The segment that is complete now.
    pub closed: u64,
    /// The last sequence in it or before it.
    pub last_seq: u64,
}

pub(super) struct Log {
    pub(super) dir: PathBuf,
    pub(super) options: WalOptions,
    disk: Box<dyn Disk>,
    live: Mutex<Live>,
    commit: GroupCommit,
    /// Ascending; the last one is written to, and `head` says how long it is.
    segments: Mutex<Vec<SegmentInfo>>,
    head: watch::Sender<Head>,
    _lock: File,
}

/// How far readers may read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) segment: u64,
    pub(super) bytes: u64,
    pub(super) last_seq: u64,
}

/// What a record's header will say, but for its sequence. Found before the log is locked.
#[derive(Clone, Copy)]
struct Checked {
    length: u32,
    kind: u8,
    payload_crc: u32,
}

/// The segment that is written to.
struct Live {
    file: Arc<dyn SegmentFile>,
    path: PathBuf,
    number: u64,
    /// Where its last whole record ends.
    bytes: u64,
    next_seq: u64,
    /// Whether it may hold more than whole records, or records that the disk refused. Nothing is added to it then.
    spoiled: bool,
}

impl Wal {
    /// Opens the log in `dir`, creating it where there is none: replays every record from `from_seq` into `visit`, as
    /// [`replay`] does, then begins a new segment.
    ///
    /// # Errors
    /// When another process holds the log, a segment is of a later format, the file system fails, or `visit` does.
    pub fn open<E: From<WalError>>(
        dir: &Path,
        options: WalOptions,
        from_seq: u64,
        visit: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(Self, ReplayReport), E> {
        Self::open_on(Box::new(FileSystem), dir, options, from_seq, visit)
    }

    pub(super) fn open_on<E: From<WalError>>(
        disk: Box<dyn Disk>,
        dir: &Path,
        options: WalOptions,
        from_seq: u64,
        visit: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(Self, ReplayReport), E> {
        std::fs::create_dir_all(dir).map_err(|source| WalError::io("create", dir, source))?;
        let lock = lock(dir)?;
        let report = replay(dir, from_seq, options.max_record, visit)?;
        let last_seq = report.last_seq.max(options.sequence_floor);
        let mut segments = report.segments.clone();
        let number = segments.last().map_or(1, |segment| segment.number + 1);
        let live = create_segment(&*disk, dir, options.durability, number, last_seq + 1)?;
        remove_empty(&*disk, dir, &mut segments);
        segments.push(live.info());
        let (head, _) = watch::channel(live.head());
        let log = Log {
            dir: dir.to_owned(),
            options,
            disk,
            live: Mutex::new(live),
            commit: GroupCommit::starting_at(last_seq),
            segments: Mutex::new(segments),
            head,
            _lock: lock,
        };
        Ok((Self { log: Arc::new(log) }, report))
    }

    /// Appends one record whose payload is the concatenation of `parts`, and returns its sequence. It then survives the
    /// death of this process; see [`Wal::sync_through`] for more. A payload that leans on earlier records of its segment
    /// belongs to [`Wal::append_in`]: a segment that the disk spoiled is left behind without asking.
    ///
    /// # Errors
    /// [`WalError::TooLarge`], [`WalError::Full`] or [`WalError::Io`]. The record is not in the log then, and later appends
    /// may succeed.
    pub fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<u64, WalError> {
        let checked = self.check(kind, parts)?;
        loop {
            let mut live = self.log.live.lock();
            if !live.spoiled {
                return self.log.append(&mut live, checked, parts);
            }
            drop(live);
            self.log.rotate(|live| live.spoiled)?;
        }
    }

    /// As [`Wal::append`], but only into segment `segment`, which [`Wal::segment`] gave: for a payload that a replay can
    /// read only together with earlier records of that segment.
    ///
    /// # Errors
    /// As [`Wal::append`], and [`WalError::Rotated`] when another segment is written to by now: ask again for the segment,
    /// and make the payload for it.
    pub fn append_in(&self, segment: u64, kind: u8, parts: &[&[u8]]) -> Result<u64, WalError> {
        let checked = self.check(kind, parts)?;
        let mut live = self.log.live.lock();
        if live.number == segment && !live.spoiled {
            return self.log.append(&mut live, checked, parts);
        }
        drop(live);
        self.log.rotate(|live| live.spoiled)?;
        Err(WalError::Rotated { segment, now: self.segment() })
    }

    fn check(&self, kind: u8, parts: &[&[u8]]) -> Result<Checked, WalError> {
        let limit = self.log.options.max_record;
        let length = parts.iter().map(|part| part.len()).sum();
        let too_large = WalError::TooLarge { length, limit };
        let length = u32::try_from(length).ok().filter(|length| *length <= limit).ok_or(too_large)?;
        let payload_crc = parts.iter().fold(0, |crc, part| crc32c_append(crc, part));
        Ok(Checked { length, kind, payload_crc })
    }

    /// Returns when record `seq` and all before it survive the loss of power. Blocks: concurrent callers share one sync.
    /// Under [`Durability::Process`] it returns at once.
    ///
    /// # Errors
    /// [`WalError::NotDurable`] when the disk refused; the log goes on in a new segment.
    pub fn sync_through(&self, seq: u64) -> Result<(), WalError> {
        match self.log.options.durability {
            Durability::Process => Ok(()),
            Durability::Fsync => self
                .log
                .commit
                .through(seq, || self.log.sync())
                .map_err(|reason| WalError::NotDurable { seq, reason }),
        }
    }

    /// Closes the segment that is written to and begins another.
    ///
    /// # Errors
    /// When no new segment could be created; the log goes on in the old one.
    pub fn rotate(&self) -> Result<Rotated, WalError> {
        self.log.rotate(|_| true)
    }

    /// Removes every closed segment whose number is at most `segment`, and returns how many bytes that freed.
    ///
    /// # Errors
    /// When a file could not be removed; it and those after it are still part of the log.
    pub fn remove_through(&self, segment: u64) -> Result<u64, WalError> {
        let mut segments = self.log.segments.lock();
        let mut freed = 0;
        while let [oldest, _, ..] = segments.as_slice()
            && oldest.number <= segment
        {
            let path = segment_path(&self.log.dir, oldest.number);
            match self.log.disk.remove(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(WalError::io("remove", &path, source));
                }
                _ => freed += oldest.bytes,
            }
            segments.remove(0);
        }
        Ok(freed)
    }

    /// All segments, ascending; the last one is written to.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let mut segments = self.log.segments.lock().clone();
        let head = *self.log.head.borrow();
        if let Some(live) = segments.last_mut().filter(|live| live.number == head.segment) {
            live.bytes = head.bytes;
            live.last_seq = head.last_seq;
        }
        segments
    }

    /// The number of the segment that is written to.
    pub fn segment(&self) -> u64 {
        self.log.head.borrow().segment
    }

    /// The folder of the log.
    pub fn folder(&self) -> &Path {
        &self.log.dir
    }

    /// Bytes in the segment that is written to: what a caller who rotates by size asks.
    pub fn live_bytes(&self) -> u64 {
        self.log.head.borrow().bytes
    }

    /// The sequence of the last record, or the floor that the log was opened with.
    pub fn last_seq(&self) -> u64 {
        self.log.head.borrow().last_seq
    }

    /// A reader that begins at record `from_seq` and follows the log as it grows.
    pub fn reader(&self, from_seq: u64) -> WalReader {
        WalReader::new(Arc::downgrade(&self.log), self.log.head.subscribe(), from_seq)
    }
}

impl Log {
    /// What is known of the segments, oldest first. The last one grows; its size here is that of its header.
    pub(super) fn with_segments<R>(&self, look: impl FnOnce(&[SegmentInfo]) -> R) -> R {
        look(&self.segments.lock())
    }

    fn append(&self, live: &mut Live, checked: Checked, parts: &[&[u8]]) -> Result<u64, WalError> {
        let Checked { length, kind, payload_crc } = checked;
        let header = RecordHeader { length, seq: live.next_seq, kind, payload_crc };
        live.append(header, parts)?;
        self.head.send_replace(live.head());
        Ok(header.seq)
    }

    /// Syncs what is written so far.
    fn sync(&self) -> Outcome {
        let (file, written) = {
            let live = self.live.lock();
            (live.file.clone(), live.next_seq - 1)
        };
        let Err(error) = file.sync() else {
            return Outcome { through: written, failure: None };
        };
        // A second sync of this file could succeed without having written anything: it is not trusted again.
        let mut live = self.live.lock();
        live.spoiled = true;
        let failure = format!("cannot sync {}: {error}", live.path.display());
        Outcome { through: live.next_seq - 1, failure: Some(failure) }
    }

    /// Begins a new segment if `wanted` says so of the one that is written to.
    fn rotate(&self, wanted: impl FnOnce(&Live) -> bool) -> Result<Rotated, WalError> {
        self.commit.exclusively(|settled| {
            let mut live = self.live.lock();
            let last_seq = live.next_seq - 1;
            if !wanted(&live) {
                return (None, Ok(Rotated { closed: live.number - 1, last_seq }));
            }
            let durability = self.options.durability;
            let next =
                match create_segment(&*self.disk, &self.dir, durability, live.number + 1, live.next_seq) {
                    Ok(next) => next,
                    Err(error) => return (None, Err(error)),
                };
            let unsynced = durability == Durability::Fsync && settled < last_seq;
            let outcome = unsynced.then(|| Outcome {
                through: last_seq,
                failure: live
                    .file
                    .sync()
                    .err()
                    .map(|error| format!("cannot sync {}: {error}", live.path.display())),
            });
            let mut segments = self.segments.lock();
            if let Some(closed) = segments.last_mut() {
                *closed = live.info_from(closed.first_seq);
            }
            segments.push(next.info());
            drop(segments);
            let closed = live.number;
            *live = next;
            self.head.send_replace(live.head());
            (outcome, Ok(Rotated { closed, last_seq }))
        })
    }
}

impl Live {
    fn append(&mut self, header: RecordHeader, parts: &[&[u8]]) -> Result<(), WalError> {
        let encoded = header.encode();
        let mut slices = Vec::with_capacity(1 + parts.len());
        slices.push(IoSlice::new(&encoded));
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        if let Err(source) = write_all(&*self.file, &mut slices) {
            self.spoiled = self.file.truncate(self.bytes).is_err();
            return Err(WalError::io("append to", &self.path, source));
        }
        self.bytes += header.total();
        self.next_seq += 1;
        Ok(())
    }

    fn head(&self) -> Head {
        Head { segment: self.number, bytes: self.bytes, last_seq: self.next_seq - 1 }
    }

    fn info(&self) -> SegmentInfo {
        self.info_from(self.next_seq)
    }

    fn info_from(&self, first_seq: u64) -> SegmentInfo {
        SegmentInfo { number: self.number, bytes: self.bytes, first_seq, last_seq: self.next_seq - 1 }
    }
}

/// Creates segment `number`, whose first record will be `first_seq`.
fn create_segment(
    disk: &dyn Disk,
    dir: &Path,
    durability: Durability,
    number: u64,
    first_seq: u64,
) -> Result<Live, WalError> {
    let path = segment_path(dir, number);
    let file = disk.create(&path).map_err(|source| WalError::io("create", &path, source))?;
    let header = SegmentHeader { version: VERSION, number, first_seq }.encode();
    let written = write_all(&*file, &mut [IoSlice::new(&header)]).and_then(|()| match durability {
        Durability::Process => Ok(()),
        Durability::Fsync => file.sync().and_then(|()| disk.sync_folder(dir)),
    });
    match written {
        Ok(()) => {
            Ok(Live { file, path, number, bytes: SEGMENT_HEADER as u64, next_seq: first_seq, spoiled: false })
        }
        Err(source) => {
            // If this fails too, an unfinished segment stays: the next attempt empties it, and a replay gets past it.
            disk.remove(&path).ok();
            Err(WalError::io("write the header of", &path, source))
        }
    }
}

/// Removes segments that hold nothing: what starts without any append leave behind. Any that stays does no harm.
fn remove_empty(disk: &dyn Disk, dir: &Path, segments: &mut Vec<SegmentInfo>) {
    segments.retain(|segment| {
        let holds_nothing =
            segment.last_seq < segment.first_seq && segment.bytes < (SEGMENT_HEADER + RECORD_HEADER) as u64;
        !(holds_nothing && disk.remove(&segment_path(dir, segment.number)).is_ok())
    });
}
