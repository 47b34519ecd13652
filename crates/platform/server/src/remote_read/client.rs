//! Asking a server for samples, and reading its answer piece by piece.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use kandela_ingest::remote_write::read::{
    Frames, Query, REQUEST_CONTENT_TYPE, ReadError, ResponseKind, decode_chunks, decode_samples,
    encode_request,
};
use kandela_ingest::remote_write::{Decoder, Limits, WriteError};
use kandela_model::{MetricBatch, Timestamp};
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url};

/// Points of a piece, about.
const PIECE: usize = 10_000;
/// An answer of samples comes whole; one of chunks in frames.
const LIMITS: Limits = Limits { decompressed_bytes: 256 << 20, batch_bytes: 256 << 20 };
const MAX_BODY: usize = 128 << 20;

/// A server that answers Prometheus' remote read, as <https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>
/// describes it. Streamed chunks are asked for first, samples where the server has no chunks.
#[derive(Clone, Debug)]
pub struct RemoteRead {
    client: Client,
    url: Url,
}

/// Why an answer could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteReadError {
    /// It is too large; one for less time or fewer series may do.
    #[error("{url} answers with more than {limit} bytes; ask for less")]
    TooLarge {
        /// Who.
        url: Url,
        /// The most that is read.
        limit: usize,
    },
    /// It may go better another time.
    #[error("{0}")]
    Passing(String),
    /// Asking again gives the same.
    #[error("{0}")]
    Final(String),
}

/// What came at a time.
#[derive(Debug, Default)]
pub struct RemotePiece {
    /// Points, those of one series not always together.
    pub batch: MetricBatch,
    /// What could not be read: how many things, and what is wrong with the first.
    pub skipped: Vec<(u64, String)>,
}

/// An answer that is being read.
pub struct RemoteBatches {
    url: Url,
    pieces: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    kind: ResponseKind,
    frames: Frames,
    first: Timestamp,
    last: Timestamp,
    done: bool,
}

impl RemoteRead {
    /// A server at `url`; where that has no path, at `/api/v1/read`. A name and password in it are sent as basic
    /// authentication, `headers` with every request. Within `timeout` an answer has to have come whole.
    ///
    /// # Errors
    /// When `url` is not of HTTP.
    pub fn new(mut url: Url, headers: HeaderMap, timeout: Option<Duration>) -> Result<Self, RemoteReadError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RemoteReadError::Final(format!("{url} is no http or https URL")));
        }
        if url.path() == "/" {
            url.set_path("/api/v1/read");
        }
        let mut client = Client::builder().default_headers(headers);
        if let Some(timeout) = timeout {
            client = client.timeout(timeout);
        }
        let client = client.build().map_err(|error| RemoteReadError::Final(error.to_string()))?;
        Ok(Self { client, url })
    }

    /// Where it is asked, without a password.
    pub fn url(&self) -> Url {
        let mut url = self.url.clone();
        // A URL that has no host has no password either.
        let _ = url.set_password(None);
        url
    }

    /// Asks for the points that `queries` choose.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn ask(&self, queries: &[Query]) -> Result<RemoteBatches, RemoteReadError> {
        let url = self.url();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", REQUEST_CONTENT_TYPE)
            .header("content-encoding", "snappy")
            .header("x-prometheus-remote-read-version", "0.1.0")
            .body(encode_request(queries));
        let answer = request
            .send()
            .await
            .map_err(|error| RemoteReadError::Passing(format!("no answer from {url}: {}", causes(&error))))?;
        let status = answer.status();
        if !status.is_success() {
            let told = answer.text().await.unwrap_or_default();
            let error = format!("{url} says {status}: {}", told.trim());
            let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            let wrap = if passing { RemoteReadError::Passing } else { RemoteReadError::Final };
            return Err(wrap(error));
        }
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let kind = ResponseKind::from_content_type(content_type.unwrap_or_default())
            .map_err(|error| RemoteReadError::Final(format!("{url}: {error}")))?;
        let first = queries.iter().map(|query| query.start).min().unwrap_or_default();
        let last = queries.iter().map(|query| query.end).max().unwrap_or_default();
        let pieces = answer.bytes_stream().boxed();
        Ok(RemoteBatches { url, pieces, kind, frames: Frames::default(), first, last, done: false })
    }
}

