//! All samples in one compressed message.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use kandela_lake::{FoundSeries, TimedHistogram};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::message::{Sample, TimeSeries, WireHistogram, labels};
use super::{Found, by_labels, typed};
use crate::http::prometheus::damage::put_aside_later;
use crate::http::prometheus::error::ApiError;
use crate::http::prometheus::memory::Held;

const CONTENT_TYPE: &str = "application/x-protobuf";

pub(super) async fn respond(found: Found) -> Result<Response, ApiError> {
    let written =
        tokio::task::spawn_blocking(move || write(&found).inspect_err(|_| put_aside_later(&found.lake)));
    let body = written.await.map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(typed((StatusCode::OK, body).into_response(), CONTENT_TYPE, Some("snappy")))
}

/// A compressed `ReadResponse`.
fn write(found: &Found) -> Result<Vec<u8>, ApiError> {
    let held = Held::of(&found.lake);
    let mut message = Vec::new();
    for query in &found.queries {
        put_message(&mut message, &result(found, query, &held)?);
    }
    snap::raw::Encoder::new()
        .compress_vec(&message)
        .map_err(|error| ApiError::internal(format!("the answer cannot be compressed: {error}")))
}

/// A `QueryResult`.
fn result(found: &Found, query: &FoundSeries, held: &Held) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let mut reader = query.reader();
    let mut histograms = Vec::new();
    for index in by_labels(query) {
        let own = query.labels(index);
        let mut series = TimeSeries::default();
        let (times, values) = reader.samples(index)?;
        let samples = times.iter().zip(values);
        series.samples =
            samples.map(|(at, value)| Sample { value: *value, timestamp: at.div_euclid(1_000) }).collect();
        reader.histograms(index, &mut histograms)?;
        let wire = |(at, histogram): &TimedHistogram| WireHistogram::new(at.div_euclid(1_000), histogram);
        series.histograms = histograms.iter().map(wire).collect();
        if series.samples.is_empty() && series.histograms.is_empty() {
            continue;
        }
        series.labels = labels(&found.labels(own));
        let encoded = series.encode_to_vec();
        held.take(encoded.len()).map_err(|_| too_large())?;
        put_message(&mut out, &encoded);
    }
    Ok(out)
}

fn too_large() -> ApiError {
    ApiError::bad_data(
        "the answer would hold more memory than queries have left (--memory-limit): ask for less at once, or for \
         streamed chunks (STREAMED_XOR_CHUNKS)",
    )
}

/// Appends an embedded message as field 1.
fn put_message(out: &mut Vec<u8>, message: &[u8]) {
    encode_key(1, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}
