//! `kandela query promql`: ask any server that speaks Prometheus' HTTP API.

mod caret;
mod csv;
mod graph;
mod split;
mod values;

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kandela_model::Timestamp;
use reqwest::header::{HeaderName, HeaderValue};

use super::{tell, text_of, warn};
use crate::client::{ServerArguments, parse_header};
use crate::engine::{Engine, EngineArguments};
use crate::output::{Outcome, height, line, on_terminal, width};
use crate::progress::while_waiting;
use crate::prometheus::{Answer, Api, Document, Failure, When};
use crate::table::harmless;
use crate::when::{nice_step, now, parse_step, parse_time};

/// Points over time where no step is named: two for each column of a plot, nearly.
const POINTS: u64 = 150;

#[derive(Args)]
pub(crate) struct Promql {
    /// The query; `-` reads it from standard input
    query: String,
    /// As of when, instead of now: now-1h, 2026-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "from")]
    at: Option<Timestamp>,
    /// Values over time, since when
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Until when; now where left out
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "from")]
    to: Option<Timestamp>,
    /// How far apart the values are, as 30s; by the length of time where left out
    #[arg(long, value_name = "DURATION", value_parser = parse_step, requires = "from")]
    step: Option<Duration>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    engine: EngineArguments,
    /// A header to send with --remote-read, as `X-Scope-OrgID: shop`; may be given more than once
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header, requires = "remote_read")]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How to print; where left out, a plot of values over time on a terminal, else a table
    #[arg(long, value_enum)]
    format: Option<AnswerAs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AnswerAs {
    /// Text that fits 80 columns
    Table,
    /// The server's answer, byte for byte; of an error, nothing but words on standard error
    Json,
    /// CSV with a header
    Csv,
    /// Curves
    Plot,
}

impl Promql {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let query = text_of(&self.query)?;
        anyhow::ensure!(!query.trim().is_empty(), "the query is empty");
        let when = self.when()?;
        let headers = self.headers.iter().cloned().collect();
        let (document, body) = match self.engine.engine(headers, self.server.token.as_deref())? {
            Some(engine) => here(&engine, &query, when).await?,
            None => self.there(&query, when).await?,
        };
        if let Some(failure) = &document.failure {
            anyhow::bail!("{}", refusal(&query, failure));
        }
        let Some(answer) = document.data else { anyhow::bail!("the answer has no data") };
        document.warnings.iter().for_each(|told| warn(told.trim_start_matches("PromQL warning: ")));
        document.infos.iter().for_each(|told| tell("info", told.trim_start_matches("PromQL info: ")));
        match self.format.unwrap_or_else(|| usual(&answer)) {
            AnswerAs::Json => line(String::from_utf8_lossy(&body).trim_end()),
            AnswerAs::Csv if on_terminal() => {
                csv::lines(&answer).iter().for_each(|text| line(&harmless(text)));
            }
            AnswerAs::Csv => print(&csv::lines(&answer)),
            AnswerAs::Table => print(&values::lines(&answer, width())),
            AnswerAs::Plot => print(&graph::lines(&answer, when, width(), height())?),
        }
        Ok(Outcome::Done)
    }

    /// What the server answers, read and as it came.
    async fn there(&self, query: &str, when: When) -> anyhow::Result<(Document, Vec<u8>)> {
        let api = Api::new(self.server.clone());
        let reply = while_waiting(&format!("asking {}", api.url()), api.query(query, when)).await?;
        let mut document: Document = reply.read().with_context(|| api.url())?;
        if let Some(failure) = &mut document.failure
            && caret::place(query, &failure.message).is_none()
        {
            failure.message = format!("{} says {}: {}", api.url(), reply.status, failure.message);
        }
        Ok((document, reply.body))
    }

    fn when(&self) -> anyhow::Result<When> {
        let Some(from) = self.from else { return Ok(When::Instant(self.at.map(Timestamp::millis))) };
        let (from, to) = (from.millis(), self.to.unwrap_or_else(now).millis());
        anyhow::ensure!(from <= to, "--from lies behind --to");
        let step = self.step.unwrap_or_else(|| nice_step(Duration::from_millis(from.abs_diff(to)), POINTS));
        Ok(When::Range { from, to, step: i64::try_from(step.as_millis()).context("--step is too long")? })
    }
}

/// What the engine answers, and the same in JSON.
async fn here(engine: &Engine, query: &str, when: When) -> anyhow::Result<(Document, Vec<u8>)> {
    let document = while_waiting("evaluating", engine.query(query, when)).await?;
    let body = serde_json::to_vec(&document)?;
    Ok((document, body))
}

fn usual(answer: &Answer) -> AnswerAs {
    let has_course = matches!(answer, Answer::Matrix(series) if !series.is_empty());
    if has_course && on_terminal() { AnswerAs::Plot } else { AnswerAs::Table }
}

fn print(lines: &[String]) {
    lines.iter().for_each(|text| line(text));
}

/// What is wrong with the query, with the place in it where one is told.
fn refusal(query: &str, failure: &Failure) -> String {
    match caret::place(query, &failure.message) {
        Some((at, told)) => format!("{told}\n\n{}", caret::under(query, at, width())),
        None => failure.message.clone(),
    }
}
