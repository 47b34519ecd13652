//! Trials judged by the guards and experiments of [`kandela_tune`].
//!
//! - In the canary phase the candidate is judged for safety alone: its constraints are guards, told slice by slice, beside what is not
//!   turned. Where nothing is left unturned, there is no such phase.
//! - In the verify phase the whole system runs either arm by a switchback experiment, measured from nothing; guards go on.
//!
//! A constraint that is broken without the candidate can't be held against it: of that one, the candidate must not break more than
//! the control does.

use kandela_algebra::verdict::Verdict;
use kandela_tune::betting::Watch;
use kandela_tune::experiment::{self, Decision, Experiment, Plan, PlanError};
use kandela_tune::guard::{Better, Bound, Constraint, GuardError, Guards, Objective, Of, Reading, Why};

use crate::machine::{Arm, Judge, Judged, Phase, Scope, Slice, Trial};
use crate::observe::wanted;

/// What of a broken constraint a candidate may add to it, as a factor.
const NO_WORSE: f64 = 1.1;
/// As many readings of the control say how it does now: one alone may be luck.
const LATELY: usize = 4;

/// What trials are judged by.
#[derive(Clone, Debug)]
pub struct Evidence {
    objective: Objective,
    constraints: Vec<Constraint>,
    plan: Plan,
    error: f64,
    rest: bool,
    seed: u64,
}

/// Why trials could not be judged by what was declared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A constraint can't guard.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The experiment can't be run.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Evidence {
    /// Evidence on `objective` under `constraints`. `plan` is the switchback of the verify phase, `error` the probability that a guard
    /// is wrong, `rest` says whether a part of the system is left unturned beside the canary.
    ///
    /// # Errors
    /// [`EvidenceError`], which names the constraint or the field.
    pub fn new(
        objective: Objective,
        constraints: Vec<Constraint>,
        plan: Plan,
        error: f64,
        rest: bool,
        seed: u64,
    ) -> Result<Evidence, EvidenceError> {
        Guards::new(constraints.clone(), error)?;
        let plan = Plan { better: objective.better, ..plan };
        // Any stake will do to check the plan; each trial brings its own.
        Experiment::new(plan, 0.05, seed)?;
        Ok(Evidence { objective, constraints, plan, error, rest, seed })
    }

    /// What is to become better.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// What must not be broken.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// The probability that a guard is wrong.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Objective and constraints, in words.
    pub fn goals(&self) -> Vec<String> {
        let way = match self.objective.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
        };
        let objective = format!("{way} {}: {}", self.objective.name, self.objective.expression);
        let constraint = |constraint: &Constraint| {
            format!("keep {} {}: {}", constraint.name, wanted(constraint), constraint.expression)
        };
        std::iter::once(objective).chain(self.constraints.iter().map(constraint)).collect()
    }

    /// The experiment of the verify phase, and with which slice its confirmation began.
    fn experiment(&self, trial: &Trial) -> Option<(Experiment, usize)> {
        let mut confirmation = 0;
        let mut experiment = Experiment::new(self.plan, trial.alpha, self.seed ^ trial.proposal).ok()?;
        for (number, slice) in (0..).zip(&trial.slices) {
            let gave = experiment::Slice {
                value: slice.reading.turned.objective,
                offered: slice.reading.turned.offered,
                ..experiment::Slice::default()
            };
            // What comes after the decision changes nothing.
            let Ok(progress) = experiment.observe(number, &gave) else { break };
            if confirmation == 0 && progress.phase == experiment::Phase::Confirmation {
                confirmation = usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
            }
        }
        Some((experiment, confirmation))
    }

    fn guards(&self, trial: &Trial) -> Option<Guards> {
        let guarded = self.constraints.iter().map(|constraint| no_worse(constraint, &trial.mends));
        let mut guards = Guards::new(guarded.collect(), self.error).ok()?;
        for (slice, control) in with_control(&trial.slices) {
            for (place, constraint) in self.constraints.iter().enumerate() {
                let treated = at(&slice.reading.turned.constraints, place);
                let control = control.and_then(|control| at(control, place));
                let reading = treated.map(|treated| Reading { treated, control });
                guards.tell(&constraint.name, slice.at.millis(), reading).ok()?;
            }
        }
        Some(guards)
    }

    /// The constraints on values that were kept when the trial began, each with its place.
    fn kept<'a>(&'a self, trial: &'a Trial) -> impl Iterator<Item = (usize, &'a Constraint)> {
        let kept =
            |constraint: &Constraint| constraint.of == Of::Value && !trial.mends.contains(&constraint.name);
        self.constraints.iter().enumerate().filter(move |(_, constraint)| kept(constraint))
    }

    /// Whether the control breaks one of them lately, on average.
    fn control_breaks(&self, trial: &Trial) -> bool {
        let lately = |(place, constraint): (usize, &Constraint)| {
            let values = controls(&trial.slices).rev().filter_map(|control| at(control, place));
            mean(values.filter_map(|value| excess(constraint, value)).take(LATELY))
        };
        self.kept(trial).filter_map(lately).any(|excess| excess > 0.0)
    }

    /// Whether one of them is broken whichever arm runs: what both give is one series then, which shows it in half the time.
    fn all_break(&self, trial: &Trial) -> bool {
        let level = self.error / self.constraints.len().max(1) as f64;
        self.kept(trial).any(|(place, constraint)| {
            let mut watch = Watch::new(constraint.clip);
            let values = everywhere(&trial.slices).filter_map(|values| at(values, place));
            values.filter_map(|value| excess(constraint, value)).for_each(|excess| watch.observe(excess));
            watch.alarms(level)
        })
    }

    fn margins(&self, trial: &Trial) -> Vec<f64> {
        let margin = |(place, constraint): (usize, &Constraint)| {
            let values = with_control(&trial.slices).filter_map(|(slice, control)| {
                let value = at(&slice.reading.turned.constraints, place)?;
                Some(match constraint.of {
                    Of::Value => value,
                    Of::RatioToControl => value / control.and_then(|control| at(control, place))?,
                })
            });
            mean(values).map(|value| constraint.bound.margin(value)).filter(|margin| margin.is_finite())
        };
        let margins: Option<Vec<f64>> = self.constraints.iter().enumerate().map(margin).collect();
        margins.unwrap_or_default()
    }

    /// The logarithm of the candidate's objective to the control's in these slices, below 0 where it is better, with its standard
    /// error where both were measured more than once.
    fn compared(&self, slices: &[Slice]) -> Option<(f64, Option<f64>)> {
        let positive =
            |value: Option<f64>| value.filter(|value| *value > 0.0 && value.is_finite()).map(f64::ln);
        let of = |arm: Arm| -> Vec<f64> {
            let slices = slices.iter().filter(move |slice| slice.arm == arm);
            slices.filter_map(|slice| positive(slice.reading.turned.objective)).collect()
        };
        let candidate = of(Arm::Candidate);
        let mut control = of(Arm::Control);
        if control.is_empty() {
            control =
                slices.iter().filter_map(|slice| positive(slice.reading.rest.as_ref()?.objective)).collect();
        }
        let difference = mean(candidate.iter().copied())? - mean(control.iter().copied())?;
        let error = squared_error(&candidate).zip(squared_error(&control)).map(|(a, b)| (a + b).sqrt());
        Some(match self.objective.better {
            Better::Lower => (difference, error),
            Better::Higher => (-difference, error),
        })
    }
}

