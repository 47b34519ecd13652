//! PromQL from the command line: asking a real Prometheus, evaluating over its remote read, and comparing two servers.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::kandela::kandela;
use super::peer::until;
use super::prometheus::Prometheus;

/// Queries over what a Prometheus says of itself, counters, gauges and native histograms among it.
const QUERIES: &str = r#"
up
rate(prometheus_http_requests_total[5s])
sum by (code) (increase(prometheus_http_requests_total[5s]))
histogram_quantile(0.9, prometheus_http_request_duration_seconds)
sum(rate(prometheus_http_request_duration_seconds[5s]))
prometheus_http_request_duration_seconds
histogram_quantile(0.5, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[5s])))
sort(go_gc_gogc_percent or go_goroutines)
topk(3, {__name__=~"go_.*", __name__!~".*info|go_gc_duration_seconds"})
max_over_time(go_goroutines[5s]) - min_over_time(go_goroutines[5s] offset 2s)
quantile_over_time(0.9, go_goroutines[10s:1s])
count by (__name__) ({__name__=~"go_memstats.*"})
up * on (instance) group_left (version) prometheus_build_info
label_replace(up, "host", "$1", "instance", "(.*):.*")
absent(nosuch)
instant: up[10s]
instant: up{
"#;

const SCRAPES_ITSELF: &str = "
global: {scrape_interval: 1s}
scrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:OWN_PORT']}]}]
";

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

/// How many samples fill what is asked over, 10 s, and the windows before it, 5 s.
const FULL: usize = 18;

/// One that has scraped itself for some seconds, and what it says of being asked too: Prometheus 3.5 lets a native
/// histogram that has just begun grow from below zero, and Kandela does not.
async fn prometheus(folder: &Path, name: &str, config: &str) -> Option<Prometheus> {
    let prometheus = Prometheus::start(folder, name, config).await?;
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    until("waited for samples", async || {
        let asked = r#"prometheus_http_request_duration_seconds{handler="/api/v1/query"}[1m]"#;
        let found = prometheus.samples(asked, now()).await;
        found.values().any(|points| points.len() >= FULL).then_some(())
    })
    .await;
    Some(prometheus)
}

#[tokio::test]
async fn the_engine_over_remote_read_answers_as_the_prometheus_that_the_samples_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prometheus) = prometheus(folder.path(), "prometheus", SCRAPES_ITSELF).await else { return };
    let queries = folder.path().join("queries.txt");
    std::fs::write(&queries, QUERIES).unwrap();
    let url = prometheus.url.as_str();
    let file = queries.to_str().unwrap();
    let compared = kandela(&[
        "check",
        "parity",
        "--remote-read",
        url,
        "--against",
        url,
        "--queries",
        file,
        "--for",
        "10s",
        "--step",
        "1s",
        "--format",
        "json",
    ]);
    let report = json(&compared);
    assert_eq!((&report["agree"], &report["queries"]), (&17.into(), &17.into()), "{report:#}");
    assert_eq!(report["agree_in_error"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(compared.status.code(), Some(0));

    let here = json(&kandela(&["query", "promql", "sum(up)", "--remote-read", url, "--format", "json"]));
    assert_eq!(here["data"]["result"][0]["value"][1], "1", "{here}");
}

#[tokio::test]
async fn subqueries_that_name_no_step_take_the_evaluation_interval() {
    let folder = tempfile::tempdir().unwrap();
    let config = SCRAPES_ITSELF.replace("1s}", "1s, evaluation_interval: 3s}");
    let Some(prometheus) = prometheus(folder.path(), "prometheus", &config).await else { return };
    let file = folder.path().join("queries.txt");
    std::fs::write(&file, "count_over_time(up[12s:])").unwrap();
    let (url, file) = (prometheus.url.as_str(), file.to_str().unwrap());
    let engine = ["--remote-read", url, "--evaluation-interval", "3s"];
    let compare = ["check", "parity", "--against", url, "--queries", file, "--for", "2s", "--step", "1s"];
    let compared = kandela(&[&compare[..], &engine[..]].concat());
    assert!(text(&compared.stdout).starts_with("1 of 1 queries agree\n"), "{compared:?}");
    let ask = ["query", "promql", "count_over_time(vector(1)[12s:])"];
    assert_eq!(text(&kandela(&[&ask[..], &engine[..]].concat()).stdout), "4\n");
}

#[tokio::test]
async fn servers_with_other_data_differ_and_the_data_are_blamed() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, "groups: [{name: g, rules: [{record: n, expr: count(up)}]}]").unwrap();
    let config = format!("{SCRAPES_ITSELF}rule_files: ['{}']\n", rules.display());
    let Some(one) = prometheus(folder.path(), "one", &config).await else { return };
    let two = SCRAPES_ITSELF.replace("job_name: self", "job_name: other");
    let Some(two) = prometheus(folder.path(), "two", &two).await else { return };
    let arguments = [
        "check",
        "parity",
        "--server",
        two.url.as_str(),
        "--against",
        one.url.as_str(),
        "--for",
        "4s",
        "--step",
        "1s",
    ];
    // Without files, the rules of the other server are asked; how many targets there are is the same on both.
    let agreed = kandela(&arguments);
    assert!(text(&agreed.stdout).starts_with("1 of 1 queries agree\n"), "{agreed:?}");
    assert_eq!(agreed.status.code(), Some(0));

    let queries = folder.path().join("queries.txt");
    std::fs::write(&queries, "instant: up\nvector(1)\n").unwrap();
    let differing = kandela(&[&arguments[..], &["--queries", queries.to_str().unwrap()]].concat());
    let told = text(&differing.stdout);
    assert!(told.starts_with("1 of 2 queries agree\n"), "{told}");
    assert!(
        told.contains("job=\"other\"} is missing there") && told.contains("the data under it differ:"),
        "{told}"
    );
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert_eq!(differing.status.code(), Some(1));
}

