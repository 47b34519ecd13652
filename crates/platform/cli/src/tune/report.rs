//! What a search found: for people, for programs, and as a page with plots.

mod page;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use kandela_model::WireValue;
use kandela_tune::Outcome;
use serde::Serialize;

use super::constraint::Constraint;
use super::record::{Part, Row, shown};
use super::search::{Done, Ended, Plan, outcome};
use super::verify::Check;
use crate::figures::{short, spark};
use crate::output::{Format, line, shortened, width, wrapped};

/// Columns of the course of the best value.
const COURSE: usize = 60;
/// Characters of a failed command's last words.
const LAST_WORDS: usize = 300;

/// Prints what was found.
///
/// # Errors
/// When it can't be written as JSON.
pub(super) fn print(plan: &Plan, done: &Done, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => line(&serde_json::to_string(&report(plan, done))?),
        Format::Table => lines(plan, done).iter().for_each(|text| line(text)),
    }
    Ok(())
}

/// Writes the page.
///
/// # Errors
/// When the file can't be written.
pub(super) fn write_page(plan: &Plan, done: &Done, file: &Path) -> anyhow::Result<()> {
    let page = page::page(plan, done, &lines(plan, done));
    std::fs::write(file, page).with_context(|| format!("can't write the report {}", file.display()))
}

#[derive(Serialize)]
struct Report<'a> {
    best: Option<Recommended>,
    defaults: Option<f64>,
    checks: &'a [Check],
    /// Why the best is not recommended after all.
    doubt: Option<String>,
    ended: &'a Ended,
    alarms: Vec<String>,
    trials: usize,
    failed: usize,
    infeasible: usize,
    seconds: f64,
    strategy: String,
    record: &'a Path,
    rows: &'a [Row],
}

#[derive(Serialize)]
struct Recommended {
    trial: u64,
    config: BTreeMap<String, WireValue>,
    value: f64,
}

fn report<'a>(plan: &Plan, done: &'a Done) -> Report<'a> {
    let count = Count::of(plan, done);
    Report {
        best: done.best.as_ref().map(|best| Recommended {
            trial: best.id,
            config: shown(&best.config),
            value: plan.as_printed(best.value),
        }),
        defaults: defaults(plan, done),
        checks: &done.checks,
        doubt: done.doubt(),
        ended: &done.ended,
        alarms: alarms(done),
        trials: count.trials,
        failed: count.failed,
        infeasible: count.infeasible,
        seconds: count.seconds,
        strategy: plan.strategy.to_string(),
        record: &done.record,
        rows: &done.rows,
    }
}

/// What the search found wrong with what it was told of the constraints.
fn alarms(done: &Done) -> Vec<String> {
    done.study.alarms().iter().map(ToString::to_string).collect()
}

/// How the trials of the search went.
struct Count {
    trials: usize,
    failed: usize,
    infeasible: usize,
    seconds: f64,
}

impl Count {
    fn of(plan: &Plan, done: &Done) -> Count {
        let mut count = Count { trials: 0, failed: 0, infeasible: 0, seconds: 0.0 };
        for row in done.rows.iter().filter(|row| row.part == Part::Search) {
            count.trials += 1;
            count.seconds += row.seconds;
            match outcome(plan, row) {
                Outcome::Failed => count.failed += 1,
                Outcome::Measured(measured) => count.infeasible += usize::from(!measured.feasible),
            }
        }
        count
    }
}

/// What the defaults measured in the search.
fn defaults(plan: &Plan, done: &Done) -> Option<f64> {
    let first = done.study.history().trials().first().filter(|_| plan.space.has_start())?;
    let measured = first.measured().filter(|_| first.point == plan.space.start())?;
    Some(plan.as_printed(measured.value))
}