impl Judge for Evidence {
    fn has_canary(&self) -> bool {
        self.rest
    }

    fn next(&self, trial: &Trial) -> (Scope, Arm) {
        match trial.phase {
            Phase::Canary => (Scope::Canary, Arm::Candidate),
            Phase::Verify => {
                let asked = self.experiment(trial).and_then(|(experiment, _)| experiment.asks());
                let treated = match asked {
                    Some(asked) => asked.arm == experiment::Arm::Treated,
                    // Its gain is shown, and not yet that it is safe: by turns, as some constraints compare it with the control.
                    None => trial.slices.last().is_none_or(|slice| slice.arm == Arm::Control),
                };
                (Scope::All, if treated { Arm::Candidate } else { Arm::Control })
            }
        }
    }

    fn judge(&self, trial: &Trial) -> Judged {
        let now = trial.slices.last().map_or(0, |slice| slice.at.millis());
        let guards = self.guards(trial);
        let safety = guards.as_ref().map_or(Verdict::Unknown, |guards| guards.verdict(now));
        let tried = trial.slices.iter().any(|slice| slice.arm == Arm::Candidate);
        // Where nothing is declared everything is admitted, but not before the candidate ran at all.
        let safety = if safety == Verdict::Holds && !tried { Verdict::Unknown } else { safety };
        let run = (trial.phase == Phase::Verify).then(|| self.experiment(trial)).flatten();
        let (experiment, confirmation) = run.unzip();
        let progress = experiment.as_ref().map(Experiment::progress);
        let margins = self.margins(trial);
        let broken =
            |(constraint, margin): (&Constraint, &f64)| (*margin < 0.0).then(|| constraint.name.clone());
        let mut missing = guards.as_ref().map(|guards| missing_of(guards, now)).unwrap_or_default();
        if let Some(slices) = progress.as_ref().and_then(|progress| progress.missing) {
            missing.push(format!("the gain needs {} to {} more slices", slices.at_least, slices.at_most));
        }
        let gain = progress.as_ref().map(|progress| [-progress.gain.upper, -progress.gain.lower]);
        let interval = gain.filter(|ends| ends.iter().all(|end| end.is_finite()));
        // What was seen before looked good: what it is worth, only what came after can say.
        let confirmed = trial.slices.get(confirmation.unwrap_or(0)..).unwrap_or_default();
        let compared = self.compared(confirmed).or_else(|| self.compared(&trial.slices));
        let benefit = experiment.as_ref().map_or(Verdict::Unknown, Experiment::verdict);
        // Whatever would be held against the candidate is not, where the control does no better.
        let against = safety == Verdict::Violated || benefit == Verdict::Violated || self.all_break(trial);
        Judged {
            safety,
            benefit,
            external: against && self.control_breaks(trial),
            over: progress.as_ref().is_some_and(|progress| progress.decision == Some(Decision::Exhausted)),
            estimate: compared.map(|(estimate, _)| estimate),
            interval,
            capital: experiment
                .as_ref()
                .map(Experiment::capital)
                .filter(|capital| capital.is_finite())
                .unwrap_or(1.0),
            noise: compared.and_then(|(_, error)| error),
            broken: self.constraints.iter().zip(&margins).filter_map(broken).collect(),
            margins,
            missing,
        }
    }
}