impl RemoteBatches {
    /// The next piece; `None` behind the last. Points outside of the time that was asked for are left out.
    ///
    /// # Errors
    /// When the answer breaks off, is damaged, or is too large.
    pub async fn next(&mut self) -> Result<Option<RemotePiece>, RemoteReadError> {
        if self.done {
            return Ok(None);
        }
        let piece = match self.kind {
            ResponseKind::Samples => self.samples().await?,
            ResponseKind::Chunks => self.chunks().await?,
        };
        Ok(Some(piece))
    }

    async fn samples(&mut self) -> Result<RemotePiece, RemoteReadError> {
        self.done = true;
        let mut body = Vec::new();
        while let Some(bytes) = self.bytes().await? {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_BODY {
                return Err(self.too_large(MAX_BODY));
            }
        }
        let mut piece = RemotePiece::default();
        match decode_samples(&mut Decoder::new(LIMITS), &body, &mut piece.batch) {
            Ok(rejections) if rejections.is_empty() => {}
            Ok(rejections) => piece.skipped.push((rejections.count, rejections.to_string())),
            Err(ReadError::Samples(WriteError::TooLarge { .. })) => {
                return Err(self.too_large(LIMITS.decompressed_bytes));
            }
            Err(error) => return Err(self.damaged(&error)),
        }
        Ok(piece)
    }

    async fn chunks(&mut self) -> Result<RemotePiece, RemoteReadError> {
        let mut piece = RemotePiece::default();
        while piece.batch.points() < PIECE {
            self.frames_into(&mut piece)?;
            if piece.batch.points() >= PIECE {
                break;
            }
            let Some(bytes) = self.bytes().await? else {
                self.done = true;
                self.frames
                    .finish()
                    .map_err(|error| RemoteReadError::Passing(format!("{}: {error}", self.url)))?;
                break;
            };
            self.frames.push(&bytes);
        }
        Ok(piece)
    }

    /// Decodes the frames that are there, until the piece is large enough.
    fn frames_into(&mut self, piece: &mut RemotePiece) -> Result<(), RemoteReadError> {
        let times = self.first..=self.last;
        let url = &self.url;
        let damaged = |error: &ReadError| RemoteReadError::Final(format!("{url}: {error}"));
        while piece.batch.points() < PIECE {
            let Some(frame) = self.frames.next_frame().map_err(|error| damaged(&error))? else {
                return Ok(());
            };
            // Chunks reach beyond what was asked for.
            match decode_chunks(frame, |ts| times.contains(&ts), &mut piece.batch) {
                Ok(points) => {
                    let refused = points.first_refusal.map(|why| (points.refused as u64, why.to_string()));
                    piece.skipped.extend(refused);
                }
                Err(error @ ReadError::Chunk { .. }) => piece.skipped.push((1, error.to_string())),
                Err(error) => return Err(damaged(&error)),
            }
        }
        Ok(())
    }

    async fn bytes(&mut self) -> Result<Option<bytes::Bytes>, RemoteReadError> {
        self.pieces.next().await.transpose().map_err(|error| {
            RemoteReadError::Passing(format!("the answer of {} broke off: {}", self.url, causes(&error)))
        })
    }

    fn too_large(&self, limit: usize) -> RemoteReadError {
        RemoteReadError::TooLarge { url: self.url.clone(), limit }
    }

    fn damaged(&self, error: &ReadError) -> RemoteReadError {
        RemoteReadError::Final(format!("{}: {error}", self.url))
    }
}

/// An error with what it came of, innermost last.
fn causes(error: &reqwest::Error) -> String {
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(first.source(), |error| error.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
