//! What may stand in the ledger. A state is what its events lead to, and nothing else.

use std::collections::BTreeMap;
use std::fmt;

use kandela_algebra::verdict::Verdict;
use kandela_model::{Epoch, Timestamp};
use kandela_tune::Config;
use serde::{Deserialize, Serialize};

use super::wire;
use crate::ledger::Entry;
use crate::runbook::Advice;
use crate::watchdog::Report;

/// The version of the rows that this code writes; it reads all up to it.
pub const VERSION: u32 = 1;

/// One thing that was decided or has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Management begins: these settings are the first that are known to be good.
    Began {
        /// The settings that a person gave.
        #[serde(with = "wire::config")]
        initial: Config,
        /// The objective and the constraints, in words.
        goals: Vec<String>,
        /// The fingerprint of the space: what was learned elsewhere is of use where it is the same.
        space: String,
        /// The probability with which anything at all may be promoted by mistake.
        alpha: f64,
        /// For how many proposals that is meant.
        expected: u32,
    },
    /// Other goals were declared: what follows is judged by these.
    Declared {
        /// The objective and the constraints, in words.
        goals: Vec<String>,
    },
    /// A watchdog went back to the confirmed values without being asked to, or tried.
    WentBack {
        /// What it says of it.
        report: Report,
    },
    /// A manager takes office; whoever was in office before is no longer.
    Office {
        /// Who.
        holder: String,
        /// How far it may go.
        mode: Mode,
    },
    /// How far the manager may go was changed.
    ModeSet {
        /// How far.
        mode: Mode,
        /// Who changed it.
        by: String,
    },
    /// Nothing new is tried from now on.
    Paused {
        /// Who said so.
        by: String,
        /// Why.
        why: String,
    },
    /// The pause is over.
    Resumed {
        /// Who said so.
        by: String,
    },
    /// Something that keeps the manager from its work began, or is over.
    Noted {
        /// What it is about.
        about: String,
        /// What is wrong and what to do; none where it is over.
        what: Option<String>,
    },
    /// The workload is in another context from now on.
    Context {
        /// Which; they count from 0.
        context: u64,
        /// Whether it was never met before.
        new: bool,
        /// What the workload measures, normalised.
        measures: BTreeMap<String, f64>,
    },
    /// A person suggests settings, to be proposed next.
    Suggested {
        /// The knobs that are to change, and to what.
        #[serde(with = "wire::config")]
        values: Config,
        /// Who.
        by: String,
    },
    /// The suggestion that waits longest is not proposed.
    Dropped {
        /// Why.
        why: String,
    },
    /// A strategy proposes settings.
    Proposed {
        /// The proposal's number; they count from 1.
        proposal: u64,
        /// The settings.
        #[serde(with = "wire::config")]
        config: Config,
        /// Where they lie in the unit cube.
        point: Vec<f64>,
        /// How often the strategy was asked until something new came.
        asked: u32,
        /// Which strategy.
        strategy: String,
        /// For which context.
        context: u64,
        /// What was seen then.
        seen: Observation,
    },
    /// A person approves a proposal.
    Approved {
        /// Which.
        proposal: u64,
        /// Who.
        by: String,
    },
    /// A proposal is not tried.
    Declined {
        /// Which.
        proposal: u64,
        /// Why.
        why: String,
        /// What it would have needed.
        needs: String,
    },
    /// A proposal is tried from now on.
    Admitted {
        /// Which.
        proposal: u64,
        /// What the guards said.
        why: String,
        /// The probability with which it may be promoted by mistake.
        alpha: f64,
        /// The constraints that are broken without it: of those it must not break more than is.
        mends: Vec<String>,
    },
    /// Intent: knobs are about to be turned for a slice.
    Turning {
        /// For which proposal.
        proposal: u64,
        /// The slice; a trial's slices count from 0.
        slice: u64,
        /// Where.
        scope: Scope,
        /// To what.
        arm: Arm,
        /// How long they stay so unless turned again, in seconds.
        lease_s: f64,
    },
    /// The knobs are turned.
    Turned {
        /// The slice.
        slice: u64,
    },
    /// A slice is over.
    Measured {
        /// The slice.
        slice: u64,
        /// What it gave.
        reading: Reading,
    },
    /// The canary phase is passed: measured anew from here on.
    Verifying {
        /// Which proposal.
        proposal: u64,
        /// What the canary phase showed.
        judged: Judged,
    },
    /// The settings of a proposal are the good ones from now on.
    Promoted {
        /// Which.
        proposal: u64,
        /// What the verify phase showed.
        judged: Judged,
    },
    /// A trial is over without promotion; its knobs go back.
    Ended {
        /// Which proposal.
        proposal: u64,
        /// Why.
        why: Reason,
        /// More of it, in words.
        detail: String,
        /// The constraints that the candidate does not keep.
        broken: Vec<String>,
        /// What had been shown.
        judged: Option<Judged>,
    },
    /// What a strategy is told of its proposal.
    Learned {
        /// Which.
        proposal: u64,
        /// Which strategy.
        strategy: String,
        /// The logarithm of the objective over that with the settings that were good when the context was first searched; lower is
        /// better. None where nothing was measured.
        value: Option<f64>,
        /// Its standard error.
        noise: Option<f64>,
        /// Whether no constraint was broken.
        feasible: bool,
        /// How far within each constraint.
        margins: Vec<f64>,
        /// By how much the objective fell, as a logarithm, where it was promoted: from the verify phase alone.
        gain: Option<f64>,
        /// How many slices it took.
        slices: u64,
    },
    /// Promoted settings are taken back.
    RolledBack {
        /// Which proposals are undone, the last first.
        undone: Vec<u64>,
        /// The settings that are the good ones from now on.
        #[serde(with = "wire::config")]
        to: Config,
        /// Who said so.
        by: String,
        /// Why.
        why: String,
    },
    /// Intent: all knobs are about to be set to the good settings.
    Settling {
        /// Which try, from 1.
        attempt: u32,
    },
    /// All knobs stand at the good settings.
    Settled,
    /// What was learned of a similar system is taken over.
    Imported {
        /// From where.
        from: String,
        /// The best settings by context.
        contexts: Vec<Learnt>,
    },
}

