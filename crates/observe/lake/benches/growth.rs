//! How cost grows with the number of series: taking in, looking up, memory, restart, and a week of daily churn.
//!
//! `cargo bench -p kandela-lake --bench growth [-- SERIES…]` prints one row a size. Times are of this process' CPU where it
//! says so, else of the clock; memory is what the allocator's pages add to the process.

use std::time::{Duration, Instant};

use kandela_lake::{Lake, LakeConfig, Matcher};
use kandela_model::{MetricBatch, Timestamp};

const ROUNDS: i64 = 20;
const STEP_MS: i64 = 15_000;
const BODY: usize = 5_000;
const DAY_MS: i64 = 86_400_000;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000, 1_000_000] } else { sizes };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "{:>9} {:>11} {:>11} {:>9} {:>10} {:>10} {:>9} {:>10} {:>10}",
        "series",
        "new ns/s",
        "known ns/s",
        "flush s",
        "rss/series",
        "own/series",
        "values ms",
        "select ms",
        "restart s"
    );
    for series in sizes {
        runtime.block_on(measure(series));
    }
    runtime.block_on(churn());
    runtime.block_on(two_hours());
}

fn config(folder: &std::path::Path) -> LakeConfig {
    LakeConfig { memory_limit: 8 << 30, flush_interval: Duration::from_secs(3_600), ..LakeConfig::at(folder) }
}

/// The labels of one series: ten, of which the pod is shared by a hundred series.
fn labels(n: usize, day: i64) -> [(&'static str, String); 10] {
    [
        ("__name__", format!("service_requests_{}_total", n % 200)),
        ("container", "app".to_owned()),
        ("endpoint", format!("/api/v1/resource/{}", n % 37)),
        ("instance", format!("10.{}.{}.{}:9090", n / 65_536 % 256, n / 256 % 256, n / 100 % 256)),
        ("job", format!("service-{}", n % 50)),
        ("method", ["GET", "POST", "PUT", "DELETE"][n % 4].to_owned()),
        ("namespace", format!("team-{}", n % 20)),
        ("node", format!("node-{}", n / 1_000)),
        ("pod", format!("service-{}-day{day}", n / 100)),
        ("series", format!("{n}")),
    ]
}

fn bodies(series: usize, day: i64) -> Vec<MetricBatch> {
    let numbers: Vec<usize> = (0..series).collect();
    let body = |part: &[usize]| {
        let mut batch = MetricBatch::default();
        for n in part {
            batch.add_series(labels(*n, day)).expect("labels are sorted and differ");
        }
        batch
    };
    numbers.chunks(BODY).map(body).collect()
}

/// Fills every body with one sample a series.
fn at(bodies: &mut [MetricBatch], ts: i64) {
    for batch in bodies {
        batch.samples.clear();
        for n in 0..batch.series().len() as u32 {
            batch.add_sample(
                kandela_model::SeriesIndex(n),
                Timestamp::from_millis(ts),
                (ts / 1_000) as f64 + f64::from(n),
            );
        }
    }
}

async fn measure(series: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(config(folder.path())).await.expect("a lake");
    let mut bodies = bodies(series, 0);
    let start = now_ms() - ROUNDS * STEP_MS;
    let rss = resident();
    at(&mut bodies, start);
    let cpu = cpu_time();
    bodies.iter().for_each(|batch| drop(lake.append(batch).expect("appended")));
    let new = per_sample(cpu, series);
    let cpu = cpu_time();
    for round in 1..ROUNDS {
        at(&mut bodies, start + round * STEP_MS);
        bodies.iter().for_each(|batch| drop(lake.append(batch).expect("appended")));
    }
    let known = per_sample(cpu, series * (ROUNDS as usize - 1));
    let grown = resident().saturating_sub(rss);
    let stats = lake.stats();
    let own = (stats.series_bytes + stats.head_bytes) / series;
    let range = Timestamp::from_millis(start).micros()..=Timestamp::from_millis(now_ms()).micros();
    let values = best(|| async {
        lake.label_values("series", &[], range.clone(), usize::MAX).await.expect("values").len()
    })
    .await;
    let one = [Matcher::equal("__name__", "service_requests_7_total"), Matcher::equal("series", "7")];
    let select = best(|| async { lake.series(&one, range.clone(), 10).await.expect("series").len() }).await;
    drop(lake);
    let began = Instant::now();
    let lake = Lake::open(config(folder.path())).await.expect("a lake");
    let restart = began.elapsed();
    assert_eq!(lake.recovery().points as usize, series * ROUNDS as usize, "everything came back");
    let began = Instant::now();
    lake.flush().await.expect("flushed");
    println!(
        "{series:>9} {new:>11.0} {known:>11.0} {:>9.2} {:>10} {own:>10} {:>9.2} {:>10.3} {:>10.2}",
        began.elapsed().as_secs_f64(),
        grown / series,
        values.as_secs_f64() * 1e3,
        select.as_secs_f64() * 1e3,
        restart.as_secs_f64(),
    );
}

/// Seven days on which every pod is new: what today's lookup costs must not grow with the days.
async fn churn() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(config(folder.path())).await.expect("a lake");
    let series = 20_000;
    println!("\n{:>4} {:>10} {:>12} {:>12}", "day", "series", "append ns/s", "select ms");
    let first = now_ms() - 7 * DAY_MS;
    for day in 0..7 {
        let mut bodies = bodies(series, day);
        let cpu = cpu_time();
        for round in 0..4 {
            at(&mut bodies, first + day * DAY_MS + round * STEP_MS);
            bodies.iter().for_each(|batch| drop(lake.import(batch).expect("appended")));
        }
        let append = per_sample(cpu, series * 4);
        lake.flush().await.expect("flushed");
        let today = Timestamp::from_millis(first + day * DAY_MS);
        let one = [Matcher::equal("pod", format!("service-7-day{day}"))];
        let range = today.micros()..=today.plus_micros(60_000_000).micros();
        let select =
            best(|| async { lake.series(&one, range.clone(), 1_000).await.expect("series").len() }).await;
        println!("{day:>4} {:>10} {append:>12.0} {:>12.3}", lake.stats().series, select.as_secs_f64() * 1e3);
    }
}

