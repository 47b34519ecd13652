//! Reading a Prometheus TSDB folder.
