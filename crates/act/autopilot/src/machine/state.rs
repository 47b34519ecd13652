//! The state, as the fold of the ledger's rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kandela_model::{Epoch, Timestamp};
use kandela_tune::Config;
use kandela_tune::experiment::Account;

use super::event::{Arm, Event, Export, Judged, Learnt, Mode, Reading, Reason, Scope};
use crate::watchdog::Report;

/// All that the ledger says about where things stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// How many rows it is the fold of: the next row's number.
    pub rows: u64,
    /// Whether management has begun.
    pub began: bool,
    /// Who is in office.
    pub office: Option<Office>,
    /// How far the manager may go.
    pub mode: Mode,
    /// How far a person last said that it may go: no restart goes beyond that.
    pub ordered: Option<Mode>,
    /// Who paused it and why, where somebody did.
    pub paused: Option<(String, String)>,
    /// What keeps it from its work, by what that is about.
    pub notes: BTreeMap<String, String>,
    /// What a person is to hear of, the last of it.
    pub news: VecDeque<News>,
    /// The last reports of watchdogs that were written.
    pub reported: VecDeque<Report>,
    /// The objective and the constraints, in words.
    pub goals: Vec<String>,
    /// The settings that a person gave.
    pub initial: Config,
    /// All knobs that were ever turned or given.
    pub knobs: BTreeSet<String>,
    /// The fingerprint of the space.
    pub space: String,
    /// What was promoted and not taken back, in order.
    pub promotions: Vec<Promotion>,
    /// Whether the knobs are still to be brought to the good settings.
    pub unsettled: Option<Unsettled>,
    /// The contexts that were met, by number.
    pub contexts: Vec<Context>,
    /// The context that the workload is in.
    pub context: Option<u64>,
    /// What people suggested and was not proposed yet, in order.
    pub suggestions: VecDeque<Suggestion>,
    /// The proposal that waits or is tried.
    pub open: Option<Open>,
    /// The number of the last proposal.
    pub proposals: u64,
    /// When proposals of the last day were made.
    pub proposed_at: Vec<Timestamp>,
    /// How many trials were admitted.
    pub admitted: u64,
    /// The account of wrong promotions; none before management has begun, or where its budget was none.
    pub account: Option<Account>,
    /// What each strategy earned.
    pub strategies: BTreeMap<String, Earned>,
    /// How many of the last trials in a row broke each constraint.
    pub broken: BTreeMap<String, u32>,
}

/// Something that a person is to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// When it was written.
    pub at: Timestamp,
    /// In which row.
    pub row: u64,
    /// What.
    pub what: String,
}

/// Settings that a person wants to see tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The knobs that are to change, and to what.
    pub values: Config,
    /// Who.
    pub by: String,
}

/// A term of office.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Office {
    /// Its number.
    pub epoch: Epoch,
    /// Who holds it.
    pub holder: String,
}

/// Settings that were promoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// The proposal.
    pub proposal: u64,
    /// Who proposed it.
    pub strategy: String,
    /// The settings.
    pub config: Config,
    /// By how much the objective fell, as a logarithm.
    pub gain: f64,
    /// In which context.
    pub context: u64,
}

/// Knobs that are not known to stand at the good settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsettled {
    /// How often it was tried to bring them there.
    pub attempts: u32,
    /// The row that the last try was announced in: what comes of an earlier one says nothing any more.
    pub row: u64,
    /// When it was tried last.
    pub last: Option<Timestamp>,
}

/// A workload that was met.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// What it measures, normalised.
    pub measures: BTreeMap<String, f64>,
    /// The best settings for it, as far as was found, with the gain that was found in it.
    pub best: Option<(Config, f64)>,
    /// Settings to try first: from a similar system.
    pub hint: Option<Config>,
}

/// A proposal that is neither declined nor over.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// Its number.
    pub proposal: u64,
    /// Its settings.
    pub config: Config,
    /// Who proposed it.
    pub strategy: String,
    /// When.
    pub at: Timestamp,
    /// Who approved it.
    pub approved: Option<String>,
    /// The trial, once it was admitted.
    pub trial: Option<Trial>,
}

