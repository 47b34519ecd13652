//! The loop that scrapes one target.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kandela_config::ScrapeConfig;
use kandela_model::{Labels, MetricBatch, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::client::Client;
use super::error::ScrapeError;
use super::fetch::{self, Page};
use super::labels;
use super::schedule::{Plan, first_wait};
use super::series::{Counts, Most, SeriesCache};
use super::status::{Health, LastScrape, Status, lock};
use crate::exposition::{self, ParseOptions};

/// What all loops of a job share.
pub(super) struct Job {
    pub(super) config: ScrapeConfig,
    pub(super) accept: String,
    pub(super) client: Arc<Client>,
    pub(super) shared: Arc<Shared>,
    /// Set while the job has more targets than `target_limit`.
    pub(super) too_many: Mutex<Option<(usize, u64)>>,
}

impl Job {
    fn max_body(&self) -> u64 {
        let own = self.config.limits.body_size_limit.unwrap_or(u64::MAX);
        own.min(self.shared.options.max_body_bytes)
    }
}

/// What one target's loop works with.
#[derive(Clone)]
pub(super) struct TargetLoop {
    pub(super) job: Arc<Job>,
    pub(super) status: Arc<Status>,
    pub(super) series: Arc<Mutex<SeriesCache>>,
}

/// Scrapes at every interval until `stop` changes or its sender is gone.
pub(super) async fn run(target_loop: TargetLoop, mut stop: watch::Receiver<()>) {
    let TargetLoop { job, status, .. } = &target_loop;
    let target = &status.target;
    let options = &job.shared.options;
    let wait = first_wait((options.clock)(), target.hash() ^ options.offset_seed, target.interval);
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = stop.changed() => return,
    }
    let mut ticks = tokio::time::interval(target.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut plan = Plan::new(target.interval);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        let at = plan.stamp((options.clock)());
        let started = Instant::now();
        let too_many = *lock(&job.too_many);
        let answer = match too_many {
            Some((targets, limit)) => Err(ScrapeError::Targets { targets, limit }),
            None => tokio::select! {
                answer = fetch::fetch(&job.client, &job.accept, target, job.max_body()) => answer,
                _ = stop.changed() => return,
            },
        };
        take_in(&target_loop, answer, at, started).await;
    }
}

/// Parses and keeps an answer on a thread that may block, of which a bounded number work at a time.
async fn take_in(
    target_loop: &TargetLoop,
    answer: Result<Page, ScrapeError>,
    at: Timestamp,
    started: Instant,
) {
    let shared = target_loop.job.shared.clone();
    // The semaphore is never closed.
    let Ok(permit) = shared.parsing.acquire().await else { return };
    let work = target_loop.clone();
    let outcome = tokio::task::spawn_blocking(move || keep(&work, answer, at, started)).await;
    drop(permit);
    if let Err(panic) = outcome {
        tracing::error!(url = %target_loop.status.target.url, %panic, "taking in a scrape panicked");
    }
}

fn keep(target_loop: &TargetLoop, answer: Result<Page, ScrapeError>, at: Timestamp, started: Instant) {
    let TargetLoop { job, status, series } = target_loop;
    let target = &status.target;
    let mut series = lock(series);
    let mut out = MetricBatch::default();
    let (body_bytes, parsed) = match answer {
        Ok(page) => (page.body.len() as f64, parse(&job.config, &page, at)),
        // Prometheus reports a body that was cut off as -1.
        Err(error @ ScrapeError::BodySize(_)) => (-1.0, Err(error)),
        Err(error) => (0.0, Err(error)),
    };
    let options = &job.shared.options;
    let most = Most { series: options.max_series_per_target, labels: options.label_limits };
    let (counts, outcome) = match parsed {
        Ok(mut page) => series.take_in(&job.config, &target.public, most, &mut page, at, &mut out),
        Err(error) => (Counts::default(), Err(error)),
    };
    if outcome.is_err() {
        series.end_all(at, &mut out);
    }
    let duration = started.elapsed();
    report(target_loop, &mut out, at, &Report { up: outcome.is_ok(), duration, counts, body_bytes });
    let took_page = outcome.is_ok();
    let kept = job.shared.sink.append(&out, if took_page { body_bytes as u64 } else { 0 });
    match &kept {
        Ok(()) => series.commit(took_page),
        Err(_) => series.postpone(most.series),
    }
    let outcome = outcome.and_then(|()| kept.map_err(|error| ScrapeError::Sink(error.to_string())));
    let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
    if !error.is_empty() {
        tracing::debug!(job = job.config.job_name, url = %target.url, %error, "scrape failed");
    }
    let health = if error.is_empty() { Health::Up } else { Health::Down };
    status.record(LastScrape { error, at: Some(at), duration, health });
}

