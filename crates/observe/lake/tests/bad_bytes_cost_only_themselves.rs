//! A flipped byte in the log or in a file is named and put aside; everything else is served, and writing goes on.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod common;

use std::path::{Path, PathBuf};

use common::{NOON, number, open, samples};
use kandela_lake::{Lake, QueryLimits};

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
    let said = warnings(&lake, "SELECT 1").await;
    assert!(said.len() == 1 && said[0].contains("write-ahead log"), "{said:?}");
}

const COUNT: &str = "SELECT count(*) FROM samples";
const DAY_MILLIS: i64 = 86_400_000;

/// Two days with ten samples each, in one file a day.
async fn two_days(folder: &Path) -> Lake {
    let lake = open(folder).await;
    for n in 0..10 {
        lake.import(&samples(UP, &[(n * 1_000 - DAY_MILLIS, 1.0)])).unwrap();
    }
    for n in 0..10 {
        lake.import(&samples(UP, &[(n * 1_000, 1.0)])).unwrap();
    }
    lake.flush().await.unwrap();
    lake
}

fn older_file(folder: &Path, table: &str) -> PathBuf {
    let files = files_below(&folder.join(table));
    files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "parquet")).min().unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

fn damage(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    change(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

/// The older day's file left its table and lies in the quarantine, under its own name.
async fn is_put_aside(lake: &Lake, folder: &Path, file: &Path, reason: &str) {
    let told = lake.next_quarantined().await.unwrap();
    assert!(file.ends_with(&told.file), "{told:?}");
    assert!(told.reason.contains(reason), "{told:?}");
    let below = file.strip_prefix(folder).unwrap();
    assert_eq!(lake.in_quarantine(), [folder.join("quarantine").join(below)]);
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_file_costs_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = two_days(folder.path()).await;
    let file = older_file(folder.path(), "samples");
    damage(&file, |bytes| bytes[100] ^= 0x01);
    assert_eq!(number(&lake, "SELECT sum(value) FROM samples").await, 10.0, "the rest is served at once");
    is_put_aside(&lake, folder.path(), &file, "from 0 on").await;
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(number(&lake, COUNT).await, 10.0);
}

async fn warnings(lake: &Lake, query: &str) -> Vec<String> {
    lake.sql(query, &QueryLimits::default()).await.unwrap().warnings
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_which_day_it_lacks_and_one_about_other_days_or_tables_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = two_days(folder.path()).await;
    assert_eq!(warnings(&lake, COUNT).await, [""; 0]);
    damage(&older_file(folder.path(), "samples"), |bytes| bytes[100] ^= 0x01);
    let metrics = "SELECT labels['job'], value FROM metrics";
    for query in ["SELECT sum(value) FROM samples", metrics, COUNT] {
        let said = warnings(&lake, query).await;
        assert_eq!(said.len(), 1, "{query}: {said:?}");
        assert!(said[0].starts_with("1 file of samples of 2026-11-21 is damaged"), "{said:?}");
    }
    let newer = "SELECT value FROM samples WHERE date = DATE '2026-11-22'";
    for query in [newer, "SELECT * FROM series", "SELECT * FROM spans"] {
        assert_eq!(warnings(&lake, query).await, [""; 0], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = two_days(folder.path()).await;
    let file = older_file(folder.path(), "samples");
    let length = std::fs::metadata(&file).unwrap().len() as usize;
    drop(lake);
    for at in (0..length).step_by(length / 40) {
        let folder = tempfile::tempdir().unwrap();
        let lake = two_days(folder.path()).await;
        let file = older_file(folder.path(), "samples");
        damage(&file, |bytes| bytes[at] ^= 0x10);
        lake.verify(|_| ()).await.unwrap();
        assert_eq!(number(&lake, COUNT).await, 10.0, "byte {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_short_or_lost_costs_that_file() {
    for (length, reason) in [(Some(200), "footer"), (None, "missing")] {
        let folder = tempfile::tempdir().unwrap();
        let lake = two_days(folder.path()).await;
        let file = older_file(folder.path(), "samples");
        match length {
            Some(length) => damage(&file, |bytes| bytes.truncate(length)),
            None => std::fs::remove_file(&file).unwrap(),
        }
        assert_eq!(number(&lake, COUNT).await, 10.0);
        let told = lake.next_quarantined().await.unwrap();
        assert!(told.reason.contains(reason), "{told:?}");
        assert_eq!(lake.in_quarantine(), [told.place], "a later look still finds it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_series_file_costs_its_names_only() {
    let folder = tempfile::tempdir().unwrap();
    drop(two_days(folder.path()).await);
    let file = older_file(folder.path(), "series");
    damage(&file, |bytes| bytes[30] ^= 0x80);
    let lake = open(folder.path()).await;
    let both = (NOON - DAY_MILLIS) * 1_000..=(NOON + DAY_MILLIS) * 1_000;
    let names = lake.label_values("job", &[], both, 10).await.unwrap();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["shop"], "the newer day still has it");
    is_put_aside(&lake, folder.path(), &file, "not what was written").await;
    assert_eq!(number(&lake, COUNT).await, 20.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_commit_is_named_and_not_passed_over() {
    for damage_it in [|bytes: &mut Vec<u8>| bytes.clear(), |bytes: &mut Vec<u8>| bytes.truncate(100)] {
        let folder = tempfile::tempdir().unwrap();
        drop(two_days(folder.path()).await);
        let commit = folder.path().join("samples/_delta_log/00000000000000000001.json");
        damage(&commit, damage_it);
        let refused = Lake::open(common::config(folder.path())).await.unwrap_err().to_string();
        assert!(refused.contains("samples/_delta_log/00000000000000000001.json"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_goes_around_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = two_days(folder.path()).await;
    for late in [500, 600] {
        lake.import(&samples(UP, &[(late - DAY_MILLIS, 1.0)])).unwrap();
        lake.flush().await.unwrap();
    }
    let file = older_file(folder.path(), "samples");
    damage(&file, |bytes| bytes[100] ^= 0x01);
    lake.compact().await.unwrap();
    assert_eq!(number(&lake, COUNT).await, 12.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_commit_is_named_and_the_table_is_not_opened_without_its_files() {
    let folder = tempfile::tempdir().unwrap();
    drop(two_days(folder.path()).await);
    let commit = folder.path().join("samples/_delta_log/00000000000000000001.json");
    let written = std::fs::read_to_string(&commit).unwrap();
    assert!(written.contains("date=") && written.contains("\"txn\""), "{written}");
    let flips = [(".parquet", ".parpuet"), ("\"date=", "\"dite="), ("\"size\":", "\"sise\":")];
    for (from, to) in flips {
        let damaged = written.replacen(from, to, 1);
        assert_ne!(damaged, written);
        std::fs::write(&commit, damaged).unwrap();
        let error = Lake::open(common::config(folder.path())).await.unwrap_err().to_string();
        assert!(error.contains("00000000000000000001.json") && error.contains("checksum"), "{error}");
    }
    std::fs::write(&commit, written).unwrap();
    assert_eq!(number(&open(folder.path()).await, COUNT).await, 20.0);
}
