//! A folder that a real Prometheus wrote, read by Kandela and held against what was sent and what Prometheus answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kandela_ingest::remote_write::{Encoder, Message};
use kandela_ingest::tsdb::{Report, Tsdb, TsdbError};
use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Exemplar, Histogram, Labels, MetricBatch, STALE_NAN, SeriesExemplar,
    SeriesHistogram, Timestamp,
};

const STEP_MILLIS: i64 = 5_000;

/// What a point is, to the bit; buckets that hold nothing and reset hints are left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Float(u64),
    Histogram(String),
}

/// Points by series and time in milliseconds.
type Points = BTreeMap<(String, i64), Value>;

fn describe(histogram: &Histogram) -> Value {
    let side = |buckets: &mut dyn Iterator<Item = (i64, f64)>| -> Vec<(i64, u64)> {
        buckets.filter(|(_, count)| *count != 0.0).map(|(index, count)| (index, count.to_bits())).collect()
    };
    if histogram.is_stale() {
        return Value::Histogram(format!("stale, float: {}", histogram.is_float));
    }
    Value::Histogram(format!(
        "schema {} count {} sum {:x} zero {} up to {} positive {:?} negative {:?} bounds {:?} float {}",
        histogram.schema,
        histogram.count,
        histogram.sum.to_bits(),
        histogram.zero_count,
        histogram.zero_threshold,
        side(&mut histogram.positive()),
        side(&mut histogram.negative()),
        histogram.custom_bounds,
        histogram.is_float,
    ))
}

fn add_points(points: &mut Points, batch: &MetricBatch) {
    for sample in &batch.samples {
        let key = (batch.labels(sample.series).to_string(), sample.ts.millis());
        points.entry(key).or_insert(Value::Float(sample.value.to_bits()));
    }
    for point in &batch.histograms {
        let key = (batch.labels(point.series).to_string(), point.ts.millis());
        points.entry(key).or_insert(describe(&point.histogram));
    }
}

