//! Bytes change under the log.

use proptest::prelude::*;

use super::*;
use crate::wal::{Stretch, scan_segment};

/// Whether the report names the byte at `offset`.
fn names(report: &ReplayReport, offset: usize) -> bool {
    let covers =
        |stretch: &Stretch| (stretch.offset..stretch.offset + stretch.length).contains(&(offset as u64));
    report.damaged.iter().any(|damage| covers(&damage.stretch)) || report.torn.iter().any(covers)
}

#[test]
fn any_flipped_bit_costs_one_record_at_most_and_is_named() {
    let (bytes, starts) = one_segment(5);
    for bit in 0..bytes.len() * 8 {
        let offset = bit / 8;
        let mut flipped = bytes.clone();
        flipped[offset] ^= 1 << (bit % 8);
        let dir = folder_of(&flipped);
        let (kept, report) = replayed(dir.path());
        let hit = starts.iter().rposition(|start| *start <= offset).map(|index| index as u64 + 1);
        let survivors = (1..=5).filter(|seq| Some(*seq) != hit);
        assert_eq!(kept, expected(survivors), "bit {bit}");
        assert!(names(&report, offset), "bit {bit}: {report:?}");
        let lost = hit.filter(|seq| *seq < 5).map(|seq| seq..=seq);
        assert_eq!(report.missing, Vec::from_iter(lost), "bit {bit}");
    }
}

#[test]
fn damaged_bytes_are_put_aside_once() {
    let (mut bytes, starts) = one_segment(5);
    bytes[starts[2] + 30] ^= 0x40;
    let dir = folder_of(&bytes);
    for _ in 0..2 {
        let (_, report) = replayed(dir.path());
        let [damage] = report.damaged.as_slice() else { panic!("{report:?}") };
        let path = damage.quarantined.clone().unwrap();
        assert_eq!(path, dir.path().join(format!("quarantine/1-{}.bin", starts[2])));
        assert_eq!(fs::read(path).unwrap(), bytes[starts[2]..starts[3]]);
    }
    assert_eq!(fs::read(segment_path(dir.path(), 1)).unwrap(), bytes, "the segment itself stays");
}

#[test]
fn a_hole_of_zeros_costs_only_the_records_it_touches() {
    let (mut bytes, starts) = one_segment(12);
    bytes[starts[3] + 2..starts[7] + 1].fill(0);
    let dir = folder_of(&bytes);
    let (kept, report) = replayed(dir.path());
    assert_eq!(seqs(&kept), [1, 2, 3, 9, 10, 11, 12]);
    assert_eq!(report.missing, [4..=8]);
    let [damage] = report.damaged.as_slice() else { panic!("{report:?}") };
    let stretch = Stretch { segment: 1, offset: starts[3] as u64, length: (starts[8] - starts[3]) as u64 };
    assert_eq!(damage.stretch, stretch);
}

#[test]
fn a_segment_with_a_lost_header_is_still_read() {
    let (mut bytes, starts) = one_segment(4);
    bytes[..starts[0]].fill(0xee);
    let (kept, report) = replayed(folder_of(&bytes).path());
    assert_eq!(kept, expected(1..=4));
    assert_eq!(report.damaged[0].stretch, Stretch { segment: 1, offset: 0, length: 32 });
}

#[test]
fn a_missing_segment_is_known_by_the_sequences_it_held() {
    let dir = folder();
    let wal = open(dir.path());
    for _ in 0..3 {
        append_many(&wal, 4);
        wal.rotate().unwrap();
    }
    drop(wal);
    fs::remove_file(segment_path(dir.path(), 2)).unwrap();
    let (kept, report) = replayed(dir.path());
    assert_eq!(seqs(&kept), [1, 2, 3, 4, 9, 10, 11, 12]);
    assert_eq!(report.missing, [5..=8]);
    assert_eq!(replayed_from(dir.path(), 9).1.missing, []);
    fs::remove_file(segment_path(dir.path(), 1)).unwrap();
    assert_eq!(replayed_from(dir.path(), 3).1.missing, [3..=8]);
}

#[test]
fn a_record_inside_a_payload_is_not_mistaken_for_one() {
    let (inner, starts) = one_segment(9);
    let dir = folder();
    let wal = open(dir.path());
    append_many(&wal, 2);
    let at = wal.live_bytes() as usize;
    wal.append(1, &[&inner[starts[0]..]]).unwrap();
    append_many(&wal, 2);
    drop(wal);
    let path = last_segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[at + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (kept, report) = replayed(dir.path());
    assert_eq!(kept, expected([1, 2, 4, 5]));
    assert_eq!(report.missing, [3..=3]);
}

#[test]
fn a_segment_of_a_later_format_is_refused_by_name() {
    let header = crate::wal::format::SegmentHeader { version: 2, number: 1, first_seq: 1 };
    let dir = folder_of(&header.encode());
    let error = replay(dir.path(), 0, 1 << 20, |_| Ok::<_, WalError>(())).unwrap_err();
    assert!(matches!(error, WalError::Version { version: 2, known: 1, .. }), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_neither_panic_nor_go_unnamed(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut records = 0;
        let rest = scan_segment(1, &bytes, 100, |_| records += 1);
        prop_assert_eq!(records, 0);
        prop_assert_eq!(rest.iter().map(|stretch| stretch.length).sum::<u64>(), bytes.len() as u64);
    }

    #[test]
    fn every_byte_of_a_mangled_segment_is_a_record_or_named(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..60, any::<u8>()), 1..6),
    ) {
        let (mut bytes, starts) = one_segment(20);
        for (at, length, value) in edits {
            let at = at.index(bytes.len());
            match value % 3 {
                0 => bytes[at] = value,
                1 => { bytes.drain(at..(at + length).min(bytes.len())); }
                _ => { bytes.splice(at..at, vec![value; length]); }
            }
            if bytes.is_empty() { break; }
        }
        let mut claimed = 0;
        let mut kept = Vec::new();
        let rest = scan_segment(1, &bytes, 100, |record| {
            claimed += 25 + record.payload.len();
            kept.push(Kept::from(record));
        });
        let named: u64 = rest.iter().map(|stretch| stretch.length).sum();
        let header = if rest.first().is_some_and(|stretch| stretch.offset == 0) { 0 } else { starts[0].min(bytes.len()) };
        prop_assert_eq!(claimed + named as usize + header, bytes.len());
        prop_assert!(kept.iter().all(|record| record.payload == payload(record.seq)));
        prop_assert!(kept.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    }
}
