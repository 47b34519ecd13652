//! Scraping through the server, and what the page is told of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Running, start};

fn jobs(targets: &str) -> kandela_config::Config {
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: kandelas\n\
         \x20 static_configs: [{{targets: [{targets}]}}]\n"
    );
    kandela_config::parse(&text, "kandela.yaml", &|_| None).unwrap().0
}

async fn status(running: &Running) -> Value {
    reqwest::get(running.url("/api/kandela/v1/status")).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_target_is_scraped_and_one_that_is_down_is_named() {
    let target = start(|_| ()).await;
    let up = target.server.addresses().http;
    let config = jobs(&format!("'{up}', '127.0.0.1:1'"));
    let running = start(|options| options.config.scrape_configs = config.scrape_configs).await;
    let query = "SELECT labels['instance'] AS instance, last_value(value ORDER BY ts) AS up FROM metrics \
                 WHERE metric = 'up' AND labels['job'] = 'kandelas' GROUP BY 1 ORDER BY 2 DESC";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let rows = running.rows(query).await;
        if rows.len() == 2 {
            assert_eq!(rows[0]["instance"], up.to_string());
            assert_eq!((rows[0]["up"].as_f64(), rows[1]["up"].as_f64()), (Some(1.0), Some(0.0)));
            break;
        }
        assert!(Instant::now() < deadline, "stayed at {rows:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let scraped =
        "SELECT count(*) AS n FROM metrics WHERE metric = 'kandela_ready' AND labels['job'] = 'kandelas'";
    assert!(running.rows(scraped).await[0]["n"].as_i64() >= Some(1));
    let status = status(&running).await;
    let down = &status["targets"].as_array().unwrap()[0];
    assert_eq!(down["health"], "down", "{status}");
    assert!(down["url"].as_str().unwrap().contains("127.0.0.1:1"), "{down}");
    assert!(!down["error"].as_str().unwrap().is_empty(), "{down}");
    let sources = status["sources"].as_array().unwrap();
    assert!(
        sources.iter().any(|source| source["protocol"] == "scrape" && source["name"] == "kandelas"),
        "{status}"
    );
}
