//! The suites there are.

use std::path::Path;

use crate::{openmetrics, promqltest};

/// A benchmark of cases that pass or fail.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Its name on the command line, and of its folder in the data folder.
    pub(crate) name: &'static str,
    /// Names the cases in a folder; nothing where it holds none.
    pub(crate) cases: fn(&Path) -> anyhow::Result<Vec<String>>,
    /// Runs the case of that name. What keeps it from running is its failure, not the suite's.
    pub(crate) run: fn(&Path, &str) -> anyhow::Result<Verdict>,
}

/// What a case was to show, and what it showed.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) passed: bool,
    pub(crate) expected: String,
    pub(crate) got: String,
}

pub(crate) const OPENMETRICS: Suite =
    Suite { name: "openmetrics", cases: openmetrics::cases, run: openmetrics::run };
pub(crate) const PROMQLTEST: Suite =
    Suite { name: "promqltest", cases: promqltest::cases, run: promqltest::run };
