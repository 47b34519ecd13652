//! The story of a proposal, and where things stand: from the ledger's rows, and from nothing else.

mod text;

use std::collections::BTreeMap;

use kandela_algebra::verdict::Verdict;
use kandela_model::Timestamp;
use serde::Serialize;

use crate::ledger::Entry;
use crate::machine::{
    Arm, Event, Judged, Observation, Reading, RowError, SUGGESTED, Scope, Seen, State, Suggestion, paused_by,
    short, since_it_began,
};

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// There is no such proposal.
    #[error("there is no proposal {proposal}; there are {known}")]
    Unknown {
        /// The number that was asked for.
        proposal: u64,
        /// Those that there are.
        known: String,
    },
    /// A row can't be read.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// The story of a proposal. Shown, it is text of 80 columns; serialised, JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Which.
    pub proposal: u64,
    /// When it was made.
    pub at: String,
    /// By which strategy.
    pub strategy: String,
    /// For which context.
    pub context: u64,
    /// What it was all about: objective and constraints.
    pub goals: Vec<String>,
    /// What was seen then.
    pub seen: Observation,
    /// What it would change.
    pub changes: Vec<Change>,
    /// What happened then, in order.
    pub steps: Vec<Told>,
    /// How it ended.
    pub outcome: String,
    /// What it would have needed otherwise; none where it was promoted.
    pub needed: Option<String>,
}

/// A knob that a proposal would turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which.
    pub knob: String,
    /// Where it stood.
    pub from: String,
    /// Where it would go.
    pub to: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// When.
    pub at: String,
    /// The row that says so.
    pub row: u64,
    /// What.
    pub what: String,
}

/// The story of `proposal`, as the rows of a ledger tell it.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(rows: &[Entry], proposal: u64) -> Result<Story, ExplainError> {
    let mut state = State::default();
    let mut tried = 0;
    // What the settling that comes next is of.
    let mut ended: Vec<u64> = Vec::new();
    let mut story: Option<Story> = None;
    let mut judged_last: Option<Judged> = None;
    for row in since_it_began(rows) {
        let event = Event::of(row)?;
        if let Event::Admitted { proposal, .. } = &event {
            tried = *proposal;
        }
        if let Event::Proposed { proposal: number, config, strategy, context, seen, .. } = &event
            && *number == proposal
        {
            let good = state.good();
            let changes =
                config.iter().filter(|(name, to)| good.get(*name) != Some(*to)).map(|(knob, to)| Change {
                    knob: knob.clone(),
                    from: good.get(knob).map_or("not set".to_owned(), ToString::to_string),
                    to: to.to_string(),
                });
            story = Some(Story {
                proposal,
                at: time(row.at),
                strategy: strategy.clone(),
                context: *context,
                goals: state.goals.clone(),
                seen: seen.clone(),
                changes: changes.collect(),
                steps: Vec::new(),
                outcome: "it waits".to_owned(),
                needed: None,
            });
            let suggestion = state.suggestions.front().filter(|_| strategy == SUGGESTED);
            if let (Some(suggestion), Some(story)) = (suggestion, &mut story) {
                let all = suggestion.values.iter().all(|(name, value)| config.get(name) == Some(value));
                let near = if all { "" } else { ", and this is as near as one step leads by now" };
                let what = format!("{} suggested it{near}", suggestion.by);
                story.steps.push(Told { at: time(row.at), row: row.seq, what });
            }
        }
        let open = state.open.as_ref().is_some_and(|open| open.proposal == proposal);
        match &event {
            Event::Ended { proposal, .. } | Event::Promoted { proposal, .. } => ended = vec![*proposal],
            Event::RolledBack { undone, .. } => ended.clone_from(undone),
            _ => {}
        }
        if let Some(story) = &mut story {
            let of_trial = matches!(event, Event::WentBack { .. }) && tried == proposal;
            let settled = matches!(event, Event::Settled) && ended.contains(&proposal);
            let concerns = open || concerns(&event, proposal) || settled || of_trial;
            let over = story.needed.is_some() && !concerns;
            if concerns && !over {
                tell(story, row, &event, &state, &mut judged_last);
            }
        }
        if matches!(event, Event::Settled) {
            ended.clear();
        }
        state.apply(row.at, row.epoch, &event);
    }
    story.ok_or_else(|| {
        let known =
            if state.proposals == 0 { "none yet".to_owned() } else { format!("1 to {}", state.proposals) };
        ExplainError::Unknown { proposal, known }
    })
}

fn concerns(event: &Event, number: u64) -> bool {
    match event {
        Event::Promoted { proposal, .. } | Event::Learned { proposal, .. } => *proposal == number,
        Event::RolledBack { undone, .. } => undone.contains(&number),
        _ => false,
    }
}

