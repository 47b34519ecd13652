//! Names that functions take away go at once, or with the end of the query where that is asked for.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use futures::executor::block_on;
use kandela_model::Labels;
use kandela_promql::script::{MemorySource, Sample};
use kandela_promql::{Answer, EvalError, Options, Point, When, evaluate};

/// Two counters with the same labels, and a third with others.
fn source() -> MemorySource {
    let mut source = MemorySource::new();
    for (name, job) in [("a_total", "shop"), ("b_total", "shop"), ("c_total", "bank")] {
        let labels = Labels::new([("__name__", name), ("job", job)]).unwrap();
        for minute in 0..=60 {
            let point = Point::Float(minute as f64);
            source.append(&labels, Sample { time: minute * 60_000_000, start: 0, point }).unwrap();
        }
    }
    source
}

/// The label sets of an answer, or the error.
fn labels_of(query: &str, delayed_name_removal: bool) -> Result<Vec<String>, String> {
    let options = Options { delayed_name_removal, ..Options::default() };
    let when = When::Range { from: 600_000_000, through: 1_200_000_000, step: 60_000_000 };
    match block_on(evaluate(&source(), query, when, options)).map(|answered| answered.answer) {
        Ok(Answer::Matrix(matrix)) => Ok(matrix.iter().map(|(labels, _)| labels.to_string()).collect()),
        Ok(other) => panic!("{query}: {other:?}"),
        Err(EvalError::Execution(message)) => Err(message),
        Err(error) => panic!("{query}: {error}"),
    }
}

#[test]
fn series_that_a_function_makes_the_same_are_refused_even_where_an_aggregation_follows() {
    let same = Err("vector cannot contain metrics with the same labelset".to_owned());
    for query in [
        "rate({job=\"shop\"}[5m])",
        "sum(rate({job=\"shop\"}[5m]))",
        "topk(1, -{job=\"shop\"})",
        "quantile(0.5, abs({job=\"shop\"}))",
        "count({job=\"shop\"} * 2)",
        "max_over_time(rate({job=\"shop\"}[5m])[5m:])",
    ] {
        assert_eq!(labels_of(query, false), same, "{query}");
    }
    assert!(labels_of("sum(rate({job=\"shop\"}[5m]))", true).is_ok());
}

#[test]
fn a_name_that_went_is_in_no_group() {
    let query = "sum by (__name__) (rate({__name__=~\"a_total|c_total\"}[5m]))";
    assert_eq!(labels_of(query, false), Ok(vec![String::new()]));
    // Each group of its own until the end, and there the same.
    assert!(labels_of(query, true).is_err());
}

#[test]
fn a_label_cannot_be_taken_from_a_name_that_went() {
    let query = "label_replace(rate(a_total[5m]), \"name\", \"$1\", \"__name__\", \"(.*)\")";
    assert_eq!(labels_of(query, false).unwrap(), [r#"{job="shop"}"#]);
    assert_eq!(labels_of(query, true).unwrap(), [r#"{job="shop", name="a_total"}"#]);
}

#[test]
fn what_comes_from_one_side_and_then_from_the_other_is_one_series() {
    for delayed in [false, true] {
        let query = "a_total > 15 or a_total < 12";
        assert_eq!(labels_of(query, delayed).unwrap(), [r#"a_total{job="shop"}"#]);
    }
}
