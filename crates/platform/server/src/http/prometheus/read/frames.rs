//! A stream of frames, each with chunks of one series: the length as a varint, the CRC-32C of the message, the message.

use std::sync::Arc;

use axum::response::Response;
use prost::Message as _;
use prost::encoding::encode_varint;

use super::chunk::{Chunks, EncodedChunk};
use super::message::{Chunk, ChunkedReadResponse, ChunkedSeries, labels};
use super::{Found, by_labels, typed};
use crate::http::prometheus::damage::put_aside_later;
use crate::http::prometheus::error::ApiError;
use crate::http::prometheus::packer::Encoding;
use crate::http::prometheus::spool::Spool;
use crate::http::prometheus::stream::{Pen, stream};

const CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Bytes of chunks after which a frame ends; Prometheus' default.
const FRAME: usize = 1 << 20;

pub(super) async fn respond(found: Found, spool: &Arc<Spool>) -> Result<Response, ApiError> {
    let response = stream(Encoding::Identity, spool, move |pen| {
        write(pen, &found).inspect_err(|_| put_aside_later(&found.lake))
    })
    .await?;
    Ok(typed(response, CONTENT_TYPE, None))
}

fn write(pen: &mut Pen, found: &Found) -> Result<(), ApiError> {
    for (query_index, query) in (0..).zip(&found.queries) {
        let mut reader = query.reader();
        let mut histograms = Vec::new();
        for index in by_labels(query) {
            let own = query.labels(index);
            reader.histograms(index, &mut histograms)?;
            let (times, values) = reader.samples(index)?;
            let mut chunks = Chunks::new((times, values), &histograms);
            loop {
                let frame = next_frame(&mut chunks);
                if frame.is_empty() {
                    break;
                }
                let series = ChunkedSeries { labels: labels(&found.labels(own)), chunks: frame };
                let response = ChunkedReadResponse { chunked_series: vec![series], query_index };
                push_frame(pen.out(), &response.encode_to_vec());
                if !pen.pass_on() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The chunks of the next frame of a series; none after its last.
fn next_frame(chunks: &mut Chunks<'_>) -> Vec<Chunk> {
    let (mut frame, mut size) = (Vec::new(), 0);
    while size < FRAME
        && let Some(chunk) = chunks.next()
    {
        size += chunk.data.len();
        frame.push(wire(chunk));
    }
    frame
}

fn wire(chunk: EncodedChunk) -> Chunk {
    let EncodedChunk { first, last, encoding, data } = chunk;
    Chunk { min_time_ms: first, max_time_ms: last, encoding: i32::from(encoding), data }
}

fn push_frame(out: &mut Vec<u8>, message: &[u8]) {
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    out.extend_from_slice(message);
}
