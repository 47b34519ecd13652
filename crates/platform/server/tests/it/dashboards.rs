//! The dashboards that come with Kandela, asked of its own engine.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Running, start};

/// Names that only a system under management gives rise to.
const AUTOPILOT: &str = include_str!("../../src/telemetry/autopilot.rs");

/// Each board's name with its panels' queries, as Grafana sends them.
fn queries() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../integrations/grafana/dashboards");
    let mut queries = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let board: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(board["uid"], format!("kandela-{name}"));
        let panels = board["panels"].as_array().unwrap();
        assert!(!panels.is_empty(), "{name}");
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$__rate_interval", "1m").replace("$job", ".*");
                assert!(!query.contains('$'), "{name}: {query} has a variable that this test does not know");
                queries.push((name.clone(), query));
            }
        }
    }
    queries
}

/// Names of metrics in a query that begin with `prefix`.
fn metrics<'q>(query: &'q str, prefix: &'q str) -> impl Iterator<Item = &'q str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(move |word| word.starts_with(prefix))
}

async fn answer(running: &Running, query: &str) -> Value {
    let asked = reqwest::Client::new().get(running.url("/api/v1/query")).query(&[("query", query)]);
    asked.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn every_panel_of_every_dashboard_has_an_answer() {
    let running = start(|options| options.config.kandela.host_metrics.enabled = true).await;
    let queries = queries();
    assert!(queries.len() > 25, "{}", queries.len());
    for (board, query) in queries {
        let answer = answer(&running, &query).await;
        assert_eq!(answer["status"], "success", "{board}: {query}: {answer}");
    }
}

#[tokio::test]
async fn what_dashboards_ask_of_kandela_and_its_machine_is_there() {
    let running = start(|options| options.config.kandela.host_metrics.enabled = true).await;
    // One query, so that there are figures of queries.
    running.rows("SELECT 1").await;
    let own = running.own_metrics().await;
    for (board, query) in queries() {
        for name in metrics(&query, "kandela_") {
            let family =
                ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let known = own.contains(&format!("# TYPE {family} ")) || AUTOPILOT.contains(family);
            assert!(known, "{board}: the server has no {name}");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    for (board, query) in queries() {
        for name in metrics(&query, "node_") {
            let there = async || {
                let there = answer(&running, &format!("count({name})")).await;
                there["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
            };
            while !there().await {
                assert!(Instant::now() < deadline, "{board}: the machine has no {name}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
