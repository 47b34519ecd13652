//! `label_replace` expands its replacement as `Regexp.Expand` of Go does.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use futures::executor::block_on;
use kandela_promql::script::MemorySource;
use kandela_promql::{Answer, Options, When, evaluate};

fn replaced(replacement: &str) -> String {
    let query = format!(
        r#"label_replace(label_replace(vector(1), "from", "ab", "", ""), "to", "{replacement}", "from", "(.)(?P<second>.)")"#
    );
    let source = MemorySource::new();
    let answer = block_on(evaluate(&source, &query, When::Instant(0), Options::default())).unwrap().answer;
    let Answer::Vector(found) = answer else { panic!("{query} gives no vector") };
    found[0].0.get("to").unwrap_or_default().to_owned()
}

#[test]
fn a_replacement_is_expanded_as_go_expands_it() {
    for (replacement, expanded) in [
        ("$1", "a"),
        ("${1}x", "ax"),
        ("$1x", ""),
        ("$01", ""),
        ("$second-$2", "b-b"),
        ("$äb.", "."),
        ("$$1", "$1"),
        ("$-", "$-"),
    ] {
        assert_eq!(replaced(replacement), expanded, "{replacement}");
    }
}
