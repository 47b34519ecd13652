//! Segments come and go.

use super::*;
use crate::wal::SegmentInfo;
use crate::wal::format::SegmentHeader;

#[test]
fn sequences_go_on_over_rotations_and_restarts() {
    let dir = folder();
    let mut expected_last = 0;
    for _ in 0..4 {
        let (wal, report) = open_with(dir.path(), WalOptions::default());
        assert_eq!(report.last_seq, expected_last);
        for _ in 0..3 {
            append_many(&wal, 5);
            let rotated = wal.rotate().unwrap();
            assert_eq!(rotated.last_seq, wal.last_seq());
        }
        expected_last = wal.last_seq();
    }
    let (kept, report) = replayed(dir.path());
    assert_eq!(kept, expected(1..=60));
    assert!(report.missing.is_empty());
}

#[test]
fn sequences_go_on_when_every_old_segment_is_gone() {
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 9);
    let closed = wal.rotate().unwrap().closed;
    assert!(wal.remove_through(closed).unwrap() > 9 * 25);
    assert_eq!(wal.segments().len(), 1);
    drop(wal);
    for _ in 0..3 {
        assert_eq!(open(dir.path()).last_seq(), 9);
    }
    let wal = open(dir.path());
    assert_eq!(wal.segments().len(), 1, "starts without an append leave nothing behind");
    append_many(&wal, 1);
    assert_eq!(replayed(dir.path()).0, expected([10]));
}

#[test]
fn sequences_stay_above_the_floor_when_the_folder_was_lost() {
    let dir = folder();
    let (wal, _) = open_with(dir.path(), WalOptions { sequence_floor: 41, ..WalOptions::default() });
    assert_eq!(wal.last_seq(), 41);
    append_many(&wal, 1);
    assert_eq!(wal.last_seq(), 42);
}

#[test]
fn the_segment_that_is_written_to_is_never_removed() {
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 3);
    wal.rotate().unwrap();
    append_many(&wal, 3);
    wal.remove_through(u64::MAX).unwrap();
    let segments = wal.segments();
    assert_eq!(segments, [SegmentInfo { number: 2, bytes: wal.live_bytes(), first_seq: 4, last_seq: 6 }]);
    assert_eq!(replayed_from(dir.path(), 4).0, expected(4..=6));
}

#[test]
fn a_replay_from_a_sequence_skips_segments_that_end_before_it() {
    let dir = folder();
    let wal = open(dir.path());
    for _ in 0..4 {
        append_many(&wal, 5);
        wal.rotate().unwrap();
    }
    let (kept, report) = replayed_from(dir.path(), 13);
    assert_eq!(kept, expected(13..=20));
    assert_eq!(report.segments, wal.segments());
    let all = replayed(dir.path()).1;
    assert!(report.bytes < all.bytes, "{} of {} bytes were read", report.bytes, all.bytes);
}

#[test]
fn a_crash_within_a_rotation_loses_nothing() {
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 4);
    drop(wal);
    let header = SegmentHeader { version: 1, number: 2, first_seq: 5 }.encode();
    for cut in 0..=header.len() {
        fs::write(segment_path(dir.path(), 2), &header[..cut]).unwrap();
        let (kept, report) = replayed(dir.path());
        assert_eq!(kept, expected(1..=4), "header cut at {cut}");
        assert!(report.damaged.is_empty() && report.missing.is_empty(), "header cut at {cut}");
        let (wal, _) = open_with(dir.path(), WalOptions::default());
        append_many(&wal, 1);
        assert_eq!(replayed(dir.path()).0, expected(1..=5), "header cut at {cut}");
        let number = wal.segments().last().unwrap().number;
        drop(wal);
        fs::remove_file(segment_path(dir.path(), number)).unwrap();
    }
}

#[test]
fn a_record_for_one_segment_never_lands_in_another() {
    let dir = folder();
    let wal = open(dir.path());
    let segment = wal.segment();
    assert_eq!(wal.append_in(segment, 1, &[&payload(1)]).unwrap(), 1);
    wal.rotate().unwrap();
    let refused = wal.append_in(segment, 1, &[&payload(2)]).unwrap_err();
    assert!(matches!(refused, WalError::Rotated { segment: 1, now: 2 }), "{refused}");
    assert_eq!(wal.append_in(wal.segment(), 2, &[&payload(2)]).unwrap(), 2);
    assert_eq!(replayed(dir.path()).0, expected(1..=2));
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let dir = folder();
    append_many(&open(dir.path()), 2);
    fs::write(dir.path().join("1.log"), b"not ours").unwrap();
    fs::write(dir.path().join("0000000000000000000x.log"), b"not ours").unwrap();
    assert_eq!(replayed(dir.path()).0, expected(1..=2));
}
