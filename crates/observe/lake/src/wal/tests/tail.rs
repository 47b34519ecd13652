//! A reader follows the log.

use std::thread;
use std::time::Duration;

use super::*;
use crate::wal::{TailItem, WalReader};

/// All that there is to read now: what came, and what was said to be lost.
fn drain(reader: &mut WalReader) -> (Vec<Kept>, Vec<u64>) {
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next().unwrap() {
        match item {
            TailItem::Record(record) => kept.push(record.into()),
            TailItem::Lost(sequences) => lost.extend(sequences),
        }
    }
    (kept, lost)
}

#[test]
fn a_reader_sees_what_was_appended_before_and_after_it_came() {
    let dir = folder();
    append_many(&open(dir.path()), 7);
    let wal = open(dir.path());
    append_many(&wal, 3);
    let mut reader = wal.reader(0);
    assert_eq!(drain(&mut reader), (expected(1..=10), vec![]));
    for round in 0..5 {
        append_many(&wal, 4);
        if round % 2 == 0 {
            wal.rotate().unwrap();
            append_many(&wal, 1);
        }
        let (kept, lost) = drain(&mut reader);
        assert_eq!(kept.last().map(|record| record.seq), Some(wal.last_seq()));
        assert!(lost.is_empty());
    }
    assert_eq!(reader.next_seq(), wal.last_seq() + 1);
}

#[test]
fn a_reader_may_begin_anywhere() {
    let dir = folder();
    let wal = open(dir.path());
    for _ in 0..5 {
        append_many(&wal, 6);
        wal.rotate().unwrap();
    }
    for from in 1..=31 {
        assert_eq!(drain(&mut wal.reader(from)), (expected(from..=30), vec![]), "from {from}");
    }
}

#[test]
fn a_reader_that_lags_behind_a_removal_says_what_it_missed() {
    let dir = folder();
    let wal = open(dir.path());
    let mut early = wal.reader(1);
    append_many(&wal, 2);
    assert!(matches!(early.next().unwrap(), Some(TailItem::Record(record)) if record.seq == 1));
    for _ in 0..3 {
        append_many(&wal, 5);
        wal.rotate().unwrap();
    }
    wal.remove_through(2).unwrap();
    let (kept, lost) = drain(&mut early);
    assert_eq!(kept, expected((2..=7).chain(13..=17)), "the segment that it had open is read to its end");
    assert_eq!(lost, [8, 9, 10, 11, 12]);
    assert_eq!(drain(&mut wal.reader(4)), (expected(13..=17), Vec::from_iter(4..=12)));
    wal.remove_through(3).unwrap();
    let mut idle = wal.reader(15);
    assert_eq!(drain(&mut idle), (vec![], vec![15, 16, 17]), "nothing newer was appended");
    append_many(&wal, 1);
    assert_eq!(drain(&mut idle), (expected([18]), vec![]));
}

#[test]
fn a_reader_passes_damage_and_names_the_sequences() {
    let (mut bytes, starts) = one_segment(9);
    bytes[starts[3] + 26] ^= 1;
    bytes[starts[8] + 26] ^= 1;
    let dir = folder_of(&bytes);
    let wal = open_with(dir.path(), WalOptions { sequence_floor: 9, ..WalOptions::default() }).0;
    append_many(&wal, 2);
    let (kept, lost) = drain(&mut wal.reader(1));
    assert_eq!(kept, expected([1, 2, 3, 5, 6, 7, 8, 10, 11]));
    assert_eq!(lost, [4, 9]);
}

#[test]
fn a_reader_of_a_log_that_turns_bad_under_it_goes_on() {
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 3);
    let path = last_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut reader = wal.reader(1);
    assert_eq!(drain(&mut reader), (expected(1..=2), vec![3]));
    append_many(&wal, 2);
    assert_eq!(drain(&mut reader), (expected(4..=5), vec![]));
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_append() {
    let dir = folder();
    let wal = open(dir.path());
    let mut reader = wal.reader(1);
    let writer = wal.clone();
    let appended = thread::spawn(move || {
        for seq in 1..=200u64 {
            writer.append((seq % 7) as u8, &[&payload(seq)]).unwrap();
            if seq % 60 == 0 {
                writer.rotate().unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut kept = Vec::new();
    while kept.len() < 200 {
        reader.wait().await.unwrap();
        let (records, lost) = drain(&mut reader);
        assert!(!records.is_empty() && lost.is_empty());
        kept.extend(records);
    }
    appended.join().unwrap();
    assert_eq!(kept, expected(1..=200));
    drop(wal);
    assert!(matches!(reader.wait().await, Err(WalError::Closed)));
}
