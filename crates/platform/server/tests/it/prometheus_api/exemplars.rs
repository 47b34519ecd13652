//! Exemplars of a query's series.

use kandela_model::{Exemplar, Labels, MetricBatch, SeriesExemplar};

use super::{get, now, seconds, send, told};
use crate::support::{Running, start};

async fn with_exemplars(at: i64) -> Running {
    let running = start(|_| ()).await;
    let mut batch = MetricBatch::default();
    for instance in ["a", "b"] {
        let labels = [("__name__", "requests_total"), ("instance", instance)];
        let series = batch.add_series(labels).unwrap();
        batch.add_sample(series, seconds(at), 1.0);
        let exemplar = Exemplar {
            ts: seconds(at),
            value: 0.25,
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
            span_id: Some("b7ad6b7169203331".to_owned()),
            labels: Labels::new([("user", instance)]).unwrap(),
        };
        batch.exemplars.push(SeriesExemplar { series, exemplar });
    }
    send(&running, &batch).await;
    running
}

#[tokio::test]
async fn exemplars_come_by_series_with_all_their_labels() {
    let at = now() - 60;
    let running = with_exemplars(at).await;
    let query = "rate(requests_total{instance=\"b\"}[1m]) > 3";
    let body = told(&running, "/api/v1/query_exemplars", &[("query", query)]).await;
    let expected = format!(
        r#"{{"status":"success","data":[{{"seriesLabels":{{"__name__":"requests_total","instance":"b"}},"exemplars":[{{"labels":{{"span_id":"b7ad6b7169203331","trace_id":"0af7651916cd43dd8448eb211c80319c","user":"b"}},"value":"0.25","timestamp":{at}}}]}}]}}"#
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn only_exemplars_of_the_time_asked_for_come() {
    let at = now() - 60;
    let running = with_exemplars(at).await;
    for (start, end, found) in [(at - 1, at + 1, 2), (at, at, 2), (at + 1, at + 5, 0), (at - 5, at - 1, 0)] {
        let (start, end) = (start.to_string(), end.to_string());
        let form = [("query", "requests_total"), ("start", &*start), ("end", &*end)];
        let body = told(&running, "/api/v1/query_exemplars", &form).await;
        assert_eq!(body.matches("seriesLabels").count(), found, "{start} to {end}: {body}");
    }
}

#[tokio::test]
async fn a_query_without_series_has_no_content() {
    let running = start(|_| ()).await;
    let (status, body) = get(&running, "/api/v1/query_exemplars", &[("query", "1 + 1")]).await;
    assert_eq!((status.as_u16(), body.as_str()), (204, ""));
}
