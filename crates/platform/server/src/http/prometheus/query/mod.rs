//! `/api/v1/query` and `/api/v1/query_range`.

mod answer;

use std::time::{Duration, Instant};

use axum::response::Response;
use kandela_promql::ast::{AggregateOp, Kind};
use kandela_promql::{Answer, Answered, When};

use super::call::Call;
use super::error::ApiError;
use super::json::{push_key, push_number};
use super::reply::{Notes, large};
use super::time::{TRUNCATED, limit_of, now, optional_duration, optional_time, parse_duration, parse_time};
use crate::promql::{Asked, Given};

/// Steps of a range query: a week in minutes, a year in hours.
const MOST_STEPS: i64 = 11_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

pub(super) async fn query(call: Call) -> Result<Response, ApiError> {
    let limit = limit_of(&call.form)?;
    let at = optional_time(&call.form, "time")?.unwrap_or_else(now);
    let asked = asked(&call, When::Instant(at))?;
    answer(&call, asked, limit).await
}

pub(super) async fn query_range(call: Call) -> Result<Response, ApiError> {
    let limit = limit_of(&call.form)?;
    let time = |name| parse_time(call.form.get(name)).map_err(|error| ApiError::invalid(name, error));
    let (from, through) = (time("start")?, time("end")?);
    if through < from {
        return Err(ApiError::invalid("end", "end timestamp must not be before start time"));
    }
    let step = parse_duration(call.form.get("step")).map_err(|error| ApiError::invalid("step", error))?;
    if step <= 0 {
        let message =
            "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::invalid("step", message));
    }
    let span = through.saturating_sub(from).saturating_mul(1_000);
    if span / step > MOST_STEPS {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
                       resolution (?step=XX)";
        return Err(ApiError::bad_data(message));
    }
    let asked = asked(&call, When::Range { from, through, step: grid_step(step) })?;
    answer(&call, asked, limit).await
}

/// A step of nanoseconds in microseconds. Prometheus cuts it to milliseconds, and so does this where some are left.
fn grid_step(nanos: i64) -> i64 {
    match nanos / NANOS_PER_MILLI {
        0 => (nanos / 1_000).max(1),
        millis => millis * 1_000,
    }
}

fn asked(call: &Call, when: When) -> Result<Asked, ApiError> {
    let form = &call.form;
    let timeout =
        optional_duration(form.get("timeout")).map_err(|error| ApiError::invalid("timeout", error))?;
    let lookback = optional_duration(form.get("lookback_delta"))
        .map_err(|error| ApiError::bad_data(format!("error parsing lookback delta duration: {error}")))?;
    // No lookback at all means the usual one, as for Prometheus.
    let lookback = lookback.filter(|lookback| !lookback.is_zero());
    Ok(Asked { query: form.get("query").to_owned(), when, lookback, timeout })
}

async fn answer(call: &Call, asked: Asked, limit: Option<usize>) -> Result<Response, ApiError> {
    let began = Instant::now();
    let is_ordered = is_ordered(&asked.query);
    let at = match asked.when {
        When::Instant(at) => at,
        When::Range { from, .. } => from,
    };
    let lake = call.lake().await?;
    let Given { answered, memory } = call.app.promql.answer(lake, asked).await?;
    let Answered { mut answer, warnings, infos } = answered;
    let mut notes = Notes { warnings, infos };
    if let Answer::Vector(vector) = &mut answer
        && !is_ordered
    {
        vector.sort_by(|(a, _), (b, _)| a.iter().cmp(b.iter()));
    }
    if truncate(&mut answer, limit) {
        notes.warn(TRUNCATED);
    }
    let stats = Stats::asked(call.form.get("stats"), began.elapsed(), &mut notes);
    large(call, notes, move |pen| {
        answer::write(pen, &answer, at);
        if let Some(stats) = stats {
            stats.push(pen.out());
        }
        pen.out().push(b'}');
        drop((answer, memory));
    })
    .await
}

/// Whether the query says in which order an instant vector comes; else it comes by labels.
fn is_ordered(query: &str) -> bool {
    match kandela_promql::parse(query).as_ref().map(|expr| &expr.unwrapped().kind) {
        Ok(Kind::Call(call)) => call.function.name.starts_with("sort"),
        Ok(Kind::Aggregate(aggregate)) => matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk),
        _ => false,
    }
}

/// Cuts an answer; whether there was more.
fn truncate(answer: &mut Answer, limit: Option<usize>) -> bool {
    let Some(limit) = limit else { return false };
    match answer {
        Answer::Vector(vector) if vector.len() > limit => vector.truncate(limit),
        Answer::Matrix(matrix) if matrix.len() > limit => matrix.truncate(limit),
        _ => return false,
    }
    true
}

/// What an answer cost. Prometheus tells more: how its time is divided, and the samples that it read.
struct Stats {
    took: Duration,
}

impl Stats {
    fn asked(word: &str, took: Duration, notes: &mut Notes) -> Option<Self> {
        if !matches!(word, "" | "true" | "all") {
            notes.warn(format!(
                "value {} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \
                 \"true\" or \"all\"",
                super::go::quote(word)
            ));
        }
        (!word.is_empty()).then_some(Self { took })
    }

    fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"stats\":{\"timings\":{");
        push_key(out, "execTotalTime");
        push_number(out, self.took.as_secs_f64());
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sorting_functions_and_ranks_order_a_vector() {
        for query in
            ["sort(up)", "(sort_desc(up))", "topk(3, up)", "sort_by_label(up, 'a')", "bottomk(1, up)"]
        {
            assert!(is_ordered(query), "{query}");
        }
        for query in ["up", "sum(topk(3, up))", "sort(up) + 1", "limitk(2, up)", "up{"] {
            assert!(!is_ordered(query), "{query}");
        }
    }

    #[test]
    fn a_step_is_cut_to_milliseconds_where_some_are_left() {
        assert_eq!(grid_step(1_000_500_000), 1_000_000);
        assert_eq!(grid_step(15_000_000_000), 15_000_000);
        assert_eq!(grid_step(500_000), 500);
        assert_eq!(grid_step(1), 1);
    }
}
