//! Programs that ask a Prometheus, pointed at Kandela: each prints what it is told, and that must be what a real Prometheus over
//! the same series tells it.

mod remote_read;

use std::path::Path;
use std::process::Command;

use super::beside::both;
use super::peer;

/// What a program prints when it asks `server`, errors and the exit status among it; the server's own address reads SERVER.
fn told(mut command: Command, server: &str) -> String {
    let output = command.output().unwrap();
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).replace(server, "SERVER");
    format!("{printed}exit status {}", output.status.code().unwrap_or(-1))
}

/// Runs one of the scripts here against both, and holds what it prints against what it must hold at least.
async fn agree(interpreter: Option<impl Fn() -> Command>, script: &str, holds: &[&str]) {
    let Some(interpreter) = interpreter else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, kandela, end)) = both(folder.path()).await else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(script);
    let asks = |server: &str| {
        let mut command = interpreter();
        command.arg(&script).env("SERVER", server).env("END", end.to_string());
        told(command, server)
    };
    let (theirs, ours) = (asks(&prometheus.url), asks(&kandela.http));
    for part in holds {
        assert!(theirs.contains(part), "no {part} in what Prometheus tells:\n{theirs}");
    }
    assert!(ours == theirs, "{}", differences(&ours, &theirs));
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The first lines that are not the same.
fn differences(ours: &str, theirs: &str) -> String {
    let lines = ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs).take(5);
    let lines: String =
        lines.map(|(ours, theirs)| format!("Kandela    {ours}\nPrometheus {theirs}\n")).collect();
    format!("{lines}of {} and {} lines", ours.lines().count(), theirs.lines().count())
}

#[tokio::test]
async fn promtool_is_told_the_same() {
    let Some(promtool) = peer::find("promtool", &["--version"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((prometheus, kandela, end)) = both(folder.path()).await else { return };
    let (start, end_s) = (format!("--start={}", end - 7_200), format!("--end={end}"));
    let time = format!("--time={end}");
    // The address stands as `@` in an argument; flags come before it.
    let questions: Vec<Vec<&str>> = vec![
        vec!["query", "instant", &time, "@", "sum by (job) (rate(http_requests_total[5m]))"],
        vec!["query", "instant", "--format=json", &time, "@", "up"],
        vec!["query", "instant", &time, "@", "rpc_latency_seconds"],
        vec!["query", "instant", &time, "@", "sum(rate(http_requests_total[5m])"],
        vec!["query", "range", &start, &end_s, "--step=60s", "@", "rate(http_requests_total[5m])"],
        vec!["query", "range", &end_s, &start, "--step=0s", "@", "up"],
        vec!["query", "series", "--match=up", "--match={job=\"api\"}", &start, &end_s, "@"],
        vec!["query", "series", "--match={}", &start, &end_s, "@"],
        vec!["query", "labels", &start, &end_s, "@", "job"],
        vec!["query", "labels", &start, &end_s, "@", "nosuch"],
        vec![
            "query",
            "analyze",
            "--server=@",
            "--type=histogram",
            "--match=request_duration_seconds_bucket",
            "--match=rpc_latency_seconds",
            &time,
        ],
    ];
    let mut wrong = Vec::new();
    for question in questions {
        let asks = |server: &str| {
            let mut command = Command::new(&promtool);
            command.args(question.iter().map(|argument| argument.replace('@', server)));
            told(command, server)
        };
        let (mut theirs, mut ours) = (asks(&prometheus.url), asks(&kandela.http));
        if question.contains(&"analyze") {
            // It prints series in any order.
            (theirs, ours) = (sorted(&theirs), sorted(&ours));
        }
        if ours != theirs {
            wrong.push(format!("{question:?}\n{}", differences(&ours, &theirs)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn the_python_client_is_told_the_same() {
    let holds = ["http_requests_total", "chunks [", "not answered"];
    agree(peer::python(), "ask.py", &holds).await;
}

#[tokio::test]
async fn the_query_code_of_perses_is_told_the_same() {
    let holds = ["healthy true", "http_requests_total", "refused: 400", "histogram"];
    agree(peer::node(), "ask.cjs", &holds).await;
}
