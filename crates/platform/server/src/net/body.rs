//! Bodies of bounded size, before and after decompression.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures::StreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode};

use crate::admission::{Admission, Room};
use crate::refusal::Refusal;

/// How large a request body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    /// Bytes as they come over the wire.
    pub wire: usize,
    /// Bytes after decompression.
    pub decompressed: usize,
    /// How long the client may take to send it.
    pub timeout: Duration,
}

/// How much of a body that is refused is read, and for how long.
const MOST_DISCARDED: usize = 256 << 20;
const DISCARDED_FOR: Duration = Duration::from_secs(5);

/// A zstd frame's window is at most 8 MiB, as HTTP requires (RFC 9659): a frame's header must not claim more memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// By `Content-Encoding`.
    ///
    /// # Errors
    /// 415 that names the encodings there are.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let word = value.to_str().unwrap_or("?").trim();
        match word.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("content encoding {word:?} is not known here; send gzip, zstd or none"),
            )),
        }
    }
}

/// Reads a body of at most `limits.wire` bytes, into room that is taken as they arrive.
///
/// # Errors
/// 413 where it is larger, 408 where it comes too slowly, 503 where there is no room for it, 400 where the connection broke.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let read = if declared.is_some_and(|length| length > limits.wire as u64) {
        Err(too_large(limits))
    } else {
        let collected = tokio::time::timeout(limits.timeout, collect(&mut chunks, limits, room)).await;
        collected.unwrap_or_else(|_| {
            let message = format!("the body did not arrive within {:?}", limits.timeout);
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, message))
        })
    };
    // Who waits to be told to go on has sent nothing yet.
    if read.is_err() && !headers.contains_key(EXPECT) {
        discard(chunks).await;
    }
    read
}

async fn collect(
    chunks: &mut BodyDataStream,
    limits: &BodyLimits,
    room: &mut Room,
) -> Result<Bytes, Refusal> {
    let mut collected = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
        if collected.len() + chunk.len() > limits.wire {
            return Err(too_large(limits));
        }
        room.grow(chunk.len()).await?;
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}

/// Reads what is left of a body that is refused: many clients look for the answer only once they have sent all.
async fn discard(mut chunks: BodyDataStream) {
    let rest = async {
        let mut read = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > MOST_DISCARDED {
                break;
            }
        }
    };
    // A client that takes longer meets a closed connection.
    let _ = tokio::time::timeout(DISCARDED_FOR, rest).await;
}

fn too_large(limits: &BodyLimits) -> Refusal {
    let key = if limits.wire == limits.decompressed { " (kandela.limits.body_size)" } else { "" };
    let message = format!("the body is larger than {} bytes{key}; send less at once", limits.wire);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// Middleware: meters a body that somebody else reads, within its limits and into room that is given back with the answer.
pub(crate) async fn meter(
    State((admission, limits)): State<(Arc<Admission>, BodyLimits)>,
    request: Request,
    next: Next,
) -> Response {
    let room = Arc::new(tokio::sync::Mutex::new(admission.room()));
    let (head, body) = request.into_parts();
    let metered = body.into_data_stream().then({
        let room = room.clone();
        move |chunk| {
            let room = room.clone();
            async move {
                let chunk = chunk.map_err(|error| tonic::Status::cancelled(error.to_string()))?;
                room.lock().await.grow(chunk.len()).await.map_err(|refusal| refusal.to_grpc())?;
                Ok::<Bytes, tonic::Status>(chunk)
            }
        }
    });
    let request = Request::from_parts(head, Body::from_stream(metered));
    let answered = tokio::time::timeout(limits.timeout, next.run(request)).await;
    drop(room);
    answered.unwrap_or_else(|_| tonic::Status::deadline_exceeded("the request took too long").into_http())
}

/// Decompresses at most `limit` bytes; memory grows with what really comes out, never with what a header claims.
///
/// # Errors
/// 413 where more would come out, 400 where the bytes are not what the encoding says.
pub(crate) fn decompress(encoding: Encoding, body: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let decompressed = match encoding {
        Encoding::Identity => return Ok(body),
        Encoding::Gzip => read_at_most(MultiGzDecoder::new(body.as_ref()), limit),
        Encoding::Zstd => zstd::stream::read::Decoder::with_buffer(body.as_ref()).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            read_at_most(decoder, limit)
        }),
    };
    match decompressed {
        Ok(Some(bytes)) => Ok(bytes.into()),
        Ok(None) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body decompresses to more than {limit} bytes; send smaller batches"),
        )),
        Err(error) => {
            let message = format!("the body cannot be decompressed as {encoding:?}: {error}");
            Err(Refusal::new(StatusCode::BAD_REQUEST, message))
        }
    }
}

fn read_at_most(reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut out)?;
    Ok((out.len() <= limit).then_some(out))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn both_encodings_come_back_whole() {
        let text = b"telemetry".repeat(1000);
        let zstd: Bytes = zstd::encode_all(text.as_slice(), 3).unwrap().into();
        assert_eq!(decompress(Encoding::Gzip, gzip(&text), text.len()).unwrap(), text);
        assert_eq!(decompress(Encoding::Zstd, zstd, text.len()).unwrap(), text);
    }

    #[test]
    fn a_decompression_bomb_is_refused_by_what_comes_out() {
        let bomb = vec![0_u8; 8 << 20];
        let zstd: Bytes = zstd::encode_all(bomb.as_slice(), 19).unwrap().into();
        assert!(zstd.len() < 4096);
        for (encoding, body) in [(Encoding::Gzip, gzip(&bomb)), (Encoding::Zstd, zstd)] {
            let refusal = decompress(encoding, body, 1 << 20).unwrap_err();
            assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[test]
    fn bytes_that_are_not_compressed_are_a_bad_request() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let refusal = decompress(encoding, Bytes::from_static(b"plain"), 100).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
    }
}
