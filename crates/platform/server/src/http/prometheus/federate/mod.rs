//! `/federate`: the newest value of the series that selectors mean, as a page to be scraped.

mod escape;
mod format;
mod protobuf;
mod text;

use std::sync::Arc;

use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use kandela_lake::{FoundSeries, Lake};
use kandela_model::{CUSTOM_BOUNDS_SCHEMA, Histogram, Labels, METRIC_NAME, ResetHint, is_stale};
use kandela_promql::Point;

use super::call::Call;
use super::damage::put_aside_later;
use super::error::ApiError;
use super::matchers::federated_sets;
use super::memory::Held;
use super::packer::Encoding;
use super::stream::stream;
use super::time::now;
use format::Format;

/// How old a value may be, in microseconds: PromQL's lookback.
const LOOKBACK: i64 = 300_000_000;
/// A page says that a series has no `instance` of its own, so that the one who scrapes adds none.
const INSTANCE: &str = "instance";

/// One series' newest value.
struct Newest {
    /// Never without a name.
    metric: String,
    /// The other labels in order of names, then those that every series of the page carries.
    labels: Vec<(String, String)>,
    millis: i64,
    point: Point,
}

/// What a family of metrics holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Untyped,
    Histogram,
    GaugeHistogram,
}

impl Newest {
    fn kind(&self) -> Kind {
        match &self.point {
            Point::Float(_) => Kind::Untyped,
            Point::Histogram(histogram) if histogram.reset_hint == ResetHint::Gauge => Kind::GaugeHistogram,
            Point::Histogram(_) => Kind::Histogram,
        }
    }

    /// Whether texts have a form for it: histograms with custom bounds become classic ones.
    fn is_for_texts(&self) -> bool {
        match &self.point {
            Point::Float(_) => true,
            Point::Histogram(histogram) => histogram.schema == CUSTOM_BOUNDS_SCHEMA,
        }
    }
}

pub(super) async fn federate(call: Call) -> Response {
    answer(&call).await.unwrap_or_else(ApiError::plain_response)
}

async fn answer(call: &Call) -> Result<Response, ApiError> {
    call.form.check()?;
    let sets = federated_sets(&call.form)?;
    let format = Format::negotiate(&call.headers);
    let lake = call.lake().await?;
    let turn = call.app.promql.turn().await?;
    let found = find(&lake, &sets).await?;
    let external: Vec<(String, String)> =
        call.app.settings.load().config.global.external_labels.clone().into_iter().collect();
    let held = Held::of(&lake);
    let mut response = stream(Encoding::accepted(&call.headers), &call.app.spool, move |pen| {
        let mut newest = Vec::new();
        for one in &found {
            read(one, &external, &held, &mut newest).inspect_err(|_| put_aside_later(&lake))?;
        }
        drop(turn);
        newest.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
        // A series that several selectors mean stands there once.
        newest.dedup_by(|a, b| (&a.metric, &a.labels) == (&b.metric, &b.labels));
        newest.retain(|one| format.is_protobuf() || one.is_for_texts());
        for family in newest.chunk_by(|a, b| a.metric == b.metric && a.kind() == b.kind()) {
            format.push_family(pen.out(), family);
            if !pen.pass_on() {
                break;
            }
        }
        Ok(())
    })
    .await?;
    if let Ok(content_type) = HeaderValue::from_str(&format.content_type()) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(response)
}

async fn find(lake: &Lake, sets: &[Vec<kandela_promql::Matcher>]) -> Result<Vec<FoundSeries>, ApiError> {
    let now = now();
    let mut found = Vec::new();
    for matchers in sets {
        found.push(lake.points(matchers, now - LOOKBACK..=now).await?);
    }
    Ok(found)
}

fn read(
    found: &FoundSeries,
    external: &[(String, String)],
    held: &Held,
    newest: &mut Vec<Newest>,
) -> Result<(), ApiError> {
    let mut reader = found.reader();
    let mut histograms = Vec::new();
    for index in 0..found.len() {
        let labels = found.labels(index);
        let (times, values) = reader.samples(index)?;
        let float = times.last().copied().zip(values.last().map(|value| Point::Float(*value)));
        reader.histograms(index, &mut histograms)?;
        let histogram = histograms.last().map(|(at, histogram)| (*at, Point::Histogram(histogram.clone())));
        let point = float.into_iter().chain(histogram).max_by_key(|(at, _)| *at);
        let Some((at, point)) = point.filter(|(_, point)| !ends(point)) else { continue };
        if let Some(metric) = labels.get(METRIC_NAME) {
            let labels = with_external(labels, external);
            held.take(size_of::<Newest>() + labels.iter().map(heap_bytes).sum::<usize>())?;
            newest.push(Newest { metric: metric.to_owned(), labels, millis: at.div_euclid(1_000), point });
        }
    }
    Ok(())
}

fn heap_bytes((name, value): &(String, String)) -> usize {
    size_of::<(String, String)>() + name.len() + value.len()
}

/// Whether it is a marker: no exposition format knows those, and whoever scrapes sees the series missing.
fn ends(point: &Point) -> bool {
    match point {
        Point::Float(value) => is_stale(*value),
        Point::Histogram(histogram) => Arc::<Histogram>::as_ref(histogram).is_stale(),
    }
}

fn with_external(labels: &Labels, external: &[(String, String)]) -> Vec<(String, String)> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let own = labels.iter().filter(|(name, _)| *name != METRIC_NAME).map(owned);
    let mut added: Vec<(String, String)> = external.to_vec();
    if !external.iter().any(|(name, _)| name == INSTANCE) {
        added.push((INSTANCE.to_owned(), String::new()));
    }
    added.sort_unstable();
    added.retain(|(name, _)| labels.get(name).is_none());
    own.chain(added).collect()
}