#[tokio::test]
async fn a_prometheus_is_asked_and_its_answers_are_told_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prometheus) = prometheus(folder.path(), "prometheus", SCRAPES_ITSELF).await else { return };
    let ask = |arguments: &[&str]| {
        kandela(&[&["query", "promql", "--server", prometheus.url.as_str()], arguments].concat())
    };
    let table = ask(&["up"]);
    assert!(
        text(&table.stdout).starts_with("up{instance=") && text(&table.stdout).ends_with("}\n1\n"),
        "{table:?}"
    );

    let csv = ask(&["up", "--format", "csv"]);
    assert!(text(&csv.stdout).starts_with("__name__,instance,job,time,value\nup,127.0.0.1:"), "{csv:?}");

    let answer = json(&ask(&["up", "--format", "json"]));
    assert_eq!(
        (&answer["status"], &answer["data"]["result"][0]["value"][1]),
        (&"success".into(), &"1".into())
    );

    let plot = ask(&["go_goroutines", "--from", "now-10s", "--step", "1s", "--format", "plot"]);
    let plot = text(&plot.stdout);
    assert!(plot.contains('┤') && plot.contains('└') && plot.contains("last"), "{plot}");
    assert!(plot.lines().all(|line| line.chars().count() <= 80), "{plot}");

    let rows = ask(&["up", "--from", "now-3s", "--step", "1s"]);
    assert!(text(&rows.stdout).contains("time (UTC)           value\n"), "{rows:?}");

    let wrong = ask(&["sum(up"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(text(&wrong.stderr), "error: unclosed left parenthesis\n\n  sum(up\n        ^\n");

    let noted = ask(&["rate(go_goroutines[5s])"]);
    assert!(text(&noted.stderr).starts_with("info: metric might not be a counter"), "{noted:?}");
}

#[test]
fn rule_files_are_checked_with_their_expressions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(up\n").unwrap();
    let bad = kandela(&["check", "rules", path]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stdout).contains("rules.yml:5:17: groups[0].rules[0].expr: unclosed"), "{bad:?}");

    std::fs::write(&file, "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(up)\n").unwrap();
    let report = json(&kandela(&["check", "rules", path, "--format", "json"]));
    assert_eq!(
        (&report[0]["state"], &report[0]["rules"], &report[0]["groups"]),
        (&"ok".into(), &1.into(), &1.into())
    );
}

#[test]
fn a_rule_file_that_cannot_be_read_is_told_among_the_faults_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (bad, missing, good) = (path("a.yml"), path("missing.yml"), path("b.yml"));
    std::fs::write(&bad, "groups: [{name: g, rules: [{record: a}]}]").unwrap();
    std::fs::write(&good, "groups: [{name: g, rules: [{record: a, expr: up}]}]").unwrap();
    let checked = kandela(&["check", "rules", &bad, &missing, &good]);
    let told = text(&checked.stdout);
    assert!(told.contains("a.yml:1:") && told.contains("b.yml: 1 rule in 1 group"), "{checked:?}");
    assert!(
        told.contains(&format!("■ fail {missing}: 1 to mend\n  {missing}: cannot be read: No such file")),
        "{told}"
    );
    assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(1), ""));

    let report = json(&kandela(&["check", "rules", &missing, "--format", "json"]));
    assert_eq!((&report[0]["state"], &report[0]["errors"][0]["line"]), (&"fail".into(), &Value::Null));
}
