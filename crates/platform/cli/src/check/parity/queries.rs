//! Which queries are compared, and how they are asked.

use std::path::Path;

use anyhow::Context as _;
use kandela_promql::ast::{AggregateOp, Expr, Kind};
use serde::Deserialize;

use super::compare::Order;
use crate::check::rules;
use crate::prometheus::Api;

/// One query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) text: String,
    /// Where it stands.
    pub(super) source: String,
    /// Whether it is asked at single times.
    pub(super) instant: bool,
    /// Whether it is asked over the whole stretch of time.
    pub(super) range: bool,
}

/// The expressions of rule files.
///
/// # Errors
/// When a file cannot be read or is wrong.
pub(super) fn of_rule_files(files: &[impl AsRef<Path>]) -> anyhow::Result<Vec<Query>> {
    let mut queries = Vec::new();
    for file in files {
        let name = file.as_ref().display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
        let (rules, _) = rules::read(&text, &name)?;
        for rule in rules.groups.iter().flat_map(|group| &group.rules) {
            let source = format!("{name}:{}, {}", rule.place.line, rule.name());
            queries.push(Query { text: rule.expr.text().to_owned(), source, instant: true, range: false });
        }
    }
    Ok(once_each(queries))
}

/// The lines of files.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn of_query_files(files: &[impl AsRef<Path>]) -> anyhow::Result<Vec<Query>> {
    let mut queries = Vec::new();
    for file in files {
        let name = file.as_ref().display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
        queries.extend(of_lines(&text, &name));
    }
    Ok(once_each(queries))
}

/// A query a line, after `instant: ` or `range: ` where it is to be asked in one way only. Empty lines and what begins with
/// `#` say nothing.
fn of_lines(text: &str, file: &str) -> Vec<Query> {
    let line = |(at, line): (usize, &str)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (instant, range, query) = match (line.strip_prefix("instant: "), line.strip_prefix("range: ")) {
            (Some(query), _) => (true, false, query),
            (_, Some(query)) => (false, true, query),
            _ => (true, true, line),
        };
        let source = format!("{file}:{}", at + 1);
        Some(Query { text: query.trim().to_owned(), source, instant, range })
    };
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate().filter_map(line).collect()
}

#[derive(Deserialize)]
struct Loaded {
    groups: Vec<LoadedGroup>,
}

#[derive(Deserialize)]
struct LoadedGroup {
    name: String,
    rules: Vec<LoadedRule>,
}

#[derive(Deserialize)]
struct LoadedRule {
    name: String,
    query: String,
}

/// The expressions of the rules that a server has loaded.
///
/// # Errors
/// When it does not tell them.
pub(super) async fn of_server(api: &Api) -> anyhow::Result<Vec<Query>> {
    let document = api.get("/api/v1/rules").await?.read::<Loaded>();
    let context = || format!("asking {} for its rules; or give queries with --rules or --queries", api.url());
    let document = document.with_context(context)?;
    if let Some(failure) = document.failure {
        return Err(anyhow::anyhow!("{}", failure.message)).with_context(context);
    }
    let groups = document.data.map(|loaded| loaded.groups).unwrap_or_default();
    let queries = groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    let queries = queries.map(|(group, rule)| Query {
        text: rule.query.clone(),
        source: format!("group {}, {}", group.name, rule.name),
        instant: true,
        range: false,
    });
    Ok(once_each(queries.collect()))
}

/// Each text once, asked in all the ways that it is to be asked in.
fn once_each(queries: Vec<Query>) -> Vec<Query> {
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<Query> = Vec::new();
    for query in queries {
        let at = *places.entry(query.text.clone()).or_insert(kept.len());
        match kept.get_mut(at) {
            Some(first) => {
                first.instant |= query.instant;
                first.range |= query.range;
            }
            None => kept.push(query),
        }
    }
    kept
}

/// What the order of an instant answer to the query says.
pub(super) fn order(query: &str) -> Order {
    let Ok(expr) = kandela_promql::parse(query) else { return Order::Free };
    match &unwrapped(&expr).kind {
        Kind::Call(call) if matches!(call.function.name, "sort" | "sort_desc") => Order::Values,
        Kind::Call(call) if matches!(call.function.name, "sort_by_label" | "sort_by_label_desc") => {
            Order::Series
        }
        // Of several groups, none is first.
        Kind::Aggregate(aggregate)
            if matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk)
                && aggregate.grouping.labels.is_empty()
                && !aggregate.grouping.without =>
        {
            Order::Values
        }
        _ => Order::Free,
    }
}

fn unwrapped(expr: &Expr) -> &Expr {
    match &expr.kind {
        Kind::Paren(inner) => unwrapped(inner),
        _ => expr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_query_asked_in_both_ways_unless_it_says_one() {
        let queries = of_lines("\u{feff}# all\nup\n\n  instant: sum(up) \nrange: rate(x[5m])\n", "q.txt");
        let told: Vec<_> =
            queries.iter().map(|q| (q.text.as_str(), q.source.as_str(), q.instant, q.range)).collect();
        assert_eq!(
            told,
            [
                ("up", "q.txt:2", true, true),
                ("sum(up)", "q.txt:4", true, false),
                ("rate(x[5m])", "q.txt:5", false, true)
            ]
        );
    }

    #[test]
    fn a_query_that_stands_twice_is_asked_once_in_all_its_ways() {
        let queries = once_each(of_lines("instant: up\nx\nrange: up\n", "q"));
        let told: Vec<_> = queries.iter().map(|q| (q.text.as_str(), q.instant, q.range)).collect();
        assert_eq!(told, [("up", true, true), ("x", true, true)]);
    }

    #[test]
    fn order_says_something_only_after_sorting() {
        assert_eq!(order("sort(up)"), Order::Values);
        assert_eq!(order("(sort_desc(up))"), Order::Values);
        assert_eq!(order("topk(3, up)"), Order::Values);
        assert_eq!(order("topk by (job) (3, up)"), Order::Free);
        assert_eq!(order("sort_by_label(up, \"job\")"), Order::Series);
        assert_eq!(order("sum(sort(up))"), Order::Free);
        assert_eq!(order("up{"), Order::Free);
    }
}
