//! What a ledger promises, by every implementation that comes with the crate.

use std::io::Write;

use kandela_autopilot::ledger::{Entry, FileLedger, Ledger, LedgerError, MemoryLedger};
use kandela_model::{Epoch, Timestamp};

fn row(seq: u64) -> Entry {
    Entry {
        seq,
        at: Timestamp::from_millis(1_772_366_400_000 + seq as i64),
        epoch: Epoch(1),
        subject: "shop".to_owned(),
        verdict: (seq == 1).then_some("holds"),
        payload: format!("{{\"n\":{seq}}}"),
    }
}

fn rows(seqs: std::ops::Range<u64>) -> Vec<Entry> {
    seqs.map(row).collect()
}

fn file(folder: &tempfile::TempDir) -> FileLedger {
    FileLedger::open(folder.path().join("ledger.jsonl")).expect("a new ledger")
}

async fn keeps_what_was_appended_in_order(ledger: &dyn Ledger) {
    ledger.append(&rows(0..2)).await.expect("the first two");
    ledger.append(&rows(2..3)).await.expect("the next");
    assert_eq!(ledger.read(0).await.expect("readable"), rows(0..3));
    assert_eq!(ledger.read(2).await.expect("readable"), rows(2..3));
    assert_eq!(ledger.read(9).await.expect("readable"), []);
}

async fn refuses_who_comes_second(ledger: &dyn Ledger) {
    ledger.append(&rows(0..2)).await.expect("the first two");
    let late = ledger.append(&rows(1..2)).await;
    assert!(matches!(late, Err(LedgerError::Conflict { expected: 1, next: 2 })), "{late:?}");
    let early = ledger.append(&rows(3..4)).await;
    assert!(matches!(early, Err(LedgerError::Conflict { expected: 3, next: 2 })), "{early:?}");
    let gap = ledger.append(&[row(2), row(4)]).await;
    assert!(matches!(gap, Err(LedgerError::Unavailable(_))), "{gap:?}");
    assert_eq!(ledger.read(0).await.expect("readable"), rows(0..2));
}

#[tokio::test]
async fn rows_are_kept_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    keeps_what_was_appended_in_order(&MemoryLedger::default()).await;
    keeps_what_was_appended_in_order(&file(&folder)).await;
    assert_eq!(file(&folder).read(0).await.expect("readable again"), rows(0..3));
}

#[tokio::test]
async fn of_two_writers_the_second_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    refuses_who_comes_second(&MemoryLedger::default()).await;
    refuses_who_comes_second(&file(&folder)).await;
}

#[tokio::test]
async fn writers_of_one_file_see_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (file(&folder), file(&folder));
    one.append(&rows(0..1)).await.expect("first");
    assert!(matches!(other.append(&rows(0..1)).await, Err(LedgerError::Conflict { .. })));
    other.append(&rows(1..2)).await.expect("second");
    assert_eq!(one.read(0).await.expect("readable"), rows(0..2));
}

#[tokio::test]
async fn an_append_torn_anywhere_is_as_if_it_had_not_been_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.jsonl");
    file(&folder).append(&rows(0..1)).await.expect("the first row");
    let kept = std::fs::read(&path).expect("the file").len();
    file(&folder).append(&rows(1..3)).await.expect("two rows at once");
    let whole = std::fs::read(&path).expect("the file");
    for end in kept + 1..whole.len() {
        std::fs::write(&path, &whole[..end]).expect("a torn file");
        let ledger = file(&folder);
        assert_eq!(ledger.read(0).await.expect("readable"), rows(0..1), "torn at byte {end}");
        ledger.append(&rows(1..2)).await.expect("goes on");
        assert_eq!(file(&folder).read(0).await.expect("readable"), rows(0..2), "torn at byte {end}");
    }
    let torn = std::fs::read_to_string(folder.path().join("ledger.jsonl.torn")).expect("what was put aside");
    assert!(torn.contains("\"seq\":1"));
}

#[tokio::test]
async fn a_line_that_is_no_row_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.jsonl");
    file(&folder).append(&rows(0..1)).await.expect("the first row");
    let mut damaged = std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    damaged.write_all(b"rubbish\n").expect("damage");
    let error = FileLedger::open(&path).expect_err("damaged").to_string();
    assert!(error.contains("ledger.jsonl, where row 1 comes"), "{error}");
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = file(&folder);
    let rubbish = Entry { payload: "{".to_owned(), ..row(1) };
    assert!(ledger.append(&[row(0), rubbish]).await.is_err());
    assert_eq!(ledger.read(0).await.expect("readable"), []);
}
