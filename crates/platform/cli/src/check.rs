//! `kandela check`: look at things before they are relied upon.

mod config;
mod parity;
mod rules;

use clap::Subcommand;

use crate::output::Outcome;

#[derive(Subcommand)]
pub(crate) enum Check {
    /// Check kandela.yaml or prometheus.yml files
    Config(config::CheckConfig),
    /// Check files of recording and alerting rules
    Rules(rules::CheckRules),
    /// Ask two servers the same queries, and tell where their answers differ
    Parity(parity::CheckParity),
}

impl Check {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Config(check) => check.run(),
            Self::Rules(check) => check.run(),
            Self::Parity(check) => check.run().await,
        }
    }
}
