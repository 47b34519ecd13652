//! Whole folders: what order things come in, and that damage costs no more than what it hit.

pub(super) mod write;

use std::path::{Path, PathBuf};

use kandela_model::MetricBatch;
use proptest::prelude::*;

use super::{Report, Tsdb, TsdbError};
use write::{Series, block, head_chunks, log, samples_record, series, series_record};

const FIRST: &str = "01BKGV7JBM69T2G1BGBGM6KB12";
const SECOND: &str = "01BKGV7JC0RY8A6MACW02A2PJD";

/// A metric's name, a time in milliseconds, a value.
type Points = Vec<(String, i64, f64)>;

fn read_with(folder: &Path, strict: bool) -> Result<(Points, Report), TsdbError> {
    let mut points = Vec::new();
    let report = Tsdb::open(folder)?.read(strict, |batch, progress| {
        assert!(progress.done <= progress.total);
        points.extend(points_of(&batch));
        Ok::<(), TsdbError>(())
    })?;
    Ok((points, report))
}

fn points_of(batch: &MetricBatch) -> Points {
    let name = |series| batch.labels(series).metric_name().unwrap_or_default().to_owned();
    batch.samples.iter().map(|sample| (name(sample.series), sample.ts.millis(), sample.value)).collect()
}

fn read(folder: &Path) -> (Points, Report) {
    read_with(folder, false).unwrap()
}

fn points(of: &[(&str, i64, f64)]) -> Points {
    of.iter().map(|(name, ts, value)| ((*name).to_owned(), *ts, *value)).collect()
}

fn three_series() -> [Series; 3] {
    [
        series("a", &[(1_000, 1.0), (2_000, 2.0)]),
        series("b", &[(1_000, 3.0), (2_000, 4.0)]),
        series("c", &[(1_000, 5.0), (2_000, 6.0)]),
    ]
}

fn one_block() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FIRST);
    block(&path, 0, 7_200_000, &three_series());
    (folder, path)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn blocks_come_in_order_of_time_and_their_series_in_order_of_labels() {
    let folder = tempfile::tempdir().unwrap();
    block(&folder.path().join(FIRST), 10_000, 20_000, &[series("late", &[(10_000, 9.0)])]);
    block(&folder.path().join(SECOND), 0, 10_000, &three_series());
    let (found, report) = read(folder.path());
    let wanted = [
        ("a", 1_000, 1.0),
        ("a", 2_000, 2.0),
        ("b", 1_000, 3.0),
        ("b", 2_000, 4.0),
        ("c", 1_000, 5.0),
        ("c", 2_000, 6.0),
        ("late", 10_000, 9.0),
    ];
    assert_eq!(found, points(&wanted));
    assert_eq!((report.blocks, report.series, report.damages), (2, 4, 0));
    // One block alone is a folder, too.
    assert_eq!(read(&folder.path().join(FIRST)).0, points(&wanted[6..]));
}

#[test]
fn batches_stay_small_however_large_the_block() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..15_000).map(|ts| (ts, 1.0)).collect();
    block(&folder.path().join(FIRST), 0, 20_000, &[series("a", &samples), series("b", &samples)]);
    let mut sizes = Vec::new();
    let tsdb = Tsdb::open(folder.path()).unwrap();
    let read = tsdb.read(true, |batch, _| {
        sizes.push(batch.points());
        Ok::<(), TsdbError>(())
    });
    assert_eq!(read.unwrap().series, 2);
    assert_eq!(sizes, [10_000, 10_000, 10_000]);
}

#[test]
fn a_damaged_chunk_is_named_and_the_rest_is_read() {
    let (folder, path) = one_block();
    let file = path.join("chunks/000001");
    flip(&file, 8 + 5);
    let (found, report) = read(folder.path());
    assert_eq!(found.first(), Some(&("a".to_owned(), 2_000, 2.0)));
    assert_eq!((found.len(), report.damages), (5, 1));
    assert_eq!((&report.damaged[0].file, report.damaged[0].offset), (&file, 8));
    let error = read_with(folder.path(), true).unwrap_err().to_string();
    assert!(error.contains("at byte 8: the checksum of a chunk is wrong"), "{error}");
}

