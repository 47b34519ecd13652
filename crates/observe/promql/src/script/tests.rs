//! What the language means, one behaviour a test.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kandela_model::{Histogram, Labels, ResetHint, is_stale};

use super::*;
use crate::source::{SampleBuffer, Select, SeriesSource};
use kandela_config::matcher::{MatchOp, Matcher};

const MINUTE: i64 = 60_000_000;

fn one_load(script: &str) -> Load {
    match parse(script).unwrap().remove(0) {
        Command::Load(load) => load,
        other => panic!("{other:?} is no load"),
    }
}

fn one_eval(script: &str) -> Eval {
    match parse(script).unwrap().remove(0) {
        Command::Eval(eval) => *eval,
        other => panic!("{other:?} is no eval"),
    }
}

fn refused(script: &str) -> ScriptError {
    parse(script).map(|_| ()).unwrap_err()
}

/// The values of `item` at their minutes.
fn loaded(item: &str) -> Vec<(i64, Point)> {
    let load = one_load(&format!("load 1m\n  series {item}"));
    load.series[0].samples.iter().map(|sample| (sample.time / MINUTE, sample.point.clone())).collect()
}

fn floats(item: &str) -> Vec<(i64, f64)> {
    let as_float = |(minute, point)| match point {
        Point::Float(value) => (minute, value),
        Point::Histogram(_) => panic!("{item} has a histogram"),
    };
    loaded(item).into_iter().map(as_float).collect()
}

fn histograms(item: &str) -> Vec<Histogram> {
    let as_histogram = |(_, point)| match point {
        Point::Histogram(histogram) => Arc::unwrap_or_clone(histogram),
        Point::Float(_) => panic!("{item} has a float"),
    };
    loaded(item).into_iter().map(as_histogram).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied()).unwrap()
}

fn source(script: &str) -> MemorySource {
    let mut source = MemorySource::new();
    for command in parse(script).unwrap() {
        match command {
            Command::Load(load) => source.load(&load).unwrap(),
            Command::Clear => source.clear(),
            Command::Eval(_) => {}
        }
    }
    source
}

fn select(
    source: &MemorySource,
    matchers: Vec<Matcher>,
    from: i64,
    through: i64,
) -> Vec<(String, SampleBuffer)> {
    let select = Select { matchers, from, through };
    let mut future = pin!(source.select(&select));
    let Poll::Ready(found) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("memory made us wait")
    };
    let found = found.unwrap();
    let read = |index| {
        let mut reader = found.reader();
        let samples = reader.read(index).unwrap();
        let samples = SampleBuffer {
            times: samples.times.to_vec(),
            values: samples.values.to_vec(),
            starts: samples.starts.to_vec(),
            histograms: samples.histograms.to_vec(),
        };
        (found.labels(index).to_string(), samples)
    };
    (0..found.len()).map(read).collect()
}

fn all(source: &MemorySource) -> Vec<(String, SampleBuffer)> {
    select(source, Vec::new(), i64::MIN, i64::MAX)
}

fn vector(rows: &[(&[(&str, &str)], f64)]) -> Answer {
    Answer::Vector(rows.iter().map(|(pairs, value)| (labels(pairs), Point::Float(*value))).collect())
}

fn outcome(script: &str, answer: Answer) -> Result<(), String> {
    check(&one_eval(script), &Ok(Answered::from(answer))).map_err(|mismatch| mismatch.to_string())
}

mod notation {
    use super::*;

    #[test]
    fn a_repetition_gives_one_value_more_than_its_count() {
        assert_eq!(floats("1+2x2"), [(0, 1.0), (1, 3.0), (2, 5.0)]);
        assert_eq!(floats("1-2x2"), [(0, 1.0), (1, -1.0), (2, -3.0)]);
        assert_eq!(floats("-1x1"), [(0, -1.0), (1, -1.0)]);
    }

    #[test]
    fn gaps_take_a_step_and_repeat_exactly() {
        assert_eq!(floats("_ 1 _x2 2"), [(1, 1.0), (4, 2.0)]);
    }

