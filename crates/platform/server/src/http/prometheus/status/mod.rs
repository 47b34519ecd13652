//! `/api/v1/status/…`: what the server is and how it was set up, as far as Prometheus' words fit.

mod build;
mod config;
mod runtime;
mod tsdb;

pub(super) use build::build_info;
pub(super) use config::{config, flags};
pub(super) use runtime::{runtime_info, wal_replay};
pub(super) use tsdb::tsdb;