fn tell(story: &mut Story, row: &Entry, event: &Event, state: &State, last: &mut Option<Judged>) {
    let what = match event {
        Event::Approved { by, .. } => format!("{by} approved it"),
        Event::Declined { why, needs, .. } => {
            story.outcome = format!("not tried: {why}");
            story.needed = Some(needs.clone());
            format!("not tried: {why}")
        }
        Event::Admitted { why, alpha, .. } => {
            story.outcome = "it is on trial".to_owned();
            format!("admitted: {why}; may be promoted by mistake with probability {alpha:.2e}")
        }
        Event::Measured { slice, reading } => {
            let (scope, arm) = state
                .trial()
                .and_then(|trial| trial.current.as_ref())
                .map_or((Scope::All, Arm::Control), |current| (current.scope, current.arm));
            format!("slice {slice}, {}: {}", place(scope, arm), shown(reading, &story.seen.constraints))
        }
        Event::Verifying { .. } if state.trial().is_some_and(|trial| trial.slices.is_empty()) => {
            "the system has one part: it runs either settings by turns, guarded from the first slice on"
                .to_owned()
        }
        Event::Verifying { judged, .. } => format!("the canary phase is passed: {}", judged_in_words(judged)),
        Event::Promoted { judged, .. } => {
            story.outcome = "promoted: these are the good settings from here on".to_owned();
            format!("promoted: {}", judged_in_words(judged))
        }
        Event::Ended { why, detail, judged, .. } => {
            story.outcome = format!("ended without promotion: {why}");
            last.clone_from(judged);
            let missing =
                judged.as_ref().map(|judged| judged.missing.join("; ")).filter(|missing| !missing.is_empty());
            story.needed = Some(missing.unwrap_or_else(|| detail.clone()));
            let shown =
                judged.as_ref().map(|judged| format!("; {}", judged_in_words(judged))).unwrap_or_default();
            format!("ended: {why} ({detail}){shown}")
        }
        Event::Learned { value: Some(value), strategy, .. } => {
            format!("{strategy} was told: {} as good as the initial settings", times(*value))
        }
        Event::RolledBack { by, why, .. } => {
            story.outcome = format!("promoted, and later rolled back by {by}");
            story.needed = Some(why.clone());
            format!("rolled back by {by}: {why}")
        }
        Event::WentBack { report } => report.to_string(),
        Event::Settled => "all knobs stand at the good settings".to_owned(),
        _ => return,
    };
    story.steps.push(Told { at: time(row.at), row: row.seq, what });
}

/// What runs where, in words.
pub fn place(scope: Scope, arm: Arm) -> &'static str {
    match (scope, arm) {
        (Scope::Canary, Arm::Candidate) => "candidate on the canary",
        (Scope::Canary, Arm::Control) => "good settings on the canary",
        (Scope::All, Arm::Candidate) => "candidate everywhere",
        (Scope::All, Arm::Control) => "good settings everywhere",
    }
}

/// A reading in words; `constraints` has their names, in the order of the readings.
fn shown(reading: &Reading, constraints: &[Seen]) -> String {
    let number = |value: Option<f64>| value.map_or("nothing".to_owned(), short);
    let mut text = format!("objective {}", number(reading.turned.objective));
    for (place, value) in reading.turned.constraints.iter().enumerate() {
        let name = constraints.get(place).map_or("a constraint", |seen| seen.name.as_str());
        text.push_str(&format!(", {name} {}", number(*value)));
    }
    if let Some(rest) = &reading.rest {
        text.push_str(&format!("; the rest {}", number(rest.objective)));
    }
    text
}

fn judged_in_words(judged: &Judged) -> String {
    let mut text = format!("constraints {}, gain {}", judged.safety, judged.benefit);
    if let Some(estimate) = judged.estimate {
        text.push_str(&format!("; {} as good as control", times(estimate)));
    }
    if let Some([low, high]) = judged.interval {
        text.push_str(&format!("; clipped, {} to {}", times(high), times(low)));
    }
    text
}

/// How many times as good something is whose logarithm, below 0 where it is better, is this: whichever way the objective is to go.
fn times(log_ratio: f64) -> String {
    format!("{:.3} times", (-log_ratio).exp())
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map_or_else(|_| "-".to_owned(), |at| format!("{at:.0}"))
}