    #[test]
    fn steps_add_up_with_the_rounding_of_a_sum() {
        let values: Vec<f64> = floats("0.1+0.1x2").into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [0.1, 0.1 + 0.1, 0.1 + 0.1 + 0.1]);
    }

    #[test]
    fn special_numbers_are_read_in_any_case() {
        let values = floats("Inf -Inf +inf 1e3 .5 1.e2 010 NaN");
        let values: Vec<f64> = values.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values[..7], [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, 1e3, 0.5, 100.0, 8.0]);
        assert!(values[7].is_nan());
    }

    #[test]
    fn stale_is_the_marker() {
        assert!(floats("1 stale").last().is_some_and(|(_, value)| is_stale(*value)));
    }

    #[test]
    fn a_step_needs_a_count() {
        assert!(refused("load 1m\n  a 1+2").message.contains("x and a count"));
        assert!(refused("load 1m\n  a {{}}+{{}}").message.contains("x and a count"));
    }

    #[test]
    fn counts_that_would_fill_the_memory_are_refused() {
        assert!(refused("load 1m\n  a 1x99999999999").message.contains("repetitions"));
    }

    #[test]
    fn labels_and_metrics_may_be_quoted() {
        let load = one_load("load 1m\n  {\"my.metric\", \"a.b\"=\"c\", d='e', f=`g\\n`,} 1");
        let expected = labels(&[("__name__", "my.metric"), ("a.b", "c"), ("d", "e"), ("f", "g\\n")]);
        assert_eq!(load.series[0].labels, expected);
    }

    #[test]
    fn strings_know_the_escapes_of_go() {
        let load = one_load(
            r#"load 1m
            a{b="\"\\\n\x41\101\u00e9"} 1"#,
        );
        assert_eq!(load.series[0].labels.get("b"), Some("\"\\\nAAé"));
    }

    #[test]
    fn braces_alone_are_no_labels() {
        assert_eq!(one_load("load 1m\n  {} 1").series[0].labels, Labels::default());
    }

    #[test]
    fn histograms_have_all_their_parts() {
        let histogram = &histograms(
            "{{schema:1 sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10 7] offset:-3 n_buckets:[4.1 5] \
             n_offset:-5 counter_reset_hint:gauge}}",
        )[0];
        assert_eq!((histogram.schema, histogram.sum, histogram.count), (1, -0.3, 3.1));
        assert_eq!((histogram.zero_count, histogram.zero_threshold), (7.1, 0.05));
        assert_eq!(histogram.positive().collect::<Vec<_>>(), [(-3, 5.1), (-2, 10.0), (-1, 7.0)]);
        assert_eq!(histogram.negative().collect::<Vec<_>>(), [(-5, 4.1), (-4, 5.0)]);
        assert_eq!(histogram.reset_hint, ResetHint::Gauge);
    }

    #[test]
    fn histograms_repeat_grow_and_shrink() {
        let counts = |item| histograms(item).iter().map(|h| h.count).collect::<Vec<_>>();
        assert_eq!(counts("{{count:4}}x1 {{}}"), [4.0, 4.0, 0.0]);
        assert_eq!(counts("{{count:4 buckets:[4]}}+{{count:1 buckets:[1]}}x2"), [4.0, 5.0, 6.0]);
        assert_eq!(counts("{{count:4 buckets:[4]}}-{{count:1 buckets:[1]}}x2"), [4.0, 3.0, 2.0]);
        let shrunk = histograms("{{count:4 sum:8 buckets:[1 3]}}-{{count:1 sum:2 buckets:[1]}}x1");
        assert_eq!(shrunk[1].positive().collect::<Vec<_>>(), [(1, 3.0)]);
        assert_eq!(shrunk[1].sum, 6.0);
    }

    #[test]
    fn a_coarse_histogram_does_not_grow_a_fine_one() {
        assert!(refused("load 1m\n  a {{schema:1}}+{{schema:0}}x1").message.contains("schema 0"));
    }

    #[test]
    fn histograms_with_listed_bounds_are_read() {
        let histogram = &histograms("{{schema:-53 sum:1 count:5 custom_values:[5 10] buckets:[1 4]}}")[0];
        assert_eq!(histogram.custom_bounds, [5.0, 10.0]);
        assert_eq!(histogram.positive().collect::<Vec<_>>(), [(0, 1.0), (1, 4.0)]);
    }

    #[test]
    fn what_is_wrong_with_a_histogram_is_said() {
        assert!(refused("load 1m\n  a {{sum:1 sum:2}}").message.contains("sum stands twice"));
        assert!(refused("load 1m\n  a {{colour:1}}").message.contains("colour"));
        assert!(refused("load 1m\n  a {{counter_reset_hint:maybe}}").message.contains("maybe"));
        assert!(refused("load 1m\n  a {{sum:1").message.contains("the end of the line"));
    }
}