/// A running Prometheus; killed where a test fails before it stops it.
struct Prometheus {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    async fn start(binary: &Path, folder: &Path, flags: &[&str]) -> Self {
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "storage:\n  tsdb:\n    out_of_order_time_window: 2h\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level=warn"])
            .arg("--enable-feature=native-histograms,exemplar-storage,metadata-wal-records")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let running = Self { child, url, client: reqwest::Client::new() };
        let began = Instant::now();
        while !running.is_ready().await {
            assert!(began.elapsed() < Duration::from_secs(60), "prometheus does not become ready");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        running
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/-/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn write(&self, batch: &MetricBatch) {
        let message = Message::V2;
        let request = self
            .client
            .post(format!("{}/api/v1/write", self.url))
            .header("Content-Type", message.content_type())
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "2.0.0")
            .body(Encoder::default().encode(message, batch));
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
    }

    async fn post(&self, path: &str) -> String {
        let answer = self.client.post(format!("{}{path}", self.url)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// What the server answers for everything that tests wrote: floats to the bit, of histograms count and sum.
    async fn everything(&self, now: i64) -> BTreeMap<(String, i64), (u64, u64)> {
        let url = format!(
            "{}/api/v1/query?query=%7B__name__%3D~%22t_.%2B%22%7D[6h]&time={}",
            self.url,
            now as f64 / 1e3
        );
        let answer = self.client.get(url).send().await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        let mut points = BTreeMap::new();
        for series in answer["data"]["result"].as_array().unwrap() {
            let pairs = series["metric"].as_object().unwrap();
            let labels = Labels::new(pairs.iter().map(|(name, value)| (name, value.as_str().unwrap())));
            let labels = labels.unwrap().to_string();
            let number = |text: &serde_json::Value| text.as_str().unwrap().parse::<f64>().unwrap().to_bits();
            let millis = |ts: &serde_json::Value| (ts.as_f64().unwrap() * 1e3).round() as i64;
            for pair in series["values"].as_array().into_iter().flatten() {
                points.insert((labels.clone(), millis(&pair[0])), (number(&pair[1]), 0));
            }
            for pair in series["histograms"].as_array().into_iter().flatten() {
                let histogram = (number(&pair[1]["count"]), number(&pair[1]["sum"]));
                points.insert((labels.clone(), millis(&pair[0])), histogram);
            }
        }
        points
    }

    /// Ends it as its operator would.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

fn peer(name: &str) -> Option<PathBuf> {
    let asked = std::env::var_os("KANDELA_PEERS").map(|folder| PathBuf::from(folder).join("bin"));
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers/bin"));
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let folders = asked.into_iter().chain(usual).chain(on_path.into_iter().flatten());
    folders.map(|folder| folder.join(name)).find(|binary| binary.is_file())
}

fn prometheus() -> Option<PathBuf> {
    let found = peer("prometheus");
    match &found {
        Some(binary) => {
            let version = Command::new(binary).arg("--version").output().unwrap();
            eprintln!(
                "beside {}",
                String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default()
            );
        }
        None => {
            eprintln!("SKIPPED: no prometheus; `peers/install` fetches it, KANDELA_PEERS names its folder");
        }
    }
    found
}

fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn whole_histogram(step: i64) -> Histogram {
    let counts = vec![step as f64, (2 * step) as f64, 0.0, (step / 3) as f64];
    Histogram {
        schema: 3,
        count: counts.iter().sum::<f64>() + 5.0,
        sum: step as f64 * 1.25,
        zero_threshold: 0.001,
        zero_count: 3.0,
        positive_spans: vec![BucketSpan { offset: -2, length: 3 }, BucketSpan { offset: 4, length: 1 }],
        positive_buckets: counts,
        negative_spans: vec![BucketSpan { offset: 1, length: 1 }],
        negative_buckets: vec![2.0],
        ..Histogram::default()
    }
}

fn histogram(kind: &str, step: i64) -> Histogram {
    let whole = whole_histogram(step);
    match kind {
        // Every hundred steps a bucket more, so that chunks have to be rewritten.
        "t_whole" if step % 200 > 100 => Histogram {
            count: whole.count + 1.0,
            negative_spans: vec![BucketSpan { offset: 1, length: 2 }],
            negative_buckets: vec![2.0, 1.0],
            ..whole
        },
        "t_whole" => whole,
        "t_float" => Histogram {
            is_float: true,
            count: whole.count + 0.5,
            zero_count: whole.zero_count + 0.5,
            ..whole
        },
        _ => Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count: (3 * step) as f64,
            sum: step as f64 / 7.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_buckets: vec![step as f64; 3],
            custom_bounds: vec![0.005, 1.0, 1e6 / 3.0],
            ..Histogram::default()
        },
    }
}

/// One point each of all test series at `step`; some series leave steps out, some end and come back.
fn scrape(ts: i64, step: i64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    let at = Timestamp::from_millis(ts);
    for series in 0..10i64 {
        if step % (series + 1) == 3 {
            continue;
        }
        let instance = series.to_string();
        let labels = [("__name__", "t_counter"), ("instance", instance.as_str()), ("name with space", "ü")];
        let index = batch.add_series(labels).unwrap();
        let value = match series {
            0 => 1.0,
            1 if step % 50 == 49 => STALE_NAN,
            1 => f64::NAN,
            2 => (step as f64).sin() * 1e9,
            _ => (step * series) as f64,
        };
        // Not quite even, as scrapes are not.
        batch.add_sample(index, Timestamp::from_millis(ts + (step * series) % 7), value);
        if series == 3 && step % 10 == 0 {
            let exemplar = Exemplar {
                ts: at,
                value: step as f64,
                trace_id: Some(format!("{step:032x}")),
                span_id: None,
                labels: Labels::new([("user", "x")]).unwrap(),
            };
            batch.exemplars.push(SeriesExemplar { series: index, exemplar });
        }
    }
    for kind in ["t_whole", "t_float", "t_custom"] {
        let index = batch.add_series([("__name__", kind), ("job", "shop")]).unwrap();
        batch.histograms.push(SeriesHistogram {
            series: index,
            ts: at,
            histogram: histogram(kind, step),
            delta: false,
        });
    }
    batch
}

/// Sends `steps` scrapes that end now; gives what was sent and when it began.
async fn send(prometheus: &Prometheus, steps: i64) -> (Points, i64) {
    let begin = now_millis() - steps * STEP_MILLIS;
    let mut sent = Points::new();
    for step in 0..steps {
        let batch = scrape(begin + step * STEP_MILLIS, step);
        add_points(&mut sent, &batch);
        prometheus.write(&batch).await;
    }
    (sent, begin)
}

/// Samples between those that were sent, so later than their time.
async fn send_late(prometheus: &Prometheus, sent: &mut Points, begin: i64, steps: i64) {
    for step in (0..steps).rev() {
        let mut batch = MetricBatch::default();
        let series =
            batch.add_series([("__name__", "t_counter"), ("instance", "5"), ("name with space", "ü")]);
        let ts = Timestamp::from_millis(begin + step * STEP_MILLIS + 1_000);
        batch.add_sample(series.unwrap(), ts, -(step as f64));
        let series = batch.add_series([("__name__", "t_whole"), ("job", "shop")]).unwrap();
        batch.histograms.push(SeriesHistogram { series, ts, histogram: whole_histogram(step), delta: false });
        add_points(sent, &batch);
        prometheus.write(&batch).await;
    }
}

/// Tells Prometheus to delete a series up to a time, and forgets it.
async fn delete(prometheus: &Prometheus, sent: &mut Points, instance: &str, through: i64) -> usize {
    let path = format!(
        "/api/v1/admin/tsdb/delete_series?match[]=t_counter%7Binstance%3D%22{instance}%22%7D&end={}",
        through as f64 / 1e3
    );
    prometheus.post(&path).await;
    let before = sent.len();
    let label = format!("instance=\"{instance}\"");
    sent.retain(|(labels, ts), _| !labels.contains(&label) || *ts > through);
    before - sent.len()
}

fn read(folder: &Path) -> (Points, Vec<Exemplar>, Report) {
    let tsdb = Tsdb::open(folder).unwrap();
    let (mut points, mut exemplars) = (Points::new(), Vec::new());
    let report = tsdb.read(true, |batch, progress| {
        assert!(progress.done <= progress.total);
        add_points(&mut points, &batch);
        exemplars.extend(batch.exemplars.into_iter().map(|exemplar| exemplar.exemplar));
        Ok::<(), TsdbError>(())
    });
    (points, exemplars, report.unwrap())
}

fn assert_same(found: &Points, wanted: &Points) {
    let missing: Vec<_> =
        wanted.iter().filter(|(key, value)| found.get(key) != Some(value)).take(5).collect();
    let beside: Vec<_> = missing.iter().map(|(key, _)| found.get(key)).collect();
    let extra: Vec<_> = found.iter().filter(|(key, _)| !wanted.contains_key(key)).take(5).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "found {} of {}; missing {missing:#?} where there is {beside:#?}; extra {extra:#?}",
        found.len(),
        wanted.len()
    );
}

