//! Remote read, the client's side: what to ask a remote server, and how to read its answer.
//!
//! A server answers in one of two ways (<https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>): all samples in
//! one compressed message, which [`decode_samples`] reads, or a stream of frames with the chunks that it keeps, which
//! [`Frames`] and [`decode_chunks`] read without holding the whole answer.

use kandela_model::{MetricBatch, Timestamp};

use super::decode::Decoder;
use super::encode::compress;
use super::labels::LabelScratch;
use super::message::WriteError;
use super::reject::{Reason, Rejections};
use super::v1::{read_label, read_series};
use crate::protobuf::{Malformed, Reader, put_bytes, put_int, put_message, put_uint};
use crate::tsdb::chunk::{self, ChunkError, ChunkPoints};

/// `Content-Type` of a request; its `Content-Encoding` is `snappy`, its `X-Prometheus-Remote-Read-Version` is `0.1.0`.
pub const REQUEST_CONTENT_TYPE: &str = "application/x-protobuf";

/// The largest frame that a server may send. Prometheus keeps its own below 1 MiB.
const MAX_FRAME_BYTES: usize = 32 << 20;

/// One selection of series over a time range.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Earliest time, included.
    pub start: Timestamp,
    /// Latest time, included.
    pub end: Timestamp,
    /// All of them must match.
    pub matchers: Vec<Matcher>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// How.
    pub kind: MatchKind,
    /// The label's name.
    pub name: String,
    /// The value, or the pattern.
    pub value: String,
}

/// How a label is compared; regular expressions are anchored, in RE2's syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// The compressed body of a request that asks for chunks where the server has them, and for samples otherwise.
pub fn encode_request(queries: &[Query]) -> Vec<u8> {
    let mut message = Vec::new();
    for query in queries {
        put_message(&mut message, 1, |out| {
            put_int(out, 1, query.start.millis());
            put_int(out, 2, query.end.millis());
            for matcher in &query.matchers {
                put_message(out, 3, |out| {
                    put_uint(out, 1, matcher.kind as u64);
                    put_bytes(out, 2, matcher.name.as_bytes());
                    put_bytes(out, 3, matcher.value.as_bytes());
                });
            }
        });
    }
    // STREAMED_XOR_CHUNKS, then SAMPLES, in order of preference.
    put_message(&mut message, 2, |out| out.extend_from_slice(&[1, 0]));
    compress(&mut snap::raw::Encoder::new(), &message)
}

/// Which of the two kinds of answer a response holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// One compressed message with samples.
    Samples,
    /// Frames with chunks, not compressed.
    Chunks,
}

impl ResponseKind {
    /// Reads the response's `Content-Type`.
    ///
    /// # Errors
    /// When it is neither of the two.
    pub fn from_content_type(content_type: &str) -> Result<Self, ReadError> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        match media {
            "application/x-protobuf" => Ok(Self::Samples),
            "application/x-streamed-protobuf" => Ok(Self::Chunks),
            _ => Err(ReadError::ContentType { content_type: content_type.to_owned() }),
        }
    }
}