mod commands {
    use super::*;

    #[test]
    fn comments_and_blank_lines_end_a_block() {
        let commands = parse("load 5m\n a 1\n# done\n\nclear\n\neval instant at 0 a\n").unwrap();
        assert!(matches!(commands.as_slice(), [Command::Load(_), Command::Clear, Command::Eval(_)]));
        assert_eq!(refused("load 5m\n a 1\n# a comment\n b 1").line, 4);
    }

    #[test]
    fn an_error_tells_its_line() {
        assert_eq!(refused("clear\n\nload 5m\n  a 1\n  b one").line, 5);
        assert!(refused("explode").to_string().starts_with("line 1: "));
    }

    #[test]
    fn times_are_durations_since_the_epoch() {
        assert_eq!(one_eval("eval instant at 1h30m up\n").time, QueryTime::Instant(90 * MINUTE));
        assert_eq!(one_eval("eval instant at 0 up").time, QueryTime::Instant(0));
        assert_eq!(one_eval("eval instant at 1.5 up").time, QueryTime::Instant(1_500_000));
        assert_eq!(one_load("load 10s53ms\n a 1").step, 10_053_000);
        assert_eq!(refused("eval instant up").line, 1);
    }

    #[test]
    fn a_range_has_both_ends_and_a_step() {
        let eval = one_eval("eval range from 1m to 3m step 1m foo[5m: step() + 1m]");
        assert_eq!(eval.expr, "foo[5m: step() + 1m]");
        assert_eq!(eval.time.steps().unwrap().collect::<Vec<_>>(), [MINUTE, 2 * MINUTE, 3 * MINUTE]);
        assert!(refused("eval range from 3m to 1m step 1m up").message.contains("before it begins"));
    }

    #[test]
    fn a_number_ends_the_block() {
        assert_eq!(one_eval("eval instant at 0 x\n  0x10").expected, Expected::Scalar(16.0));
        assert_eq!(refused("eval instant at 0 x\n  1\n  2").line, 3);
    }

    #[test]
    fn an_instant_has_one_value_a_series() {
        assert!(refused("eval instant at 0 x\n  x 1 2").message.contains("expect range vector"));
    }

    #[test]
    fn a_range_vector_is_asked_for_at_its_end() {
        let eval = one_eval(
            "eval instant at 1m some[1m]\n  expect range vector from 10s to 30s step 10s\n  some 1 _ 3",
        );
        assert_eq!(eval.time, QueryTime::Instant(30_000_000));
        assert_eq!(eval.query_in_range(), None);
    }

