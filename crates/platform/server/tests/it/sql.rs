//! SQL over HTTP.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kandela_lake::{Lake, LakeConfig};
use kandela_model::{MetricBatch, Timestamp};
use kandela_server::Server;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{now_nanos, quiet, start};

#[tokio::test]
async fn a_query_may_come_in_the_body_in_json_or_in_the_url() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let query = "SELECT 1 AS one, 'a' AS a";
    let plain = client.post(running.url("/api/sql")).body(query);
    let as_json = client.post(running.url("/api/sql")).json(&json!({ "query": query }));
    let in_url = client.get(running.url("/api/sql")).query(&[("query", query)]);
    for request in [plain, as_json, in_url] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["rows"], json!([{ "one": 1, "a": "a" }]));
        assert_eq!(document["columns"][0], json!({ "name": "one", "type": "Int64" }));
    }
}

#[tokio::test]
async fn the_format_is_named_or_negotiated() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let ask =
        |format: &str| client.get(running.url(&format!("/api/sql?query=SELECT%201%20AS%20one{format}")));
    let csv = ask("").header("Accept", "text/csv").send().await.unwrap();
    assert_eq!(csv.text().await.unwrap(), "one\n1\n");
    let csv = ask("&format=csv").header("Accept", "application/json").send().await.unwrap();
    assert_eq!(csv.text().await.unwrap(), "one\n1\n");
    let arrow = ask("&format=arrow").send().await.unwrap();
    assert_eq!(arrow.headers()["content-type"], "application/vnd.apache.arrow.stream");
    let bytes = arrow.bytes().await.unwrap();
    let mut reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_ref(), None).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().num_rows(), 1);
    assert_eq!(ask("&format=xml").send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_wrong_query_is_answered_with_what_is_wrong() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    for (query, told) in [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM metrics", "nothing"),
        ("SELECT * FROM no_such_table", "there is no table no_such_table; there are events, exemplars, "),
        ("", "missing"),
    ] {
        let answer = client.post(running.url("/api/sql")).body(query).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["errorType"], "bad_data");
        assert!(document["error"].as_str().unwrap().contains(told), "{document}");
    }
}

/// The one Parquet file somewhere below a folder.
fn parquet_below(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let mut found = entries.filter_map(|path| match path.is_dir() {
        true => parquet_below(&path),
        false => path.extension().is_some_and(|kind| kind == "parquet").then_some(path),
    });
    found.next()
}

#[tokio::test]
async fn an_answer_that_lacks_rows_says_so_in_every_format() {
    let folder = TempDir::new().unwrap();
    let options = quiet(&folder);
    let lake = Lake::open(LakeConfig::at(options.data.join("default"))).await.unwrap();
    let mut batch = MetricBatch::default();
    let lost = batch.add_series([("__name__", "lost")]).unwrap();
    batch.add_sample(lost, Timestamp::from_micros(now_nanos() as i64 / 1_000), 1.0);
    lake.append(&batch).unwrap();
    lake.flush().await.unwrap();
    drop(lake);
    std::fs::write(parquet_below(&options.data.join("default/samples")).unwrap(), b"gone").unwrap();
    let server = Server::start(options, None).await.unwrap();
    let url = format!("http://{}/api/sql", server.addresses().http);
    let client = reqwest::Client::new();
    let ask =
        |query: &str, format: &str| client.get(&url).query(&[("query", query), ("format", format)]).send();
    let lost = "SELECT value FROM metrics WHERE metric = 'lost'";
    for format in ["json", "csv", "arrow"] {
        let answer = ask(lost, format).await.unwrap();
        let told = answer.headers()["kandela-warning"].to_str().unwrap();
        assert!(told.starts_with("1 file of samples of "), "{format}: {told}");
    }
    let document: Value = ask(lost, "json").await.unwrap().json().await.unwrap();
    assert_eq!(document["rows"], json!([]));
    assert_eq!(document["warnings"].as_array().unwrap().len(), 1);
    let whole = ask("SELECT * FROM spans", "json").await.unwrap();
    assert!(!whole.headers().contains_key("kandela-warning"));
    let document: Value = whole.json().await.unwrap();
    assert_eq!(document.get("warnings"), None);
}

