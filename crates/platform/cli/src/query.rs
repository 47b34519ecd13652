//! `kandela query`: ask a server, or a folder.

mod promql;
mod sql;

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::Subcommand;

use crate::output::{Outcome, width, wrapped};

#[derive(Subcommand)]
pub(crate) enum Query {
    /// Ask in SQL, over the tables and the view `metrics`
    Sql(sql::Sql),
    /// Ask in PromQL, this server or any other that speaks Prometheus' HTTP API
    Promql(promql::Promql),
}

impl Query {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Sql(sql) => sql.run().await,
            Self::Promql(promql) => promql.run().await,
        }
    }
}

/// The query as it was given, or for `-` what stands on standard input.
fn text_of(query: &str) -> anyhow::Result<String> {
    if query != "-" {
        return Ok(query.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading the query from standard input")?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// On standard error, so that the answer stays alone.
fn warn(sentence: &str) {
    tell("warning", sentence);
}

/// Says something beside the answer, in lines that end between words.
fn tell(kind: &str, sentence: &str) {
    let sentence = format!("{kind}: {sentence}");
    match std::io::stderr().is_terminal() {
        true => wrapped(&sentence, width()).iter().for_each(|text| eprintln!("{text}")),
        false => eprintln!("{sentence}"),
    }
}
