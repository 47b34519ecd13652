//! The same pages, scraped by Kandela and by the real Prometheus in one run: the same series must come of them.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Running, Target, peer, until};

const PAGE: &str = r#"# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b\n\"c\"\\"} 1027
http_requests_total{code="500",job="own",instance="self"} 3
# TYPE latency histogram
latency_bucket{le="0.1"} 1
latency_bucket{le="1"} 2
latency_bucket{le="+Inf"} 3
latency_sum 4.5
latency_count 3
# TYPE rpc summary
rpc{quantile="0.5"} 4773
rpc_sum 1.7560473e+07
rpc_count 2693
dropped_by_rule 1
renamed_by_rule{exported_job="e",job="j"} 2
special{kind="inf"} +Inf
special{kind="neg"} -Inf
twice 1
twice 2
empty{label=""} 5
"#;

const RULES: &str = "
  relabel_configs:
  - {source_labels: [__address__], regex: '(.*):.*', target_label: host}
  - {target_label: exported_job, replacement: from_target}
  metric_relabel_configs:
  - {source_labels: [__name__], regex: 'dropped_.*', action: drop}
  - {source_labels: [__name__], regex: 'renamed_by_rule', target_label: __name__, replacement: 'renamed:by_rule'}
  - {regex: 'path', action: labelmap, replacement: 'copy_$0'}
";

struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(binary: &std::path::Path, folder: &std::path::Path, yaml: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, yaml).unwrap();
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<serde_json::Value> {
        let mut url = url::Url::parse(&format!("{}{path}", self.url)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The current series of all jobs and their values.
    async fn series(&self) -> BTreeMap<String, f64> {
        let answer = self.get("/api/v1/query", &[("query", r#"{job!=""}"#)]).await;
        let result = answer.as_ref().and_then(|answer| answer["data"]["result"].as_array()).cloned();
        let one = |series: serde_json::Value| {
            let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
            let labels = kandela_model::Labels::new(labels).unwrap().to_string();
            (labels, series["value"][1].as_str().unwrap().parse().unwrap())
        };
        result.unwrap_or_default().into_iter().map(one).collect()
    }
}

/// Series that say how long something took, which differs.
fn comparable(series: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    series
        .into_iter()
        .filter(|(name, value)| !name.starts_with("scrape_duration_seconds") && !value.is_nan())
        .collect()
}

#[tokio::test]
async fn the_same_pages_give_the_same_series() {
    let Some(binary) = peer("prometheus") else {
        eprintln!("SKIPPED: no prometheus; `peers/install` fetches it, KANDELA_PEERS names its folder");
        return;
    };
    let version = Command::new(&binary).arg("--version").output().unwrap();
    eprintln!("beside {}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());

    let target = Target::serve(PAGE).await;
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  static_configs: [{{targets: ['{}'], labels: {{team: shop}}}}]\n{more}",
            target.address
        )
    };
    let jobs = [
        job("plain", ""),
        job("honor", "  honor_labels: true\n"),
        job("rules", RULES.trim_start_matches('\n')),
        job("limited", "  sample_limit: 5\n"),
        job("params", "  metrics_path: /other\n  params: {module: [a, b]}\n"),
    ]
    .join("\n");
    let yaml = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}");
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&binary, folder.path(), &yaml);
    let running = Running::start(&jobs).await;

    // From the second scrape on, no series is new.
    let settled = |series: &BTreeMap<String, f64>| {
        let ups = series.iter().filter(|(name, _)| name.starts_with("up{")).count();
        let settled =
            series.iter().filter(|(name, value)| name.starts_with("scrape_series_added") && **value == 0.0);
        ups == 5 && settled.count() == 5
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let theirs = loop {
        let series = prometheus.series().await;
        if settled(&series) {
            break comparable(series);
        }
        assert!(Instant::now() < deadline, "Prometheus scraped nothing: {series:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    until("settled scrapes", || settled(&running.kept.latest())).await;
    let ours = comparable(running.kept.latest());
    let only_in = |one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>| -> Vec<String> {
        let differing = one.iter().filter(|(series, value)| other.get(*series) != Some(value));
        differing.map(|(series, value)| format!("{series} {value}")).collect()
    };
    assert_eq!(
        only_in(&ours, &theirs),
        only_in(&theirs, &ours),
        "left: only here, right: only in Prometheus"
    );
    eprintln!("{} series, the same in both", ours.len());

    let targets = prometheus.get("/api/v1/targets", &[]).await.unwrap();
    let mut theirs: Vec<_> = targets["data"]["activeTargets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| (target["scrapePool"].as_str().unwrap(), target["scrapeUrl"].as_str().unwrap()))
        .collect();
    theirs.sort_unstable();
    let ours = running.manager.targets().active;
    let ours: Vec<_> =
        ours.iter().map(|target| (target.scrape_pool.as_str(), target.scrape_url.as_str())).collect();
    assert_eq!(ours, theirs);
}
