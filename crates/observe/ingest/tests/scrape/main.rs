//! Scraping real servers on the loopback device.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod beside_prometheus;
mod connection;
mod discovery;
mod lifecycle;
mod samples;
mod support;