fn parse(job: &ScrapeConfig, page: &Page, at: Timestamp) -> Result<MetricBatch, ScrapeError> {
    let options = ParseOptions {
        fallback: job.fallback_scrape_protocol,
        honor_timestamps: job.honor_timestamps,
        native_histograms: job.scrape_native_histograms,
        classic_histograms: job.always_scrape_classic_histograms,
        convert_to_nhcb: job.convert_classic_histograms_to_nhcb,
        ..ParseOptions::scrape(at)
    };
    let mut batch = MetricBatch::default();
    // An empty body is a page without samples, whatever it says that it is.
    if !page.body.is_empty() {
        exposition::parse(page.content_type.as_deref(), &page.body, &options, &mut batch)?;
    }
    Ok(batch)
}

/// What the series about the scrape say.
struct Report {
    up: bool,
    duration: Duration,
    counts: Counts,
    body_bytes: f64,
}

/// The series about the scrape and their values.
fn report_values(target_loop: &TargetLoop, report: &Report) -> Vec<(&'static str, f64)> {
    let Report { up, duration, counts, body_bytes } = report;
    let mut values = vec![
        ("up", f64::from(u8::from(*up))),
        ("scrape_duration_seconds", duration.as_secs_f64()),
        ("scrape_samples_scraped", counts.scraped as f64),
        ("scrape_samples_post_metric_relabeling", counts.kept as f64),
        ("scrape_series_added", counts.added as f64),
    ];
    let TargetLoop { job, status, .. } = target_loop;
    if job.shared.options.extra_metrics {
        let limit = job.config.limits.sample_limit.unwrap_or(0);
        values.push(("scrape_timeout_seconds", status.target.timeout.as_secs_f64()));
        values.push(("scrape_sample_limit", limit as f64));
        values.push(("scrape_body_size_bytes", *body_bytes));
    }
    values
}

fn report(target_loop: &TargetLoop, out: &mut MetricBatch, at: Timestamp, report: &Report) {
    for (name, value) in report_values(target_loop, report) {
        add(out, &target_loop.status.target.public, name, at, value);
    }
}

fn add(out: &mut MetricBatch, target: &Labels, name: &str, at: Timestamp, value: f64) {
    let series = out.add_canonical(labels::report(target, name).as_ref());
    out.add_sample(series, at, value);
}

/// Ends all series of a target that is gone, those about its scrapes too.
pub(super) fn end(target_loop: &TargetLoop, at: Timestamp) {
    let mut out = MetricBatch::default();
    lock(&target_loop.series).end_all(at, &mut out);
    let nothing = Report { up: false, duration: Duration::ZERO, counts: Counts::default(), body_bytes: 0.0 };
    for (name, _) in report_values(target_loop, &nothing) {
        add(&mut out, &target_loop.status.target.public, name, at, kandela_model::STALE_NAN);
    }
    if let Err(error) = target_loop.job.shared.sink.append(&out, 0) {
        tracing::warn!(url = %target_loop.status.target.url, %error, "the end of a target's series was not kept");
    }
}
