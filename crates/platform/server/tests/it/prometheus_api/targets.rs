//! What is told of scraping.

use std::time::{Duration, Instant};

use super::{data, get};
use crate::support::{Running, start};

/// Scrapes another server, one that is down, and drops a third.
async fn scraping() -> (Running, Running) {
    let target = start(|_| ()).await;
    let up = target.server.addresses().http;
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: kandelas\n\
         \x20 static_configs: [{{targets: ['{up}']}}]\n\
         - job_name: broken\n\
         \x20 static_configs: [{{targets: ['127.0.0.1:1', 'dropped:1']}}]\n\
         \x20 relabel_configs: [{{source_labels: [__address__], regex: 'dropped.*', action: drop}}]\n"
    );
    let config = kandela_config::parse(&text, "kandela.yaml", &|_| None).unwrap().0;
    let running = start(|options| options.config.scrape_configs = config.scrape_configs).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let targets = data(&running, "/api/v1/targets", &[]).await;
        let active = targets["activeTargets"].as_array().unwrap();
        if active.len() == 2 && active.iter().all(|target| target["health"] != "unknown") {
            return (running, target);
        }
        assert!(Instant::now() < deadline, "stayed at {targets}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn targets_are_told_with_their_health() {
    let (running, target) = scraping().await;
    let up = target.server.addresses().http.to_string();
    let targets = data(&running, "/api/v1/targets", &[]).await;
    let [down, well] = &targets["activeTargets"].as_array().unwrap()[..] else { panic!("{targets}") };
    assert_eq!((&down["scrapePool"], &down["health"]), (&"broken".into(), &"down".into()));
    assert!(!down["lastError"].as_str().unwrap().is_empty(), "{down}");
    assert_eq!((&well["scrapePool"], &well["health"]), (&"kandelas".into(), &"up".into()));
    assert_eq!(well["labels"], serde_json::json!({"instance": up, "job": "kandelas"}));
    assert_eq!(well["discoveredLabels"]["__address__"], up);
    assert_eq!(well["scrapeUrl"], format!("http://{up}/metrics"));
    assert_eq!((&well["scrapeInterval"], &well["scrapeTimeout"]), (&"1s".into(), &"1s".into()));
    assert!(well["lastScrape"].as_str().unwrap().ends_with('Z'), "{well}");
    assert_eq!(targets["droppedTargets"][0]["discoveredLabels"]["__address__"], "dropped:1");
    assert_eq!(targets["droppedTargetCounts"], serde_json::json!({"broken": 1, "kandelas": 0}));
    let pools = data(&running, "/api/v1/scrape_pools", &[]).await;
    assert_eq!(pools, serde_json::json!({"scrapePools": ["broken", "kandelas"]}));
}

#[tokio::test]
async fn targets_may_be_asked_for_by_state_and_pool() {
    let (running, _target) = scraping().await;
    let count = async |form: &[(&str, &str)]| {
        let targets = data(&running, "/api/v1/targets", form).await;
        let of = |key: &str| targets[key].as_array().unwrap().len();
        (of("activeTargets"), of("droppedTargets"), targets["droppedTargetCounts"].is_null())
    };
    assert_eq!(count(&[("state", "active")]).await, (2, 0, true));
    assert_eq!(count(&[("state", "DROPPED")]).await, (0, 1, false));
    assert_eq!(count(&[("state", "any"), ("scrapePool", "kandelas")]).await, (1, 0, false));
    assert_eq!(count(&[("state", "other")]).await, (0, 0, true));
}

#[tokio::test]
async fn metadata_are_told_by_family_and_by_target() {
    let (running, target) = scraping().await;
    let up = target.server.addresses().http.to_string();
    let metadata = data(&running, "/api/v1/metadata", &[("metric", "kandela_ready")]).await;
    let expected = serde_json::json!({"kandela_ready": [
        {"type": "gauge", "unit": "", "help": "1 once the lake has recovered."}
    ]});
    assert_eq!(metadata, expected);
    let form = [("metric", "kandela_ready"), ("match_target", "{job=\"kandelas\"}")];
    let of_targets = data(&running, "/api/v1/targets/metadata", &form).await;
    let expected = serde_json::json!([{
        "target": {"instance": up, "job": "kandelas"},
        "type": "gauge", "help": "1 once the lake has recovered.", "unit": ""
    }]);
    assert_eq!(of_targets, expected);
    let all = data(&running, "/api/v1/targets/metadata", &[]).await;
    assert!(all.as_array().unwrap().iter().any(|item| item["metric"] == "kandela_ready"), "{all}");
    let limited = data(&running, "/api/v1/metadata", &[("limit", "2")]).await;
    assert_eq!(limited.as_object().unwrap().len(), 2);
    let (status, _) = get(&running, "/api/v1/metadata", &[("limit", "x")]).await;
    assert_eq!(status.as_u16(), 400);
}
