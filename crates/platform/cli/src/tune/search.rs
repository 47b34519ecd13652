//! The search: a trial after another, each on disk before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kandela_autopilot::actuator::command::Command;
use kandela_tune::{Best, Config, Outcome, Space, Strategy, Study};
use serde::Serialize;

use super::constraint::Constraint;
use super::exec;
use super::measure::{Numbers, Pattern, Reading, numbers};
use super::progress::Live;
use super::record::{Heading, Part, Record, Row, shown};
use super::server::{Fault, Server};
use super::verify::{self, Arm, Check};
use crate::ends::Ends;
use crate::output::Format;

/// Trials that may fail before the first one that does not.
const FAILURES_AT_FIRST: usize = 5;
/// Trials of so many different settings that may give one and the same value before nobody believes that it is measured.
const SAME_VALUES: usize = 12;
const SAME_POINTS: usize = 5;
/// As many trials in a row, and more for each axis, that come no nearer to a constraint that none has met: nobody seems able to.
const NO_NEARER: usize = 15;
const NO_NEARER_PER_AXIS: usize = 5;

/// What is searched, how, and for how long.
pub(super) struct Plan {
    pub space: Space,
    pub command: String,
    /// Where its output has the numbers; empty for its last line of JSON.
    pub measure: Vec<Pattern>,
    pub objective: String,
    pub maximize: bool,
    pub constraints: Vec<Constraint>,
    pub strategy: Strategy,
    pub seed: u64,
    /// Trials at most, of the search.
    pub budget: Option<usize>,
    /// Time at most, from the start of this process.
    pub time: Option<Duration>,
    /// Of one trial.
    pub timeout: Duration,
    /// Rounds of the check at the end.
    pub verify: Option<u32>,
    /// What else the best is compared with there, and tried first.
    pub compared: Vec<Compared>,
    /// The server whose settings are turned; without, the command does that by itself.
    pub server: Option<Server>,
}

/// Settings that somebody else recommends.
pub(super) struct Compared {
    pub name: String,
    pub config: Config,
}

/// What a search came to.
pub(super) struct Done {
    pub study: Study,
    /// All rows, in their order: trials, then those of the check.
    pub rows: Vec<Row>,
    pub best: Option<Best>,
    /// How the best compares with the defaults, and with what else was asked for.
    pub checks: Vec<Check>,
    pub ended: Ended,
    pub record: PathBuf,
}

/// Why a search ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// All trials were made.
    Budget,
    /// No time was left for another.
    Time,
    /// Somebody stopped it.
    Interrupted,
    /// The command failed, whatever was set.
    Failing(String),
    /// The objective was the same, whatever was set.
    Constant(f64),
    /// A constraint was broken, whatever was set, and no longer by less.
    Unmet(String),
}

impl Done {
    /// Whether there is something to recommend.
    pub(super) fn outcome(&self) -> crate::output::Outcome {
        if self.ended == Ended::Interrupted {
            return crate::output::Outcome::Interrupted;
        }
        let sound = !matches!(self.ended, Ended::Failing(_) | Ended::Constant(_) | Ended::Unmet(_));
        match sound && self.best.is_some() && self.doubt().is_none() {
            true => crate::output::Outcome::Done,
            false => crate::output::Outcome::CheckFailed,
        }
    }

    /// Why the best is not recommended after all, by what was measured since.
    pub(super) fn doubt(&self) -> Option<String> {
        let broken = self.checks.iter().find(|check| 2 * check.broken >= check.pairs);
        let worse = self.checks.iter().find(|check| check.gain.high < 0.0);
        let broken = broken.map(|check| {
            let Check { broken, pairs, .. } = check;
            format!("not recommended: measured again, it broke a constraint or failed in {broken} of {pairs} trials")
        });
        broken.or_else(|| {
            worse.map(|check| format!("not recommended: take {}, which are better", check.beside))
        })
    }
}