/// A proposal on trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Of which proposal.
    pub proposal: u64,
    /// The probability with which it may be promoted by mistake.
    pub alpha: f64,
    /// The constraints that were broken without it.
    pub mends: Vec<String>,
    /// How far it is.
    pub phase: Phase,
    /// The slices of this phase.
    pub slices: Vec<Slice>,
    /// How many slices it had in all phases, the one under way included.
    pub begun: u64,
    /// The slice under way.
    pub current: Option<Current>,
    /// What it began the verify phase with.
    pub canary: Option<Judged>,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Judged for safety.
    Canary,
    /// Measured anew, judged for benefit.
    Verify,
}

/// A slice that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// When it was over.
    pub at: Timestamp,
    /// What was turned.
    pub scope: Scope,
    /// To what.
    pub arm: Arm,
    /// What it gave.
    pub reading: Reading,
}

/// A slice under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Its number.
    pub slice: u64,
    /// What is turned.
    pub scope: Scope,
    /// To what.
    pub arm: Arm,
    /// When the intent was written: the lease counts from here on, to be on the safe side.
    pub intended: Timestamp,
    /// The lease, in microseconds.
    pub lease: i64,
    /// When the knobs were turned; none where that is not known.
    pub turned: Option<Timestamp>,
}

/// What a strategy earned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Earned {
    /// How many proposals it made.
    pub proposals: u64,
    /// How many were tried.
    pub trials: u64,
    /// How many of those broke a constraint.
    pub unsafe_trials: u64,
    /// How many were promoted and not taken back.
    pub promoted: u64,
    /// By how much the objective fell, as a logarithm, by measurements made after the choice.
    pub gain: f64,
    /// How many slices its trials took.
    pub slices: u64,
}