fn missing_of(guards: &Guards, now: i64) -> Vec<String> {
    let violated = |standing: &kandela_tune::guard::Standing<'_>| standing.verdict == Verdict::Violated;
    let Some(missing) = guards.missing(now) else {
        let standings = guards.standings(now);
        return standings
            .iter()
            .filter(|s| violated(s))
            .map(|s| format!("{} is violated", s.constraint.name))
            .collect();
    };
    let words = missing.iter().map(|missing| {
        let why = match missing.why {
            Why::NotShown => "is not shown yet",
            Why::Expired => "was shown too long ago",
            Why::NoReading => "has no reading",
        };
        format!("{} {why}: {} more slices at least", missing.constraint.name, missing.readings)
    });
    words.collect()
}

/// The constraint as it counts for a trial.
fn no_worse(constraint: &Constraint, mends: &[String]) -> Constraint {
    if !mends.contains(&constraint.name) {
        return constraint.clone();
    }
    let bound = match constraint.bound {
        Bound::Max(_) => Bound::Max(NO_WORSE),
        Bound::Min(_) => Bound::Min(1.0 / NO_WORSE),
    };
    Constraint { bound, of: Of::RatioToControl, ..constraint.clone() }
}

/// The slices of the candidate, each with the constraints' values at the control: at the same time, or in the last slice of it.
fn with_control(slices: &[Slice]) -> impl Iterator<Item = (&Slice, Option<&Vec<Option<f64>>>)> {
    let mut before = None;
    slices.iter().filter_map(move |slice| match slice.arm {
        Arm::Control => {
            before = Some(&slice.reading.turned.constraints);
            None
        }
        Arm::Candidate => Some((slice, slice.reading.rest.as_ref().map(|rest| &rest.constraints).or(before))),
    })
}

/// By how much a value breaks a constraint, as far as one reading counts.
fn excess(constraint: &Constraint, value: f64) -> Option<f64> {
    let excess = constraint.excess(Reading { treated: value, control: None })?;
    Some(excess.clamp(-constraint.clip, constraint.clip))
}

/// The constraints' values of whatever ran, in the order of time.
fn everywhere(slices: &[Slice]) -> impl Iterator<Item = &Vec<Option<f64>>> {
    let sides = slices.iter().flat_map(|slice| [Some(&slice.reading.turned), slice.reading.rest.as_ref()]);
    sides.flatten().map(|side| &side.constraints)
}

/// The constraints' values at the control, in the order of time.
fn controls(slices: &[Slice]) -> impl DoubleEndedIterator<Item = &Vec<Option<f64>>> {
    slices.iter().filter_map(|slice| match (slice.arm, &slice.reading.rest) {
        (Arm::Control, _) => Some(&slice.reading.turned.constraints),
        (Arm::Candidate, Some(rest)) => Some(&rest.constraints),
        (Arm::Candidate, None) => None,
    })
}