#[test]
fn a_damaged_series_is_named_and_the_next_whole_one_is_found() {
    let (folder, path) = one_block();
    let index = path.join("index");
    let bytes = std::fs::read(&index).unwrap();
    // The first series begins at the first multiple of 16 behind the table of strings.
    let table = u32::from_be_bytes(bytes[5..9].try_into().unwrap()) as usize;
    let first = (5 + 4 + table + 4).next_multiple_of(16);
    for at in [first, first + 3] {
        std::fs::write(&index, &bytes).unwrap();
        flip(&index, at);
        let (found, report) = read(folder.path());
        assert_eq!(
            found,
            points(&[("b", 1_000, 3.0), ("b", 2_000, 4.0), ("c", 1_000, 5.0), ("c", 2_000, 6.0)])
        );
        assert_eq!((report.damages, report.damaged[0].offset), (1, first as u64));
    }
}

#[test]
fn a_block_without_a_readable_index_costs_only_itself() {
    let (folder, path) = one_block();
    block(&folder.path().join(SECOND), 7_200_000, 14_400_000, &[series("later", &[(7_200_000, 9.0)])]);
    for at in [0, 4, 12, std::fs::metadata(path.join("index")).unwrap().len() as usize - 10] {
        let whole = std::fs::read(path.join("index")).unwrap();
        flip(&path.join("index"), at);
        let (found, report) = read(folder.path());
        assert_eq!(found, points(&[("later", 7_200_000, 9.0)]), "byte {at}");
        assert_eq!((report.blocks, report.damages), (1, 1));
        assert!(report.damaged[0].what.contains("the block was skipped"), "{}", report.damaged[0]);
        std::fs::write(path.join("index"), whole).unwrap();
    }
    std::fs::write(path.join("meta.json"), "{").unwrap();
    assert_eq!(read(folder.path()).1.damages, 1);
}

#[test]
fn what_was_deleted_from_a_block_stays_away() {
    let (folder, path) = one_block();
    let index = std::fs::read(path.join("index")).unwrap();
    let table = u32::from_be_bytes(index[5..9].try_into().unwrap()) as usize;
    let number = (5 + 4 + table + 4).next_multiple_of(16) as u64 / 16;
    let mut entries = Vec::new();
    write::put_uvarint(&mut entries, number);
    write::put_varint(&mut entries, 0);
    write::put_varint(&mut entries, 1_000);
    let checksum = crc32c::crc32c(&entries).to_be_bytes();
    let bytes = [&[0x01, 0x30, 0xba, 0x30, 1][..], &entries, &checksum].concat();
    std::fs::write(path.join("tombstones"), &bytes).unwrap();
    let (found, report) = read(folder.path());
    assert_eq!((found.first(), report.deleted), (Some(&("a".to_owned(), 2_000, 2.0)), 1));
    // Nobody who deleted something wants it back for a damaged list.
    flip(&path.join("tombstones"), 6);
    let (found, report) = read(folder.path());
    assert_eq!((found.len(), report.damages), (0, 1));
}

fn head_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _] = three_series();
    let wal = folder.path().join("wal");
    log(
        &wal.join("checkpoint.00000003/00000000"),
        &[series_record(&[(1, &a)]), samples_record(&[(1, 1_000, 1.0)])],
    );
    log(&wal.join("00000003"), &[samples_record(&[(1, 1_500, 99.0)])]);
    log(
        &wal.join("00000004"),
        &[series_record(&[(2, &b)]), samples_record(&[(1, 2_000, 2.0), (2, 2_000, 4.0)])],
    );
    log(&wal.join("00000005"), &[samples_record(&[(2, 3_000, 5.0), (7, 3_000, 6.0)])]);
    head_chunks(
        &folder.path().join("chunks_head/000001"),
        &[(1, 1_000, 1.0), (1, 2_000, 2.0), (2, 2_000, 4.0)],
    );
    folder
}

fn sorted(mut points: Points) -> Points {
    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
    points
}

