//! `/api/v1/features` and `/api/v1/notifications`.

use std::collections::BTreeMap;

use kandela_promql::ast::AggregateOp;
use kandela_promql::functions::FUNCTIONS;

use super::call::Call;
use super::json::{push_text, separate};
use super::reply::Reply;

const API: [(&str, bool); 9] = [
    ("admin", false),
    ("exclude_alerts", true),
    ("label_values_match", true),
    ("lifecycle", true),
    ("otlp_write_receiver", true),
    ("query_warnings", true),
    ("remote_write_receiver", true),
    ("time_range_labels", true),
    ("time_range_series", true),
];
const PROMQL: [&str; 19] = [
    "anchored",
    "at_modifier",
    "bool",
    "by",
    "delayed_name_removal",
    "duration_expr",
    "fill",
    "fill_left",
    "fill_right",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "smoothed",
    "subqueries",
    "without",
];

/// What is there, by Prometheus' categories.
pub(super) async fn features(_: Call) -> Reply {
    let on = |name: &'static str| (name, true);
    let categories: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::from([
        ("api", API.to_vec()),
        ("promql", PROMQL.map(on).to_vec()),
        ("promql_functions", FUNCTIONS.iter().map(|function| on(function.name)).collect()),
        ("promql_operators", AggregateOp::ALL.map(|op| on(op.name())).to_vec()),
    ]);
    Reply::new(|out| {
        out.push(b'{');
        for (place, (category, features)) in categories.into_iter().enumerate() {
            separate(out, place);
            push_text(out, category);
            out.extend_from_slice(b":{");
            for (place, (name, is_on)) in features.into_iter().enumerate() {
                separate(out, place);
                push_text(out, name);
                out.extend_from_slice(if is_on { b":true" } else { b":false" });
            }
            out.push(b'}');
        }
        out.push(b'}');
    })
}

/// Nothing is said this way; what goes wrong stands in the log and on the first page.
pub(super) async fn notifications(_: Call) -> Reply {
    Reply::new(|out| out.extend_from_slice(b"[]"))
}
