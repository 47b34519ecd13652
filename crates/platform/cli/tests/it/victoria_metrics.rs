//! Kandela scrapes a real node_exporter and passes what it found on to a real VictoriaMetrics.

use std::process::Command;

use serde_json::Value;

use super::kandela::Server;
use super::peer::{self, Running, answers, free_port, until};

#[tokio::test]
async fn what_node_exporter_shows_reaches_victoria_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let Some(exporter) = peer::find("prometheus-node-exporter", &["--version"]) else { return };
    let Some(victoria) = peer::find("victoria-metrics", &["--version"]) else { return };
    let page = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(exporter);
    command.arg(format!("--web.listen-address={page}"));
    let _exporter = Running::start(command, &folder.path().join("exporter.log"));
    let store = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(victoria);
    command
        .arg(format!("-httpListenAddr={store}"))
        .arg("-storageDataPath")
        .arg(folder.path().join("victoria"));
    let _victoria = Running::start(command, &folder.path().join("victoria.log"));
    let health = format!("http://{store}/health");
    until("waited for victoria-metrics", async || answers(&health).await.then_some(())).await;

    let config = format!(
        "
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{page}']}}]}}]
remote_write: [{{url: 'http://{store}/api/v1/write'}}]
"
    );
    let kandela = Server::start(folder.path(), &config).await;
    let ours = "SELECT count(DISTINCT series_id) FROM metrics WHERE labels['job'] = 'node'";
    until("scraped node_exporter", async || (kandela.number(ours).await > 300.0).then_some(())).await;

    let theirs = format!("http://{store}/api/v1/series?match[]=%7Bjob%3D%22node%22%7D");
    let (ours, theirs) = until("compared the series", async || {
        let answer: Value = reqwest::get(&theirs).await.unwrap().json().await.unwrap();
        let (theirs, ours) = (answer["data"].as_array()?.len(), kandela.number(ours).await as usize);
        (theirs == ours).then_some((ours, theirs))
    })
    .await;
    eprintln!("{ours} series here, {theirs} there");
}
