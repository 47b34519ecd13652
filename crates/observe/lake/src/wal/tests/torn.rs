//! A crash cuts the last write short.

use super::*;

#[test]
fn a_log_cut_anywhere_serves_every_whole_record_and_names_the_rest() {
    let (bytes, starts) = one_segment(6);
    for cut in 0..bytes.len() {
        let dir = folder_of(&bytes[..cut]);
        let (kept, report) = replayed(dir.path());
        let ends = starts.iter().copied().skip(1).chain([bytes.len()]);
        let whole = ends.filter(|end| *end <= cut).count() as u64;
        assert_eq!(kept, expected(1..=whole), "cut at {cut}");
        assert!(report.damaged.is_empty() && report.missing.is_empty(), "cut at {cut}: {report:?}");
        let clean = cut == 0 || cut == starts[0] || starts.contains(&cut);
        assert_eq!(report.torn.len(), usize::from(!clean), "cut at {cut}: {report:?}");
        if let Some(torn) = report.torn.first() {
            assert_eq!((torn.offset + torn.length) as usize, cut);
        }
    }
}

#[test]
fn a_torn_write_is_followed_by_a_new_segment_that_uses_its_sequence() {
    let (bytes, starts) = one_segment(6);
    for cut in starts[5] + 1..bytes.len() {
        let dir = folder_of(&bytes[..cut]);
        let (wal, report) = open_with(dir.path(), WalOptions::default());
        assert_eq!((report.torn.len(), report.last_seq), (1, 5));
        append_many(&wal, 3);
        let (kept, again) = replayed(dir.path());
        assert_eq!(kept, expected(1..=8), "cut at {cut}");
        assert!(again.missing.is_empty() && again.damaged.is_empty(), "cut at {cut}: {again:?}");
    }
}
