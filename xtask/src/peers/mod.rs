//! Side-by-side measurements against other systems, each under the same load in the same run.
//!
//! Nothing is installed here: what is missing is named with the command that gets it. `peers/README.md` says how to read
//! the numbers.

mod ingest;
mod load;
mod pages;
mod process;
mod query;
mod remote_write;
mod report;
mod storage;
mod system;

use std::path::Path;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Remote-write ingest: samples per CPU-second, memory and disk
    Ingest(ingest::Arguments),
    /// PromQL over the same data: range queries, a dashboard under load, one series among many
    Query(query::Arguments),
    /// Bytes on disk for each sample of a real node_exporter, after compaction
    Storage(storage::Arguments),
}

pub(crate) fn run(root: &Path, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Ingest(arguments) => ingest::run(root, arguments),
        Command::Query(arguments) => query::run(root, arguments),
        Command::Storage(arguments) => storage::run(root, arguments),
    }
}
