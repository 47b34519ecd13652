//! Kandela beside a real Prometheus 3.5: the same series, the same questions, the same answers.

mod coverage;
mod list;

use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::beside::{both, end, write};
use super::kandela::kandela;
use super::prometheus::Prometheus;
use list::{Expected, Query, other_answers, queries};

/// How much of the data is compared: before, some windows are not full. Then Prometheus 3.5 lets a native
/// histogram grow from below zero, and 3.14 does not.
const STRETCH: &str = "100m";

/// Asks a path of Prometheus' API; gives the status and the document.
async fn ask(client: &Client, server: &str, path: &str, parameters: &[(&str, &str)]) -> (StatusCode, Value) {
    let url = Url::parse_with_params(&format!("{server}/api/v1/{path}"), parameters).unwrap();
    let answer = client.get(url).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// What comes of a query at some times and over the whole of the data.
async fn found(client: &Client, server: &str, query: &Query, end: i64) -> Vec<Expected> {
    let mut all = Vec::new();
    let start = (end - 7_200).to_string();
    if query.instant {
        for before in [0, 1_800, 3_600, 5_393] {
            let time = (end - before).to_string();
            all.push(ask(client, server, "query", &[("query", query.text), ("time", &time)]).await);
        }
    }
    if query.range {
        let parameters =
            [("query", query.text), ("start", &start), ("end", &end.to_string()), ("step", "60")];
        all.push(ask(client, server, "query_range", &parameters).await);
    }
    let of = |(_, document): (StatusCode, Value)| {
        if document["status"] != "success" {
            Expected::Error
        } else if document["data"]["result"].as_array().is_some_and(Vec::is_empty) {
            Expected::Nothing
        } else {
            Expected::Data
        }
    };
    all.into_iter().map(of).collect()
}

#[tokio::test]
async fn prometheus_answers_each_query_as_the_list_says() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prometheus) = Prometheus::start(folder.path(), "prometheus", "").await else { return };
    let end = end();
    write(&[&prometheus.url], end).await;
    let (client, mut wrong) = (Client::new(), Vec::new());
    for query in queries().into_iter().chain(other_answers()) {
        let found = found(&client, &prometheus.url, &query, end).await;
        let holds = match query.expected {
            Expected::Data => found.contains(&Expected::Data) && !found.contains(&Expected::Error),
            Expected::Nothing => found.iter().all(|found| *found == Expected::Nothing),
            Expected::Error => found.contains(&Expected::Error),
        };
        if !holds {
            wrong.push(format!("{}: {:?} expected, {found:?} found", query.text, query.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn kandela_answers_each_query_as_prometheus_does() {
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, server, end)) = both(folder.path()).await else { return };
    let (list, end) = (list::path(), end.to_string());
    let output = kandela(&[
        "check",
        "parity",
        "--against",
        &prometheus.url,
        "--server",
        &server.http,
        "--queries",
        list.to_str().unwrap(),
        "--for",
        STRETCH,
        "--to",
        &end,
        "--step",
        "4m",
        "--strict",
    ]);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn kandela_refuses_the_parameters_that_prometheus_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, server, _)) = both(folder.path()).await else { return };
    let range = |start: &'static str, end: &'static str, step: &'static str| {
        vec![("query", "up"), ("start", start), ("end", end), ("step", step)]
    };
    let questions: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("query_range", range("2000", "1000", "60")),
        ("query_range", range("1000", "2000", "0")),
        ("query_range", range("1000", "2000", "-1")),
        ("query_range", range("1000", "2000", "a while")),
        ("query_range", range("1000", "2000", "")),
        ("query_range", range("now", "2000", "60")),
        ("query_range", range("1000", "", "60")),
        ("query_range", range("0", "11001", "1")),
        ("query_range", range("1000", "1e300", "60")),
        ("query_range", vec![("start", "1000"), ("end", "2000"), ("step", "60")]),
        ("query_range", [range("1000", "2000", "60"), vec![("timeout", "soon")]].concat()),
        ("query_range", [range("1000", "2000", "60"), vec![("limit", "-1")]].concat()),
        ("query_range", [range("1000", "2000", "60"), vec![("limit", "all")]].concat()),
        ("query_range", [range("1000", "2000", "60"), vec![("lookback_delta", "long")]].concat()),
        ("query", vec![]),
        ("query", vec![("query", "")]),
        ("query", vec![("query", "up"), ("time", "noon")]),
        ("query", vec![("query", "up"), ("timeout", "soon")]),
        ("query", vec![("query", "up"), ("limit", "-1")]),
        ("query", vec![("query", "up"), ("lookback_delta", "long")]),
        ("query_exemplars", vec![("query", "up{"), ("start", "1"), ("end", "2")]),
        ("query_exemplars", vec![("query", "up"), ("start", "2"), ("end", "1")]),
        ("series", vec![]),
        ("series", vec![("match[]", "{}")]),
        ("series", vec![("match[]", "up"), ("start", "noon")]),
        ("labels", vec![("match[]", "rate(up[5m])")]),
        ("label/job/values", vec![("match[]", "up[5m]")]),
        ("label/job/values", vec![("limit", "few")]),
        ("format_query", vec![("query", "up{")]),
        ("parse_query", vec![("query", "sum(")]),
    ];
    let (client, mut wrong) = (Client::new(), Vec::new());
    for (path, parameters) in questions {
        let (status, theirs) = ask(&client, &prometheus.url, path, &parameters).await;
        let (own_status, ours) = ask(&client, &server.http, path, &parameters).await;
        assert!(!status.is_success(), "{path} {parameters:?}: Prometheus answers {theirs}");
        if (own_status, &ours["errorType"]) != (status, &theirs["errorType"]) {
            wrong.push(format!(
                "{path} {parameters:?}: {own_status} {ours}, and Prometheus {status} {theirs}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
