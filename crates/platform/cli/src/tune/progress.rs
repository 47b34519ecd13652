//! How far a search is: a line on a terminal that is always there, and a line for each trial that was better than all before.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use kandela_tune::{Best, Outcome};

use super::record::{Part, Row};
use super::search::{Plan, outcome};
use crate::figures::short;
use crate::output::{Format, line};
use crate::progress::Progress;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);

/// What is shown while trials run.
pub(super) struct Live {
    line: Progress,
    budget: Option<usize>,
    time: Option<Duration>,
    quiet: bool,
    now: String,
    began: Instant,
    trials: usize,
    failed: usize,
    best: Option<f64>,
}

impl Live {
    pub(super) fn new(budget: Option<usize>, time: Option<Duration>, format: Format) -> Live {
        Live {
            line: Progress::default(),
            budget,
            time,
            quiet: format == Format::Json,
            now: String::new(),
            began: Instant::now(),
            trials: 0,
            failed: 0,
            best: None,
        }
    }

    /// A run of the command begins.
    pub(super) fn begins(&mut self, id: u64, part: Part) {
        self.now = match part {
            Part::Search => format!("trial {}", id + 1),
            Part::Best => format!("round {}: the best again", id + 1),
            Part::Defaults => format!("round {}: the defaults again", id + 1),
            Part::Compared(_) => format!("round {}: what it is compared with", id + 1),
        };
        self.began = Instant::now();
    }

    /// Keeps the line fresh, for ever.
    pub(super) async fn tick(&mut self) -> Infallible {
        loop {
            let text = self.text();
            self.line.show(|_| text);
            tokio::time::sleep(TICK).await;
        }
    }

    fn text(&self) -> String {
        let of = self.budget.map_or_else(String::new, |budget| format!(" of {budget}"));
        let left = self.time.map(|time| time.saturating_sub(self.line.elapsed()));
        let left = left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
        let best = self.best.map_or_else(String::new, |best| format!(", best {}", short(best)));
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        format!("{}{of}, {} s{left}{best}{failed}", self.now, self.began.elapsed().as_secs())
    }

    /// A row of an earlier run.
    pub(super) fn took_up(&mut self, row: &Row, plan: &Plan) {
        self.count(row, plan);
    }

    /// A trial has ended.
    pub(super) fn measured(&mut self, row: &Row, best: Option<&Best>, plan: &Plan) {
        let before = self.best;
        self.count(row, plan);
        let better = self.best.is_some_and(|best| before != Some(best));
        if better && !self.quiet {
            self.line.clear();
            let value = self.best.map(short).unwrap_or_default();
            let settings = best.filter(|best| best.id == row.id).map_or_else(String::new, |best| {
                let settings: Vec<String> =
                    best.config.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("  {}", settings.join(" "))
            });
            line(&format!("{:>5}  {value:>12}{settings}", row.id + 1));
        }
    }

    fn count(&mut self, row: &Row, plan: &Plan) {
        self.trials += usize::from(row.part == Part::Search);
        match outcome(plan, row) {
            Outcome::Failed => self.failed += 1,
            Outcome::Measured(measured) if measured.feasible => {
                let better =
                    |best: f64| if plan.maximize { -measured.value > best } else { measured.value < best };
                if self.best.is_none_or(better) {
                    self.best = Some(plan.as_printed(measured.value));
                }
            }
            Outcome::Measured(_) => {}
        }
    }

    /// Nothing more is shown.
    pub(super) fn end(&self) {
        self.line.clear();
    }
}