/// A log of two hours of 100,000 series at 15 s, none of it in a table yet, opened with the default memory limit.
async fn two_hours() {
    let folder = tempfile::tempdir().expect("a folder");
    let roomy = LakeConfig { memory_limit: 12 << 30, ..config(folder.path()) };
    let lake = Lake::open(roomy).await.expect("a lake");
    let (series, steps) = (100_000, 2 * 3_600_000 / STEP_MS);
    let mut bodies = bodies(series, 0);
    let start = now_ms() - steps * STEP_MS;
    for step in 0..steps {
        at(&mut bodies, start + step * STEP_MS);
        bodies.iter().for_each(|batch| drop(lake.append(batch).expect("appended")));
    }
    let log = lake.stats().log_bytes;
    drop(lake);
    drop(bodies);
    let config = LakeConfig::at(folder.path());
    let (limit, before, began) = (config.memory_limit, resident(), Instant::now());
    let lake = Lake::open(config).await.expect("a lake");
    let took = began.elapsed().as_secs_f64();
    assert_eq!(lake.recovery().points as usize, series * steps as usize, "everything came back");
    println!(
        "\nrestart after {series} series x 2 h ({} MB of log): {took:.1} s; memory {} MB of {} MB",
        log >> 20,
        resident().saturating_sub(before) >> 20,
        limit >> 20
    );
}

async fn best<F: Future<Output = usize>>(mut run: impl FnMut() -> F) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        assert!(run().await > 0, "a lookup that finds nothing measures nothing");
        best = best.min(began.elapsed());
    }
    best
}

fn per_sample(since: Duration, samples: usize) -> f64 {
    (cpu_time() - since).as_nanos() as f64 / samples as f64
}

fn now_ms() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    since.as_millis() as i64
}

/// CPU that this process used: user and system, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
