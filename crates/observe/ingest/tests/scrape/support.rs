//! A target that says what a test wants, and a sink that keeps what comes.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use kandela_config::ScrapeConfig;
use kandela_ingest::scrape::{Manager, ScrapeOptions, Sink};
use kandela_model::{MetricBatch, Timestamp, is_stale};

/// What a target answers.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
}

/// A target on a loopback port.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    requests: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Target {
    pub(crate) async fn serve(body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self::at(listener.local_addr().unwrap(), body);
        let router = target.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        target
    }

    /// A target whose [`Target::router`] the test serves itself.
    pub(crate) fn at(address: SocketAddr, body: &str) -> Self {
        let headers = vec![("content-type", "text/plain; version=0.0.4".to_owned())];
        let reply = Reply { status: 200, headers, body: body.into(), delay: Duration::ZERO };
        Self { address, reply: Arc::new(Mutex::new(reply)), requests: Arc::default() }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(crate) fn say(&self, body: &str) {
        self.reply.lock().unwrap().body = body.into();
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Reply)) {
        change(&mut self.reply.lock().unwrap());
    }

    /// Path with query, and headers, of each request so far.
    pub(crate) fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(State(target): State<Target>, request: Request) -> Response {
    target.requests.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
    let reply = target.reply.lock().unwrap().clone();
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

/// A sample as text: its series and its value, `ends` for the staleness marker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) series: String,
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
}

/// Keeps what it is given, batch by batch.
#[derive(Default)]
pub(crate) struct Keeper {
    batches: Mutex<Vec<Vec<Kept>>>,
    histograms: Mutex<Vec<String>>,
    pub(crate) refuses: AtomicBool,
}

impl Sink for Keeper {
    fn append(&self, batch: &MetricBatch, _: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err("the disk is full".into());
        }
        let kept = batch.samples.iter().map(|sample| Kept {
            series: batch.labels(sample.series).to_string(),
            at: sample.ts,
            value: sample.value,
        });
        self.batches.lock().unwrap().push(kept.collect());
        let series = batch.histograms.iter().map(|one| batch.labels(one.series).to_string());
        self.histograms.lock().unwrap().extend(series);
        Ok(())
    }
}

impl Keeper {
    pub(crate) fn batches(&self) -> Vec<Vec<Kept>> {
        self.batches.lock().unwrap().clone()
    }

    pub(crate) fn histograms(&self) -> Vec<String> {
        self.histograms.lock().unwrap().clone()
    }

    /// All samples of series whose text starts so.
    pub(crate) fn samples(&self, series: &str) -> Vec<Kept> {
        let batches = self.batches.lock().unwrap();
        batches.iter().flatten().filter(|kept| kept.series.starts_with(series)).cloned().collect()
    }

    /// The last value of each series.
    pub(crate) fn latest(&self) -> BTreeMap<String, f64> {
        self.batches.lock().unwrap().iter().flatten().map(|kept| (kept.series.clone(), kept.value)).collect()
    }

    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.latest().into_iter().find(|(name, _)| name.starts_with(series)).map(|(_, value)| value)
    }

    pub(crate) fn has_ended(&self, series: &str) -> bool {
        self.value(series).is_some_and(is_stale)
    }
}

pub(crate) fn jobs(yaml: &str) -> Vec<ScrapeConfig> {
    let text = format!("global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n{yaml}");
    kandela_config::parse(&text, "test.yml", &|_| None)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .0
        .scrape_configs
}

/// A running manager and what it keeps; both end with the test.
pub(crate) struct Running {
    pub(crate) manager: Manager,
    pub(crate) kept: Arc<Keeper>,
}

impl Running {
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::with(yaml, |_| {}).await
    }

    pub(crate) async fn with(yaml: &str, change: impl FnOnce(&mut ScrapeOptions)) -> Self {
        let kept = Arc::new(Keeper::default());
        let mut options =
            ScrapeOptions { sync_throttle: Duration::from_millis(10), ..ScrapeOptions::default() };
        change(&mut options);
        let manager = Manager::new(kept.clone(), options);
        manager.apply(&jobs(yaml)).await;
        Self { manager, kept }
    }

    /// Waits until there was one more scrape that began after now.
    pub(crate) async fn next_scrape(&self) {
        let before = self.kept.batches().len();
        until("two more scrapes", || self.kept.batches().len() >= before + 2).await;
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.manager.targets().active.into_iter().map(|target| target.last_error).collect()
    }
}

/// One job that scrapes `target`.
pub(crate) fn job(target: &Target, more: &str) -> String {
    let more = more.trim().replace('\n', "\n  ");
    format!("- job_name: test\n  static_configs: [{{targets: ['{}']}}]\n  {more}", target.address)
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The binary `name` in `KANDELA_PEERS`, else where the peers are installed by default, else on the path.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").map(PathBuf::from);
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    given
        .into_iter()
        .chain(installed)
        .map(|folder| folder.join("bin"))
        .chain(std::env::split_paths(&on_path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
