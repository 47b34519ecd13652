//! One optimiser on one instance of one function, and the file that keeps what came of it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use kandela_model::KnobValue;
use kandela_tune::{Config, Measured, Space};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::functions::Problem;
use crate::optimiser::Contender;

/// What is to be minimised, and within how many evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) function: u32,
    pub(super) dimension: u32,
    pub(super) instance: u32,
    pub(super) budget: u32,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) contender: String,
    /// The build of ours that it was; of peers none is known.
    pub(super) build: Option<String>,
    #[serde(flatten)]
    pub(super) case: Case,
    /// How far the best point evaluated is above the optimum.
    pub(super) gap: f64,
    /// How far the recommended point is.
    pub(super) recommended: f64,
    /// What asking and telling took for each trial, in milliseconds.
    pub(super) overhead_ms: f64,
}

/// What is known, and where what becomes known is written.
pub(super) struct Records {
    build: String,
    known: Vec<Record>,
    file: Option<File>,
}

impl Records {
    /// Reads the file, if there is one; a line that is no record is what a run that was cut off has left, and passed over.
    pub(super) fn open(path: Option<&Path>, build: String) -> anyhow::Result<Records> {
        let Some(path) = path else { return Ok(Records { build, known: Vec::new(), file: None }) };
        let context = || format!("cannot use the results file {}", path.display());
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(context),
        };
        let known = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").with_context(context)?;
        }
        Ok(Records { build, known, file: Some(file) })
    }

    /// What came of that run, which is made if it is not known.
    pub(super) fn known_or_run(&mut self, contender: &Contender, case: &Case) -> anyhow::Result<Record> {
        let build = matches!(contender, Contender::Ours(_)).then(|| self.build.clone());
        let same = |known: &&Record| {
            known.contender == contender.name() && known.build == build && known.case == *case
        };
        if let Some(known) = self.known.iter().find(same) {
            return Ok(known.clone());
        }
        let record = run(contender, case, build)?;
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&record)?;
            line.push(b'\n');
            file.write_all(&line).context("cannot append to the results file")?;
        }
        Ok(record)
    }
}

fn run(contender: &Contender, case: &Case, build: Option<String>) -> anyhow::Result<Record> {
    let problem = Problem::new(case.function, case.dimension as usize, case.instance);
    let mut optimiser =
        contender.begin(&space(case.dimension)?, case.budget as usize, u64::from(case.instance))?;
    let mut lowest = f64::INFINITY;
    let begun = Instant::now();
    for _ in 0..case.budget {
        let (id, config) = optimiser.ask()?;
        let x = point(&config, case.dimension)?;
        lowest = lowest.min(problem.gap(&x));
        optimiser.tell(id, Measured::of(problem.value(&x)))?;
    }
    let recommended = optimiser.recommend()?.context("nothing is recommended after the last trial")?;
    Ok(Record {
        contender: contender.name().to_owned(),
        build,
        case: case.clone(),
        gap: lowest,
        recommended: problem.gap(&point(&recommended, case.dimension)?),
        overhead_ms: begun.elapsed().as_secs_f64() * 1e3 / f64::from(case.budget),
    })
}

fn space(dimension: u32) -> anyhow::Result<Space> {
    let axis = |i: u32| (format!("x{i}"), json!({"type": "float", "min": -5.0, "max": 5.0}));
    Ok(serde_json::from_value(Value::Object((0..dimension).map(axis).collect::<Map<_, _>>()))?)
}

fn point(config: &Config, dimension: u32) -> anyhow::Result<Vec<f64>> {
    let coordinate = |i: u32| match config.get(&format!("x{i}")) {
        Some(KnobValue::Float(x)) => Ok(*x),
        other => anyhow::bail!("x{i} is asked to be {other:?}, not a number"),
    };
    (0..dimension).map(coordinate).collect()
}

#[cfg(test)]
mod tests {
    use kandela_tune::Strategy;

    use super::*;

    #[test]
    fn a_run_that_is_known_is_not_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("runs.jsonl");
        let case = Case { function: 1, dimension: 2, instance: 1, budget: 5 };
        let contender = Contender::Ours(Strategy::Random);
        let mut records = Records::open(Some(&path), "b".to_owned()).expect("opened");
        let first = records.known_or_run(&contender, &case).expect("run");
        fs::write(&path, fs::read_to_string(&path).expect("read").replace("\"gap\":", "\"gap\":7,\"was\":"))
            .expect("written");
        let mut again = Records::open(Some(&path), "b".to_owned()).expect("opened");
        assert_eq!(again.known_or_run(&contender, &case).expect("known").gap, 7.0);
        let mut other_build = Records::open(Some(&path), "c".to_owned()).expect("opened");
        assert_eq!(other_build.known_or_run(&contender, &case).expect("run").gap, first.gap);
    }
}