/// What was learned of a system, for a similar one: of use where the space is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Which system.
    pub system: String,
    /// The fingerprint of its space.
    pub space: String,
    /// The best settings by context.
    pub contexts: Vec<Learnt>,
}

/// What was learned of one context, for another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// What the workload measures there.
    pub measures: BTreeMap<String, f64>,
    /// The best settings.
    #[serde(with = "wire::config")]
    pub config: Config,
    /// By how much the objective fell there, as a logarithm.
    pub gain: f64,
}

/// How far the manager may go by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It watches, and says what keeps it from proposing.
    #[default]
    Observe,
    /// It proposes, and tries nothing.
    Advise,
    /// It tries and promotes what a person has approved.
    Approve,
    /// It tries and promotes what the guards admit.
    Auto,
}

/// Which part of a system is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The canary.
    Canary,
    /// All of it.
    All,
}

/// To what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The settings that are tried.
    Candidate,
    /// The good ones.
    Control,
}

/// Why a trial ended without promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A constraint is violated.
    Regressed,
    /// It is shown not to help.
    NotBetter,
    /// Neither was shown within the slices that a trial has.
    Inconclusive,
    /// Both arms degraded, so not by this change.
    BothDegraded,
    /// The objective gave nothing, or what no system gives.
    NoObjective,
    /// A knob refused its value.
    Refused,
    /// The system could not be reached, or it is not known whether it was turned.
    Unreachable,
    /// The lease lapsed before the slice was measured.
    Lapsed,
    /// Another manager took office, or the same again.
    Restarted,
    /// The workload changed.
    WorkloadChanged,
    /// A person said so.
    Ordered,
    /// A freeze window began, or the error budget ran low.
    Gated,
}

