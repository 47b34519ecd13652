//! What was tried and what came of it.

/// What a measurement found.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The objective; lower is better. Finite.
    pub value: f64,
    /// The standard error of `value`, where whoever measured knows it. Finite and 0 or more; a [`Study`](crate::Study) forgets others.
    pub noise: Option<f64>,
    /// Whether every constraint was kept.
    pub feasible: bool,
    /// How far within each declared constraint the measurement stayed, in the constraint's own unit and in the order of their
    /// declaration; below 0 it was broken. Empty where nothing but `feasible` is known.
    pub margins: Vec<f64>,
    /// What the measurement took, in seconds. Finite and 0 or more, as above.
    pub seconds: Option<f64>,
}

impl Measured {
    /// A feasible measurement of `value`, of which nothing else is known.
    pub const fn of(value: f64) -> Measured {
        Measured { value, noise: None, feasible: true, margins: Vec::new(), seconds: None }
    }
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was measured.
    Measured(Measured),
    /// It gave no value: the target died, refused a knob, or answered nothing that is a number.
    Failed,
}

/// One point that was or is being measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number: trials of a study count from 0.
    pub id: u64,
    /// The point of the unit cube, as [`Space::snap`](crate::Space::snap) gives it.
    pub point: Vec<f64>,
    /// What came of it; `None` while it is being measured.
    pub outcome: Option<Outcome>,
}

impl Trial {
    /// The measurement, if there is one.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Some(Outcome::Measured(measured)) => Some(measured),
            Some(Outcome::Failed) | None => None,
        }
    }

    /// The measurement, if there is one that kept every constraint.
    pub fn feasible(&self) -> Option<&Measured> {
        self.measured().filter(|measured| measured.feasible)
    }
}

/// All trials of a study, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    trials: Vec<Trial>,
}

impl History {
    /// All trials: measured, failed and under way.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The trials that have a measurement, feasible or not.
    pub fn measured(&self) -> impl Iterator<Item = (&Trial, &Measured)> {
        self.trials.iter().filter_map(|trial| Some((trial, trial.measured()?)))
    }

    /// The points that are being measured now.
    pub fn pending(&self) -> impl Iterator<Item = &[f64]> {
        self.trials.iter().filter(|trial| trial.outcome.is_none()).map(|trial| trial.point.as_slice())
    }

    /// The feasible trial with the lowest value, however lucky; the first among equals.
    pub fn lowest(&self) -> Option<(&Trial, &Measured)> {
        let feasible = self.trials.iter().filter_map(|trial| Some((trial, trial.feasible()?)));
        feasible.reduce(|best, next| if next.1.value < best.1.value { next } else { best })
    }

    /// The trial of that number.
    pub fn trial(&self, id: u64) -> Option<&Trial> {
        self.trials.get(usize::try_from(id).ok()?)
    }

    /// Begins a trial at `point` and gives its number.
    pub fn begin(&mut self, point: Vec<f64>) -> u64 {
        let id = self.trials.len() as u64;
        self.trials.push(Trial { id, point, outcome: None });
        id
    }

    /// Ends trial `id`; gives whether it was under way.
    pub fn end(&mut self, id: u64, outcome: Outcome) -> bool {
        let trial = usize::try_from(id).ok().and_then(|index| self.trials.get_mut(index));
        let Some(trial) = trial.filter(|trial| trial.outcome.is_none()) else { return false };
        trial.outcome = Some(outcome);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_feasible_and_the_first_among_equals() {
        let mut history = History::default();
        for (value, feasible) in [(1.0, false), (3.0, true), (2.0, true), (2.0, true)] {
            let id = history.begin(vec![value]);
            let measured = Measured { feasible, ..Measured::of(value) };
            assert!(history.end(id, Outcome::Measured(measured)));
        }
        assert_eq!(history.lowest().map(|(trial, _)| trial.id), Some(2));
    }

    #[test]
    fn a_trial_ends_once() {
        let mut history = History::default();
        let id = history.begin(vec![]);
        assert!(history.end(id, Outcome::Failed));
        assert!(!history.end(id, Outcome::Measured(Measured::of(1.0))));
        assert!(!history.end(9, Outcome::Failed));
    }
}
