//! Metrics of this machine, under node_exporter's names.