impl Plan {
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { objective: &self.objective, maximize: self.maximize, constraints: &self.constraints }
    }

    fn study(&self) -> anyhow::Result<Study> {
        let constraints = self.constraints.iter().map(Constraint::kept).collect();
        let mut study =
            Study::constrained(self.space.clone(), constraints, self.strategy, self.budget, self.seed)?;
        if self.strategy != Strategy::Safe {
            for compared in &self.compared {
                study.suggest(&self.searched(&compared.config))?;
            }
        }
        Ok(study)
    }

    /// As much of `config` as is searched, and may be: the rest is at the defaults.
    fn searched(&self, config: &Config) -> Config {
        let mut searched = self.space.decode(&self.space.start());
        for parameter in self.space.parameters() {
            let name = &parameter.spec.name;
            let given = config.get(name).filter(|value| parameter.spec.check(value).is_ok());
            if let Some(value) = given.or(parameter.default.as_ref()) {
                searched.insert(name.clone(), value.clone());
            }
        }
        searched
    }

    /// A value as the user's command printed it.
    pub(super) fn as_printed(&self, value: f64) -> f64 {
        if self.maximize { -value } else { value }
    }

    /// Brings the settings into force and runs the command.
    ///
    /// # Errors
    /// When the server can't be turned; what the command or the server said of these settings is no such error.
    async fn carry_out(&self, config: &Config, id: u64) -> anyhow::Result<Result<String, String>> {
        if let Some(server) = &self.server {
            match server.apply(config).await {
                Ok(()) => {}
                Err(Fault::Refused(why)) => return Ok(Err(why)),
                Err(Fault::Lost(error)) => return Err(error.context("run the same command again to go on")),
            }
        }
        let environment = exec::environment(config, id);
        let ran = Command::shell(&self.command, self.timeout).run_with(&environment).await;
        // What was measured under other settings is no measurement of these.
        match &self.server {
            Some(server) if ran.is_ok() => match server.check(config).await {
                Ok(()) => Ok(ran),
                Err(Fault::Refused(why)) => Ok(Err(why)),
                Err(Fault::Lost(error)) => Err(error.context("run the same command again to go on")),
            },
            _ => Ok(ran),
        }
    }

    fn heading(&self) -> Heading {
        Heading {
            space: self.space.clone(),
            command: self.command.clone(),
            measure: self.measure.iter().map(ToString::to_string).collect(),
            objective: self.objective.clone(),
            maximize: self.maximize,
            constraints: self.constraints.iter().map(ToString::to_string).collect(),
            strategy: self.strategy.to_string(),
            seed: self.seed,
        }
    }
}

/// Runs the search, or what is left of it.
///
/// # Errors
/// When the record can't be used, or the knobs' names make no environment.
pub(super) async fn run(plan: &Plan, record: &Path, format: Format) -> anyhow::Result<Done> {
    exec::check_names(&plan.space)?;
    let (file, rows) = Record::open(record, &plan.heading())?;
    let mut run = Run {
        plan,
        study: plan.study()?,
        live: Live::new(plan.budget, plan.time, format),
        ends: Ends::listen()?,
        file,
        rows: Vec::new(),
        began: Instant::now(),
    };
    run.replay(rows)?;
    let found = run.all().await;
    run.live.end();
    if let Some(server) = &plan.server {
        let restored = server.restore().await;
        // What went wrong first is what to tell.
        found.as_ref().map_or(Ok(()), |_| restored)?;
    }
    let (ended, best, checks) = found?;
    let Run { study, rows, .. } = run;
    Ok(Done { study, rows, best, checks, ended, record: record.to_owned() })
}

struct Run<'a> {
    plan: &'a Plan,
    study: Study,
    live: Live,
    ends: Ends,
    file: Record,
    rows: Vec<Row>,
    began: Instant,
}

