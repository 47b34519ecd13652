//! What `kandela check parity` says of servers that cannot be compared, or not in all.

use std::path::PathBuf;
use std::process::Output;

use super::kandela::kandela;
use super::stub::{Answer, Form, data, matrix, refusal, serve, vector};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asks `queries`, one a line, of two servers.
fn parity(here: &str, there: &str, queries: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("queries.txt");
    std::fs::write(&file, queries).unwrap();
    let servers = ["check", "parity", "--server", here, "--against", there];
    kandela(
        &[&servers[..], &["--queries", file.to_str().unwrap(), "--for", "10s", "--step", "1s"], more]
            .concat(),
    )
}

/// One that has the series `up`, and no other.
fn with_up(_: &str, form: &Form) -> Answer {
    match form["query"].as_str() {
        "max(timestamp(up))" => vector(&[("{}", "60")]),
        query if query.contains("up[") => matrix(r#"{"__name__":"up"}"#, &["1"]),
        query if query.contains("up") => vector(&[(r#"{"__name__":"up"}"#, "1")]),
        _ => data("vector", ""),
    }
}

#[test]
fn a_query_that_only_the_reference_refuses_is_a_difference_and_the_others_are_compared() {
    for status in [400, 422] {
        let there = serve(move |path, form| match form["query"].contains("broken") {
            true => refusal(status, "execution"),
            false => with_up(path, form),
        });
        let output = parity(&serve(with_up), &there, "instant: broken\ninstant: up\n", &[]);
        let told = text(&output.stdout);
        assert!(told.starts_with("1 of 2 queries agree\n"), "{output:?}");
        assert!(told.contains("queries.txt:1") && told.contains(&format!("there error {status}")), "{told}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_reference_that_refuses_everything_is_compared_up_to_what_the_other_has() {
    let there = serve(|_, _| refusal(422, "execution"));
    let output = parity(&serve(with_up), &there, "instant: up\n", &[]);
    let told = text(&output.stdout);
    assert!(told.contains("to 1970-01-01 00:01:00 UTC") && told.contains("there error 422"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn queries_that_are_empty_on_both_are_counted_apart() {
    let output = parity(&serve(with_up), &serve(with_up), "instant: up\ninstant: ip\n", &[]);
    let told = text(&output.stdout);
    assert!(told.starts_with("2 of 2 queries agree, 1 of them without data to compare\n"), "{output:?}");
    assert!(
        told.contains("  1 of them empty on both\n") && told.contains("queries.txt:2: ip\n"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn where_all_is_empty_on_both_nothing_was_found_out() {
    for to in ["2020-01-01", "9999-01-01"] {
        let empty = || serve(|_, _| data("vector", ""));
        let output = parity(&empty(), &empty(), "instant: up\ninstant: ip\n", &["--to", to]);
        assert!(text(&output.stdout).contains("  2 of them empty on both\n"), "{output:?}");
        assert!(text(&output.stderr).starts_with("error: no query has data on either server"), "{output:?}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn queries_that_could_not_be_asked_leave_open_whether_the_servers_agree() {
    let there = serve(|_, _| (200, "<html>".to_owned()));
    let output = parity(&serve(with_up), &there, "instant: up\n", &["--to", "60"]);
    assert!(text(&output.stdout).contains("could not be asked there"), "{output:?}");
    assert_eq!(text(&output.stderr), "error: 1 of 1 queries could not be asked; the report says why\n");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_sign_of_a_zero_is_a_difference_of_the_data() {
    let with_zero = |zero: &'static str, inverse: &'static str| {
        serve(move |_, form| match form["query"].as_str() {
            "1 / zero" => vector(&[("{}", inverse)]),
            _ => matrix(r#"{"__name__":"zero"}"#, &[zero]),
        })
    };
    let output =
        parity(&with_zero("0", "+Inf"), &with_zero("-0", "-Inf"), "instant: 1 / zero\n", &["--to", "60"]);
    let told = text(&output.stdout);
    assert!(told.contains("the data under it differ:\n    zero is 0 here and -0 there"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}
