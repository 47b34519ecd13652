//! Prometheus' language for tests of PromQL (`promqltest` of Prometheus 3.14): load series, evaluate, compare.
//!
//! A script is lines of text. `load <step>` gives series, `clear` forgets them, `eval instant at <time> <query>` and
//! `eval range from <time> to <time> step <step> <query>` ask something and list what must come. [`parse`] reads a
//! script into [`Command`]s, [`MemorySource`] holds what it loads, [`check`] compares an [`Answer`] with what an
//! [`Eval`] expects, and [`run`] does all of it with any engine.
//!
//! ```
//! use kandela_promql::script::{Answer, Answered, Point, run};
//!
//! let script = "load 1m\n  up{job=\"shop\"} 0+1x5\n\neval instant at 5m 40 + 2\n  42\n";
//! let report = run(script, |_source, query| {
//!     let answer = match query.time.steps() {
//!         None => Answer::Scalar(42.0),
//!         Some(steps) => {
//!             let points = steps.map(|time| (time, Point::Float(42.0))).collect();
//!             Answer::Matrix(vec![(Default::default(), points)])
//!         }
//!     };
//!     Ok(Answered::from(answer))
//! });
//! assert_eq!((report.passed, report.failed.len()), (1, 0));
//! ```
//!
//! Sources: the README of `promql/promqltest` and the page on unit tests of rules in Prometheus' documentation.

mod at_times;
mod check;
mod classic;
mod command;
mod cursor;
mod eval_lines;
mod expect_lines;
mod histogram;
mod literal;
mod memory;
mod parse;
mod print;
mod query;
mod reset_hints;
mod run;
mod series;
mod starts;

pub use crate::answer::{Answer, Answered, Point};
pub use check::{Mismatch, check, check_in_range};
pub use command::{Annotations, Command, Conditions, Eval, Expected, Load, LoadedSeries, Slot, Text};
pub use memory::{MemorySource, Sample};
pub use parse::{ScriptError, parse};
pub use query::{Query, QueryTime};
pub use run::{Failure, Report, run};

#[cfg(test)]
mod tests;
