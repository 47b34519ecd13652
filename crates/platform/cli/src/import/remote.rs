//! History from a server that answers Prometheus' remote read.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use kandela_ingest::remote_write::read::{
    Frames, MatchKind, Matcher, Query, REQUEST_CONTENT_TYPE, ReadError, ResponseKind, decode_chunks,
    decode_samples, encode_request,
};
use kandela_ingest::remote_write::{Decoder, Limits, WriteError};
use kandela_model::{MetricBatch, Timestamp};
use kandela_promql::MatchOp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::sync::mpsc;

use super::intake::Parcel;
use super::{Findings, MAX_NAMED};
use crate::when::{now, parse_time};

/// What is asked for at once, in milliseconds: a block of Prometheus.
const SPAN: i64 = 2 * 3_600 * 1_000;
/// The shortest span that is still halved when an answer is too large.
const SHORTEST: i64 = 60 * 1_000;
const TRIES: u32 = 4;
const BATCH_POINTS: usize = 10_000;
/// An answer of samples comes whole; one of chunks in frames.
const LIMITS: Limits = Limits { decompressed_bytes: 256 << 20, batch_bytes: 256 << 20 };
const MAX_BODY: usize = 128 << 20;

#[derive(Args)]
pub(super) struct RemoteRead {
    /// The server; /api/v1/read where the URL has no path
    url: Url,
    /// Since when: now-30d, 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Timestamp,
    /// Until when, included; now where left out
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Which series, as `up{job="shop"}`; may be given more than once. All where left out
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector)]
    matching: Vec<Selector>,
    /// A header to send, as `X-Scope-OrgID: shop`; may be given more than once
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

type Selector = std::sync::Arc<[Matcher]>;

/// A selector of PromQL without range, offset or `@`.
fn parse_selector(text: &str) -> Result<Selector, String> {
    let matchers = kandela_promql::parse_selector(text)
        .map_err(|error| format!("{error}; a selector is written as up{{job=\"shop\"}}"))?;
    let matcher = |of: kandela_promql::Matcher| {
        let kind = match of.op {
            MatchOp::Equal => MatchKind::Equal,
            MatchOp::NotEqual => MatchKind::NotEqual,
            MatchOp::Regex => MatchKind::Regex,
            MatchOp::NotRegex => MatchKind::NotRegex,
        };
        Matcher { kind, name: of.name, value: of.value }
    };
    Ok(matchers.into_iter().map(matcher).collect())
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written NAME: VALUE")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| error.to_string())?;
    Ok((name, value.trim().parse::<HeaderValue>().map_err(|error| error.to_string())?))
}

impl RemoteRead {
    /// Checks what was asked for before anything is opened.
    pub(super) fn prepare(self) -> anyhow::Result<Reading> {
        let (from, to) = (self.from.millis(), self.to.unwrap_or_else(now).millis());
        anyhow::ensure!(from <= to, "--from lies behind --to");
        let mut url = self.url;
        anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "{url} is no http or https URL");
        if url.path() == "/" {
            url.set_path("/api/v1/read");
        }
        let all =
            || vec![Matcher { kind: MatchKind::NotEqual, name: "__name__".to_owned(), value: String::new() }];
        let selectors = if self.matching.is_empty() { vec![all().into()] } else { self.matching };
        let client = Client::builder().default_headers(self.headers.into_iter().collect::<HeaderMap>());
        Ok(Reading { client: client.build()?, url, from, to, selectors, findings: Findings::default() })
    }
}

/// A read that is under way.
pub(super) struct Reading {
    client: Client,
    url: Url,
    from: i64,
    to: i64,
    selectors: Vec<Selector>,
    findings: Findings,
}

