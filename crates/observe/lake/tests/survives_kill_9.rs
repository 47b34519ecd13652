//! `kill -9` at random moments of ingest, flush and compaction: nothing acknowledged is lost, nothing appears twice.
//!
//! The test starts itself as a child that writes and acknowledges on its standard output, and kills it; fifty times over one
//! folder. `KANDELA_CRASH_ROUNDS` asks for more.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{NOON, config, number, query};
use kandela_lake::{Lake, LakeConfig};
use kandela_model::{LogRecord, MetricBatch, Timestamp, Value};

const CHILD: &str = "KANDELA_CRASH_CHILD";
const SERIES: u64 = 40;

#[test]
fn fifty_kills_lose_and_double_nothing() {
    if let Ok(folder) = std::env::var(CHILD) {
        return write_until_killed(Path::new(&folder));
    }
    let rounds: u64 = std::env::var("KANDELA_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..rounds {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let patience = Duration::from_millis(20 + seed % 220);
        acknowledged = acknowledged.max(write_and_kill(folder.path(), patience));
        if round % 5 == 4 {
            check(folder.path(), acknowledged);
        }
    }
    check(folder.path(), acknowledged);
    assert!(acknowledged > rounds, "the children wrote too little to mean anything: {acknowledged}");
}

/// Starts a child, lets it write for a while after its first acknowledgement, kills it, and gives the last batch that it
/// acknowledged.
fn write_and_kill(folder: &Path, patience: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fifty_kills_lose_and_double_nothing", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ack ") {
                let _ = tell.send(n.parse::<u64>().unwrap());
            }
        }
    });
    let first = told.recv_timeout(Duration::from_secs(60)).expect("the child acknowledges something");
    std::thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    told.try_iter().last().unwrap_or(first)
}

fn check(folder: &Path, acknowledged: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(config(folder)).await.unwrap();
        assert!(lake.recovery().damaged.is_empty(), "{:?}", lake.recovery().damaged);
        assert!(lake.recovery().missing.is_empty(), "{:?}", lake.recovery().missing);
        // Batch n holds one sample of every series at time n; the batch that was in flight may or may not be there.
        let whole = format!("SELECT count(*) FROM samples WHERE ts <= {}", at(acknowledged));
        assert_eq!(number(&lake, &whole).await as u64, (acknowledged + 1) * SERIES, "samples");
        let distinct =
            "SELECT count(*) FROM (SELECT 1 FROM samples GROUP BY series_id, ts HAVING count(*) > 1)";
        assert_eq!(number(&lake, distinct).await, 0.0, "samples that stand twice");
        let sum = format!("SELECT sum(value) FROM metrics WHERE metric = 'm' AND ts <= {}", at(acknowledged));
        let expected = (0..=acknowledged).map(|n| n * SERIES).sum::<u64>();
        assert_eq!(number(&lake, &sum).await as u64, expected, "values");
        let logs =
            format!("SELECT count(DISTINCT body) FROM logs WHERE time_unix_nano <= {}", nanos(acknowledged));
        assert_eq!(number(&lake, &logs).await as u64, acknowledged + 1, "log records");
        let series = query(&lake, "SELECT series_id FROM series").await;
        assert_eq!(series.iter().map(|batch| batch.num_rows()).sum::<usize>() as u64, SERIES, "series");
    });
}

fn at(batch: u64) -> String {
    format!("to_timestamp_millis({})", NOON + batch as i64)
}

fn nanos(batch: u64) -> i64 {
    (NOON + batch as i64) * 1_000_000
}

fn write_until_killed(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(LakeConfig { compact_at_files: 3, ..config(folder) }).await.unwrap();
        let written = number(&lake, "SELECT count(*) FROM samples").await as u64 / SERIES;
        // The child before may have died between a batch and its log record.
        if let Some(last) = written.checked_sub(1) {
            lake.append_logs(&[log(last)]).unwrap();
        }
        let upkeep = lake.clone();
        tokio::spawn(async move {
            loop {
                upkeep.flush().await.unwrap();
                upkeep.compact().await.unwrap();
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        });
        let began = Instant::now();
        for n in (written..).take_while(|_| began.elapsed() < Duration::from_secs(60)) {
            lake.append(&batch(n)).unwrap();
            lake.append_logs(&[log(n)]).unwrap();
            println!("ack {n}");
            std::io::stdout().flush().unwrap();
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    });
}

fn batch(n: u64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for series in 0..SERIES {
        let series =
            batch.add_series([("__name__", "m".to_owned()), ("series", series.to_string())]).unwrap();
        batch.add_sample(series, Timestamp::from_millis(NOON + n as i64), n as f64);
    }
    batch
}

fn log(n: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: nanos(n),
        observed_unix_nano: nanos(n),
        service: "crash".into(),
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Value::Str(format!("batch {n}")),
        trace_id: None,
        span_id: None,
        flags: 0,
        event_name: String::new(),
        resource: Arc::default(),
        attributes: Vec::new(),
        scope: Arc::default(),
    }
}