impl Reason {
    /// Whether the candidate itself is why: a trial that was broken off tells nothing of it.
    pub const fn tells_of_the_candidate(self) -> bool {
        matches!(self, Reason::Regressed | Reason::NotBetter | Reason::Inconclusive | Reason::Refused)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Regressed => "a constraint was violated",
            Reason::NotBetter => "it was shown not to help",
            Reason::Inconclusive => "nothing was shown within the slices that a trial has",
            Reason::BothDegraded => "both arms degraded: not this change",
            Reason::NoObjective => "the objective gave nothing to judge by",
            Reason::Refused => "a knob refused its value",
            Reason::Unreachable => "the system could not be turned for certain",
            Reason::Lapsed => "the lease lapsed before the slice was measured",
            Reason::Restarted => "the manager started anew",
            Reason::WorkloadChanged => "the workload changed",
            Reason::Ordered => "a person said so",
            Reason::Gated => "a gate closed",
        })
    }
}

/// What was seen of the system at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The objective; none where it gives nothing that is a number.
    pub objective: Option<f64>,
    /// What is wrong with the objective, where something is.
    pub objection: Option<String>,
    /// The constraints, in the order of their declaration.
    pub constraints: Vec<Seen>,
    /// What is left of each objective's error budget, from 0 to 1.
    pub error_budgets: BTreeMap<String, f64>,
    /// What the workload measures, each normalised to about 0 to 1; empty where that is not known.
    pub workload: BTreeMap<String, f64>,
    /// What the runbook says now.
    #[serde(default, skip_serializing_if = "Advice::is_empty")]
    pub advice: Advice,
}

/// A constraint as seen at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Whether it is kept, by evidence within its window.
    #[serde(with = "wire::verdict")]
    pub verdict: Verdict,
    /// How far within its bound, in its own unit; none where it gives nothing.
    pub margin: Option<f64>,
    /// What it gave last.
    #[serde(default)]
    pub value: Option<f64>,
    /// What is wanted of it, in words: `at most 0.04`; empty in rows of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wanted: String,
}

/// Four digits that count, of a number that was measured.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let places = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.places$}")
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, ", self.name, self.verdict)?;
        if let (Some(value), false) = (self.value, self.wanted.is_empty()) {
            // What was shown lately outlasts the reading.
            let by_now = self.verdict == Verdict::Violated && self.margin.is_some_and(|margin| margin >= 0.0);
            let by_now = if by_now { " by now" } else { "" };
            return write!(f, "{}{by_now}; wanted: {}", short(value), self.wanted);
        }
        match self.margin {
            None => f.write_str("no reading"),
            Some(margin) if margin < 0.0 => write!(f, "{:.4} beyond its bound", -margin),
            Some(margin) if self.verdict == Verdict::Violated => {
                write!(f, "{margin:.4} within its bound by now")
            }
            Some(margin) => write!(f, "{margin:.4} within its bound"),
        }
    }
}

/// What one slice gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Of the part that is turned.
    pub turned: Side,
    /// Of the rest at the same time, where there is one.
    pub rest: Option<Side>,
}

/// What one part of a system gave during a slice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The objective; none where it gave nothing that is a number.
    pub objective: Option<f64>,
    /// How many requests clients sent, where that does not depend on the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<f64>,
    /// What each constraint's expression gave, in the order of declaration; none where one gave nothing.
    pub constraints: Vec<Option<f64>>,
}

/// What slices show together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Whether the candidate keeps the constraints.
    #[serde(with = "wire::verdict")]
    pub safety: Verdict,
    /// Whether it helps.
    #[serde(with = "wire::verdict")]
    pub benefit: Verdict,
    /// Whether something outside degraded both arms.
    pub external: bool,
    /// Whether the experiment has had all its slices.
    pub over: bool,
    /// The logarithm of the objective's ratio to control, signed so that below 0 is better; once a gain is being confirmed, by what
    /// was measured since.
    pub estimate: Option<f64>,
    /// The lower and the upper end of the experiment's interval for it, where each block counts up to the plan's clip.
    pub interval: Option<[f64; 2]>,
    /// What the experiment's bets have made of the trial's stake, as a multiple of it.
    pub capital: f64,
    /// The standard error of the estimate.
    pub noise: Option<f64>,
    /// How far within each constraint the candidate stayed.
    pub margins: Vec<f64>,
    /// The constraints that the candidate does not keep.
    pub broken: Vec<String>,
    /// What is still to be shown, and what it would take.
    pub missing: Vec<String>,
}

