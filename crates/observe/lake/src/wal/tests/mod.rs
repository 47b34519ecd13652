//! One file a scenario; what they share is here.

mod bad_disk;
mod damage;
mod group_commit;
mod rotation;
mod tail;
mod torn;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::folder::{segment_numbers, segment_path};
use super::{Durability, Record, ReplayReport, Wal, WalError, WalOptions, replay};

/// A record as it came out of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    seq: u64,
    kind: u8,
    payload: Vec<u8>,
}

impl From<Record<'_>> for Kept {
    fn from(record: Record<'_>) -> Self {
        Self { seq: record.seq, kind: record.kind, payload: record.payload.to_vec() }
    }
}

const FSYNC: WalOptions =
    WalOptions { durability: Durability::Fsync, max_record: 1 << 20, sequence_floor: 0 };

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &Path) -> Wal {
    open_with(dir, WalOptions::default()).0
}

fn open_with(dir: &Path, options: WalOptions) -> (Wal, ReplayReport) {
    Wal::open(dir, options, 0, |_| Ok::<_, WalError>(())).unwrap()
}

fn replayed(dir: &Path) -> (Vec<Kept>, ReplayReport) {
    replayed_from(dir, 0)
}

fn replayed_from(dir: &Path, from_seq: u64) -> (Vec<Kept>, ReplayReport) {
    let mut kept = Vec::new();
    let report = replay(dir, from_seq, WalOptions::default().max_record, |record| {
        kept.push(record.into());
        Ok::<_, WalError>(())
    });
    (kept, report.unwrap())
}

fn seqs(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|record| record.seq).collect()
}

/// A payload that differs for every sequence and is not the same byte over and over.
fn payload(seq: u64) -> Vec<u8> {
    (0..5 + seq % 23).map(|i| (seq * 31 + i * 7) as u8).collect()
}

fn append_many(wal: &Wal, count: u64) {
    for _ in 0..count {
        let seq = wal.last_seq() + 1;
        assert_eq!(wal.append((seq % 7) as u8, &[&payload(seq)]).unwrap(), seq);
    }
}

fn expected(seqs: impl IntoIterator<Item = u64>) -> Vec<Kept> {
    seqs.into_iter().map(|seq| Kept { seq, kind: (seq % 7) as u8, payload: payload(seq) }).collect()
}

fn last_segment(dir: &Path) -> PathBuf {
    segment_path(dir, *segment_numbers(dir).unwrap().last().unwrap())
}

/// The bytes of a log of `count` records in one segment, and where each record begins.
fn one_segment(count: u64) -> (Vec<u8>, Vec<usize>) {
    let dir = folder();
    let wal = open(dir.path());
    let mut starts = Vec::new();
    for _ in 0..count {
        starts.push(wal.live_bytes() as usize);
        append_many(&wal, 1);
    }
    (fs::read(last_segment(dir.path())).unwrap(), starts)
}

/// A folder whose only segment has these bytes.
fn folder_of(bytes: &[u8]) -> TempDir {
    let dir = folder();
    fs::write(segment_path(dir.path(), 1), bytes).unwrap();
    dir
}

#[test]
fn records_come_back_as_they_were_appended() {
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 50);
    assert_eq!(wal.append(9, &[b"in ", b"", b"parts"]).unwrap(), 51);
    assert_eq!(wal.append(0, &[]).unwrap(), 52);
    let (mut kept, report) = replayed(dir.path());
    assert_eq!(kept.pop(), Some(Kept { seq: 52, kind: 0, payload: vec![] }));
    assert_eq!(kept.pop(), Some(Kept { seq: 51, kind: 9, payload: b"in parts".to_vec() }));
    assert_eq!(kept, expected(1..=50));
    assert_eq!((report.records, report.last_seq), (52, 52));
    assert!(report.torn.is_empty() && report.damaged.is_empty() && report.missing.is_empty());
}

#[test]
fn records_larger_than_the_read_buffer_come_back() {
    let dir = folder();
    let wal = open(dir.path());
    let sizes = [1 << 20, 3, (256 << 10) - 25, (256 << 10) - 24, 700_001];
    for (index, size) in sizes.into_iter().enumerate() {
        wal.append(1, &[&vec![index as u8; size]]).unwrap();
    }
    let (kept, report) = replayed(dir.path());
    let lengths: Vec<usize> = kept.iter().map(|record| record.payload.len()).collect();
    assert_eq!(lengths, sizes);
    assert!(
        kept.iter().enumerate().all(|(index, record)| record.payload.iter().all(|byte| *byte == index as u8))
    );
    assert!(report.damaged.is_empty());
}

#[test]
fn a_payload_over_the_limit_is_refused_and_named() {
    let dir = folder();
    let (wal, _) = open_with(dir.path(), WalOptions { max_record: 8, ..WalOptions::default() });
    let error = wal.append(1, &[b"12345", b"6789"]).unwrap_err();
    assert_eq!(error.to_string(), "a record of 9 bytes exceeds the log's limit of 8; split it");
    assert_eq!(wal.append(1, &[b"12345678"]).unwrap(), 1);
}

#[test]
fn an_error_of_the_visitor_ends_the_replay() {
    let dir = folder();
    append_many(&open(dir.path()), 10);
    let mut seen = 0;
    let stopped = replay(dir.path(), 0, 1 << 20, |record| {
        seen = record.seq;
        if record.seq == 4 { Err(WalError::Closed) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(WalError::Closed)));
    assert_eq!(seen, 4);
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = folder();
    let first = open(dir.path());
    let second = Wal::open(dir.path(), WalOptions::default(), 0, |_| Ok::<_, WalError>(()));
    assert!(matches!(second, Err(WalError::Locked { .. })));
    drop(first);
    open(dir.path());
}