#[test]
fn the_head_comes_from_checkpoint_log_and_chunks_each_point_once() {
    let folder = head_folder();
    let (found, report) = read(folder.path());
    // Segment 3 went into the checkpoint, and series 7 stands nowhere.
    assert_eq!(
        sorted(found),
        points(&[("a", 1_000, 1.0), ("a", 2_000, 2.0), ("b", 2_000, 4.0), ("b", 3_000, 5.0)])
    );
    assert_eq!((report.repeated, report.undefined, report.damages), (3, 1, 0));
}

#[test]
fn a_damaged_chunk_of_the_head_comes_from_the_log() {
    let folder = head_folder();
    flip(&folder.path().join("chunks_head/000001"), 8 + 30);
    let (found, report) = read(folder.path());
    let mut found = sorted(found);
    found.dedup();
    assert_eq!(found, points(&[("a", 1_000, 1.0), ("a", 2_000, 2.0), ("b", 2_000, 4.0), ("b", 3_000, 5.0)]));
    assert_eq!(report.damages, 1);
}

#[test]
fn damage_to_the_log_is_named_once_though_it_is_read_twice() {
    let folder = head_folder();
    flip(&folder.path().join("wal/00000005"), 20);
    let (found, report) = read(folder.path());
    assert!(!found.contains(&("b".to_owned(), 3_000, 5.0)));
    assert_eq!(report.damages, 1);
}

#[test]
fn a_missing_segment_is_named() {
    let folder = head_folder();
    std::fs::remove_file(folder.path().join("wal/00000004")).unwrap();
    let (_, report) = read(folder.path());
    assert_eq!(report.damaged[0].file, folder.path().join("wal/00000004"));
}

#[test]
fn points_of_the_head_that_a_block_holds_are_left_to_the_block_unless_it_is_damaged() {
    let folder = head_folder();
    let path = folder.path().join(FIRST);
    block(&path, 0, 2_500, &[series("a", &[(1_000, 1.0), (2_000, 2.0)]), series("b", &[(2_000, 4.0)])]);
    let wanted = points(&[("a", 1_000, 1.0), ("a", 2_000, 2.0), ("b", 2_000, 4.0), ("b", 3_000, 5.0)]);
    let (found, report) = read(folder.path());
    assert_eq!((sorted(found), report.repeated), (wanted.clone(), 6));
    flip(&path.join("index"), 0);
    let mut found = sorted(read(folder.path()).0);
    found.dedup();
    assert_eq!(found, wanted);
}

#[test]
fn a_folder_of_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tsdb::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no Prometheus TSDB") && error.contains("--storage.tsdb.path"), "{error}");
}

#[test]
fn a_folder_that_a_prometheus_holds_is_refused() {
    let (folder, _) = one_block();
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(Tsdb::open(folder.path()), Err(TsdbError::InUse(_))));
    drop(lock);
    assert!(Tsdb::open(folder.path()).is_ok());
}

#[test]
fn whoever_takes_the_batches_can_stop() {
    #[derive(Debug)]
    enum Stop {
        Enough,
        Failed,
    }
    impl From<TsdbError> for Stop {
        fn from(_: TsdbError) -> Self {
            Self::Failed
        }
    }
    let (folder, _) = one_block();
    let read = Tsdb::open(folder.path()).unwrap().read(false, |_, _| Err(Stop::Enough));
    assert!(matches!(read, Err(Stop::Enough)));
}

/// Every file of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn flipped_cut_or_lengthened_files_never_panic_and_never_make_points_up(
        file in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in prop_oneof![3 => Just(1.0), 1 => 0.0f64..1.5],
    ) {
        let folder = head_folder();
        block(&folder.path().join(FIRST), 0, 500, &three_series());
        let whole = read(folder.path()).0;
        let files = files(folder.path());
        let path = file.get(&files);
        let mut bytes = std::fs::read(path).unwrap();
        for (at, with) in changes {
            // Most of a log is padding.
            let at = at.index(bytes.len().min(200));
            bytes[at] ^= with;
        }
        bytes.resize((bytes.len() as f64 * length) as usize, 0x55);
        std::fs::write(path, bytes).unwrap();
        let (found, _) = read(folder.path());
        for point in found {
            prop_assert!(whole.contains(&point), "{:?} was never written", point);
        }
    }
}
