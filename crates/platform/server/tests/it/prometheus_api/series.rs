//! Series, label names and label values.

use kandela_model::{METRIC_NAME, MetricBatch};

use super::{now, requests, seconds, send, told};
use crate::support::start;

const OWN: (&str, &str) = ("match[]", "requests_total");

#[tokio::test]
async fn series_of_several_selectors_come_once_and_sorted() {
    let running = start(|_| ()).await;
    send(&running, &requests(now() - 100, 10)).await;
    let form = [("match[]", "requests_total{instance=\"b\"}"), OWN];
    let body = told(&running, "/api/v1/series", &form).await;
    let expected = concat!(
        r#"{"status":"success","data":["#,
        r#"{"__name__":"requests_total","instance":"a","job":"shop"},"#,
        r#"{"__name__":"requests_total","instance":"b","job":"shop"}]}"#,
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn names_and_values_of_labels_are_sorted() {
    let running = start(|_| ()).await;
    send(&running, &requests(now() - 100, 10)).await;
    let names = told(&running, "/api/v1/labels", &[OWN]).await;
    assert_eq!(names, r#"{"status":"success","data":["__name__","instance","job"]}"#);
    let values = told(&running, "/api/v1/label/instance/values", &[OWN]).await;
    assert_eq!(values, r#"{"status":"success","data":["a","b"]}"#);
}

#[tokio::test]
async fn a_limit_cuts_lists_and_says_so() {
    let running = start(|_| ()).await;
    send(&running, &requests(now() - 100, 10)).await;
    for (path, first) in [
        ("/api/v1/series", r#"[{"__name__":"requests_total","instance":"#),
        ("/api/v1/labels", r#"["__name__"]"#),
        ("/api/v1/label/instance/values", r#"["a"]"#),
    ] {
        let body = told(&running, path, &[OWN, ("limit", "1")]).await;
        assert!(body.starts_with(&format!(r#"{{"status":"success","data":{first}"#)), "{body}");
        assert!(body.ends_with(r#","warnings":["results truncated due to limit"]}"#), "{body}");
        let whole = told(&running, path, &[OWN, ("limit", "3")]).await;
        assert!(!whole.contains("warnings"), "{whole}");
    }
}

#[tokio::test]
async fn a_label_in_utf_8_may_be_asked_for_escaped() {
    let running = start(|_| ()).await;
    let mut batch = MetricBatch::default();
    let labels = [(METRIC_NAME, "http.status"), ("service.name", "shop")];
    let series = batch.add_series(labels).unwrap();
    batch.add_sample(series, seconds(now()), 1.0);
    send(&running, &batch).await;
    let form = [("match[]", "{\"http.status\"}")];
    for name in ["service.name", "U__service_2e_name"] {
        let body = told(&running, &format!("/api/v1/label/{name}/values"), &form).await;
        assert_eq!(body, r#"{"status":"success","data":["shop"]}"#);
    }
}

#[tokio::test]
async fn days_without_samples_have_no_series() {
    let running = start(|_| ()).await;
    send(&running, &requests(now() - 100, 10)).await;
    for (start, end) in [("0", "86400"), ("2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z")] {
        for path in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/job/values"] {
            let body = told(&running, path, &[OWN, ("start", start), ("end", end)]).await;
            assert_eq!(body, r#"{"status":"success","data":[]}"#, "{path}");
        }
    }
}