/// Why a span was not read.
enum Failure {
    /// Its answer is too large; half of it may be right.
    TooLarge,
    /// It may go better another time.
    Passing(anyhow::Error),
    Final(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

impl Reading {
    /// Reads span after span, oldest first, and sends what comes.
    pub(super) async fn run(mut self, send: mpsc::Sender<Parcel>) -> anyhow::Result<Findings> {
        let mut out = Out { send, from: self.from, to: self.to, reached: self.from };
        let mut at = self.from;
        let mut span = SPAN;
        while at <= self.to {
            let end = at.saturating_add(span - 1).min(self.to);
            match self.read_patiently(at, end, &mut out).await {
                Ok(()) => at = end.saturating_add(1),
                Err(Failure::TooLarge) if span > SHORTEST => span /= 2,
                Err(Failure::TooLarge) => {
                    bail!(
                        "{} answers with more than {MAX_BODY} bytes for one minute; ask for less with --match",
                        self.url
                    )
                }
                Err(Failure::Passing(error) | Failure::Final(error)) => return Err(error),
            }
        }
        Ok(self.findings)
    }

    /// Tries again where that may help. Points that came before a failure come twice, which the lake notices.
    async fn read_patiently(&mut self, start: i64, end: i64, out: &mut Out) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.read_span(start, end, out).await {
                Err(Failure::Passing(_)) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_secs(1 << (tries - 1))).await;
                }
                result => return result,
            }
        }
    }

    async fn read_span(&mut self, start: i64, end: i64, out: &mut Out) -> Result<(), Failure> {
        out.reached = start;
        let (first, last) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let queries: Vec<Query> = self
            .selectors
            .iter()
            .map(|matchers| Query { start: first, end: last, matchers: matchers.to_vec() })
            .collect();
        let answer = self.ask(encode_request(&queries)).await?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let kind = ResponseKind::from_content_type(content_type.unwrap_or_default());
        match kind.context(self.url.to_string())? {
            ResponseKind::Samples => self.read_samples(answer, out).await,
            ResponseKind::Chunks => self.read_chunks(answer, first, last, out).await,
        }
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Response, Failure> {
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", REQUEST_CONTENT_TYPE)
            .header("content-encoding", "snappy")
            .header("x-prometheus-remote-read-version", "0.1.0")
            .body(body);
        let sent = request.send().await;
        let answer = sent.map_err(|error| Failure::Passing(anyhow!(error).context("no answer")))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let told = answer.text().await.unwrap_or_default();
        let error = anyhow!("{} says {status}: {}", self.url, told.trim());
        let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(if passing { Failure::Passing(error) } else { Failure::Final(error) })
    }

    async fn read_samples(&mut self, answer: Response, out: &mut Out) -> Result<(), Failure> {
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(broke_off)?);
            if body.len() > MAX_BODY {
                return Err(Failure::TooLarge);
            }
        }
        let mut batch = MetricBatch::default();
        let rejections = match decode_samples(&mut Decoder::new(LIMITS), &body, &mut batch) {
            Ok(rejections) => rejections,
            Err(ReadError::Samples(WriteError::TooLarge { .. })) => return Err(Failure::TooLarge),
            Err(error) => return Err(anyhow!(error).into()),
        };
        self.skip(rejections.count, || rejections.to_string());
        out.send(batch).await
    }

    async fn read_chunks(
        &mut self,
        answer: Response,
        first: Timestamp,
        last: Timestamp,
        out: &mut Out,
    ) -> Result<(), Failure> {
        let mut frames = Frames::default();
        let mut batch = MetricBatch::default();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            frames.push(&piece.map_err(broke_off)?);
            while let Some(frame) = frames.next_frame().map_err(|error| anyhow!(error))? {
                // Chunks reach beyond what was asked for.
                match decode_chunks(frame, |ts| (first..=last).contains(&ts), &mut batch) {
                    Ok(points) => {
                        if let Some(why) = points.first_refusal {
                            self.skip(points.refused as u64, || why.to_string());
                        }
                    }
                    Err(error @ ReadError::Chunk { .. }) => self.skip(1, || error.to_string()),
                    Err(error) => return Err(anyhow!(error).into()),
                }
                if batch.points() >= BATCH_POINTS {
                    out.send(std::mem::take(&mut batch)).await?;
                }
            }
        }
        frames.finish().map_err(|error| Failure::Passing(anyhow!(error)))?;
        out.send(batch).await
    }

    fn skip(&mut self, count: u64, what: impl FnOnce() -> String) {
        self.findings.skipped += count;
        if count > 0 && self.findings.damaged.len() < MAX_NAMED {
            self.findings.damaged.push(what());
        }
    }
}

fn broke_off(error: reqwest::Error) -> Failure {
    Failure::Passing(anyhow!(error).context("the answer broke off"))
}

/// Where batches go, and how far in time they are.
struct Out {
    send: mpsc::Sender<Parcel>,
    from: i64,
    to: i64,
    reached: i64,
}

impl Out {
    async fn send(&self, batch: MetricBatch) -> Result<(), Failure> {
        let (done, total) = (self.reached.abs_diff(self.from), self.to.abs_diff(self.from));
        let sent = self.send.send(Parcel { batch, done, total }).await;
        sent.map_err(|_| Failure::Final(anyhow!("the import stopped")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_becomes_matchers() {
        let selector = parse_selector(r#"up{job="shop",instance!~"a.*"}"#).unwrap();
        let told: Vec<_> = selector.iter().map(|m| (m.kind, m.name.as_str(), m.value.as_str())).collect();
        assert_eq!(
            told,
            [
                (MatchKind::Equal, "job", "shop"),
                (MatchKind::NotRegex, "instance", "a.*"),
                (MatchKind::Equal, "__name__", "up"),
            ]
        );
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["rate(up[5m])", "up offset 5m", "up[5m]", "up{", "1"] {
            assert!(parse_selector(text).is_err(), "{text}");
        }
    }
}
