//! A Prometheus without samples of its own reads them from Kandela.

use reqwest::Client;
use serde_json::Value;

use crate::beside::both;
use crate::prometheus::Prometheus;

#[tokio::test]
async fn a_prometheus_that_reads_from_kandela_answers_as_one_that_has_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, kandela, end)) = both(folder.path()).await else { return };
    let config = format!("remote_read: [{{url: '{}/api/v1/read', read_recent: true}}]", kandela.http);
    let Some(reader) = Prometheus::start(folder.path(), "reader", &config).await else { return };
    let queries = [
        "http_requests_total",
        "sum by (job) (rate(http_requests_total[5m]))",
        "rpc_latency_seconds",
        "histogram_quantile(0.9, sum(rate(rpc_latency_seconds[5m])))",
        "custom_seconds",
        "{job=~\"a.*\"}",
        "nosuch",
    ];
    for query in queries {
        let at = [("query", query.to_owned()), ("start", (end - 3_600).to_string())];
        let at = [at.as_slice(), &[("end", end.to_string()), ("step", "30".to_owned())]].concat();
        let ask = async |server: &str| -> Value {
            let url = reqwest::Url::parse_with_params(&format!("{server}/api/v1/query_range"), &at).unwrap();
            Client::new().get(url).send().await.unwrap().json().await.unwrap()
        };
        let (theirs, ours) = (ask(&prometheus.url).await, ask(&reader.url).await);
        assert_eq!(theirs["status"], "success", "{query}: {theirs}");
        assert_eq!(ours, theirs, "{query}");
    }
}