fn lines(plan: &Plan, done: &Done) -> Vec<String> {
    let columns = width();
    let mut lines = wrapped(&headline(plan, done), columns);
    lines.extend(done.doubt().iter().flat_map(|doubt| wrapped(doubt, columns)));
    if let Some(best) = &done.best {
        lines.push(String::new());
        lines.extend(settings(plan, &shown(&best.config)));
        if let Some(server) = &plan.server {
            let statements = server.statements(&best.config);
            let unshown = done.checks.first().is_some_and(|check| check.gain.low <= 0.0);
            let all = match (statements.is_empty(), unshown || done.doubt().is_some()) {
                (true, _) => "All is as it was before, which is the best.",
                (_, true) => {
                    "All is as it was before. To have them in force, though that is not shown to help:"
                }
                (_, false) => "All is as it was before. To have them in force:",
            };
            lines.extend([String::new(), all.to_owned()]);
            lines.extend(statements.into_iter().map(|statement| format!("  {statement}")));
        }
    }
    lines.push(String::new());
    lines.extend(unmet(plan, done).iter().chain(&alarms(done)).flat_map(|text| wrapped(text, columns)));
    lines.extend(wrapped(&effort(plan, done), columns));
    let course: Vec<Option<f64>> = course(plan, done).into_iter().map(|(_, best)| best).collect();
    if course.iter().flatten().count() > 1 {
        lines.push(format!("{}  best so far", spark(&course, COURSE.min(columns.saturating_sub(13)))));
    }
    lines.push(format!("trials: {}", done.record.display()));
    lines
}

/// The answer, in a sentence or two.
fn headline(plan: &Plan, done: &Done) -> String {
    let stopped = match &done.ended {
        Ended::Budget | Ended::Time => None,
        Ended::Interrupted => Some("stopped; run the same command again to go on. ".to_owned()),
        Ended::Failing(why) => {
            return format!(
                "the command fails whatever is set, so nothing was learned: {}",
                shortened(why, LAST_WORDS)
            );
        }
        Ended::Unmet(constraint) => {
            return format!(
                "nobody seems able to meet {constraint}: every trial broke it, and the last ones came no nearer. \
                 Loosen it or widen the space. The search was ended"
            );
        }
        Ended::Constant(value) => {
            return format!(
                "{} is {} whatever is set: is it measured while the settings are in effect? The search was ended",
                plan.objective,
                short(*value)
            );
        }
    };
    let stopped = stopped.unwrap_or_default();
    let Some(best) = &done.best else {
        let why = if plan.constraints.is_empty() {
            "no trial gave a value"
        } else {
            "no trial kept every constraint"
        };
        return format!("{stopped}{why}, so nothing is recommended");
    };
    // What was measured since says more than what a model expects.
    let measured = done.checks.first().map(|check| check.best);
    let value = format!("{} {}", plan.objective, short(measured.unwrap_or(plan.as_printed(best.value))));
    let found = format!("{stopped}best: trial {}, {value}", best.id + 1);
    match (&done.checks[..], defaults(plan, done)) {
        (checks @ [_, ..], _) => {
            let compared: Vec<String> = checks.iter().map(compared).collect();
            format!("{found}; {}", compared.join("; "))
        }
        ([], Some(defaults)) => {
            format!("{found} where the defaults gave {}; not measured again", short(defaults))
        }
        ([], None) => found,
    }
}

fn compared(check: &Check) -> String {
    let gain = check.gain;
    let pairs = check.pairs;
    let range = if check.relative {
        format!("{:+.1} % [{:+.1}, {:+.1}]", gain.mean * 100.0, gain.low * 100.0, gain.high * 100.0)
    } else {
        format!("by {} [{}, {}]", short(gain.mean), short(gain.low), short(gain.high))
    };
    let verdict = if gain.low > 0.0 {
        "better than"
    } else if gain.high < 0.0 {
        "WORSE than"
    } else {
        "not shown to be better than"
    };
    let broken = if check.broken == 0 {
        String::new()
    } else {
        format!("; it broke a constraint or failed in {} of them", check.broken)
    };
    format!("measured again in {pairs} pairs it is {verdict} {}: {range}{broken}", check.beside)
}