/// Why an answer could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The answer's `Content-Type` is none of remote read's.
    #[error("the server answers with content type {content_type:?}, which is no remote-read response")]
    ContentType {
        /// As it came.
        content_type: String,
    },
    /// The message with samples could not be read.
    #[error(transparent)]
    Samples(#[from] WriteError),
    /// A frame is larger than any server sends.
    #[error("a frame declares {len} bytes, over the limit of {max}")]
    FrameTooLarge {
        /// As declared.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// A frame's bytes do not have the checksum that it declares.
    #[error("a frame has checksum {found:08x} instead of {declared:08x}; the answer was damaged on its way")]
    Checksum {
        /// As declared.
        declared: u32,
        /// As computed.
        found: u32,
    },
    /// A frame holds no `prometheus.ChunkedReadResponse`.
    #[error("a frame is not a prometheus.ChunkedReadResponse message: {0}")]
    Frame(#[from] Malformed),
    /// The labels of a series are no label set.
    #[error("a series of the answer is invalid: {0}")]
    Series(Reason),
    /// A chunk cannot be read.
    #[error("a chunk of series {series} cannot be read: {error}")]
    Chunk {
        /// The series.
        series: String,
        /// What is wrong with it.
        error: ChunkError,
    },
    /// The answer ends within a frame.
    #[error("the answer ends within a frame; ask again")]
    Truncated,
}

/// Reads an answer of samples into `batch`, replacing what it held. The results of all queries come as one.
///
/// # Errors
/// When the body is not such a message or goes past the decoder's limits; `batch` is then empty.
pub fn decode_samples(
    decoder: &mut Decoder,
    body: &[u8],
    batch: &mut MetricBatch,
) -> Result<Rejections, ReadError> {
    let rejections = decoder.decode_with("prometheus.ReadResponse", body, batch, |body, _, sink| {
        let mut response = Reader::new(body);
        while let Some(tag) = response.tag()? {
            if tag.field != 1 {
                response.skip(tag)?;
                continue;
            }
            let mut result = response.expect_message(tag)?;
            while let Some(tag) = result.tag()? {
                match tag.field {
                    1 => read_series(result.expect_message(tag)?, sink)?,
                    _ => result.skip(tag)?,
                }
            }
        }
        Ok(())
    })?;
    Ok(rejections)
}

/// Cuts a stream of chunks into frames as its bytes arrive.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Where in `buffer` the next frame begins.
    at: usize,
}

impl Frames {
    /// Takes in bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The payload of the next frame, checked; `None` until all of it is there.
    ///
    /// # Errors
    /// When it is too large or damaged.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let mut header = Reader::new(rest);
        let len = match header.varint() {
            Ok(len) => len,
            Err(_) if rest.len() < 10 => return Ok(None),
            Err(malformed) => return Err(malformed.into()),
        };
        let max = MAX_FRAME_BYTES;
        let size = usize::try_from(len).ok().filter(|size| *size <= max);
        let size = size.ok_or(ReadError::FrameTooLarge { len, max })?;
        let after_len = header.rest();
        let Some((checksum, payload)) = after_len.split_first_chunk::<4>() else { return Ok(None) };
        let Some(payload) = payload.get(..size) else { return Ok(None) };
        let (declared, found) = (u32::from_be_bytes(*checksum), crc32c::crc32c(payload));
        if declared != found {
            return Err(ReadError::Checksum { declared, found });
        }
        let start = self.at + (rest.len() - after_len.len()) + checksum.len();
        self.at = start + size;
        Ok(self.buffer.get(start..start + size))
    }

    /// Checks that the stream ended between frames.
    ///
    /// # Errors
    /// When it did not.
    pub fn finish(&self) -> Result<(), ReadError> {
        if self.at == self.buffer.len() { Ok(()) } else { Err(ReadError::Truncated) }
    }
}

/// Adds the points of a frame's payload, a `prometheus.ChunkedReadResponse`, to `batch`: those whose times `keep` lets
/// through, since chunks begin before and end after what was asked for. Chunks may overlap, and later frames may go on with the
/// same series.
///
/// # Errors
/// When it is not such a message, a series has no valid labels, or a chunk is damaged. What stood before it is in `batch`.
pub fn decode_chunks(
    payload: &[u8],
    keep: impl Fn(Timestamp) -> bool,
    batch: &mut MetricBatch,
) -> Result<ChunkPoints, ReadError> {
    let mut response = Reader::new(payload);
    let mut scratch = LabelScratch::default();
    let mut all = ChunkPoints::default();
    while let Some(tag) = response.tag()? {
        match tag.field {
            1 => read_series_of_chunks(response.expect_message(tag)?, &mut scratch, &keep, batch, &mut all)?,
            _ => response.skip(tag)?,
        }
    }
    Ok(all)
}

fn read_series_of_chunks(
    mut reader: Reader<'_>,
    scratch: &mut LabelScratch,
    keep: &impl Fn(Timestamp) -> bool,
    batch: &mut MetricBatch,
    all: &mut ChunkPoints,
) -> Result<(), ReadError> {
    scratch.clear();
    let mut chunks = Vec::new();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => read_label(&mut reader, tag, scratch)?,
            2 => chunks.push(read_chunk(reader.expect_message(tag)?)?),
            _ => reader.skip(tag)?,
        }
    }
    let series = batch.add_canonical(scratch.finish().map_err(ReadError::Series)?);
    for (encoding, data) in chunks {
        let points = chunk::append(encoding, data, keep, series, batch)
            .map_err(|error| ReadError::Chunk { series: batch.labels(series).to_string(), error })?;
        all.taken += points.taken;
        all.left_out += points.left_out;
        all.refused += points.refused;
        all.first_refusal = all.first_refusal.take().or(points.first_refusal);
    }
    Ok(())
}

/// Encoding and bytes of a `Chunk`. Its time bounds say nothing that the samples do not.
fn read_chunk(mut reader: Reader<'_>) -> Result<(u8, &[u8]), Malformed> {
    let (mut encoding, mut data) = (0, &b""[..]);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            3 => encoding = u8::try_from(reader.expect_varint(tag)?).unwrap_or_default(),
            4 => data = reader.expect_bytes(tag)?,
            _ => reader.skip(tag)?,
        }
    }
    Ok((encoding, data))
}
