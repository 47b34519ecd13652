//! One question to one system through Prometheus' HTTP API, and what it answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use ureq::Agent;

/// An answer may be longer than what ureq reads by itself.
const LONGEST_ANSWER: u64 = 1 << 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) query: String,
    pub(super) at: At,
}

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// Labels as JSON, then values by time in seconds.
pub(super) type Answer = BTreeMap<String, Vec<(f64, f64)>>;

/// Asks; gives the answer's bytes and the time from sending the request to having read the last byte.
///
/// # Errors
/// When the answer is none, or is an error.
pub(super) fn ask(
    agent: &Agent,
    base: &str,
    question: &Question,
    nocache: bool,
) -> anyhow::Result<(Vec<u8>, Duration)> {
    let (status, bytes, took) = ask_anything(agent, base, question, nocache)?;
    let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
    ensure!(status == 200, "{} was answered {status}: {}", question.query, text());
    Ok((bytes, took))
}

/// As [`ask`], of a question that may be refused; gives the status before the rest.
///
/// # Errors
/// When the answer is none.
pub(super) fn ask_anything(
    agent: &Agent,
    base: &str,
    question: &Question,
    nocache: bool,
) -> anyhow::Result<(u16, Vec<u8>, Duration)> {
    let path = match question.at {
        At::Instant(_) => "query",
        At::Range { .. } => "query_range",
    };
    let request = agent.get(format!("{base}/api/v1/{path}")).query("query", &question.query);
    let request = match question.at {
        At::Instant(time) => request.query("time", time.to_string()),
        At::Range { start, end, step } => request
            .query("start", start.to_string())
            .query("end", end.to_string())
            .query("step", step.to_string()),
    };
    let request = if nocache { request.query("nocache", "1") } else { request };
    let clock = Instant::now();
    let mut response = request.call()?;
    let bytes = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec()?;
    Ok((response.status().as_u16(), bytes, clock.elapsed()))
}

/// # Errors
/// When the bytes are no answer of Prometheus' API to a query.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Answer> {
    let text = || String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
    let document: Value = serde_json::from_slice(bytes).with_context(text)?;
    ensure!(document["status"] == "success", "{}", text());
    let result = document.pointer("/data/result").and_then(Value::as_array).with_context(text)?;
    result
        .iter()
        .map(|series| {
            let one = series["value"].is_array().then(|| std::slice::from_ref(&series["value"]));
            let points = one.or_else(|| series["values"].as_array().map(Vec::as_slice)).with_context(text)?;
            let points = points.iter().map(|point| point_of(point).with_context(text));
            Ok((series["metric"].to_string(), points.collect::<anyhow::Result<_>>()?))
        })
        .collect()
}

fn point_of(point: &Value) -> Option<(f64, f64)> {
    Some((point[0].as_f64()?, point[1].as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_and_a_vector_are_read() {
        let matrix = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"b":"1","a":"2"},"values":[[10,"1.5"],[25.5,"NaN"]]}]}}"#;
        let read_matrix = read(matrix).expect("matrix");
        let points = &read_matrix["{\"a\":\"2\",\"b\":\"1\"}"];
        assert_eq!(points[0], (10.0, 1.5));
        assert!(points[1].0 == 25.5 && points[1].1.is_nan());
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[10,"+Inf"]}]}}"#;
        assert_eq!(read(vector).expect("vector")["{}"], [(10.0, f64::INFINITY)]);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let error = read(br#"{"status":"error","error":"no such function"}"#).expect_err("error");
        assert!(error.to_string().contains("no such function"), "{error}");
        assert!(read(b"404 page not found").is_err());
    }
}
