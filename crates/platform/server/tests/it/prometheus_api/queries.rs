//! Instant and range queries.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;

use super::{data, get, now, requests, send, told};
use crate::support::start;

#[tokio::test]
async fn a_vector_comes_sorted_by_labels_with_its_time() {
    let running = start(|_| ()).await;
    let began = now() - 100;
    send(&running, &requests(began, 10)).await;
    let at = format!("{}.5", began + 90);
    let body = told(&running, "/api/v1/query", &[("query", "requests_total"), ("time", &at)]).await;
    let metric = |instance| {
        format!(r#"{{"metric":{{"__name__":"requests_total","instance":"{instance}","job":"shop"}},"#)
    };
    let expected = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}"value":[{at}00,"90"]}},{}"value":[{at}00,"90"]}}]}}}}"#,
        metric("a"),
        metric("b")
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_range_query_has_a_point_a_step() {
    let running = start(|_| ()).await;
    let began = now() - 100;
    send(&running, &requests(began, 10)).await;
    let (from, through) = (began.to_string(), (began + 40).to_string());
    let form = [("query", "sum(requests_total)"), ("start", &*from), ("end", &*through), ("step", "20s")];
    let body = told(&running, "/api/v1/query_range", &form).await;
    let expected = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[{began},"0"],[{},"40"],[{},"80"]]}}]}}}}"#,
        began + 20,
        began + 40
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_limit_cuts_and_says_so() {
    let running = start(|_| ()).await;
    let began = now() - 100;
    send(&running, &requests(began, 10)).await;
    let body = told(&running, "/api/v1/query", &[("query", "requests_total"), ("limit", "1")]).await;
    assert!(body.contains(r#""instance":"a""#) && !body.contains(r#""instance":"b""#), "{body}");
    assert!(body.ends_with(r#""warnings":["results truncated due to limit"]}"#), "{body}");
}

#[tokio::test]
async fn statistics_are_told_on_request() {
    let running = start(|_| ()).await;
    let plain = data(&running, "/api/v1/query", &[("query", "1")]).await;
    assert!(plain.get("stats").is_none(), "{plain}");
    let with = data(&running, "/api/v1/query", &[("query", "1"), ("stats", "all")]).await;
    assert!(with["stats"]["timings"]["execTotalTime"].as_f64().unwrap() > 0.0, "{with}");
    let body = told(&running, "/api/v1/query", &[("query", "1"), ("stats", "yes")]).await;
    assert!(body.contains("is deprecated and will be rejected"), "{body}");
}

#[tokio::test]
async fn a_query_that_may_take_no_time_times_out() {
    let running = start(|_| ()).await;
    let (status, body) = get(&running, "/api/v1/query", &[("query", "up"), ("timeout", "0")]).await;
    assert_eq!(status.as_u16(), 503, "{body}");
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["errorType"], "timeout", "{body}");
}

#[tokio::test]
async fn a_query_may_come_as_a_form() {
    let running = start(|_| ()).await;
    let answer = reqwest::Client::new()
        .post(running.url("/api/v1/query?query=2"))
        .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .body("query=1&time=5")
        .send()
        .await
        .unwrap();
    let document: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(document["data"]["result"], json!([5, "1"]));
}

#[tokio::test]
async fn a_large_answer_comes_in_pieces_and_whole() {
    let running = start(|_| ()).await;
    let began = now() - 100;
    send(&running, &requests(began, 10)).await;
    let (from, through) = ((began - 10_000).to_string(), (began + 100).to_string());
    let query = "label_replace(vector(1), \"a\", \"1\", \"\", \"\") or vector(2) or requests_total";
    let form = [("query", query), ("start", &*from), ("end", &*through), ("step", "1")];
    let matrix = data(&running, "/api/v1/query_range", &form).await;
    let lengths: Vec<usize> = matrix["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["values"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths.iter().filter(|length| **length == 10_101).count(), 2, "{lengths:?}");
}

#[tokio::test]
async fn a_short_query_does_not_wait_for_long_ones() {
    let running = start(|_| ()).await;
    // A sort of 3,600 values at each of 11,000 steps, until its time is up.
    let long = [
        ("query", "quantile_over_time(0.5, vector(1)[1h:1s])"),
        ("start", "0"),
        ("end", "10999"),
        ("step", "1"),
        ("timeout", "5s"),
    ];
    let mut several: FuturesUnordered<_> =
        (0..8).map(|_| get(&running, "/api/v1/query_range", &long)).collect();
    let short = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        told(&running, "/api/v1/query", &[("query", "1 + 1")]).await
    };
    tokio::select! {
        answer = short => assert!(answer.contains(r#""2""#), "{answer}"),
        Some((status, body)) = several.next() => panic!("a long query ended first: {status} {body}"),
    }
}
