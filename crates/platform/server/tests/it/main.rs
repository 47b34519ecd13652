//! Scenarios: a real server, driven by real clients over sockets. One file a subject, one test a scenario.

mod door;
mod health;
mod otlp;
mod own_telemetry;
mod remote_write;
mod sql;
mod support;
