//! `/api/v1/read`: Prometheus remote read, the server's side.
//!
//! A client says which kinds of answer it takes: all samples in one compressed message, or a stream of frames with the
//! chunks that Prometheus itself would keep
//! (<https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>).

mod chunk;
mod frames;
mod message;
mod samples;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::turns::Turn;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use kandela_lake::{FoundSeries, Lake};
use kandela_model::Labels;
use kandela_promql::{MatchOp, Matcher};
use prost::Message as _;

use super::error::ApiError;
use crate::app::App;
use crate::net::body::{self, BodyLimits};
use crate::refusal::Refusal;
use crate::tenants::Tenants;
use message::{Query, ReadRequest, ResponseType};

/// Bytes that a request may have, before and after decompression.
const MAX_REQUEST: usize = 1 << 20;

/// Labels that every series of an answer carries besides its own.
type External = BTreeMap<String, String>;

/// The series of each query, and a place among the queries that run at a time.
struct Found {
    queries: Vec<FoundSeries>,
    external: External,
    lake: Lake,
    _turn: Turn,
}

pub(super) async fn read(State(app): State<Arc<App>>, request: Request) -> Response {
    match answer(&app, request).await {
        Ok(response) => response,
        Err(error) => error.plain_response(),
    }
}

async fn answer(app: &App, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let tenant = Tenants::named_by(&head.headers)?;
    let lake = app.lake(&tenant).await?;
    let mut room = app.admission.room();
    let limits = BodyLimits { wire: MAX_REQUEST, ..app.body_limits };
    let body = body::read(&head.headers, body, &limits, &mut room).await?;
    let request = decode(&body)?;
    let kind = negotiate(&request.accepted_response_types)?;
    let external = app.settings.load().config.global.external_labels.clone();
    let turn = app.promql.turn().await?;
    let mut queries = Vec::new();
    for query in &request.queries {
        queries.push(find(&lake, query, &external).await?);
    }
    let found = Found { queries, external, lake, _turn: turn };
    match kind {
        ResponseType::Samples => samples::respond(found).await,
        ResponseType::StreamedXorChunks => frames::respond(found, &app.spool).await,
    }
}

fn decode(body: &[u8]) -> Result<ReadRequest, ApiError> {
    let length =
        snap::raw::decompress_len(body).map_err(|error| ApiError::bad_data(format!("snappy: {error}")))?;
    if length > MAX_REQUEST {
        let message = format!(
            "the request decompresses to {length} bytes, more than {MAX_REQUEST}; ask for less at once"
        );
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message).into());
    }
    let message = snap::raw::Decoder::new().decompress_vec(body);
    let message = message.map_err(|error| ApiError::bad_data(format!("snappy: {error}")))?;
    ReadRequest::decode(message.as_slice()).map_err(|error| {
        ApiError::bad_data(format!("the body is not a prometheus.ReadRequest message: {error}"))
    })
}

/// The first kind that is known here; samples where the client names none.
fn negotiate(accepted: &[i32]) -> Result<ResponseType, ApiError> {
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    let known = accepted.iter().find_map(|kind| ResponseType::try_from(*kind).ok());
    known.ok_or_else(|| {
        ApiError::bad_data(format!(
            "server does not support any of the requested response types: {accepted:?}; supported: 0 (samples) and 1 \
             (streamed XOR chunks)"
        ))
    })
}

async fn find(lake: &Lake, query: &Query, external: &External) -> Result<FoundSeries, ApiError> {
    let matchers = query.matchers.iter().map(|matcher| matcher_of(matcher, external));
    let matchers: Vec<Matcher> = matchers.collect::<Result<_, _>>().map_err(ApiError::bad_data)?;
    let start = query.start_timestamp_ms.saturating_mul(1_000);
    let end = query.end_timestamp_ms.saturating_mul(1_000).saturating_add(999);
    Ok(lake.points(&matchers, start..=end).await?)
}

/// What is kept has no external labels, so that a matcher that one of them satisfies looks for their absence.
fn matcher_of(matcher: &message::LabelMatcher, external: &External) -> Result<Matcher, String> {
    let op = match matcher.kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err("invalid matcher type".to_owned()),
    };
    let meant = external.get(&matcher.name).map_or("", String::as_str);
    let value = if op == MatchOp::Equal && meant == matcher.value { "" } else { &matcher.value };
    Matcher::new(&matcher.name, op, value)
}

impl Found {
    /// A series' labels with the external ones that it does not have itself, in ascending order of names.
    fn labels<'a>(&'a self, labels: &'a Labels) -> Vec<(&'a str, &'a str)> {
        let outer = self.external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let missing = outer.filter(|(name, _)| labels.get(name).is_none());
        let mut all: Vec<(&str, &str)> = labels.iter().chain(missing).collect();
        all.sort_unstable();
        all
    }
}

/// The numbers of a query's series, in order of their labels.
fn by_labels(found: &FoundSeries) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_unstable_by(|a, b| found.labels(*a).iter().cmp(found.labels(*b).iter()));
    order
}

fn typed(mut response: Response, content_type: &'static str, encoding: Option<&'static str>) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_of_answer_that_is_known_is_given() {
        assert_eq!(negotiate(&[]), Ok(ResponseType::Samples));
        assert_eq!(negotiate(&[7, 1, 0]), Ok(ResponseType::StreamedXorChunks));
        assert!(negotiate(&[7]).is_err());
    }

    #[test]
    fn a_matcher_of_an_external_label_looks_for_its_absence() {
        let external = External::from([("region".to_owned(), "eu".to_owned())]);
        let matcher = |name: &str, value: &str| {
            let asked = message::LabelMatcher { kind: 0, name: name.to_owned(), value: value.to_owned() };
            matcher_of(&asked, &external).unwrap().value
        };
        assert_eq!(matcher("region", "eu"), "");
        assert_eq!(matcher("region", "us"), "us");
        assert_eq!(matcher("job", "shop"), "shop");
    }
}