/// The rows from where management began. Where a ledger keeps its rows for some time only, and that is so long ago that the beginning is
/// gone, there are none: management begins anew.
pub fn since_it_began(rows: &[Entry]) -> &[Entry] {
    let began = rows.iter().rposition(|row| matches!(Event::of(row), Ok(Event::Began { .. })));
    let readable = rows.first().is_none_or(|row| row.seq == 0);
    // A ledger that is whole begins with its first row, whatever that says.
    &rows[began.unwrap_or(if readable { 0 } else { rows.len() })..]
}

/// A row that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {seq} of the ledger: {what}")]
pub struct RowError {
    /// The row.
    pub seq: u64,
    /// What is wrong, and what to do.
    pub what: String,
}

#[derive(Serialize)]
struct Written<'e> {
    v: u32,
    #[serde(flatten)]
    event: &'e Event,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Event {
    /// The row that keeps it.
    pub fn row(&self, seq: u64, at: Timestamp, epoch: Epoch, subject: &str) -> Entry {
        let payload = serde_json::to_string(&Written { v: VERSION, event: self });
        let payload =
            payload.unwrap_or_else(|error| serde_json::json!({"unwritable": error.to_string()}).to_string());
        Entry {
            seq,
            at,
            epoch,
            subject: subject.to_owned(),
            verdict: self.verdict().map(Verdict::as_str),
            payload,
        }
    }

    /// The event that a row keeps.
    ///
    /// # Errors
    /// [`RowError`], where it was written by newer code, or is none.
    pub fn of(row: &Entry) -> Result<Event, RowError> {
        let fault = |what: String| RowError { seq: row.seq, what };
        let Version { v } = serde_json::from_str(&row.payload).map_err(|error| fault(error.to_string()))?;
        if v > VERSION {
            return Err(fault(format!(
                "it is of version {v}, this program reads up to {VERSION}: use a newer one"
            )));
        }
        serde_json::from_str(&row.payload).map_err(|error| fault(error.to_string()))
    }

    /// What a person is to hear of, where a manager in `mode` writes it.
    pub fn news(&self, mode: Mode) -> Option<String> {
        Some(match self {
            Event::Declared { goals } => format!("other goals were declared: {}", goals.join("; ")),
            Event::WentBack { report } => report.to_string(),
            Event::Noted { what: Some(what), .. } => what.clone(),
            Event::Proposed { proposal, strategy, .. } if mode == Mode::Approve => {
                format!(
                    "proposal {proposal} by {strategy} asks for approval: `kandela autopilot explain {proposal}`"
                )
            }
            Event::Dropped { why } => format!("a suggestion is not proposed: {why}"),
            Event::Promoted { proposal, .. } => {
                format!("proposal {proposal} was promoted: `kandela autopilot explain {proposal}`")
            }
            Event::Ended { proposal, why, detail, .. } => {
                format!("the trial of proposal {proposal} was ended: {why} ({detail})")
            }
            Event::RolledBack { by, why, .. } => format!("{by} rolled back: {why}"),
            _ => return None,
        })
    }

    fn verdict(&self) -> Option<Verdict> {
        match self {
            Event::Verifying { judged, .. } => Some(judged.safety),
            Event::Promoted { judged, .. } => Some(judged.safety.and(judged.benefit)),
            Event::Ended { judged, .. } => judged.as_ref().map(|judged| judged.safety.and(judged.benefit)),
            _ => None,
        }
    }
}