fn at(values: &[Option<f64>], place: usize) -> Option<f64> {
    values.get(place).copied().flatten()
}

/// The square of the standard error of a mean; none of fewer than two values.
fn squared_error(values: &[f64]) -> Option<f64> {
    let middle = mean(values.iter().copied()).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    Some(squares / (values.len() as f64 * (values.len() - 1) as f64))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kandela_model::Timestamp;
    use kandela_tune::experiment::Design;

    use super::*;
    use crate::machine::Side;

    fn evidence() -> Evidence {
        let objective =
            Objective { name: "time".to_owned(), expression: "time".to_owned(), better: Better::Lower };
        let errors = Constraint {
            name: "errors".to_owned(),
            expression: "errors".to_owned(),
            bound: Bound::Max(0.01),
            of: Of::Value,
            window: Duration::from_secs(3_600),
            clip: 0.7,
        };
        let plan = Plan::new(Design::Switchback { wash_out: 0 }, Better::Lower, 0.05);
        Evidence::new(objective, vec![errors], plan, 0.05, false, 1).expect("sound")
    }

    #[test]
    fn a_gain_that_is_shown_before_the_safety_leaves_the_candidate_running_by_turns() {
        let judge = evidence();
        let mut trial = Trial {
            proposal: 1,
            alpha: 0.01,
            mends: Vec::new(),
            phase: Phase::Verify,
            slices: Vec::new(),
            begun: 0,
            current: None,
            canary: None,
        };
        let run = |trial: &mut Trial, errors: Option<f64>| {
            let (scope, arm) = judge.next(trial);
            let objective = Some(if arm == Arm::Candidate { 1.0 } else { 2.0 });
            let turned = Side { objective, offered: None, constraints: vec![errors] };
            let at = Timestamp::from_millis(1_000 * (trial.slices.len() as i64 + 1));
            trial.slices.push(Slice {
                at,
                scope,
                arm,
                reading: crate::machine::Reading { turned, rest: None },
            });
            arm
        };
        for _ in 0..80 {
            run(&mut trial, None);
        }
        let judged = judge.judge(&trial);
        assert_eq!((judged.benefit, judged.safety), (Verdict::Holds, Verdict::Unknown));
        let arms: Vec<Arm> = (0..60).map(|_| run(&mut trial, Some(0.001))).collect();
        assert!(arms.windows(2).all(|pair| pair[0] != pair[1]), "{arms:?}");
        assert_eq!(judge.judge(&trial).safety, Verdict::Holds);
    }

    /// What is judged of slices by turns, candidate first, of which each gave so many errors.
    fn judged(errors: &[f64]) -> Judged {
        let slice = |(number, errors): (i64, &f64)| {
            let turned = Side { objective: Some(1.0), offered: None, constraints: vec![Some(*errors)] };
            Slice {
                at: Timestamp::from_millis(1_000 * (number + 1)),
                scope: Scope::All,
                arm: if number % 2 == 0 { Arm::Candidate } else { Arm::Control },
                reading: crate::machine::Reading { turned, rest: None },
            }
        };
        evidence().judge(&Trial {
            proposal: 1,
            alpha: 0.01,
            mends: Vec::new(),
            phase: Phase::Verify,
            slices: (0..).zip(errors).map(slice).collect(),
            begun: errors.len() as u64,
            current: None,
            canary: None,
        })
    }

    #[test]
    fn one_good_slice_of_the_control_does_not_hide_that_both_degraded() {
        let mut errors = vec![0.05; 21];
        errors[19] = 0.001;
        let judged = judged(&errors);
        assert!(judged.safety == Verdict::Violated && judged.external);
    }

    #[test]
    fn what_hits_both_arms_is_shown_by_both_together() {
        assert!(!judged(&[0.05; 7]).external);
        let judged = judged(&[0.05; 8]);
        assert!(
            judged.external && judged.safety == Verdict::Unknown,
            "the four of the candidate alone show nothing"
        );
    }

    #[test]
    fn one_bad_slice_of_the_control_does_not_excuse_the_candidate() {
        let by_turns = |number: usize| if number.is_multiple_of(2) { 0.05 } else { 0.001 };
        let mut errors: Vec<f64> = (0..21).map(by_turns).collect();
        errors[19] = 0.02;
        let judged = judged(&errors);
        assert!(judged.safety == Verdict::Violated && !judged.external);
    }
}
