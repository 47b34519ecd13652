//! Prometheus' HTTP API: what Grafana, Perses, `promtool` and every client of a Prometheus ask, answered to the letter.
//!
//! What is said here follows Prometheus 3.14 (`web/api/v1`, `web/federate.go`, `storage/remote`), down to the text of numbers
//! and errors. Bodies are written by hand into buffers, since an answer may have millions of samples. `docs/prometheus-api.md`
//! is for users; it also says where an answer differs and why.

mod admin;
mod call;
mod damage;
mod error;
mod escaped_name;
mod exemplars;
mod features;
mod federate;
mod form;
mod go;
mod json;
mod language;
mod matchers;
mod memory;
mod metadata;
mod packer;
mod query;
mod read;
mod reply;
mod rules;
mod series;
mod spool;
mod status;
mod stream;
mod targets;
mod time;

use axum::routing::{get, post};
use kandela_config::kandela::Role;

use super::Routes;
pub(crate) use spool::Spool;

/// Adds the routes of the API.
pub(super) fn add(routes: Routes) -> Routes {
    routes
        .add("/api/v1/query", Role::Viewer, get(query::query).post(query::query))
        .add("/api/v1/query_range", Role::Viewer, get(query::query_range).post(query::query_range))
        .add(
            "/api/v1/query_exemplars",
            Role::Viewer,
            get(exemplars::query_exemplars).post(exemplars::query_exemplars),
        )
        .add("/api/v1/format_query", Role::Viewer, get(language::format_query).post(language::format_query))
        .add("/api/v1/parse_query", Role::Viewer, get(language::parse_query).post(language::parse_query))
        .add("/api/v1/series", Role::Viewer, get(series::series).post(series::series))
        .add("/api/v1/labels", Role::Viewer, get(series::label_names).post(series::label_names))
        .add("/api/v1/label/{name}/values", Role::Viewer, get(series::label_values))
        .add("/api/v1/metadata", Role::Viewer, get(metadata::metadata))
        .add("/api/v1/targets", Role::Viewer, get(targets::targets))
        .add("/api/v1/targets/metadata", Role::Viewer, get(targets::target_metadata))
        .add("/api/v1/scrape_pools", Role::Viewer, get(targets::scrape_pools))
        .add("/api/v1/rules", Role::Viewer, get(rules::rules))
        .add("/api/v1/alerts", Role::Viewer, get(rules::alerts))
        .add("/api/v1/alertmanagers", Role::Viewer, get(rules::alertmanagers))
        .add("/api/v1/status/config", Role::Viewer, get(status::config))
        .add("/api/v1/status/flags", Role::Viewer, get(status::flags))
        .add("/api/v1/status/runtimeinfo", Role::Viewer, get(status::runtime_info))
        .add("/api/v1/status/buildinfo", Role::Viewer, get(status::build_info))
        .add("/api/v1/status/tsdb", Role::Viewer, get(status::tsdb))
        .add("/api/v1/status/walreplay", Role::Viewer, get(status::wal_replay))
        .add("/api/v1/read", Role::Viewer, post(read::read))
        .add("/federate", Role::Viewer, get(federate::federate))
        .add("/api/v1/features", Role::Viewer, get(features::features))
        .add("/api/v1/notifications", Role::Viewer, get(features::notifications))
        .add("/api/v1/admin/tsdb/delete_series", Role::Operator, post(admin::disabled).put(admin::disabled))
        .add(
            "/api/v1/admin/tsdb/clean_tombstones",
            Role::Operator,
            post(admin::disabled).put(admin::disabled),
        )
        .add("/api/v1/admin/tsdb/snapshot", Role::Operator, post(admin::disabled).put(admin::disabled))
}
