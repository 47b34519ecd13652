//! A flipped byte in the log is named and put aside; everything else is served, and writing goes on.

mod common;

use common::{number, open, samples};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "shop")];

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_log_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for n in 0..20 {
        lake.append(&samples(UP, &[(n * 1_000, 1.0)])).unwrap();
    }
    drop(lake);
    let log = folder.path().join("wal");
    let logs = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let segments = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let segment = segments.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, bytes).unwrap();

    let lake = open(folder.path()).await;
    assert_eq!(lake.recovery().damaged.len(), 1, "{:?}", lake.recovery().damaged);
    assert!(log.join("quarantine").read_dir().unwrap().next().is_some(), "the bytes were put aside");
    assert_eq!(number(&lake, "SELECT count(*) FROM samples").await, 19.0);
    lake.append(&samples(UP, &[(60_000, 1.0)])).unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM samples").await, 20.0);
}
