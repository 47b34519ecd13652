//! Runs the cases of a suite one after another. With a results file, a run that was cut off goes on where it stopped.

use std::collections::HashMap;
use std::path::Path;

use crate::build;
use crate::progress::Progress;
use crate::results::{Outcome, Results};
use crate::suite::{Suite, Verdict};

/// The outcomes of a whole suite.
pub(crate) struct Run {
    pub(crate) suite: &'static str,
    pub(crate) data: String,
    pub(crate) build: String,
    /// In the order of the cases.
    pub(crate) outcomes: Vec<Outcome>,
    /// How many of them an earlier run had brought already.
    pub(crate) resumed: usize,
}

impl Run {
    pub(crate) fn passed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.passed).count()
    }

    pub(crate) fn failed(&self) -> usize {
        self.outcomes.len() - self.passed()
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.passed)
    }
}

/// Runs every case in `folder`. A case whose outcome stands in `results`, from this build and this folder, is not run again.
pub(crate) fn run(suite: &Suite, folder: &Path, results: Option<&Path>) -> anyhow::Result<Run> {
    let cases = (suite.cases)(folder)?;
    let mut run = Run {
        suite: suite.name,
        data: folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()).display().to_string(),
        build: build::fingerprint()?,
        outcomes: Vec::with_capacity(cases.len()),
        resumed: 0,
    };
    let (mut file, earlier) = match results.map(Results::open::<Outcome>).transpose()? {
        Some((file, earlier)) => (Some(file), earlier),
        None => (None, Vec::new()),
    };
    let mut known: HashMap<String, Outcome> = earlier
        .into_iter()
        .filter(|outcome| {
            outcome.suite == run.suite && outcome.data == run.data && outcome.build == run.build
        })
        .map(|outcome| (outcome.case.clone(), outcome))
        .collect();

    let mut progress = Progress::new(cases.len(), "cases");
    for case in cases {
        progress.show(run.outcomes.len(), &case);
        if let Some(outcome) = known.remove(&case) {
            run.resumed += 1;
            run.outcomes.push(outcome);
            continue;
        }
        let verdict = (suite.run)(folder, &case).unwrap_or_else(|error| Verdict {
            passed: false,
            expected: "a case that can be run".to_owned(),
            got: format!("{error:#}"),
        });
        let outcome = Outcome {
            suite: run.suite.to_owned(),
            data: run.data.clone(),
            build: run.build.clone(),
            case,
            passed: verdict.passed,
            expected: verdict.expected,
            got: verdict.got,
        };
        if let Some(file) = &mut file {
            file.append(&outcome)?;
        }
        run.outcomes.push(outcome);
    }
    progress.clear();
    Ok(run)
}