impl State {
    /// The state that rows lead to.
    pub fn of<'e>(rows: impl IntoIterator<Item = (Timestamp, Epoch, &'e Event)>) -> State {
        let mut state = State::default();
        rows.into_iter().for_each(|(at, epoch, event)| state.apply(at, epoch, event));
        state
    }

    /// The settings that are known to be good.
    pub fn good(&self) -> &Config {
        self.promotions.last().map_or(&self.initial, |promotion| &promotion.config)
    }

    /// The trial under way.
    pub fn trial(&self) -> Option<&Trial> {
        self.open.as_ref()?.trial.as_ref()
    }

    /// The gain of the good settings over the initial ones, as a logarithm.
    pub fn gain(&self) -> f64 {
        self.promotions.iter().map(|promotion| promotion.gain).sum()
    }

    /// The part of it that was found in the present context.
    pub fn gain_here(&self) -> f64 {
        let here = self.promotions.iter().filter(|promotion| promotion.context == self.context.unwrap_or(0));
        here.map(|promotion| promotion.gain).sum()
    }

    /// What was learned, for a similar system.
    pub fn export(&self, system: &str) -> Export {
        let best = |context: &Context| {
            let (config, gain) = context.best.clone()?;
            Some(Learnt { measures: context.measures.clone(), config, gain })
        };
        let contexts = self.contexts.iter().filter_map(best).collect();
        Export { system: system.to_owned(), space: self.space.clone(), contexts }
    }

    /// Takes one more row.
    pub fn apply(&mut self, at: Timestamp, epoch: Epoch, event: &Event) {
        if let Some(what) = event.news(self.mode) {
            keep(&mut self.news, News { at, row: self.rows, what }, NEWS);
        }
        self.rows += 1;
        match event {
            Event::Began { initial, goals, space, alpha, expected } => {
                self.began = true;
                self.goals.clone_from(goals);
                self.account = Account::new(*alpha, *expected).ok();
                self.space.clone_from(space);
                self.knobs = initial.keys().cloned().collect();
                self.initial.clone_from(initial);
            }
            Event::Declared { goals } => self.goals.clone_from(goals),
            Event::WentBack { report } => keep(&mut self.reported, report.clone(), REPORTS),
            Event::Office { holder, mode } => {
                self.office = Some(Office { epoch, holder: holder.clone() });
                self.mode = self.ordered.map_or(*mode, |ordered| ordered.min(*mode));
            }
            Event::ModeSet { mode, .. } => (self.mode, self.ordered) = (*mode, Some(*mode)),
            Event::Paused { by, why } => self.paused = Some((by.clone(), why.clone())),
            Event::Resumed { .. } => {
                self.paused = None;
                self.broken.clear();
            }
            Event::Noted { about, what: Some(what) } => {
                self.notes.insert(about.clone(), what.clone());
            }
            Event::Noted { about, what: None } => {
                self.notes.remove(about);
            }
            Event::Context { context, new, measures } => {
                self.context = Some(*context);
                self.broken.clear();
                if *new {
                    self.contexts.push(Context { measures: measures.clone(), best: None, hint: None });
                }
            }
            Event::Suggested { values, by } => {
                self.suggestions.push_back(Suggestion { values: values.clone(), by: by.clone() });
            }
            Event::Dropped { .. } => drop(self.suggestions.pop_front()),
            Event::Proposed { proposal, config, strategy, .. } => {
                self.proposals = *proposal;
                if strategy == SUGGESTED {
                    self.suggestions.pop_front();
                }
                self.proposed_at.retain(|before| at.micros().saturating_sub(before.micros()) < DAY);
                self.proposed_at.push(at);
                self.strategies.entry(strategy.clone()).or_default().proposals += 1;
                self.open = Some(Open {
                    proposal: *proposal,
                    config: config.clone(),
                    strategy: strategy.clone(),
                    at,
                    approved: None,
                    trial: None,
                });
            }
            Event::Approved { by, .. } => {
                if let Some(open) = &mut self.open {
                    open.approved = Some(by.clone());
                }
            }
            Event::Declined { .. } => self.open = None,
            Event::Imported { contexts, .. } => self.import(contexts),
            Event::RolledBack { undone, .. } => self.roll_back(undone),
            Event::Settling { .. } => {
                let row = self.rows - 1;
                let unsettled = self.unsettle();
                unsettled.attempts += 1;
                unsettled.row = row;
                unsettled.last = Some(at);
            }
            Event::Settled => self.unsettled = None,
            Event::Admitted { .. }
            | Event::Turning { .. }
            | Event::Turned { .. }
            | Event::Measured { .. }
            | Event::Verifying { .. }
            | Event::Promoted { .. }
            | Event::Ended { .. }
            | Event::Learned { .. } => self.apply_to_trial(at, event),
        }
    }

    fn apply_to_trial(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Admitted { proposal, alpha, mends, .. } => {
                self.admitted += 1;
                // What was staked stands in the row; the account only says so once more.
                let _ = self.account.as_mut().map(|account| account.open(&proposal.to_string()));
                let Some(open) = &mut self.open else { return };
                self.knobs.extend(open.config.keys().cloned());
                self.strategies.entry(open.strategy.clone()).or_default().trials += 1;
                open.trial = Some(Trial {
                    proposal: *proposal,
                    alpha: *alpha,
                    mends: mends.clone(),
                    phase: Phase::Canary,
                    slices: Vec::new(),
                    begun: 0,
                    current: None,
                    canary: None,
                });
            }
            Event::Promoted { proposal, judged } => {
                let Some(Open { config, strategy, .. }) = self.open.take() else { return };
                let gain = judged.estimate.map_or(0.0, |estimate| -estimate);
                self.pay_back(*proposal, judged.capital, true);
                let context = self.context.unwrap_or(0);
                self.promotions.push(Promotion { proposal: *proposal, strategy, config, gain, context });
                self.note_broken(&judged.broken);
                let (best, gain) = (self.good().clone(), self.gain_here());
                if let Some(context) = usize::try_from(context).ok().and_then(|at| self.contexts.get_mut(at))
                {
                    context.best = Some((best, gain));
                }
                self.unsettle();
            }
            Event::Ended { proposal, why, broken, judged, .. } => {
                self.pay_back(*proposal, judged.as_ref().map_or(1.0, |judged| judged.capital), false);
                let Some(open) = self.open.take() else { return };
                if why.tells_of_the_candidate() {
                    self.note_broken(broken);
                    if open.strategy == MEMORY {
                        self.forget();
                    }
                }
                if *why == Reason::Regressed {
                    self.strategies.entry(open.strategy).or_default().unsafe_trials += 1;
                }
                if open.trial.is_some_and(|trial| trial.begun > 0) {
                    self.unsettle();
                }
            }
            Event::Learned { proposal, gain, slices, strategy, .. } => {
                let earned = self.strategies.entry(strategy.clone()).or_default();
                earned.slices += slices;
                if let Some(gain) =
                    gain.filter(|_| self.promotions.last().is_some_and(|p| p.proposal == *proposal))
                {
                    earned.promoted += 1;
                    earned.gain += gain;
                }
            }
            _ => self.apply_to_slice(at, event),
        }
    }

    fn apply_to_slice(&mut self, at: Timestamp, event: &Event) {
        let Some(trial) = self.open.as_mut().and_then(|open| open.trial.as_mut()) else { return };
        match event {
            Event::Turning { slice, scope, arm, lease_s, .. } => {
                trial.begun = slice + 1;
                let lease = (lease_s * 1e6) as i64;
                trial.current = Some(Current {
                    slice: *slice,
                    scope: *scope,
                    arm: *arm,
                    intended: at,
                    lease,
                    turned: None,
                });
            }
            Event::Turned { .. } => {
                if let Some(current) = &mut trial.current {
                    current.turned = Some(at);
                }
            }
            Event::Measured { reading, .. } => {
                if let Some(Current { scope, arm, .. }) = trial.current.take() {
                    trial.slices.push(Slice { at, scope, arm, reading: reading.clone() });
                }
            }
            Event::Verifying { judged, .. } => {
                trial.phase = Phase::Verify;
                trial.slices.clear();
                trial.canary = Some(judged.clone());
            }
            _ => {}
        }
    }

    fn pay_back(&mut self, proposal: u64, capital: f64, promoted: bool) {
        // Where nothing was staked there is nothing to pay back.
        let _ = self.account.as_mut().map(|account| account.settle(&proposal.to_string(), capital, promoted));
    }

    fn note_broken(&mut self, broken: &[String]) {
        self.broken.retain(|constraint, _| broken.contains(constraint));
        for constraint in broken {
            *self.broken.entry(constraint.clone()).or_default() += 1;
        }
    }

    /// What was remembered of this context did not do what it did.
    fn forget(&mut self) {
        let context = self.context.and_then(|at| self.contexts.get_mut(usize::try_from(at).ok()?));
        if let Some(context) = context {
            context.best = None;
            context.hint = None;
        }
    }

    fn unsettle(&mut self) -> &mut Unsettled {
        self.unsettled.get_or_insert(Unsettled { attempts: 0, row: 0, last: None })
    }

    fn roll_back(&mut self, undone: &[u64]) {
        let mut settings = Vec::new();
        for promotion in self.promotions.extract_if(.., |promotion| undone.contains(&promotion.proposal)) {
            settings.push(promotion.config);
            let earned = self.strategies.entry(promotion.strategy).or_default();
            earned.promoted -= earned.promoted.min(1);
            earned.gain -= promotion.gain;
        }
        for context in &mut self.contexts {
            if context.best.as_ref().is_some_and(|(best, _)| settings.contains(best)) {
                context.best = None;
            }
        }
        self.unsettled = None;
        self.unsettle();
    }

    fn import(&mut self, contexts: &[Learnt]) {
        for learnt in contexts {
            let known = self.contexts.iter_mut().find(|context| context.measures == learnt.measures);
            match known {
                Some(context) => context.hint = Some(learnt.config.clone()),
                None => self.contexts.push(Context {
                    measures: learnt.measures.clone(),
                    best: None,
                    hint: Some(learnt.config.clone()),
                }),
            }
        }
    }
}

fn keep<T>(last: &mut VecDeque<T>, new: T, most: usize) {
    last.push_back(new);
    if last.len() > most {
        last.pop_front();
    }
}

const DAY: i64 = 86_400_000_000;
/// How much of what a person is to hear of is kept.
const NEWS: usize = 8;
/// A report is forgotten by its watchdog once it is written; what a crash left in between is among the last so many.
const REPORTS: usize = 64;

/// In whose name what a person suggested is proposed.
pub const SUGGESTED: &str = "suggested";

/// Who proposes settings that were good before, in a context that is met again or on a similar system.
pub const MEMORY: &str = "memory";
