//! Prometheus' own scripts are read, loaded, and pass with an engine that answers what they expect. They lie in
//! `promqltest` under `KANDELA_DATA`, else under `../shared/data` beside the workspace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::{env, fs};

use kandela_model::Labels;
use kandela_promql::script::{
    Annotations, Answer, Answered, Command, Eval, Expected, Point, QueryTime, Slot, Text, parse, run,
};

fn scripts() -> Vec<(String, String)> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let folder = env::var_os("KANDELA_DATA").map_or_else(beside, PathBuf::from).join("promqltest");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!(
            "SKIPPED: there are no scripts in {}; name their parent folder in KANDELA_DATA",
            folder.display()
        );
        return Vec::new();
    };
    let paths = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"));
    paths.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

fn point(slot: &Slot) -> Option<Point> {
    match slot {
        Slot::Gap => None,
        Slot::Float(value) => Some(Point::Float(*value)),
        Slot::Histogram { histogram, .. } => Some(Point::Histogram(histogram.clone())),
    }
}

fn matrix(series: &[(Labels, Vec<Slot>)], time: QueryTime) -> Answer {
    let row = |(labels, slots): &(Labels, Vec<Slot>)| {
        let points =
            slots.iter().zip(time.steps().unwrap()).filter_map(|(slot, at)| Some((at, point(slot)?)));
        (labels.clone(), points.collect::<Vec<_>>())
    };
    let mut rows: Vec<_> = series.iter().map(row).collect();
    rows.sort_by(|(left, _), (right, _)| left.iter().cmp(right.iter()));
    Answer::Matrix(rows)
}

fn annotations(expected: &Annotations) -> Option<Vec<String>> {
    match expected {
        Annotations::Ignored | Annotations::Absent => Some(Vec::new()),
        Annotations::Matching(texts) => texts
            .iter()
            .map(|text| match text {
                Text::Any => Some("anything".to_owned()),
                Text::Exactly(text) => Some(text.clone()),
                Text::Matching(_) => None,
            })
            .collect(),
    }
}

/// What `eval` expects, as an answer to a query at `time`; `None` where only an expression says what it is.
fn expected(eval: &Eval, time: QueryTime) -> Option<Result<Answered, String>> {
    let conditions = &eval.conditions;
    if let Some(text) = conditions.fail.last() {
        return match text {
            Text::Any => Some(Err("anything".to_owned())),
            Text::Exactly(text) => Some(Err(text.clone())),
            Text::Matching(_) => None,
        };
    }
    let middle_only = |slots: &[Slot]| vec![Slot::Gap, slots.first().unwrap().clone(), Slot::Gap];
    let answer = match (&eval.expected, eval.time, time) {
        (Expected::RangeVector(steps, series), _, _) => matrix(series, *steps),
        (Expected::String(text), _, _) => Answer::String(text.clone()),
        (Expected::Scalar(value), _, QueryTime::Instant(_)) => Answer::Scalar(*value),
        (Expected::Scalar(value), _, range) => {
            matrix(&[(Labels::default(), middle_only(&[Slot::Float(*value)]))], range)
        }
        (Expected::Series(series), QueryTime::Instant(_), QueryTime::Instant(_)) => {
            let row = |(labels, slots): &(Labels, Vec<Slot>)| Some((labels.clone(), point(slots.first()?)?));
            Answer::Vector(series.iter().filter_map(row).collect())
        }
        (Expected::Series(series), QueryTime::Instant(_), range) => {
            let series: Vec<_> =
                series.iter().map(|(labels, slots)| (labels.clone(), middle_only(slots))).collect();
            matrix(&series, range)
        }
        (Expected::Series(series), range, _) => matrix(series, range),
    };
    let (warnings, infos) = (annotations(&conditions.warnings)?, annotations(&conditions.infos)?);
    Some(Ok(Answered { answer, warnings, infos }))
}

#[test]
fn scripts_pass_with_an_engine_that_answers_what_they_expect() {
    for (path, text) in scripts() {
        let commands = parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let evals: HashMap<usize, Eval> = commands
            .into_iter()
            .filter_map(|command| match command {
                Command::Eval(eval) => Some((eval.line, *eval)),
                _ => None,
            })
            .collect();
        let mut unanswerable = 0;
        let report = run(&text, |_, query| {
            expected(&evals[&query.line], query.time).unwrap_or_else(|| {
                unanswerable += 1;
                Err("only an expression says what is expected".to_owned())
            })
        });
        let failed: Vec<_> = report.failed.iter().map(|failure| failure.message.as_str()).collect();
        assert_eq!(failed.len(), unanswerable, "{path}: {}", failed.join("\n"));
        assert_eq!(report.passed + unanswerable, evals.len(), "{path}");
    }
}
