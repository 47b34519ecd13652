//! The autopilot on this server: PromQL over the lake measures, the `events` table is the ledger, and HTTP takes people's orders.

mod config;
mod ledger;
mod measure;
mod office;
mod query;
mod systems;

pub use config::ConfigError;
pub(crate) use config::{SystemConfig, read};
pub(crate) use ledger::LakeLedger;
pub(crate) use systems::{Systems, manage};
