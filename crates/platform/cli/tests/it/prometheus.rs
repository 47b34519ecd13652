//! The real Prometheus, with what it holds in a form that two of them can be compared in.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::peer::{self, Running, answers, free_port, until};

pub(crate) struct Prometheus {
    pub(crate) running: Running,
    pub(crate) url: String,
}

/// Labels, then times with values: a number's text, or a native histogram as its API shows it.
pub(crate) type Series = BTreeMap<String, Vec<Value>>;

impl Prometheus {
    /// One that keeps its data in `folder/name`, takes in remote write, and otherwise does what `config` says; `None` where
    /// there is no prometheus.
    pub(crate) async fn start(folder: &Path, name: &str, config: &str) -> Option<Self> {
        let binary = peer::find("prometheus", &["--version"])?;
        let file = folder.join(format!("{name}.yml"));
        let port = free_port();
        std::fs::write(&file, config.replace("OWN_PORT", &port.to_string())).unwrap();
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join(name).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args([
                "--web.enable-remote-write-receiver",
                "--enable-feature=native-histograms,promql-experimental-functions",
            ]);
        let running = Running::start(command, &folder.join(format!("{name}.log")));
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}/-/ready");
        until("waited for prometheus", async || answers(&ready).await.then_some(())).await;
        Some(Self { running, url })
    }

    /// The samples of the series that `selector` chooses, a range selector, at `time` in seconds.
    pub(crate) async fn samples(&self, selector: &str, time: f64) -> Series {
        let query = [("query", selector.to_owned()), ("time", time.to_string())];
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url), query).unwrap();
        let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let mut found = Series::new();
        for series in answer["data"]["result"].as_array().unwrap() {
            let points = ["values", "histograms"].iter().filter_map(|kind| series[kind].as_array());
            found.insert(series["metric"].to_string(), points.flatten().cloned().collect());
        }
        found
    }
}
