//! Profiles in the formats of others, and for people.
#![cfg(feature = "profiler")]

use std::sync::Arc;
use std::time::Duration;

use kandela_algebra::merge::{Subtract, Sum};
use kandela_runtime::clock::ManualClock;
use kandela_runtime::profiler::{TraceSummary, TracedProfiler};
use serde_json::{Value, json};

const ODD: &str = "odd; \"name\"\n\\ é";

/// checkout 1,000 ns of its own; checkout;pay 500 and 1,500 ns; the odd name 4 ns.
fn profiled() -> TracedProfiler {
    let clock = ManualClock::new();
    let builder = TracedProfiler::builder().clock(Arc::new(clock.clone()));
    let profiler = builder.build().expect("within limits");
    let pass = |nanos| clock.advance(Duration::from_nanos(nanos));
    {
        let _checkout = profiler.trace("checkout");
        pass(1000);
        for nanos in [500, 1500] {
            let _pay = profiler.trace("pay");
            pass(nanos);
        }
    }
    {
        let _odd = profiler.trace(ODD);
        pass(4);
    }
    profiler
}

fn summary() -> TraceSummary {
    profiled().trace_summary()
}

#[test]
fn people_see_a_tree_with_aligned_figures() {
    let expected = "\
operation        count    total      own  idle      p50      p90      p99      max
checkout             1  3.00 µs  1.00 µs     –  3.00 µs  3.00 µs  3.00 µs  3.00 µs
└─ pay               2  2.00 µs  2.00 µs     –   509 ns  1.50 µs  1.50 µs  1.50 µs
odd; \"name\" \\ é      1     4 ns     4 ns     –     4 ns     4 ns     4 ns     4 ns
";
    assert_eq!(summary().to_string(), expected, "\n{}", summary());
}

#[test]
fn collapsed_stacks_hold_own_nanoseconds() {
    assert_eq!(summary().collapsed(), "checkout 1000\ncheckout;pay 2000\nodd: \"name\" \\ é 4\n");
}

#[test]
fn speedscope_gets_a_sampled_profile_whose_weights_are_own_nanoseconds() {
    let file: Value = serde_json::from_str(&summary().speedscope("shop")).expect("JSON");
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    assert_eq!(file["shared"]["frames"], json!([{"name": "checkout"}, {"name": "pay"}, {"name": ODD}]));
    let expected = json!({
        "type": "sampled", "name": "shop", "unit": "nanoseconds", "startValue": 0, "endValue": 3004,
        "samples": [[0], [0, 1], [2]], "weights": [1000, 2000, 4],
    });
    assert_eq!(file["profiles"], json!([expected]));
}

#[test]
fn prometheus_gets_exact_cumulative_counts_with_escaped_labels() {
    let text = summary().prometheus();
    let line = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in\n{text}"))
            .rsplit(' ')
            .next()
            .expect("a value")
            .to_owned()
    };
    let pay = r#"path="checkout;pay",operation="pay""#;
    // 2⁻²⁰ s are 954 ns, 2⁻¹⁹ s are 1,907 ns.
    assert_eq!(line(&format!("trace_operation_seconds_bucket{{{pay},le=\"0.00000095367431640625\"}}")), "1");
    assert_eq!(line(&format!("trace_operation_seconds_bucket{{{pay},le=\"0.0000019073486328125\"}}")), "2");
    assert_eq!(line(&format!("trace_operation_seconds_bucket{{{pay},le=\"64\"}}")), "2");
    assert_eq!(line(&format!("trace_operation_seconds_bucket{{{pay},le=\"+Inf\"}}")), "2");
    assert_eq!(line(&format!("trace_operation_seconds_count{{{pay}}}")), "2");
    assert_eq!(line(&format!("trace_operation_seconds_sum{{{pay}}}")), "0.000002");
    assert_eq!(
        line(r#"trace_operation_own_seconds_total{path="checkout",operation="checkout"}"#),
        "0.000001"
    );
    assert!(text.contains(r#"operation="odd; \"name\"\n\\ é""#), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), 3);
}

#[test]
fn json_holds_all_figures_of_a_path() {
    let paths = summary().to_json();
    let pay = &paths[1];
    assert_eq!(pay["path"], json!(["checkout", "pay"]));
    assert_eq!(
        (&pay["count"], &pay["total"], &pay["own"], &pay["idle"]),
        (&json!(2), &json!(2000), &json!(2000), &json!(0))
    );
    assert_eq!(pay["max"], json!(1.5e-6));
}

#[test]
fn an_empty_profile_is_empty_everywhere() {
    let empty = TraceSummary::default();
    assert_eq!(empty.to_string().lines().count(), 1);
    assert_eq!(empty.collapsed(), "");
    assert_eq!(empty.to_json(), json!([]));
    let file: Value = serde_json::from_str(&empty.speedscope("")).expect("JSON");
    assert_eq!(file["profiles"][0]["endValue"], 0);
    assert!(empty.prometheus().lines().all(|line| line.starts_with('#')));
}

#[test]
fn the_difference_of_two_profiles_is_what_came_in_between() {
    let profiler = profiled();
    let before = profiler.trace_summary().own_times();
    drop(profiler.trace("checkout"));
    let mut after = profiler.trace_summary().own_times();
    after.subtract(&before);
    assert_eq!(after.total(), Sum(0), "a manual clock stands still");
    assert!(after.at(["checkout", "pay"]).is_none(), "what did not change goes");
}
