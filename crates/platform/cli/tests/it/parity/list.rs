//! The lists of queries, as the head of queries.txt describes them.

use std::path::PathBuf;

const LIST: &str = include_str!("queries.txt");
const OTHER_ANSWERS: &str = include_str!("other_answers.txt");

/// What Prometheus 3.5 makes of a query over the series of `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Data,
    Nothing,
    Error,
}

#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) text: &'static str,
    pub(super) expected: Expected,
    pub(super) instant: bool,
    pub(super) range: bool,
}

pub(super) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/parity/queries.txt")
}

/// What Kandela is to answer alike.
pub(super) fn queries() -> Vec<Query> {
    read(LIST)
}

/// What only Prometheus is asked.
pub(super) fn other_answers() -> Vec<Query> {
    read(OTHER_ANSWERS)
}

fn read(list: &'static str) -> Vec<Query> {
    let mut expected = Expected::Data;
    let mut queries = Vec::new();
    for line in list.lines() {
        match line {
            "# expect: data" => expected = Expected::Data,
            "# expect: nothing" => expected = Expected::Nothing,
            "# expect: error" => expected = Expected::Error,
            _ if line.trim().is_empty() || line.starts_with('#') => {}
            _ => queries.push(query(line, expected)),
        }
    }
    queries
}

fn query(line: &'static str, expected: Expected) -> Query {
    let instant = line.strip_prefix("instant: ");
    let range = line.strip_prefix("range: ");
    Query {
        text: instant.or(range).unwrap_or(line),
        expected,
        instant: range.is_none(),
        range: instant.is_none(),
    }
}