impl Run<'_> {
    /// Takes up the trials of an earlier run.
    fn replay(&mut self, rows: Vec<Row>) -> anyhow::Result<()> {
        for row in rows {
            if row.part == Part::Search
                && let Some(config) = row.settings(&self.plan.space)
            {
                self.study.replay(&config, outcome(self.plan, &row))?;
            }
            self.live.took_up(&row, self.plan);
            self.rows.push(row);
        }
        Ok(())
    }

    async fn all(&mut self) -> anyhow::Result<(Ended, Option<Best>, Vec<Check>)> {
        let ended = self.search().await?;
        let best = self.study.best();
        let checks = match (&ended, &best) {
            (Ended::Budget | Ended::Time, Some(best)) => self.verify(&best.config).await?,
            _ => Some(Vec::new()),
        };
        let ended = if checks.is_some() { ended } else { Ended::Interrupted };
        Ok((ended, best, checks.unwrap_or_default()))
    }

    async fn search(&mut self) -> anyhow::Result<Ended> {
        loop {
            if let Some(ended) = self.hopeless() {
                return Ok(ended);
            }
            if self.plan.time.is_some_and(|time| self.began.elapsed() >= time) {
                return Ok(Ended::Time);
            }
            let Some(asked) = self.study.ask() else { return Ok(Ended::Budget) };
            let Some(row) = self.measure(asked.id, Part::Search, &asked.config).await? else {
                return Ok(Ended::Interrupted);
            };
            self.study.tell(asked.id, outcome(self.plan, &row))?;
            self.live.measured(&row, self.study.best().as_ref(), self.plan);
            self.rows.push(row);
        }
    }

    /// Runs the command once and writes down what came of it; nothing if somebody stopped it.
    async fn measure(&mut self, id: u64, part: Part, config: &Config) -> anyhow::Result<Option<Row>> {
        self.live.begins(id, part);
        let began = Instant::now();
        let ran = tokio::select! {
            ran = self.plan.carry_out(config, id) => ran?,
            () = self.ends.heard() => return Ok(None),
            never = self.live.tick() => match never {},
        };
        let seconds = began.elapsed().as_secs_f64();
        let read = ran.and_then(|output| numbers(&output, &self.plan.measure, &self.plan.objective));
        let read = read.and_then(|read| self.plan.reading().outcome(&read, seconds).map(|_| read));
        let (numbers, failed) = match read {
            Ok(Numbers(numbers)) => (Some(numbers), None),
            Err(why) => (None, Some(why)),
        };
        let row = Row { id, part, config: shown(config), numbers, failed, seconds };
        self.file.add(&row)?;
        Ok(Some(row))
    }

    /// Measures the best again beside the defaults and what else it is compared with, in rounds of which any may come first.
    /// Nothing if somebody stopped it.
    async fn verify(&mut self, best: &Config) -> anyhow::Result<Option<Vec<Check>>> {
        let defaults = self.plan.space.decode(&self.plan.space.start());
        let mut arms = vec![Arm { part: Part::Best, name: "the best", config: best }];
        if self.plan.space.has_start() {
            arms.push(Arm { part: Part::Defaults, name: "the defaults", config: &defaults });
        }
        let compared = self.plan.compared.iter().enumerate();
        arms.extend(compared.map(|(at, compared)| Arm {
            part: Part::Compared(at),
            name: &compared.name,
            config: &compared.config,
        }));
        arms.retain(|arm| arm.part == Part::Best || arm.config != best);
        if arms.len() == 1 {
            return Ok(Some(Vec::new()));
        }
        let rounds =
            self.plan.verify.map_or_else(|| verify::usual_rounds(&self.study), |rounds| rounds as usize);
        // A round that was cut off is measured again.
        for round in verify::whole_rounds(&arms, &self.rows)..rounds {
            let parts = arms.iter().map(|arm| arm.part).collect();
            for part in verify::order(self.plan.seed, round, parts) {
                let Some(arm) = arms.iter().find(|arm| arm.part == part) else { continue };
                let Some(row) = self.measure(round as u64, part, arm.config).await? else {
                    return Ok(None);
                };
                self.rows.push(row);
            }
        }
        let check = |other: &Arm<'_>| verify::check(self.plan, &arms[0], other, &self.rows);
        Ok(Some(arms[1..].iter().filter_map(check).collect()))
    }

    /// The constraint that nothing tried has met, and that nothing tried lately came nearer to.
    fn unmet(&self) -> Option<String> {
        let measured: Vec<&[f64]> =
            self.study.history().measured().map(|(_, measured)| measured.margins.as_slice()).collect();
        let patience = NO_NEARER + NO_NEARER_PER_AXIS * self.plan.space.axes().len();
        let earlier = measured.get(..measured.len().checked_sub(patience)?)?;
        let nearest = |at: usize, trials: &[&[f64]]| {
            trials.iter().filter_map(|margins| margins.get(at)).copied().fold(f64::NEG_INFINITY, f64::max)
        };
        let stuck =
            |at: usize| nearest(at, &measured) < 0.0 && nearest(at, earlier) >= nearest(at, &measured);
        let mut constraints = self.plan.constraints.iter().enumerate();
        constraints.find(|(at, _)| stuck(*at)).map(|(_, constraint)| constraint.to_string())
    }

    /// Why going on would find nothing, if so.
    fn hopeless(&self) -> Option<Ended> {
        let failures: Vec<&String> = self.rows.iter().map_while(|row| row.failed.as_ref()).collect();
        if failures.len() == self.rows.len() && failures.len() >= FAILURES_AT_FIRST {
            return failures.last().map(|why| Ended::Failing((*why).clone()));
        }
        if let Some(name) = self.unmet() {
            return Some(Ended::Unmet(name));
        }
        let values: Vec<f64> = self.study.history().measured().map(|(_, measured)| measured.value).collect();
        let points: BTreeSet<Vec<u64>> =
            self.study.history().trials().iter().map(|trial| bits(&trial.point)).collect();
        let first = values.first().copied()?;
        let constant = values.iter().all(|value| *value == first);
        (constant && values.len() >= SAME_VALUES && points.len() >= SAME_POINTS)
            .then(|| Ended::Constant(self.plan.as_printed(first)))
    }
}

fn bits(point: &[f64]) -> Vec<u64> {
    point.iter().map(|coordinate| coordinate.to_bits()).collect()
}

/// What a row says of its trial.
pub(super) fn outcome(plan: &Plan, row: &Row) -> Outcome {
    let read =
        |numbers: &BTreeMap<String, f64>| plan.reading().outcome(&Numbers(numbers.clone()), row.seconds).ok();
    row.numbers.as_ref().and_then(read).unwrap_or(Outcome::Failed)
}