#[tokio::test]
async fn a_query_changes_nothing() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let outside = running.folder.path().join("stolen.csv");
    let copy = format!("COPY (SELECT 1) TO '{}'", outside.display());
    let external =
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}'", running.folder.path().display());
    for query in [
        copy.as_str(),
        external.as_str(),
        "DROP TABLE samples",
        "INSERT INTO samples VALUES (1)",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let answer = client.post(running.url("/api/sql")).body(query.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    assert!(!outside.exists());
}

const ENDLESS: &str = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)";

#[tokio::test]
async fn a_query_that_only_computes_is_told_its_end_in_time() {
    let limit = Duration::from_millis(500);
    let running = start(|options| options.config.kandela.limits.query.timeout = limit).await;
    let columns = "information_schema.columns";
    let query =
        format!("SELECT count(*) FROM {columns} a, {columns} b, {columns} c, {columns} d, {columns} e");
    let began = Instant::now();
    let answer = reqwest::Client::new().post(running.url("/api/sql")).body(query).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_and_names_its_limit() {
    let limit = Duration::from_secs(1);
    let running = start(|options| options.config.kandela.limits.query.timeout = limit).await;
    let began = Instant::now();
    let answer = reqwest::Client::new().post(running.url("/api/sql")).body(ENDLESS).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(answer.text().await.unwrap().contains("query timeout"));
    assert!(began.elapsed() < Duration::from_secs(20), "took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_ended_and_names_its_limit() {
    let running = start(|options| options.config.kandela.limits.query.memory = Some(1 << 20)).await;
    let query =
        "SELECT count(*) FROM (SELECT DISTINCT value AS v FROM generate_series(1, 3000000) AS t(value))";
    let answer = reqwest::Client::new().post(running.url("/api/sql")).body(query).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let message = answer.text().await.unwrap();
    assert!(message.contains("limits.query.memory"), "{message}");
    assert_eq!(running.rows("SELECT 1 AS one").await[0]["one"], 1, "nothing else is disturbed");
}

/// What an answer to `query` is, and what it says.
async fn asked(running: &crate::support::Running, query: String) -> (u16, String) {
    let answer = reqwest::Client::new().post(running.url("/api/sql")).body(query).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_long_chain_of_operators_is_answered_or_refused_and_ends_nothing() {
    let running = start(|_| ()).await;
    let chain = |terms: usize| format!("SELECT {} AS n", vec!["1"; terms].join("+"));
    assert_eq!(asked(&running, chain(1_500)).await.0, 200);
    let any: Vec<String> = (0..2_000).map(|n| format!("metric = 'm{n}'")).collect();
    let any = format!("SELECT count(*) FROM series WHERE {}", any.join(" OR "));
    assert_eq!(asked(&running, any).await.0, 200);
    let (status, message) = asked(&running, chain(20_000)).await;
    assert_eq!(status, 400);
    assert!(message.contains("over the limit of 2500"), "{message}");
}

#[tokio::test]
async fn functions_that_make_much_out_of_nothing_are_not_there() {
    let running = start(|_| ()).await;
    for call in [
        "repeat('x', 2000000000)",
        "lpad('x', 2000000000)",
        "array_resize([1], 1000000000, 2)",
        "range(1000000000)",
    ] {
        let (status, message) = asked(&running, format!("SELECT {call}")).await;
        assert_eq!(status, 400, "{call}: {message}");
    }
}

#[tokio::test]
async fn a_query_ends_when_its_asker_hangs_up() {
    let running = start(|_| ()).await;
    let asked = reqwest::Client::new().post(running.url("/api/sql")).body(ENDLESS).send();
    assert!(tokio::time::timeout(Duration::from_millis(300), asked).await.is_err());
    let cancelled = "kandela_queries_total{language=\"sql\",outcome=\"cancelled\"} 1";
    let deadline = Instant::now() + Duration::from_secs(20);
    while !running.own_metrics().await.contains(cancelled) {
        assert!(Instant::now() < deadline, "the query went on without its asker");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn health_answers_while_queries_keep_every_thread_busy() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::new();
    let busy: Vec<_> =
        (0..8).map(|_| tokio::spawn(client.post(running.url("/api/sql")).body(ENDLESS).send())).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..5 {
        let answer =
            tokio::time::timeout(Duration::from_secs(5), reqwest::get(running.url("/-/healthy"))).await;
        assert_eq!(answer.expect("health did not answer within 5 s").unwrap().status(), StatusCode::OK);
    }
    for query in busy {
        query.abort();
    }
}
