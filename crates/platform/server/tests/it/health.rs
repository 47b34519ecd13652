//! Health, own metrics and the first page.

use reqwest::StatusCode;

use crate::support::start;

#[tokio::test]
async fn a_started_server_becomes_healthy_and_ready() {
    let running = start(|_| ()).await;
    assert_eq!(reqwest::get(running.url("/-/healthy")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(reqwest::get(running.url("/-/ready")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_wrong_method_is_told_so() {
    let running = start(|_| ()).await;
    let answer = reqwest::get(running.url("/nowhere")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(answer.text().await.unwrap().contains("/nowhere"));
    assert_eq!(
        reqwest::get(running.url("/-/reload")).await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn own_metrics_come_in_the_format_that_is_asked_for() {
    let running = start(|_| ()).await;
    reqwest::get(running.url("/-/healthy")).await.unwrap();
    let plain = reqwest::get(running.url("/metrics")).await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = plain.text().await.unwrap();
    let served =
        "kandela_http_requests_total{listener=\"http\",route=\"/-/healthy\",method=\"GET\",code=\"200\"} 1";
    assert!(text.contains(served), "{text}");
    assert!(text.contains("kandela_http_request_duration_seconds_bucket"), "{text}");

    let asked = reqwest::Client::new()
        .get(running.url("/metrics"))
        .header("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let open = asked.send().await.unwrap();
    assert!(open.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_first_page_loads_nothing_from_elsewhere() {
    let running = start(|_| ()).await;
    let page = reqwest::get(running.url("/")).await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let html = page.text().await.unwrap();
    for part in ["/ui/app.js", "/ui/style.css", "/ui/icon.svg"] {
        assert!(html.contains(part));
        let answer = reqwest::get(running.url(part)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.text().await.unwrap().contains("https://"), "{part} refers to another server");
    }
}
