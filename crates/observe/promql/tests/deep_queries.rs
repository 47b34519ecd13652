//! Queries that nest deeply are answered or refused, on threads with little stack.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::thread;

use futures::executor::block_on;
use kandela_promql::ast::{Expr, Kind};
use kandela_promql::script::{Command, MemorySource, parse as parse_script};
use kandela_promql::{Answer, Options, Point, When, deeper, evaluate, format, parse, tree_json};

fn on_little_stack(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

fn nested(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

fn chain(operand: &str, operator: &str, operators: usize) -> String {
    vec![operand; operators + 1].join(operator)
}

fn asked(query: &str, when: When) -> Answer {
    let mut source = MemorySource::new();
    for command in parse_script("load 10s\n  up 1x20\n  down 1x20").unwrap() {
        if let Command::Load(load) = command {
            source.load(&load).unwrap();
        }
    }
    let options = Options { threads: 4, ..Options::default() };
    block_on(evaluate(&source, query, when, options)).unwrap().answer
}

fn values(query: &str) -> Vec<f64> {
    let float = |point: &Point| match point {
        Point::Float(value) => *value,
        Point::Histogram(_) => panic!("{query} gives a histogram"),
    };
    let range = When::Range { from: 100_000_000, through: 110_000_000, step: 10_000_000 };
    let mut all = match asked(query, When::Instant(100_000_000)) {
        Answer::Scalar(value) => vec![value],
        Answer::Vector(found) => found.iter().map(|(_, point)| float(point)).collect(),
        other => panic!("{other:?}"),
    };
    let Answer::Matrix(found) = asked(query, range) else { panic!("a range gives a matrix") };
    all.extend(found.iter().flat_map(|(_, points)| points.iter().map(|(_, point)| float(point))));
    all
}

#[test]
fn thousands_of_operators_in_a_row_are_answered() {
    on_little_stack(|| {
        assert_eq!(values(&chain("up", " or ", 5_000)), [1.0; 3]);
        assert_eq!(values(&chain("up", " + ", 5_000)), [5_001.0; 3]);
        assert_eq!(values(&chain("1", " + ", 2_000)), [2_001.0; 3]);
        assert_eq!(values(&format!("up + {}", chain("1", " + ", 2_000))), [2_002.0; 3]);
    });
}

#[test]
fn levels_by_the_hundred_are_answered() {
    on_little_stack(|| {
        assert_eq!(values(&nested("(", "up", ")", 990)), [1.0; 3]);
        assert_eq!(values(&nested("sum(", "up", ")", 990)), [1.0; 3]);
        assert_eq!(values(&nested("abs(", "up", ")", 990)), [1.0; 3]);
        assert_eq!(values(&nested("-", "up", "", 990)), [1.0; 3]);
        assert_eq!(values(&nested("1 + (", "up", ")", 450)), [451.0; 3]);
        assert_eq!(values(&nested("max_over_time(", "up", "[10s:10s])", 20)), [1.0; 3]);
        assert_eq!(values(&nested("label_replace(", "up", r#", "a", "", "b", "")"#, 490)), [1.0; 3]);
    });
}

#[test]
fn deep_trees_are_printed_shown_compared_and_walked() {
    fn depth(expr: &Expr) -> usize {
        match &expr.kind {
            Kind::Binary(binary) => 1 + deeper(|| depth(&binary.left)),
            Kind::Paren(inner) => 1 + deeper(|| depth(inner)),
            _ => 0,
        }
    }
    on_little_stack(|| {
        for (query, levels) in [(nested("(", "up", ")", 990), 990), (chain("up", " or ", 5_000), 5_000)] {
            let expr = parse(&query).unwrap();
            assert_eq!(depth(&expr), levels);
            assert_eq!(expr.to_string(), query);
            assert!(format(&expr).len() > query.len());
            assert!(expr.clone() == expr && format!("{expr:?}").len() > query.len());
            assert!(tree_json(&expr).to_string().len() > 2_000);
        }
    });
}

#[test]
fn what_is_too_deep_is_refused_with_its_place() {
    let refused = |query: &str| parse(query).expect_err("it is too deep").to_string();
    on_little_stack(move || {
        let expected = "parse error: expression nests deeper than 1000 levels, or 6000 operators in a row";
        assert_eq!(refused(&nested("(", "up", ")", 20_000)), format!("1:1001: {expected}"));
        assert_eq!(refused(&nested("sum(", "up", ")", 20_000)), format!("1:4001: {expected}"));
        assert_eq!(refused(&chain("a", "+", 20_000)), format!("1:11979: {expected}"));
        assert!(refused(&chain("2", " ^ ", 20_000)).ends_with(expected));
        assert!(refused(&nested("-", "up", "", 20_000)).ends_with(expected));
    });
}

#[test]
fn durations_nest_less_deeply() {
    let expected = "parse error: expression nests deeper than 100 levels, or 600 operators in a row";
    on_little_stack(move || {
        for make in [
            |n| nested("foo[", &nested("(", "1", ")", n), "]", 1),
            |n| format!("foo offset ({})", chain("1", " + ", n * 5)),
        ] {
            let expr = parse(&make(90)).unwrap();
            assert!(!format(&expr).is_empty() && !tree_json(&expr).is_null() && expr.clone() == expr);
            assert!(matches!(asked(&make(90), When::Instant(0)), Answer::Matrix(_) | Answer::Vector(_)));
            assert!(parse(&make(4_000)).unwrap_err().to_string().ends_with(expected));
        }
    });
}
