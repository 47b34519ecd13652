//! Scenarios: a real server, driven by real clients over sockets. One file a subject, one test a scenario.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod dashboards;
mod door;
mod forwarding;
mod health;
mod otlp;
mod own_telemetry;
mod prometheus_api;
mod redaction;
mod remote_write;
mod scraping;
mod sql;
mod support;
