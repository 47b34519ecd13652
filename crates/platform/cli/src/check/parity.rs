//! `kandela check parity`: do two servers answer alike?

mod ask;
mod compare;
mod difference;
mod newest;
mod print;
mod queries;
mod selectors;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kandela_model::Timestamp;
use reqwest::header::HeaderMap;

use crate::client::ServerArguments;
use crate::engine::EngineArguments;
use crate::output::{Format, Outcome, line};
use crate::prometheus::Api;
use crate::when::{parse_step, parse_time};
use ask::{Asked, Asking, Stretch};

/// Points of a range query that Prometheus gives at most.
const MAX_POINTS: u128 = 11_000;

#[derive(Args)]
pub(crate) struct CheckParity {
    /// The server whose answers are taken as right
    #[arg(long, value_name = "URL")]
    against: String,
    /// A bearer token for it
    #[arg(long, value_name = "TOKEN", env = "KANDELA_AGAINST_TOKEN", hide_env_values = true)]
    against_token: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    engine: EngineArguments,
    /// Ask the expressions of these rule files
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "queries")]
    rules: Vec<PathBuf>,
    /// Ask the queries of these files, one a line; without files, the rules that --against has loaded
    #[arg(long, value_name = "FILE", num_args = 1..)]
    queries: Vec<PathBuf>,
    /// How long a stretch of time is compared
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = parse_step)]
    length: Duration,
    /// Until when; where left out, the newest time that both have data for
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// The step of range queries
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_step)]
    step: Duration,
    /// Labels that only one of the two sets, as external labels; may be given more than once
    #[arg(long = "ignore-label", value_name = "NAME")]
    ignored_labels: Vec<String>,
    /// Warnings and infos that differ are a failure too
    #[arg(long)]
    strict: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl CheckParity {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        anyhow::ensure!(
            self.length.as_millis() / self.step.as_millis().max(1) < MAX_POINTS,
            "--for is more than {MAX_POINTS} times --step, which Prometheus refuses; make --step longer"
        );
        let there = ServerArguments {
            server: self.against.clone(),
            token: self.against_token.clone(),
            ..self.server.clone()
        };
        let there = Api::new(there);
        let here = match self.engine.engine(HeaderMap::new(), self.server.token.as_deref())? {
            Some(engine) => Asked::Engine(engine),
            None => Asked::Server(Api::new(self.server.clone())),
        };
        let queries = match (self.rules.as_slice(), self.queries.as_slice()) {
            ([], []) => queries::of_server(&there).await?,
            ([], files) => queries::of_query_files(files)?,
            (files, _) => queries::of_rule_files(files)?,
        };
        anyhow::ensure!(!queries.is_empty(), "there is no query to ask; give some with --rules or --queries");
        let asking = Asking { here, there: Asked::Server(there), ignored_labels: self.ignored_labels };
        let to = match self.to {
            Some(to) => to.millis(),
            None => asking.newest(&queries).await?,
        };
        let stretch = Stretch::ending(to, self.length, self.step);
        let report = asking.compare(&queries, stretch).await;
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(&report)?),
            Format::Table => print::print(&report, self.strict),
        }
        if let Some(why) = report.unknown() {
            anyhow::bail!(why);
        }
        let failed = !report.differing.is_empty() || self.strict && !report.noted_differently.is_empty();
        Ok(if failed { Outcome::CheckFailed } else { Outcome::Done })
    }
}