/// Where things stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// What the manager does, in words.
    pub state: String,
    /// How far it may go.
    pub mode: crate::machine::Mode,
    /// The term of office.
    pub epoch: u64,
    /// Who holds it.
    pub holder: String,
    /// How many rows the ledger has.
    pub rows: u64,
    /// The proposal that waits or is tried.
    pub proposal: Option<u64>,
    /// What keeps it from its work.
    pub notes: BTreeMap<String, String>,
    /// What people suggested and was not proposed yet.
    pub suggested: Vec<String>,
    /// What happened lately that a person is to hear of, the last last.
    pub news: Vec<Told>,
    /// Why nothing is proposed now; only a manager that runs knows.
    pub waits_for: Option<String>,
    /// Where the guards stand and what they are missing; only a manager that runs knows.
    pub guards: Vec<Guard>,
    /// The good settings.
    pub good: BTreeMap<String, String>,
    /// How many times as good the objective is with the good settings as with the initial ones.
    pub times_as_good: f64,
    /// What was promoted and is in force.
    pub promoted: Vec<u64>,
    /// The contexts that were met, with the best settings of each.
    pub contexts: Vec<BTreeMap<String, String>>,
    /// The context now.
    pub context: Option<u64>,
    /// How much of the probability of wrong promotions is left.
    pub alpha_left: f64,
    /// What each trial staked and was paid back.
    pub alpha_account: Vec<kandela_tune::experiment::Row>,
    /// What each strategy earned.
    pub strategies: BTreeMap<String, Earnings>,
}

/// Where a guard stands, or a piece of evidence that a trial is missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guard {
    /// Whether it is kept.
    #[serde(with = "crate::machine::wire::verdict")]
    pub verdict: Verdict,
    /// How it stands, in words.
    pub what: String,
}

/// What a strategy earned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Earnings {
    /// Its proposals.
    pub proposals: u64,
    /// Of those tried.
    pub trials: u64,
    /// Of those that broke a constraint.
    pub unsafe_trials: u64,
    /// Of those promoted and in force.
    pub promoted: u64,
    /// The share by which its promotions cut the objective, by measurements made after the choice.
    pub cut: f64,
    /// The slices that its trials took.
    pub slices: u64,
}

/// Where things stand, as the rows of a ledger tell it.
///
/// # Errors
/// [`RowError`].
pub fn status(rows: &[Entry]) -> Result<Status, RowError> {
    let mut state = State::default();
    for row in since_it_began(rows) {
        state.apply(row.at, row.epoch, &Event::of(row)?);
    }
    Ok(status_of(&state))
}

/// Where things stand in `state`.
pub fn status_of(state: &State) -> Status {
    let words = |config: &kandela_tune::Config| -> BTreeMap<String, String> {
        config.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    };
    let earnings = state.strategies.iter().map(|(name, earned)| {
        let earnings = Earnings {
            proposals: earned.proposals,
            trials: earned.trials,
            unsafe_trials: earned.unsafe_trials,
            promoted: earned.promoted,
            cut: 1.0 - (-earned.gain).exp(),
            slices: earned.slices,
        };
        (name.clone(), earnings)
    });
    let best = |context: &crate::machine::Context| {
        context.best.as_ref().map(|(config, _)| words(config)).unwrap_or_default()
    };
    Status {
        state: doing(state),
        mode: state.mode,
        epoch: state.office.as_ref().map_or(0, |office| office.epoch.0),
        holder: state.office.as_ref().map_or_else(|| "nobody".to_owned(), |office| office.holder.clone()),
        rows: state.rows,
        proposal: state.open.as_ref().map(|open| open.proposal),
        notes: state.notes.clone(),
        suggested: state.suggestions.iter().map(suggestion).collect(),
        news: state
            .news
            .iter()
            .map(|news| Told { at: time(news.at), row: news.row, what: news.what.clone() })
            .collect(),
        waits_for: None,
        guards: Vec::new(),
        good: words(state.good()),
        times_as_good: state.gain().exp(),
        promoted: state.promotions.iter().map(|promotion| promotion.proposal).collect(),
        contexts: state.contexts.iter().map(best).collect(),
        context: state.context,
        alpha_left: state.account.as_ref().map_or(0.0, kandela_tune::experiment::Account::left),
        alpha_account: state.account.as_ref().map(|account| account.rows().to_vec()).unwrap_or_default(),
        strategies: earnings.collect(),
    }
}

fn suggestion(Suggestion { values, by }: &Suggestion) -> String {
    let values: Vec<String> = values.iter().map(|(knob, value)| format!("{knob} = {value}")).collect();
    format!("{}, by {by}", values.join(", "))
}

fn doing(state: &State) -> String {
    if !state.began {
        return "nothing has begun".to_owned();
    }
    if let Some((by, why)) = &state.paused {
        return paused_by(by, why);
    }
    if let Some(unsettled) = &state.unsettled {
        return format!("bringing the knobs to the good settings, try {}", unsettled.attempts);
    }
    match &state.open {
        Some(open) => match &open.trial {
            Some(trial) => {
                let phase = match trial.phase {
                    crate::machine::Phase::Canary => "canary",
                    crate::machine::Phase::Verify => "verify",
                };
                format!("proposal {} is on trial: {phase} phase, slice {}", open.proposal, trial.begun)
            }
            None => format!("proposal {} by {} waits", open.proposal, open.strategy),
        },
        None => "watching".to_owned(),
    }
}
