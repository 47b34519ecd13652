//! `anchored` and `smoothed` ranges.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use futures::executor::block_on;
use kandela_promql::script::{QueryTime, run};
use kandela_promql::{Options, When, evaluate};

fn passes(script: &str) {
    let report = run(script, |source, query| {
        let when = match query.time {
            QueryTime::Instant(at) => When::Instant(at),
            QueryTime::Range { from, through, step } => When::Range { from, through, step },
        };
        block_on(evaluate(source, &query.expr, when, Options::default())).map_err(|e| e.to_string())
    });
    let told: Vec<&str> = report.failed.iter().map(|failure| failure.message.as_str()).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(report.passed > 0);
}

const COUNTER: &str = "load 30s\n  requests_total 0 10 20 30 5 15\n";

#[test]
fn an_anchored_increase_counts_from_the_last_sample_before_the_range() {
    passes(&format!(
        "{COUNTER}\neval instant at 1m15s increase(requests_total[1m] anchored)\n  {{}} 20\n\neval instant at 1m15s rate(requests_total[40s] anchored)\n  {{}} 0.25\n"
    ));
}

#[test]
fn a_smoothed_increase_interpolates_at_both_ends() {
    passes(&format!("{COUNTER}\neval instant at 1m15s increase(requests_total[1m] smoothed)\n  {{}} 20\n"));
}

#[test]
fn a_reset_within_an_anchored_range_is_counted() {
    passes(&format!("{COUNTER}\neval instant at 2m30s increase(requests_total[2m] anchored)\n  {{}} 35\n"));
}

#[test]
fn a_smoothed_vector_lies_on_the_line_between_samples() {
    passes(&format!("{COUNTER}\neval instant at 45s requests_total smoothed\n  requests_total 15\n"));
}

#[test]
fn other_functions_take_no_such_range() {
    passes(&format!(
        "{COUNTER}\neval instant at 1m avg_over_time(requests_total[1m] anchored)\n  expect fail msg: anchored modifier can only be used with: changes, delta, increase, rate, resets - not with avg_over_time\n"
    ));
}