    #[test]
    fn strings_are_expected_in_quotes() {
        let expected = |line: &str| one_eval(&format!("eval instant at 0 x\n  {line}")).expected;
        assert_eq!(expected(r#"expect string "a\tb""#), Expected::String("a\tb".to_owned()));
        assert_eq!(expected("expect string ` a `"), Expected::String(" a ".to_owned()));
        assert_eq!(refused("eval instant at 0 x\n  expect string").line, 2);
    }

    #[test]
    fn a_metric_named_expect_is_written_with_braces() {
        assert!(
            matches!(one_eval("eval instant at 0 x\n  expect{} 1").expected, Expected::Series(all) if all.len() == 1)
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(refused("eval instant at 0 x\n  expect warn\n  expect no_warn").line, 1);
        assert_eq!(refused("eval instant at 0 x\n  expect info\n  expect no_info").line, 1);
        assert_eq!(refused("eval instant at 0 x\n  expect fail\n  expect fail msg: no").line, 3);
        assert_eq!(refused("eval instant at 0 x\n  expect the worst").line, 2);
        assert_eq!(refused("eval_ordered range from 0 to 1m step 1m x").line, 1);
    }

    #[test]
    fn the_query_in_range_lies_around_the_instant() {
        let range = one_eval("eval instant at 5m up").query_in_range().unwrap().time;
        assert_eq!(range, QueryTime::Range { from: 4 * MINUTE, through: 6 * MINUTE, step: MINUTE });
    }

    #[test]
    fn queries_that_know_their_bounds_are_not_asked_in_a_range() {
        assert_eq!(one_eval("eval instant at 5m up @ end()").query_in_range(), None);
        assert_eq!(one_eval("eval instant at 5m up\n  expect fail").query_in_range(), None);
        assert_eq!(one_eval("eval range from 0 to 1m step 1m up").query_in_range(), None);
    }
}

mod loading {
    use super::*;

    #[test]
    fn matchers_and_times_choose_series_sorted_by_labels() {
        let source = source("load 1m\n  b 1x5\n  a{long_label_name=\"1\"} 1\n  a{z=\"1\"} 1x5\n  a 1x5");
        let a = Matcher::equal("__name__", "a");
        let names =
            |found: Vec<(String, SampleBuffer)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let found = select(&source, vec![a.clone()], 0, MINUTE);
        assert_eq!(names(found), ["a", r#"a{long_label_name="1"}"#, r#"a{z="1"}"#]);
        let found =
            select(&source, vec![a, Matcher::new("z", MatchOp::NotEqual, "2").unwrap()], MINUTE, MINUTE);
        assert_eq!(names(found), ["a", r#"a{z="1"}"#]);
    }

    #[test]
    fn both_ends_of_the_time_asked_for_count() {
        let found = select(&source("load 1m\n  a 0+1x5"), Vec::new(), MINUTE, 3 * MINUTE);
        assert_eq!(found[0].1.times, [MINUTE, 2 * MINUTE, 3 * MINUTE]);
        assert_eq!(found[0].1.values, [1.0, 2.0, 3.0]);
        assert!(found[0].1.starts.is_empty());
    }

    #[test]
    fn loads_add_up_and_clear_forgets() {
        assert_eq!(all(&source("load 1m\n  a 1\n\nload 1m\n  a _ 2\n  b 1")).len(), 2);
        assert_eq!(all(&source("load 1m\n  a 1\n\nclear\n\nload 1m\n  b 1")).len(), 1);
    }

    #[test]
    fn the_last_line_of_a_series_counts_within_a_load() {
        let found = all(&source("load 1m\n  a 1 2 3\n  a 4"));
        assert_eq!(found[0].1.values, [4.0]);
    }

    #[test]
    fn the_same_sample_may_come_again_and_another_may_not() {
        let mut source = source("load 1m\n  a 1 2");
        assert_eq!(source.load(&one_load("load 1m\n  a _ 2 3")), Ok(()));
        assert!(source.load(&one_load("load 1m\n  a _x3 4\n  b _ 1\n  a{c=\"d\"} 1\n  a _ _ 4")).is_err());
        assert!(source.load(&one_load("load 1m\n  a 1")).unwrap_err().contains("older"));
        assert_eq!(all(&source)[0].1.values, [1.0, 2.0, 3.0]);
        assert_eq!(source.len(), 1, "a refused load adds nothing");
    }

    #[test]
    fn a_marker_after_a_histogram_is_a_histogram() {
        let found = all(&source("load 1m\n  a {{count:1}} stale 1 stale"));
        assert_eq!(found[0].1.histograms.len(), 2);
        assert!(found[0].1.histograms[1].1.is_stale());
        assert_eq!(found[0].1.times, [2 * MINUTE, 3 * MINUTE]);
    }

    #[test]
    fn broken_histograms_are_not_loaded() {
        let load = one_load("load 1m\n  a {{count:-1}}");
        assert!(MemorySource::new().load(&load).is_err());
    }

    #[test]
    fn stored_hints_are_those_of_chunks() {
        let hints = |item: &str| {
            let found = all(&source(&format!("load 1m\n  a {item}")));
            found[0].1.histograms.iter().map(|(_, h)| h.reset_hint).collect::<Vec<_>>()
        };
        use ResetHint::{Gauge, NotReset, Unknown};
        assert_eq!(
            hints("{{count:1}} {{count:2}} {{count:1}} {{count:1}}"),
            [Unknown, NotReset, Unknown, NotReset]
        );
        assert_eq!(hints("{{count:1 counter_reset_hint:gauge}}x1 {{count:1}}"), [Gauge, Gauge, Unknown]);
        assert_eq!(hints("{{count:1}} {{count:1 counter_reset_hint:reset}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{count:1}} 5 {{count:1}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{count:1 buckets:[1]}} {{count:2 buckets:[0 2]}}"), [Unknown, Unknown]);
        assert_eq!(hints("{{count:1 buckets:[0 1]}} {{count:2 offset:1 buckets:[2]}}"), [Unknown, NotReset]);
    }

    #[test]
    fn start_times_are_offsets_from_their_samples() {
        let script = "load 1m\n  a@st _ -30s-1mx1 *x1 0\n  a _ 1 2 3 4 5";
        let found = all(&source(script));
        let seconds: Vec<i64> = found[0].1.starts.iter().map(|start| start / 1_000_000).collect();
        assert_eq!(seconds, [30, 30, 90, 150, 300]);
    }

    #[test]
    fn start_times_without_a_series_are_for_all_that_have_none() {
        let found = all(&source("load 1m\n  @st _ -1m\n  a 1 2 3 4\n  b{c=\"d\"}@st _ 0\n  b{c=\"d\"} 1 2"));
        assert_eq!(found[0].1.starts, [0, 0, 0, 2 * MINUTE]);
        assert_eq!(found[1].1.starts, [0, MINUTE]);
    }

    #[test]
    fn histograms_have_start_times_too() {
        let found = all(&source("load 1m\n  a@st _ _ -1m\n  a _ {{}} {{}}"));
        let starts: Vec<_> = found[0].1.histograms.iter().map(|(_, h)| h.start.map(|s| s.micros())).collect();
        assert_eq!(starts, [None, Some(MINUTE)]);
    }

    #[test]
    fn start_times_must_fit_their_series() {
        assert_eq!(refused("load 1m\n  a@st 0 0\n  a 1").line, 2);
        assert_eq!(refused("load 1m\n  a@st 0\n  b 1").line, 2);
        assert_eq!(refused("load 1m\n  a@st 0").line, 2);
        assert_eq!(refused("load 1m\n  a@st 0\n  a@st 0\n  a 1").line, 2);
    }

    #[test]
    fn classic_histograms_become_native_ones_beside_them() {
        let script = "load_with_nhcb 1m
            h_bucket{le=\"0.1\", job=\"x\"} 1 2
            h_bucket{job=\"x\", le=\"1e0\"} 3 4
            h_bucket{job=\"x\", le=\"+Inf\"} 4 6.5
            h_sum{job=\"x\"} 10 20
            h_count{job=\"x\"} 4 6.5";
        let found = select(&source(script), vec![Matcher::equal("__name__", "h")], 0, MINUTE);
        let [(labels, samples)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(labels, r#"h{job="x"}"#);
        let (_, first) = &samples.histograms[0];
        assert_eq!((first.schema, first.count, first.sum), (-53, 4.0, 10.0));
        assert_eq!(first.custom_bounds, [0.1, 1.0]);
        assert_eq!(first.positive().collect::<Vec<_>>(), [(0, 1.0), (1, 2.0), (2, 1.0)]);
        let (_, second) = &samples.histograms[1];
        assert_eq!(second.positive().collect::<Vec<_>>(), [(0, 2.0), (1, 2.0), (2, 2.5)]);
        assert_eq!(all(&source(script)).len(), 6);
    }

    #[test]
    fn a_count_stands_for_a_missing_last_bucket() {
        let found = all(&source("load_with_nhcb 1m\n  h_bucket{le=\"1\"} 1\n  h_count 3"));
        let (_, histogram) = &found[0].1.histograms[0];
        assert_eq!(histogram.positive().collect::<Vec<_>>(), [(0, 1.0), (1, 2.0)]);
    }

    #[test]
    fn classic_histograms_that_contradict_themselves_are_not_loaded() {
        let load = |script: &str| MemorySource::new().load(&one_load(script)).unwrap_err();
        assert!(load("load_with_nhcb 1m\n  h_bucket{le=\"1\"} 3\n  h_bucket{le=\"2\"} 1").contains("fewer"));
        assert!(load("load_with_nhcb 1m\n  h_bucket{le=\"+Inf\"} 3\n  h_count 4").contains("count is 4"));
        assert!(load("load_with_nhcb 1m\n  h_sum 3").contains("neither"));
    }
}

mod comparing {
    use super::*;

    #[test]
    fn order_does_not_matter_unless_said() {
        let got = || vector(&[(&[("a", "2")], 2.0), (&[("a", "1")], 1.0)]);
        let lines = "{a=\"1\"} 1\n  {a=\"2\"} 2";
        assert_eq!(outcome(&format!("eval instant at 0 x\n  {lines}"), got()), Ok(()));
        for command in ["eval_ordered instant at 0 x\n  ", "eval instant at 0 x\n  expect ordered\n  "] {
            assert!(outcome(&format!("{command}{lines}"), got()).unwrap_err().contains("order"));
        }
    }

    #[test]
    fn series_are_neither_missing_nor_more() {
        let script = "eval instant at 0 x\n  {a=\"1\"} 1";
        let missing = outcome(script, vector(&[])).unwrap_err();
        assert!(missing.starts_with("line 1: x: a series is missing"), "{missing}");
        assert!(missing.contains("expected: {a=\"1\"} 1"), "{missing}");
        let more = outcome(script, vector(&[(&[("a", "1")], 1.0), (&[("a", "2")], 1.0)])).unwrap_err();
        assert!(more.contains("got:      {a=\"2\"} 1"), "{more}");
        assert!(
            outcome(script, vector(&[(&[("a", "1")], 1.0), (&[("a", "1")], 1.0)]))
                .unwrap_err()
                .contains("twice")
        );
    }

    #[test]
    fn a_histogram_is_not_a_float() {
        let got = Answer::Vector(vec![(Labels::default(), Point::Histogram(Arc::default()))]);
        let text = outcome("eval instant at 0 x\n  {} 0", got.clone()).unwrap_err();
        assert!(text.contains("got:      {} {{}}"), "{text}");
        assert_eq!(outcome("eval instant at 0 x\n  {} {{}}", got), Ok(()));
    }

    #[test]
    fn hints_matter_only_where_given() {
        let histogram = Histogram { reset_hint: ResetHint::Gauge, ..Histogram::default() };
        let got = || Answer::Vector(vec![(Labels::default(), Point::Histogram(histogram.clone().into()))]);
        assert_eq!(outcome("eval instant at 0 x\n  {} {{}}", got()), Ok(()));
        assert_eq!(outcome("eval instant at 0 x\n  {} {{counter_reset_hint:gauge}}", got()), Ok(()));
        assert!(outcome("eval instant at 0 x\n  {} {{counter_reset_hint:unknown}}", got()).is_err());
    }

    #[test]
    fn empty_buckets_do_not_count() {
        let mut histogram = Histogram { count: 3.0, ..Histogram::default() };
        histogram.set_positive(&[(1, 1.0), (3, 2.0)].into());
        let got = Answer::Vector(vec![(Labels::default(), Point::Histogram(histogram.into()))]);
        assert_eq!(outcome("eval instant at 0 x\n  {} {{count:3 buckets:[0 1 0 2 0]}}", got.clone()), Ok(()));
        let text = outcome("eval instant at 0 x\n  {} {{count:3 buckets:[1 0 2]}}", got).unwrap_err();
        assert!(text.contains("got:      {} {{count:3 offset:1 buckets:[1 0 2]}}"), "{text}");
    }

    #[test]
    fn scalars_and_strings_are_of_their_own_kind() {
        assert_eq!(outcome("eval instant at 0 x\n  1", Answer::Scalar(1.0)), Ok(()));
        assert!(outcome("eval instant at 0 x\n  {} 1", Answer::Scalar(1.0)).is_err());
        assert!(outcome("eval instant at 0 x\n  1", vector(&[(&[], 1.0)])).is_err());
        assert_eq!(
            outcome("eval instant at 0 x\n  expect string \"a\"", Answer::String("a".to_owned())),
            Ok(())
        );
        assert!(
            outcome("eval instant at 0 x\n  expect string \"a\"", Answer::String("b".to_owned())).is_err()
        );
    }

    #[test]
    fn values_of_a_range_lie_at_its_steps() {
        let script = "eval range from 1m to 3m step 1m x\n  {} 1 _ 3";
        let matrix = |times: &[i64]| {
            let points = times.iter().map(|minute| (minute * MINUTE, Point::Float(*minute as f64))).collect();
            Answer::Matrix(vec![(Labels::default(), points)])
        };
        assert_eq!(outcome(script, matrix(&[1, 3])), Ok(()));
        let text = outcome(script, matrix(&[1, 2, 3])).unwrap_err();
        assert!(text.contains("expected: {} 1 _ 3\n  got:      {} 1 2 3"), "{text}");
        assert!(outcome(script, matrix(&[1, 2])).is_err());
        assert!(outcome("eval range from 1m to 2m step 1m x\n  {} 1 2 3", matrix(&[1, 2])).is_err());
    }

    #[test]
    fn the_series_of_a_matrix_are_sorted() {
        let script = "eval range from 0 to 0 step 1m x\n  {a=\"1\"} 1\n  {a=\"2\"} 1";
        let row = |value: &str| (labels(&[("a", value)]), vec![(0, Point::Float(1.0))]);
        assert_eq!(outcome(script, Answer::Matrix(vec![row("1"), row("2")])), Ok(()));
        assert!(
            outcome(script, Answer::Matrix(vec![row("2"), row("1")])).unwrap_err().contains("not sorted")
        );
    }

    #[test]
    fn a_range_vector_has_values_at_its_own_steps() {
        let script = "eval instant at 0 x[1m]\n  expect range vector from 10s to 20s step 10s\n  {} 1 2";
        let points = vec![(10_000_000, Point::Float(1.0)), (20_000_000, Point::Float(2.0))];
        assert_eq!(outcome(script, Answer::Matrix(vec![(Labels::default(), points)])), Ok(()));
    }

    #[test]
    fn failures_are_compared_by_their_text() {
        let fails = |script: &str, error: &str| check(&one_eval(script), &Err(error.to_owned())).is_ok();
        assert!(!fails("eval instant at 0 x", "boom"));
        assert!(fails("eval instant at 0 x\n  expect fail", "boom"));
        assert!(fails("eval_fail instant at 0 x", "boom"));
        assert!(fails("eval instant at 0 x\n  expect fail msg: boom", "boom"));
        assert!(!fails("eval instant at 0 x\n  expect fail msg: boom", "boom!"));
        assert!(fails("eval instant at 0 x\n  expect fail regex: o+", "boom"));
        assert!(fails("eval_fail instant at 0 x\n  expected_fail_message boom", "boom"));
        assert!(!fails("eval_fail instant at 0 x\n  expected_fail_regexp ^oom", "boom"));
        assert!(outcome("eval instant at 0 x\n  expect fail", vector(&[])).is_err());
    }

    #[test]
    fn annotations_matter_where_the_script_speaks_of_them() {
        let passes = |lines: &str, warnings: &[&str]| {
            let warnings = warnings.iter().map(|text| (*text).to_owned()).collect();
            let answered = Answered { answer: vector(&[]), warnings, infos: Vec::new() };
            check(&one_eval(&format!("eval instant at 0 x{lines}")), &Ok(answered)).is_ok()
        };
        assert!(passes("", &["careful"]));
        assert!(!passes("\n  expect no_warn", &["careful"]));
        assert!(passes("\n  expect no_warn\n  expect no_info", &[]));
        assert!(passes("\n  expect warn", &["careful"]));
        assert!(!passes("\n  expect warn", &[]));
        assert!(passes("\n  expect warn msg: careful\n  expect warn regex: ^l", &["careful", "look"]));
        assert!(!passes("\n  expect warn msg: careful", &["careful", "look"]));
        assert!(!passes("\n  expect warn msg: careful\n  expect warn msg: look", &["careful"]));
        assert!(!passes("\n  expect info", &["careful"]));
    }

    #[test]
    fn the_older_words_ask_for_an_annotation() {
        let answered = |warnings: &[&str]| {
            let warnings = warnings.iter().map(|text| (*text).to_owned()).collect();
            Ok(Answered { answer: vector(&[]), warnings, infos: Vec::new() })
        };
        assert!(check(&one_eval("eval_warn instant at 0 x"), &answered(&["careful"])).is_ok());
        assert!(check(&one_eval("eval_warn instant at 0 x"), &answered(&[])).is_err());
        assert!(check(&one_eval("eval_info instant at 0 x"), &answered(&["careful"])).is_err());
    }

    #[test]
    fn labels_are_printed_so_that_they_can_be_read_again() {
        let text =
            outcome("eval instant at 0 x", vector(&[(&[("__name__", "my.metric"), ("a.b", "c")], 1e300)]));
        assert!(text.unwrap_err().contains(r#"{"my.metric", "a.b"="c"} 1e300"#));
    }
}

mod running {
    use super::*;

    #[test]
    fn every_eval_sees_what_was_loaded_until_then() {
        let script = "load 1m
            a 1

            eval instant at 0 n
              1

            load 1m
              b 1

            eval instant at 0 n
              2

            clear

            eval instant at 0 n
              0";
        let report = run(script, |source, query| {
            let count = source.len() as f64;
            Ok(Answered::from(match query.time.steps() {
                None => Answer::Scalar(count),
                Some(steps) => {
                    let points = steps.map(|time| (time, Point::Float(count))).collect();
                    Answer::Matrix(vec![(Labels::default(), points)])
                }
            }))
        });
        assert_eq!(report.passed, 3, "{:?}", report.failed);
    }

    #[test]
    fn an_instant_that_differs_in_a_range_fails_once() {
        let report = run("eval instant at 0 x\n  {} 1", |_, query| {
            let value = Point::Float(1.0);
            Ok(Answered::from(match query.time {
                QueryTime::Instant(_) => Answer::Vector(vec![(Labels::default(), value)]),
                QueryTime::Range { from, .. } => {
                    Answer::Matrix(vec![(Labels::default(), vec![(from, value)])])
                }
            }))
        });
        assert_eq!((report.passed, report.failed.len()), (0, 1));
        assert!(
            report.failed[0].message.contains("as a step of a range query"),
            "{}",
            report.failed[0].message
        );
    }

    #[test]
    fn a_refused_load_is_reported_and_the_script_goes_on() {
        let report = run("load 1m\n  a {{count:-1}}\n\neval instant at 0 x", |_, query| {
            Ok(Answered::from(match query.time {
                QueryTime::Instant(_) => Answer::Vector(Vec::new()),
                QueryTime::Range { .. } => Answer::Matrix(Vec::new()),
            }))
        });
        assert_eq!((report.passed, report.failed.len()), (1, 1));
        assert_eq!(report.failed[0].line, 1);
    }

    #[test]
    fn a_script_that_cannot_be_read_is_one_failure() {
        let report = run("eval instant at 0 x\n\nnonsense", |_, _| panic!("nothing should run"));
        assert_eq!((report.passed, report.failed.len(), report.failed[0].line), (0, 1, 3));
    }
}

mod anything {
    use super::*;
    use proptest::prelude::*;

    const PIECES: [&str; 48] = [
        "load 1m",
        "load_with_nhcb",
        "clear",
        "eval",
        "eval_fail",
        "instant",
        "at",
        "range",
        "from",
        "to",
        "step",
        "\n",
        "\n  ",
        " ",
        " ",
        "5m",
        "0",
        "1.5",
        "a",
        "h_bucket",
        "{",
        "}",
        "le",
        "=",
        "\"1\"",
        "{}",
        "{{",
        "}}",
        "schema:1",
        "schema:-53",
        "count:3",
        "buckets:[1 2]",
        "offset:-3",
        "custom_values:[1]",
        "x3",
        "+",
        "-",
        "_",
        "stale",
        "NaN",
        "@st",
        "*",
        "-30s",
        "expect",
        "warn",
        "msg: x",
        "range vector",
        "string \"\\x\"",
    ];

    proptest! {
        #[test]
        fn no_text_makes_it_panic(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
            let text = pieces.concat();
            run(&text, |source, _| Ok(Answered::from(Answer::Scalar(all(source).len() as f64))));
        }

        #[test]
        fn no_series_makes_it_panic(text in "a[ 0-9x+_{}:\\[\\]a-z-]{0,60}") {
            run(&format!("load 1m\n  a 1\n  {text}"), |_, _| Err(String::new()));
        }
    }
}
