//! Prometheus remote write, both versions, and remote read.
