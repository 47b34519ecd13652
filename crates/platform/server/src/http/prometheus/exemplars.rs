//! `/api/v1/query_exemplars`: the exemplars of all series that a query speaks of.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::StatusCode;
use kandela_lake::{Answer, Lake, LakeError, QueryLimits};
use kandela_model::{Exemplar, Labels, Timestamp};
use kandela_promql::ast::{Expr, Kind};
use kandela_promql::{Matcher, deeper, parse};

use super::call::Call;
use super::error::ApiError;
use super::json::{push_labels, push_list, push_timestamp, push_value, separate};
use super::reply::{Notes, large};
use super::time::{Range, TRUNCATED};

/// Exemplars in one answer.
const MOST: usize = 100_000;
/// Up to this many series are named in the query; for more, all exemplars of the time are read.
const MOST_LISTED: usize = 2_000;

pub(super) async fn query_exemplars(call: Call) -> Result<Response, ApiError> {
    let range = Range::of(&call.form)?;
    if range.end < range.start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = parse(call.form.get("query")).map_err(|error| ApiError::bad_data(error.to_string()))?;
    let mut selectors = Vec::new();
    collect_selectors(&expr, &mut selectors);
    if selectors.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let lake = call.lake().await?;
    let series = series(&lake, &selectors, range).await?;
    let mut notes = Notes::default();
    let found = if series.is_empty() {
        BTreeMap::new()
    } else {
        let read = move |limits| async move { read(&lake, &series, range, &limits).await };
        let (found, more) = call.app.queries.run("exemplars", read).await?;
        if more {
            notes.warn(TRUNCATED);
        }
        found
    };
    let mut found: Vec<(Labels, Vec<Exemplar>)> = found.into_values().collect();
    found.sort_unstable_by(|(a, _), (b, _)| a.iter().cmp(b.iter()));
    large(&call, notes, move |pen| {
        pen.out().push(b'[');
        for (place, (labels, exemplars)) in found.iter().enumerate() {
            let out = pen.out();
            separate(out, place);
            out.extend_from_slice(b"{\"seriesLabels\":");
            push_labels(out, labels.as_ref());
            out.extend_from_slice(b",\"exemplars\":");
            push_list(out, exemplars, push);
            out.push(b'}');
            if !pen.pass_on() {
                return;
            }
        }
        pen.out().push(b']');
    })
    .await
}

fn push(out: &mut Vec<u8>, exemplar: &Exemplar) {
    out.extend_from_slice(b"{\"labels\":");
    push_labels(out, whole(exemplar).as_ref());
    out.extend_from_slice(b",\"value\":");
    push_value(out, exemplar.value);
    out.extend_from_slice(b",\"timestamp\":");
    push_timestamp(out, exemplar.ts.micros());
    out.push(b'}');
}

/// All labels, as they came in: the trace's and span's among them.
fn whole(exemplar: &Exemplar) -> Labels {
    let own = [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)];
    let own = own.into_iter().filter_map(|(name, id)| Some((name, id.as_deref()?)));
    // The lake's own columns hold what its labels do not.
    Labels::new(exemplar.labels.iter().chain(own)).unwrap_or_default()
}

/// The conditions of every selector within an expression.
fn collect_selectors(expr: &Expr, found: &mut Vec<Vec<Matcher>>) {
    let mut visit = |expr: &Expr| deeper(|| collect_selectors(expr, found));
    match &expr.kind {
        Kind::Number(_) | Kind::String(_) => {}
        Kind::Vector(selector) => found.push(selector.matchers.clone()),
        Kind::Matrix(matrix) => found.push(matrix.selector.matchers.clone()),
        Kind::Subquery(subquery) => visit(&subquery.expr),
        Kind::Call(call) => call.args.iter().for_each(visit),
        Kind::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).for_each(visit),
        Kind::Binary(binary) => [&binary.left, &binary.right].into_iter().for_each(visit),
        Kind::Unary(unary) => visit(&unary.expr),
        Kind::Paren(inner) => visit(inner),
    }
}

async fn series(
    lake: &Lake,
    selectors: &[Vec<Matcher>],
    range: Range,
) -> Result<HashMap<i64, Labels>, LakeError> {
    let mut found = HashMap::new();
    for matchers in selectors {
        let series = lake.series(matchers, range.start..=range.end, usize::MAX).await?;
        found.extend(series.into_iter().map(|series| (series.id, series.labels)));
    }
    Ok(found)
}

type BySeries = BTreeMap<i64, (Labels, Vec<Exemplar>)>;

/// The exemplars of some series, ascending by time; and whether there are more than may be told.
async fn read(
    lake: &Lake,
    series: &HashMap<i64, Labels>,
    range: Range,
    limits: &QueryLimits,
) -> Result<(BySeries, bool), LakeError> {
    let Answer { mut rows, .. } = lake.sql(&select(series, range), limits).await?;
    let mut found = BySeries::new();
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| kandela_lake::explain(&error))?;
        for (id, exemplar) in exemplars_of(&batch)? {
            let Some(labels) = series.get(&id) else { continue };
            if count == MOST {
                return Ok((found, true));
            }
            found.entry(id).or_insert_with(|| (labels.clone(), Vec::new())).1.push(exemplar);
            count += 1;
        }
    }
    Ok((found, false))
}

fn select(series: &HashMap<i64, Labels>, range: Range) -> String {
    let mut conditions = Vec::new();
    if range.start > i64::MIN {
        conditions.push(format!("ts >= to_timestamp_micros({})", range.start));
    }
    if range.end < i64::MAX {
        conditions.push(format!("ts <= to_timestamp_micros({})", range.end));
    }
    if series.len() <= MOST_LISTED {
        let ids: Vec<String> = series.keys().map(i64::to_string).collect();
        conditions.push(format!("series_id IN ({})", ids.join(", ")));
    }
    let wanted = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    format!(
        "SELECT series_id, ts, value, trace_id, span_id, labels FROM exemplars WHERE {wanted} ORDER BY series_id, ts"
    )
}

fn exemplars_of(batch: &RecordBatch) -> Result<Vec<(i64, Exemplar)>, LakeError> {
    let found: Option<Vec<(i64, Exemplar)>> = (|| {
        let column = |name| batch.column_by_name(name);
        let ids = column("series_id")?.as_primitive_opt::<Int64Type>()?;
        let times = column("ts")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let values = column("value")?.as_primitive_opt::<Float64Type>()?;
        let traces = column("trace_id")?.as_string_opt::<i32>()?;
        let spans = column("span_id")?.as_string_opt::<i32>()?;
        let labels = column("labels")?.as_map_opt()?;
        let row = |row: usize| {
            let entries = labels.value(row);
            let names = entries.column(0).as_string_opt::<i32>()?;
            let values_of = entries.column(1).as_string_opt::<i32>()?;
            let pairs = names.iter().zip(values_of.iter()).filter_map(|(name, value)| Some((name?, value?)));
            let text =
                |texts: &arrow_array::StringArray| texts.is_valid(row).then(|| texts.value(row).to_owned());
            let exemplar = Exemplar {
                ts: Timestamp::from_micros(times.value(row)),
                value: values.value(row),
                trace_id: text(traces),
                span_id: text(spans),
                labels: Labels::new(pairs).unwrap_or_default(),
            };
            Some((ids.value(row), exemplar))
        };
        (0..batch.num_rows()).map(row).collect()
    })();
    found.ok_or_else(|| LakeError::defect("read exemplars", format!("columns are {}", batch.schema())))
}