/// Holds what was read against the server's own answer, which leaves staleness markers out.
fn assert_as_answered(found: &Points, answer: &BTreeMap<(String, i64), (u64, u64)>) {
    let stale = |value: &Value| *value == Value::Float(STALE_NAN.to_bits());
    assert_eq!(found.values().filter(|value| !stale(value)).count(), answer.len());
    for (key, (number, sum)) in answer {
        match found.get(key) {
            Some(Value::Float(bits)) => {
                let both_nan = f64::from_bits(*bits).is_nan() && f64::from_bits(*number).is_nan();
                assert!(both_nan || bits == number, "{key:?}");
            }
            Some(Value::Histogram(text)) => {
                let wanted = format!("count {} sum {sum:x}", f64::from_bits(*number));
                assert!(text.contains(&wanted), "{key:?}: {text} lacks {wanted}");
            }
            None => panic!("{key:?} is missing"),
        }
    }
}

#[tokio::test]
async fn a_stopped_prometheus_gives_every_sample_of_its_head_under_every_compression_of_its_log() {
    let Some(binary) = prometheus() else { return };
    let compressions: [&[&str]; 3] = [
        &["--storage.tsdb.wal-compression-type=snappy"],
        &["--storage.tsdb.wal-compression-type=zstd"],
        &["--no-storage.tsdb.wal-compression"],
    ];
    for flags in compressions {
        let folder = tempfile::tempdir().unwrap();
        let running = Prometheus::start(&binary, folder.path(), flags).await;
        let (mut sent, begin) = send(&running, 300).await;
        send_late(&running, &mut sent, begin, 40).await;
        let deleted = delete(&running, &mut sent, "7", begin + 100 * STEP_MILLIS).await;
        assert!(deleted > 50, "{deleted} points were to be deleted");
        let answer = running.everything(now_millis()).await;
        assert!(
            matches!(Tsdb::open(folder.path().join("data")), Err(TsdbError::InUse(_))),
            "a folder in use is not read"
        );
        running.stop();

        let (found, exemplars, report) = read(&folder.path().join("data"));
        assert_same(&found, &sent);
        assert_as_answered(&found, &answer);
        assert_eq!((report.blocks, report.damages), (0, 0));
        assert_eq!(report.undefined, 0);
        assert!(report.repeated > 0, "chunks of the head were read, so the log repeats them");
        assert_eq!(exemplars.len(), 30);
        assert!(
            exemplars
                .iter()
                .all(|exemplar| exemplar.trace_id.is_some() && exemplar.labels.iter().count() == 1)
        );
    }
}

