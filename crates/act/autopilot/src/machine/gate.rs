//! What keeps the manager from proposing or trying.

use std::fmt;

use kandela_algebra::verdict::Verdict;
use kandela_model::Timestamp;

use super::event::{Mode, Observation};
use super::state::State;
use super::{Judge, Machine};

/// Why nothing is proposed or tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What it is about, in a word.
    pub about: &'static str,
    /// What is wrong, and what it would need.
    pub what: String,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Who paused, and why, where that was said.
pub(crate) fn paused_by(by: &str, why: &str) -> String {
    if why.is_empty() { format!("paused by {by}") } else { format!("paused by {by}: {why}") }
}

/// What notes about knobs that stand elsewhere than at the good settings are about.
pub(super) const DRIFT: &str = "drift";

const HOUR: i64 = 3_600_000_000;

impl<J: Judge> Machine<J> {
    /// What closes the way for anything that is tried, also while it is tried.
    pub(super) fn closed(&self, state: &State, seen: &Observation, now: Timestamp) -> Option<Gate> {
        let gate = |about, what: String| Some(Gate { about, what });
        if let Some((by, why)) = &state.paused {
            return gate("pause", format!("{}; it needs `resume`", paused_by(by, why)));
        }
        if let Some(window) = self.policy.freeze.frozen(now) {
            return gate("freeze", format!("a freeze window is open ({window}); it needs its end"));
        }
        let floor = self.policy.error_budget_floor;
        let low = seen.error_budgets.iter().find(|(_, left)| **left < floor);
        if let Some((slo, _)) = low {
            let percent = floor * 100.0;
            return gate(
                "error budget",
                format!("less than {percent:.0} % of the error budget of {slo} is left"),
            );
        }
        None
    }

    /// What keeps a proposal from being tried.
    pub(super) fn not_admitted(&self, state: &State, seen: &Observation, now: Timestamp) -> Option<Gate> {
        let drift = || state.notes.get(DRIFT).map(|what| Gate { about: DRIFT, what: what.clone() });
        self.unseen(seen)
            .or_else(|| self.closed(state, seen, now))
            .or_else(drift)
            .or_else(|| self.hopeless(state))
    }

    /// What keeps strategies from being asked.
    pub(super) fn not_proposed(&self, state: &State, seen: &Observation, now: Timestamp) -> Option<Gate> {
        self.not_admitted(state, seen, now).or_else(|| self.too_often(state, now))
    }

    fn unseen(&self, seen: &Observation) -> Option<Gate> {
        if let Some(objection) = &seen.objection {
            return Some(Gate { about: "objective", what: objection.clone() });
        }
        if seen.objective.is_none_or(|value| !value.is_finite()) {
            let what = "the objective gives nothing that is a number: check its expression, and that its source reports";
            return Some(Gate { about: "objective", what: what.to_owned() });
        }
        let unknown = seen.constraints.iter().find(|constraint| constraint.verdict == Verdict::Unknown);
        unknown.map(|constraint| Gate {
            about: "guard",
            what: format!(
                "whether constraint {} is kept is not known: it needs fresh readings",
                constraint.name
            ),
        })
    }

    fn hopeless(&self, state: &State) -> Option<Gate> {
        let (constraint, times) = state.broken.iter().find(|(_, times)| **times >= self.policy.patience)?;
        Some(Gate {
            about: "constraint",
            what: format!(
                "the last {times} settings tried all broke constraint {constraint}: nobody seems able to meet it. \
                 Loosen its bound or widen the space, then `resume`"
            ),
        })
    }

    fn too_often(&self, state: &State, now: Timestamp) -> Option<Gate> {
        let within = |span: i64| {
            let recent =
                state.proposed_at.iter().filter(|at| now.micros().saturating_sub(at.micros()) < span);
            recent.count()
        };
        let (hour, day) = (self.policy.per_hour, self.policy.per_day);
        if within(HOUR) >= hour {
            return Some(Gate {
                about: "rate",
                what: format!("there were {hour} proposals within the hour, the most there may be"),
            });
        }
        (within(24 * HOUR) >= day).then(|| Gate {
            about: "rate",
            what: format!("there were {day} proposals within the day, the most there may be"),
        })
    }

    /// Why nothing is proposed now; none where something is. What `status` shows.
    pub fn waits_for(&self, state: &State, seen: &Observation, now: Timestamp) -> Option<String> {
        if state.mode == Mode::Observe {
            return Some("mode observe: nothing is proposed".to_owned());
        }
        if state.unsettled.is_some() {
            return Some("the knobs are being brought to the good settings".to_owned());
        }
        self.not_proposed(state, seen, now).map(|gate| gate.what)
    }
}