/// A table of the recommended settings beside the defaults.
fn settings(plan: &Plan, best: &BTreeMap<String, WireValue>) -> Vec<String> {
    let start = shown(&plan.space.decode(&plan.space.start()));
    let text = |value: Option<&WireValue>| value.map_or_else(|| "-".to_owned(), wire_text);
    let rows: Vec<[String; 3]> = plan
        .space
        .parameters()
        .iter()
        .filter(|parameter| {
            best.contains_key(&parameter.spec.name) || start.contains_key(&parameter.spec.name)
        })
        .map(|parameter| {
            let name = &parameter.spec.name;
            let default = parameter.default.as_ref().and_then(|_| start.get(name));
            [name.clone(), text(best.get(name)), text(default)]
        })
        .collect();
    let title = ["knob", "best", "default"].map(str::to_owned);
    let wide =
        |column: usize| rows.iter().chain([&title]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, value, default) = (wide(0), wide(1), wide(2));
    let row = |row: &[String; 3]| format!("  {:<name$}  {:>value$}  {:>default$}", row[0], row[1], row[2]);
    std::iter::once(row(&title)).chain(rows.iter().map(row)).collect()
}

/// A value as people read it.
fn wire_text(value: &WireValue) -> String {
    match value {
        WireValue::Bool(on) => on.to_string(),
        WireValue::Int(number) => number.to_string(),
        WireValue::Float(number) => short(*number),
        WireValue::Word(word) => word.clone(),
    }
}

/// Where nothing kept every constraint: which one stood in the way, and how near a trial came.
fn unmet(plan: &Plan, done: &Done) -> Vec<String> {
    if done.best.is_some() {
        return Vec::new();
    }
    let margins = |index: usize| {
        let trials = done.study.history().measured();
        trials.filter_map(move |(trial, measured)| Some((trial.id, *measured.margins.get(index)?)))
    };
    let told = |(index, constraint): (usize, &Constraint)| {
        let all = margins(index).count();
        let broken = margins(index).filter(|(_, margin)| *margin < 0.0).count();
        let (id, margin) = margins(index).max_by(|a, b| a.1.total_cmp(&b.1))?;
        (broken > 0).then(|| {
            if margin < 0.0 {
                format!(
                    "no setting met {constraint}: the nearest was {} off, in trial {}",
                    short(-margin),
                    id + 1
                )
            } else {
                format!("{constraint} was broken in {broken} of {all} trials")
            }
        })
    };
    plan.constraints.iter().enumerate().filter_map(told).collect()
}

fn effort(plan: &Plan, done: &Done) -> String {
    let Count { trials, failed, infeasible, seconds } = Count::of(plan, done);
    let mut text = format!("{trials} trials by {}, {} s of measuring", plan.strategy, seconds.round());
    if infeasible > 0 {
        text += &format!(", {infeasible} broke a constraint");
    }
    if failed > 0 {
        text += &format!(", {failed} failed");
        let why = done.rows.iter().rev().find_map(|row| row.failed.as_deref());
        text += &why
            .map_or_else(String::new, |why| format!(", the last of them: {}", shortened(why, LAST_WORDS)));
    }
    text
}

/// For each trial of the search, its value and the best feasible one so far, as printed.
fn course(plan: &Plan, done: &Done) -> Vec<(Option<f64>, Option<f64>)> {
    let mut best: Option<f64> = None;
    let of = |row: &Row| match outcome(plan, row) {
        Outcome::Measured(measured) => Some(measured),
        Outcome::Failed => None,
    };
    let trials = done.rows.iter().filter(|row| row.part == Part::Search);
    trials
        .map(|row| {
            let measured = of(row);
            if let Some(measured) = measured.as_ref().filter(|measured| measured.feasible) {
                best = Some(best.map_or(measured.value, |best| best.min(measured.value)));
            }
            (measured.map(|measured| plan.as_printed(measured.value)), best.map(|best| plan.as_printed(best)))
        })
        .collect()
}
