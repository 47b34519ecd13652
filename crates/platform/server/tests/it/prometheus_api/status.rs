//! What the server tells of itself.

use kandela_config::Secret;
use kandela_config::kandela::{Credential, Role, User};
use serde_json::Value;

use super::{data, now, requests, send};
use crate::support::start;

#[tokio::test]
async fn the_config_is_told_without_its_secrets() {
    let user = User {
        name: "ana".to_owned(),
        role: Role::Viewer,
        credential: Credential::BearerToken(Secret::new("hidden-token")),
    };
    let running = start(|options| options.config.kandela.users = vec![user]).await;
    let answer = reqwest::Client::new()
        .get(running.url("/api/v1/status/config"))
        .header("Authorization", "Bearer hidden-token")
        .send()
        .await
        .unwrap();
    let document: Value = answer.json().await.unwrap();
    let yaml = document["data"]["yaml"].as_str().unwrap();
    assert!(yaml.contains("scrape_interval: 1m") && yaml.contains("ana"), "{yaml}");
    assert!(!yaml.contains("hidden-token"), "{yaml}");
}

#[tokio::test]
async fn build_and_runtime_are_told() {
    let running = start(|_| ()).await;
    let build = data(&running, "/api/v1/status/buildinfo", &[]).await;
    assert_eq!((&build["version"], &build["application"]), (&"3.14.0".into(), &"Kandela".into()));
    let runtime = data(&running, "/api/v1/status/runtimeinfo", &[]).await;
    assert_eq!(runtime["reloadConfigSuccess"], true, "{runtime}");
    assert!(runtime["startTime"].as_str() <= runtime["serverTime"].as_str(), "{runtime}");
    assert!(runtime["hostname"].as_str().is_some_and(|name| !name.is_empty()), "{runtime}");
    let flags = data(&running, "/api/v1/status/flags", &[]).await;
    let address = running.server.addresses().http.to_string();
    assert_eq!(flags["web.listen-address"], address, "{flags}");
    let replay = data(&running, "/api/v1/status/walreplay", &[]).await;
    assert_eq!(replay["max"], replay["current"]);
}

#[tokio::test]
async fn cardinality_is_told_with_the_largest_first() {
    let running = start(|_| ()).await;
    send(&running, &requests(now() - 100, 10)).await;
    let status = data(&running, "/api/v1/status/tsdb", &[("limit", "10000")]).await;
    let of = |list: &str, name: &str| {
        let counts = status[list].as_array().unwrap();
        counts.iter().find(|count| count["name"] == name).map(|count| count["value"].as_u64().unwrap())
    };
    assert_eq!(of("seriesCountByMetricName", "requests_total"), Some(2));
    assert_eq!(of("seriesCountByLabelValuePair", "job=shop"), Some(2));
    assert!(of("labelValueCountByLabelName", "instance") >= Some(2));
    assert!(status["headStats"]["numSeries"].as_u64() >= Some(2), "{status}");
}

#[tokio::test]
async fn what_is_there_is_listed() {
    let running = start(|_| ()).await;
    let features = data(&running, "/api/v1/features", &[]).await;
    assert_eq!(features["promql_functions"]["rate"], true, "{features}");
    assert_eq!(features["api"]["admin"], false, "{features}");
    assert_eq!(data(&running, "/api/v1/notifications", &[]).await, serde_json::json!([]));
}
