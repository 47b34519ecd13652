//! The same queries, given to Kandela's parser and to the real Prometheus in one run: the same texts, trees and errors must
//! come of them. Beside those listed, each is asked with a part of it missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kandela_promql::{format, parse, tree_json};
use serde_json::Value;

const QUERIES: &str = include_str!("testdata/queries.txt");

/// What an older Prometheus says otherwise than 3.14; unit tests hold how 3.14 says it.
const OLDER: &[&str] = &[
    // The words for what may stand in brackets and behind `offset` have grown.
    "expected number or duration",
    "in subquery selector",
    // Its lexer gave only some letters behind a bracket's number an error of their own.
    "unexpected colon",
    "expected ':'",
    // `</` and `>/` were two operators, `@` had no name.
    "<Item ",
    // It stops at types that do not fit before it has looked at them all.
    "unexpected error",
];

struct Prometheus {
    child: Child,
    agent: ureq::Agent,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(binary: &Path, folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "").unwrap();
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=promql-experimental-functions,promql-duration-expr")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .into();
        let prometheus = Self { child, agent, url: format!("http://127.0.0.1:{port}/api/v1") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while prometheus.ask("format_query", "up").is_none() {
            assert!(Instant::now() < deadline, "Prometheus does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        prometheus
    }

    /// What Prometheus gives for a query, or the error that it shows; nothing where it does not answer yet.
    fn ask(&self, what: &str, query: &str) -> Option<Result<Value, String>> {
        let mut answer =
            self.agent.post(format!("{}/{what}", self.url)).send_form([("query", query)]).ok()?;
        let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
        Some(match answer["error"].as_str() {
            Some(error) => Err(error.trim_start_matches("invalid parameter \"query\": ").to_owned()),
            None => Ok(answer["data"].clone()),
        })
    }
}

fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").map(PathBuf::from);
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    given
        .into_iter()
        .chain(installed)
        .map(|folder| folder.join("bin"))
        .chain(std::env::split_paths(&on_path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Each query as it is, cut off at each of its words, and without each of them.
fn queries() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for query in QUERIES.lines() {
        all.insert(query.to_owned());
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut starts: Vec<usize> = query
            .char_indices()
            .zip(std::iter::once(' ').chain(query.chars()))
            .filter(|((_, c), before)| !(is_word(*c) && is_word(*before)))
            .map(|((at, _), _)| at)
            .collect();
        starts.push(query.len());
        for word in starts.windows(2) {
            let [start, end] = word else { continue };
            all.insert(query[..*start].to_owned());
            all.insert(format!("{}{}", &query[..*start], &query[*end..]));
        }
    }
    all
}

/// Whether both refuse a regular expression at the same place: what is wrong with it, each engine says in its own words.
fn same_place_of_regex(ours: &Result<String, String>, theirs: &Result<String, String>) -> bool {
    let (Err(ours), Err(theirs)) = (ours, theirs) else { return false };
    let place = |error: &str| error.split_once(" parse error: ").map(|(place, _)| place.to_owned());
    ours.contains("regular expression")
        && theirs.contains("error parsing regexp")
        && place(ours) == place(theirs)
}

/// Without the fields that an older Prometheus does not give.
fn without(value: &mut Value, fields: &[&str]) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !fields.contains(&name.as_str()));
            object.values_mut().for_each(|inner| without(inner, fields));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| without(inner, fields)),
        _ => {}
    }
}

const LATER: &[&str] =
    &["rangeExpr", "offsetExpr", "stepExpr", "anchored", "smoothed", "fillValues", "duration"];

#[test]
fn queries_are_printed_shown_and_refused_as_prometheus_does() {
    let Some(binary) = peer("prometheus") else {
        eprintln!("SKIPPED: no prometheus; `peers/install` fetches it, KANDELA_PEERS names its folder");
        return;
    };
    let version = Command::new(&binary).arg("--version").output().unwrap();
    eprintln!("beside {}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&binary, folder.path());

    let (mut compared, mut differences) = (0, Vec::new());
    for query in queries() {
        let theirs =
            prometheus.ask("format_query", &query).unwrap().map(|text| text.as_str().unwrap().to_owned());
        if theirs.as_ref().is_err_and(|error| OLDER.iter().any(|words| error.contains(words))) {
            continue;
        }
        let parsed = parse(&query);
        let ours = parsed.as_ref().map(format).map_err(ToString::to_string);
        compared += 1;
        if same_place_of_regex(&ours, &theirs) {
            continue;
        }
        if ours != theirs {
            differences.push(format!("{query}\n  ours   {ours:?}\n  theirs {theirs:?}"));
            continue;
        }
        let Ok(expr) = parsed else { continue };
        let (mut ours, mut theirs) =
            (tree_json(&expr), prometheus.ask("parse_query", &query).unwrap().unwrap());
        without(&mut ours, LATER);
        without(&mut theirs, LATER);
        if ours != theirs {
            differences.push(format!("{query}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    eprintln!("{compared} queries compared");
    let shown = differences.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
}
