//! How requests are refused.

use serde_json::Value;

use super::get;
use crate::support::start;

async fn refused(path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let running = start(|_| ()).await;
    let (status, body) = get(&running, path, form).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn a_bad_query_is_refused_in_prometheus_words() {
    let (status, body) = refused("/api/v1/query", &[("query", "sum(")]).await;
    assert_eq!(status, 400);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["status"], "error");
    assert_eq!(document["errorType"], "bad_data");
    let error = document["error"].as_str().unwrap();
    assert!(error.starts_with("invalid parameter \"query\": 1:5: parse error: "), "{error}");
    assert!(body.starts_with(r#"{"status":"error","errorType":"bad_data","error":""#), "{body}");
}

#[tokio::test]
async fn what_makes_no_sense_on_the_data_is_an_execution_error() {
    let query = "label_replace(vector(1), \"__name__\", \"\\xff\", \"\", \"\")";
    let (status, body) = refused("/api/v1/query", &[("query", query)]).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.contains(r#""errorType":"execution""#), "{body}");
}

#[tokio::test]
async fn too_many_steps_are_refused() {
    let form = [("query", "1"), ("start", "0"), ("end", "11001"), ("step", "1")];
    let (status, body) = refused("/api/v1/query_range", &form).await;
    let expected = concat!(
        r#"{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per "#,
        r#"timeseries. Try decreasing the query resolution (?step=XX)"}"#,
    );
    assert_eq!((status, body.as_str()), (400, expected));
}

#[tokio::test]
async fn the_admin_interface_is_not_served() {
    let running = start(|_| ()).await;
    let url = running.url("/api/v1/admin/tsdb/snapshot");
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let expected = r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    assert_eq!(answer.text().await.unwrap(), expected);
}

#[tokio::test]
async fn an_unknown_path_is_named() {
    let (status, body) = refused("/api/v1/nothing", &[]).await;
    assert_eq!(status, 404);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&document["status"], &document["errorType"]), (&"error".into(), &"not_found".into()));
}

#[tokio::test]
async fn a_label_name_that_is_none_is_refused() {
    for name in ["%ff", "U__"] {
        let (status, body) = refused(&format!("/api/v1/label/{name}/values"), &[]).await;
        assert_eq!(status, 400, "{name}: {body}");
        assert!(body.contains(r#""errorType":"bad_data","error":"invalid label name: "#), "{name}: {body}");
    }
}

#[tokio::test]
async fn a_path_with_empty_parts_leads_to_the_same_without() {
    let running = start(|_| ()).await;
    let url = running.url("//api//v1/query?query=1");
    let answer = reqwest::Client::new().post(url).body("").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.url().path()), (200, "/api/v1/query"));
    let (status, _) = refused("//nowhere", &[]).await;
    assert_eq!(status, 404);
}
