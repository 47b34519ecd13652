//! History from a server that answers Prometheus' remote read.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use kandela_ingest::remote_write::read::{MatchKind, Matcher, Query};
use kandela_model::{MetricBatch, Timestamp};
use kandela_promql::MatchOp;
use kandela_server::{RemotePiece, RemoteRead as Remote, RemoteReadError};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::intake::Parcel;
use super::{Findings, MAX_NAMED};
use crate::client::parse_header;
use crate::when::{now, parse_time};

/// What is asked for at once, in milliseconds: a block of Prometheus.
const SPAN: i64 = 2 * 3_600 * 1_000;
/// The shortest span that is still halved when an answer is too large.
const SHORTEST: i64 = 60 * 1_000;
const TRIES: u32 = 4;

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

impl RemoteRead {
    /// Checks what was asked for before anything is opened.
    pub(super) fn prepare(self) -> anyhow::Result<Reading> {
        let (from, to) = (self.from.millis(), self.to.unwrap_or_else(now).millis());
        anyhow::ensure!(from <= to, "--from lies behind --to");
        let all =
            || vec![Matcher { kind: MatchKind::NotEqual, name: "__name__".to_owned(), value: String::new() }];
        let selectors = if self.matching.is_empty() { vec![all().into()] } else { self.matching };
        let remote = Remote::new(self.url, self.headers.into_iter().collect(), None)?;
        Ok(Reading { remote, from, to, selectors, findings: Findings::default() })
    }
}

/// A read that is under way.
pub(super) struct Reading {
    remote: Remote,
    from: i64,
    to: i64,
    selectors: Vec<Selector>,
    findings: Findings,
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
                Err(Failure::Remote(RemoteReadError::TooLarge { .. })) if span > SHORTEST => span /= 2,
                Err(Failure::Remote(error @ RemoteReadError::TooLarge { .. })) => {
                    return Err(anyhow!(error).context("one minute is too much; ask for less with --match"));
                }
                Err(Failure::Remote(error)) => return Err(error.into()),
                Err(Failure::Stopped) => bail!("the import stopped"),
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
                Err(Failure::Remote(RemoteReadError::Passing(_))) if tries < TRIES => {
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
        let mut answer = self.remote.ask(&queries).await?;
        while let Some(RemotePiece { batch, skipped }) = answer.next().await? {
            skipped.into_iter().for_each(|(count, what)| self.skip(count, what));
            out.send(batch).await?;
        }
        Ok(())
    }

    fn skip(&mut self, count: u64, what: String) {
        self.findings.skipped += count;
        if count > 0 && self.findings.damaged.len() < MAX_NAMED {
            self.findings.damaged.push(what);
        }
    }
}

/// Why a span was not read.
enum Failure {
    Remote(RemoteReadError),
    /// Nobody takes what is read any more.
    Stopped,
}

impl From<RemoteReadError> for Failure {
    fn from(error: RemoteReadError) -> Self {
        Self::Remote(error)
    }
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
        sent.map_err(|_| Failure::Stopped)
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
