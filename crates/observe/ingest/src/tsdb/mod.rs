//! Prometheus' TSDB as it lies on disk.

pub mod chunk;
