//! The binary with the real systems around it.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod autopilot;
mod beside;
mod clients;
mod demo;
mod full_disk;
mod imports_history;
mod kandela;
mod opentelemetry;
mod parity;
mod parity_report;
mod peer;
mod prometheus;
mod promql;
mod remote_write;
mod standard_output;
mod stub;
mod tune;
mod victoria_metrics;