#[tokio::test]
async fn a_snapshot_gives_every_sample_from_its_blocks() {
    let Some(binary) = prometheus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let running = Prometheus::start(&binary, folder.path(), &[]).await;
    // Prometheus leaves late samples of its head out of snapshots, so there are none.
    let (sent, _) = send(&running, 300).await;
    let answer: serde_json::Value =
        serde_json::from_str(&running.post("/api/v1/admin/tsdb/snapshot").await).unwrap();
    let name = answer["data"]["name"].as_str().unwrap();
    let (found, _, report) = read(&folder.path().join("data/snapshots").join(name));
    assert_same(&found, &sent);
    assert!(report.blocks > 0);
    running.stop();
}

#[tokio::test]
async fn blocks_their_deletions_and_the_head_together_give_every_sample_once() {
    let Some(binary) = prometheus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let blocks = ["--storage.tsdb.min-block-duration=10m", "--storage.tsdb.max-block-duration=30m"];
    let running = Prometheus::start(&binary, folder.path(), &blocks).await;
    let (mut sent, begin) = send(&running, 1_000).await;
    wait_for_blocks(&folder.path().join("data"), 3).await;
    let deleted = delete(&running, &mut sent, "7", begin + 500 * STEP_MILLIS).await;
    assert!(deleted > 300, "{deleted} points were to be deleted");
    let answer = running.everything(now_millis()).await;
    running.stop();

    let (found, _, report) = read(&folder.path().join("data"));
    assert_same(&found, &sent);
    assert_as_answered(&found, &answer);
    assert!(report.blocks >= 2, "{report:?}");
    assert!(report.deleted > 0, "{report:?}");
}

/// Prometheus cuts blocks in the background as samples come.
async fn wait_for_blocks(data: &Path, wanted: usize) {
    let began = Instant::now();
    loop {
        let folders = std::fs::read_dir(data).unwrap().filter_map(Result::ok);
        let blocks = folders.filter(|folder| folder.path().join("meta.json").is_file()).count();
        if blocks >= wanted {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(100), "prometheus cut {blocks} blocks");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
