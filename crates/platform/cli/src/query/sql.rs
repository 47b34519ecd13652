//! `kandela query sql`: ask a server, or a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::{FutureExt as _, StreamExt as _};
use kandela_lake::{Answer, Lake, LakeConfig, Quarantined, QueryLimits};
use kandela_model::TenantId;
use kandela_server::{RowEncoder, RowFormat, WARNING};
use serde_json::Value;

use super::{text_of, warn};
use crate::client::{ServerArguments, successful};
use crate::output::{Outcome, grouped, line, print, width};
use crate::table::{self, Column};

/// Rows that a table on the screen shows; other formats give all.
const SHOWN: usize = 1_000;

#[derive(Args)]
pub(crate) struct Sql {
    /// The query; `-` reads it from standard input
    query: String,
    #[command(flatten)]
    server: ServerArguments,
    /// Read this data folder instead, which no server may be using
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t)]
    format: RowsAs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum RowsAs {
    /// Text that fits 80 columns
    #[default]
    Table,
    /// One JSON document
    Json,
    /// CSV with a header
    Csv,
}

impl Sql {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let query = text_of(&self.query)?;
        let mut out = Sink::new(self.format);
        match &self.data {
            Some(folder) => {
                let tenant = TenantId::new(self.server.tenant.as_str())?;
                offline(&folder.join(tenant.as_str()), &query, self.format, &mut out).await?;
            }
            None => self.online(query, &mut out).await?,
        }
        out.finish()
    }

    async fn online(&self, query: String, out: &mut Sink) -> anyhow::Result<()> {
        let path = format!("/api/sql?format={}", if self.format == RowsAs::Csv { "csv" } else { "json" });
        let answer = successful(self.server.post(&path, "text/plain", query).await?).await?;
        answer.headers().get_all(WARNING).iter().filter_map(|value| value.to_str().ok()).for_each(warn);
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            if !out.take(&piece.context("the answer broke off; the server's log says why")?) {
                break;
            }
        }
        Ok(())
    }
}

async fn offline(folder: &Path, query: &str, format: RowsAs, out: &mut Sink) -> anyhow::Result<()> {
    anyhow::ensure!(folder.is_dir(), "there is no lake in {}; check --data and --tenant", folder.display());
    let lake = Lake::open(LakeConfig::at(folder)).await?;
    let limits = QueryLimits { timeout: Duration::from_secs(3_600), ..QueryLimits::default() };
    let Answer { rows: mut batches, warnings } = lake.sql(query, &limits).await?;
    let format = if format == RowsAs::Csv { RowFormat::Csv } else { RowFormat::Json };
    let mut encoder = RowEncoder::new(format, &batches.schema(), &warnings)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| kandela_lake::explain(&error))?;
        if !out.take(&encoder.push(&batch)?) {
            return Ok(());
        }
    }
    out.take(&encoder.finish()?);
    while let Some(Some(file)) = lake.next_quarantined().now_or_never() {
        let Quarantined { table, file, reason, rows, .. } = file;
        warn(&format!("{table}/{file} with {rows} rows is damaged ({reason}) and was put aside"));
    }
    warnings.iter().for_each(|warning| warn(warning));
    Ok(())
}

/// Where the bytes of an answer go: straight through, or, for a table, all of them first.
enum Sink {
    Through,
    Table(Vec<u8>),
}

impl Sink {
    fn new(format: RowsAs) -> Self {
        match format {
            RowsAs::Table => Self::Table(Vec::new()),
            RowsAs::Json | RowsAs::Csv => Self::Through,
        }
    }

    /// Takes bytes, and tells whether it wants more.
    fn take(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Through => print(bytes),
            Self::Table(all) => {
                all.extend_from_slice(bytes);
                true
            }
        }
    }

    fn finish(self) -> anyhow::Result<Outcome> {
        if let Self::Table(all) = self {
            print_table(&serde_json::from_slice(&all).context("reading the answer")?);
        }
        Ok(Outcome::Done)
    }
}

fn print_table(document: &Value) {
    let empty = Vec::new();
    let described = document["columns"].as_array().unwrap_or(&empty);
    let name = |column: &Value| column["name"].as_str().unwrap_or_default().to_owned();
    let is_numeric = |column: &Value| {
        let kind = column["type"].as_str().unwrap_or_default();
        ["Int", "UInt", "Float", "Decimal"].iter().any(|prefix| kind.starts_with(prefix))
    };
    let columns: Vec<Column> =
        described.iter().map(|column| Column { title: name(column), numeric: is_numeric(column) }).collect();
    let rows = document["rows"].as_array().unwrap_or(&empty);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .take(SHOWN)
        .map(|row| columns.iter().map(|column| table::shown(row.get(&column.title))).collect())
        .collect();
    line(table::render(&columns, &cells, width()).trim_end());
    let word = if rows.len() == 1 { "row" } else { "rows" };
    let count = grouped(rows.len() as u64);
    if rows.len() > SHOWN {
        line(&format!("\n{count} {word}, the first {} shown; --format csv gives all", grouped(SHOWN as u64)));
    } else {
        line(&format!("\n{count} {word}"));
    }
}
