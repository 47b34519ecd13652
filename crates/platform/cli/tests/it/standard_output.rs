//! What the binary does where standard output takes nothing more.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use super::stub::{Answer, Form, matrix, serve, vector};

fn answer(path: &str, _: &Form) -> Answer {
    match path {
        "/api/v1/query" => vector(&[(r#"{"job":"a"}"#, "1"), (r#"{"job":"b"}"#, "2")]),
        "/api/v1/query_range" => matrix(r#"{"job":"a"}"#, &["1", "2"]),
        "/api/sql?format=csv" => (200, "n\n1\n2\n".to_owned()),
        _ => (200, r#"{"columns":[{"name":"n","type":"Int64"}],"rows":[{"n":1},{"n":2}]}"#.to_owned()),
    }
}

/// Runs commands that print a good deal.
fn each_with(stdout: impl Fn() -> Stdio, check: impl Fn(&[&str], &Output)) {
    let server = serve(answer);
    let promql = ["query", "promql", "up", "--server", &server, "--format"];
    let sql = ["query", "sql", "SELECT n FROM t", "--server", &server, "--format"];
    let plot = ["plot", "--from", "now-1h"];
    for arguments in [
        [&promql[..], &["table"]].concat(),
        [&promql[..], &["json"]].concat(),
        [&promql[..], &["csv"]].concat(),
        [&promql[..], &plot].concat(),
        [&sql[..], &["table"]].concat(),
        [&sql[..], &["json"]].concat(),
        [&sql[..], &["csv"]].concat(),
        vec!["check", "rules", "/dev/null"],
        vec!["promqltest", "/dev/null"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kandela"));
        let running = command.args(&arguments).stdout(stdout()).stderr(Stdio::piped()).spawn().unwrap();
        check(&arguments, &running.wait_with_output().unwrap());
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").unwrap().into();
    each_with(full, |arguments, output| {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.starts_with("error: writing to standard output: No space left"),
            "{arguments:?}: {told}"
        );
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    });
}

#[test]
fn a_reader_that_has_gone_away_is_none() {
    let closed = || std::io::pipe().unwrap().1.into();
    each_with(closed, |arguments, output| {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    });
}
