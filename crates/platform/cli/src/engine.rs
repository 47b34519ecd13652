//! The engine in this process, over samples that a server gives by remote read.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use kandela_model::Labels;
use kandela_promql::histogram::buckets;
use kandela_promql::{Answer as Told, Control, EvalError, Limits, Options, Point, prepare};
use kandela_server::{RemoteRead, RemoteSource};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::client::parse_url;
use crate::prometheus::{
    Answer, Bucket, Document, Failure, Histogram, Instant, LabelSet, Millis, Number, Series, When,
};
use crate::when::parse_step;

/// What samples may take in memory, and what their evaluation may.
const MAX_BYTES: usize = 1 << 30;
/// How long the server may take for each selector, and the evaluation at all.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The engine and where its samples come from.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    remote: RemoteRead,
    evaluation_interval: Duration,
}

/// Whether the engine answers, over whose samples, and what a server's config would tell it.
#[derive(Args, Clone, Debug)]
pub(crate) struct EngineArguments {
    /// Evaluate here, over the samples that this server gives by Prometheus' remote read
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub remote_read: Option<Url>,
    /// With --remote-read, the step of subqueries that name none, as global.evaluation_interval of a prometheus.yml
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_step, requires = "remote_read")]
    evaluation_interval: Duration,
}

impl EngineArguments {
    /// The engine, if it is to answer, with these headers and this bearer token for the server.
    ///
    /// # Errors
    /// When the URL is not of HTTP, or the token is none.
    pub(crate) fn engine(&self, headers: HeaderMap, token: Option<&str>) -> anyhow::Result<Option<Engine>> {
        let over = |url: &Url| Engine::over(url.clone(), headers, token, self.evaluation_interval);
        self.remote_read.as_ref().map(over).transpose()
    }
}

impl Engine {
    fn over(
        url: Url,
        mut headers: HeaderMap,
        token: Option<&str>,
        evaluation_interval: Duration,
    ) -> anyhow::Result<Self> {
        if let Some(token) = token {
            let bearer =
                HeaderValue::from_str(&format!("Bearer {token}")).context("the token is no header value")?;
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { remote: RemoteRead::new(url, headers, Some(TIMEOUT))?, evaluation_interval })
    }

    /// Where the samples come from, without a password.
    pub(crate) fn url(&self) -> String {
        self.remote.url().to_string()
    }

    /// Asks for what the query needs and evaluates it. An error of the query itself is in the document.
    ///
    /// # Errors
    /// When the samples cannot be had.
    pub(crate) async fn query(&self, query: &str, when: When) -> anyhow::Result<Document> {
        let source = RemoteSource::new(self.remote.clone(), MAX_BYTES);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX / 1_000);
        let at = match when {
            When::Instant(at) => at.unwrap_or(now),
            When::Range { from, .. } => from,
        };
        let micros = |millis: i64| millis.saturating_mul(1_000);
        let asked = match when {
            When::Instant(_) => kandela_promql::When::Instant(micros(at)),
            When::Range { from, to, step } => {
                kandela_promql::When::Range { from: micros(from), through: micros(to), step: micros(step) }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let subquery_step = i64::try_from(self.evaluation_interval.as_micros()).unwrap_or(i64::MAX);
        let options = Options { threads, subquery_step, ..Options::default() };
        let limits = Limits { memory: MAX_BYTES, ..Limits::default() };
        let control = Arc::new(Control::new(Some(Clock::now() + TIMEOUT), limits));
        let evaluated = match prepare(&source, query, asked, options, &control).await {
            Ok(prepared) => tokio::task::spawn_blocking(move || prepared.run()).await?,
            Err(error) => Err(error),
        };
        let answered = match evaluated {
            Ok(answered) => answered,
            Err(EvalError::Source(error)) => return Err(error.into()),
            Err(error) => {
                let kind = if matches!(error, EvalError::Bad(_)) { "bad_data" } else { "execution" };
                let failure = Failure { kind: kind.to_owned(), message: error.to_string() };
                let nothing = Vec::new();
                return Ok(Document {
                    data: None,
                    warnings: nothing.clone(),
                    infos: nothing,
                    failure: Some(failure),
                });
            }
        };
        let data = Some(translated(answered.answer, at));
        Ok(Document { data, warnings: answered.warnings, infos: answered.infos, failure: None })
    }
}

/// The engine's answer, as of `at`, as the API tells it.
fn translated(answer: Told, at: i64) -> Answer {
    match answer {
        Told::Scalar(value) => Answer::Scalar((Millis(at), Number(value))),
        Told::String(text) => Answer::String((Millis(at), text)),
        Told::Vector(series) => {
            let one = |(labels, point): (Labels, Point)| {
                let metric = label_set(&labels);
                match point {
                    Point::Float(value) => {
                        Instant { metric, value: Some((Millis(at), Number(value))), histogram: None }
                    }
                    Point::Histogram(histogram) => {
                        Instant { metric, value: None, histogram: Some((Millis(at), told(&histogram))) }
                    }
                }
            };
            Answer::Vector(series.into_iter().map(one).collect())
        }
        Told::Matrix(series) => {
            let one = |(labels, points): (Labels, Vec<(i64, Point)>)| {
                let mut series =
                    Series { metric: label_set(&labels), values: Vec::new(), histograms: Vec::new() };
                for (at, point) in points {
                    let at = Millis(at.div_euclid(1_000));
                    match point {
                        Point::Float(value) => series.values.push((at, Number(value))),
                        Point::Histogram(histogram) => series.histograms.push((at, told(&histogram))),
                    }
                }
                series
            };
            Answer::Matrix(series.into_iter().map(one).collect())
        }
    }
}

fn label_set(labels: &Labels) -> LabelSet {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn told(histogram: &kandela_model::Histogram) -> Histogram {
    let held = buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0);
    let told = held.map(|bucket| {
        Bucket(bucket.boundary_code(), Number(bucket.lower), Number(bucket.upper), Number(bucket.count))
    });
    Histogram { count: Number(histogram.count), sum: Number(histogram.sum), buckets: told.collect() }
}
