//! What follows from an input: events to write, and commands to carry out once they are written.

use std::collections::BTreeMap;
use std::time::Duration;

use kandela_algebra::verdict::Verdict;
use kandela_model::{Epoch, Timestamp};
use kandela_tune::experiment::Account;

use super::event::{Event, Export, Judged, Mode, Observation, Reading, Reason, Scope};
use super::gate::{DRIFT, Gate};
use super::state::{Context, Current, Phase, State, Trial};
use super::{Candidate, Command, Decision, Input, Judge, Machine, Order, Strayed, Trouble};
use crate::watchdog::Report;

/// A trial whose slices are as often in a row without an objective is over.
const EMPTY_SLICES: usize = 3;
/// As many equal measurements are no measurements.
const EQUAL_SLICES: usize = 6;
/// As many suggestions wait at most.
const MOST_SUGGESTIONS: usize = 16;
/// The longest wait between two tries to bring the knobs to the good settings.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

impl<J: Judge> Machine<J> {
    /// What follows from `input` at `now` in `state`, for a manager of `epoch`. Pure.
    pub fn decide(&self, state: &State, epoch: Epoch, now: Timestamp, input: Input) -> Decision {
        let mut deciding =
            Deciding { machine: self, state: state.clone(), epoch, now, decision: Decision::default() };
        deciding.on(input);
        deciding.decision
    }
}

/// A decision in the making; `state` has the events so far.
struct Deciding<'m, J> {
    machine: &'m Machine<J>,
    state: State,
    epoch: Epoch,
    now: Timestamp,
    decision: Decision,
}

impl<J: Judge> Deciding<'_, J> {
    fn on(&mut self, input: Input) {
        match input {
            Input::Office { .. } => self.take_office(input),
            Input::Reported(reports) => self.reported(reports),
            Input::Strayed(strayed) => self.strayed(&strayed),
            Input::Tick(seen) => self.tick(&seen),
            Input::Candidate(Ok(candidate), seen) => self.proposed(candidate, &seen),
            Input::Candidate(Err(why), _) if !self.state.suggestions.is_empty() => {
                self.emit(Event::Dropped { why });
            }
            Input::Candidate(Err(what), _) => self.note("proposals", Some(what)),
            Input::Turned(slice, came) => self.turned(slice, came),
            Input::Measured(slice, reading) => self.measured(slice, reading),
            Input::Settled(row, came) => self.settled(row, came),
            Input::Order(order) => self.ordered(order),
        }
    }

    fn emit(&mut self, event: Event) {
        self.state.apply(self.now, self.epoch, &event);
        self.decision.events.push(event);
    }

    fn command(&mut self, command: Command) {
        self.decision.commands.push(command);
    }

    fn note(&mut self, about: &str, what: Option<String>) {
        if self.state.notes.get(about) != what.as_ref() {
            self.emit(Event::Noted { about: about.to_owned(), what });
        }
    }

    fn take_office(&mut self, input: Input) {
        let Input::Office { holder, mode, initial, goals, space, alpha, expected, reports } = input else {
            return;
        };
        if !self.state.began {
            self.emit(Event::Began { initial, goals: goals.clone(), space, alpha, expected });
        }
        self.emit(Event::Office { holder, mode });
        if self.state.goals != goals {
            self.emit(Event::Declared { goals });
        }
        self.note_account(alpha);
        self.reported(reports);
        if self.state.trial().is_some() {
            self.end(Reason::Restarted, "what came of the last step is not known".to_owned());
        } else if self.acts() || self.state.unsettled.is_some() {
            self.settle();
        }
    }

    fn note_account(&mut self, declared: f64) {
        let budget = self.state.account.as_ref().map(Account::budget);
        let other = budget.filter(|budget| *budget != declared).map(|budget| {
            format!(
                "alpha {declared} is declared, and the account was opened with {budget}, which stays: \
                 a promise is not changed once it was drawn upon; begin a ledger of its own for another"
            )
        });
        self.note("alpha", other);
    }

    fn reported(&mut self, reports: Vec<Report>) {
        for report in reports {
            // Written by somebody who died before its watchdog was told.
            if self.state.reported.contains(&report) {
                continue;
            }
            let (about, error) = (format!("watchdog of {}", report.target), report.error.clone());
            let (epoch, at, what) = (report.epoch, report.at_ms, report.to_string());
            self.emit(Event::WentBack { report });
            self.note(&about, error);
            let current = self.state.trial().and_then(|trial| trial.current.as_ref());
            let begun = current.and_then(|current| u64::try_from(current.intended.millis()).ok());
            if epoch == self.epoch.0 && begun.is_some_and(|begun| at >= begun) {
                self.end(Reason::Lapsed, what);
            }
        }
    }

    /// What stands where it began has been lost with a restart, and is brought back. What stands anywhere else somebody wanted so.
    fn strayed(&mut self, strayed: &[Strayed]) {
        if self.state.trial().is_some() || self.state.unsettled.is_some() || !self.acts() {
            return;
        }
        let Some(first) = strayed.first() else { return self.note(DRIFT, None) };
        let Strayed { target, knob, stands } = first;
        let good = self.state.good().get(knob).map(ToString::to_string).unwrap_or_default();
        let more = match strayed.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let what = format!("{knob} of {target} stands at {stands}, not at {good}{more}");
        let initial = |strayed: &Strayed| self.state.initial.get(&strayed.knob) == Some(&strayed.stands);
        if strayed.iter().all(initial) && !self.state.promotions.is_empty() && self.state.paused.is_none() {
            self.note(
                DRIFT,
                Some(format!("{what}: it has lost what was promoted, and is brought there again")),
            );
            return self.settle();
        }
        let what = format!(
            "{what}: somebody else changed it, so nothing is tried. Put it back, or `resume`, which brings all knobs to the good settings"
        );
        self.note(DRIFT, Some(what));
    }

    /// Whether the manager may turn knobs by itself.
    fn acts(&self) -> bool {
        matches!(self.state.mode, Mode::Approve | Mode::Auto)
    }

    fn tick(&mut self, seen: &Observation) {
        if !self.state.began {
            return;
        }
        self.find_context(seen);
        if self.state.trial().is_some() {
            return self.go_on_with_trial(seen);
        }
        if self.state.unsettled.is_some() {
            return self.settle_again();
        }
        if self.state.open.is_some() {
            return self.admit(seen);
        }
        self.look_for_proposals(seen);
    }

    fn look_for_proposals(&mut self, seen: &Observation) {
        let gate = self.machine.not_proposed(&self.state, seen, self.now);
        let watching = self.state.mode == Mode::Observe;
        let worth_noting = gate.as_ref().filter(|gate| gate.about != "rate" && gate.about != "pause");
        self.note_gate(worth_noting);
        if gate.is_none() && !watching {
            let context = self.state.context.unwrap_or(0);
            let good = self.state.good().clone();
            let remembered = self.context().and_then(|context| {
                let best = context.best.as_ref().map(|(config, _)| config);
                best.or(context.hint.as_ref()).filter(|config| **config != good).cloned()
            });
            let suggested = self.state.suggestions.front().map(|suggestion| suggestion.values.clone());
            self.command(Command::Propose { context, good, suggested, remembered });
        }
    }

    fn note_gate(&mut self, gate: Option<&Gate>) {
        const ABOUT: [&str; 5] = ["objective", "guard", "freeze", "error budget", "constraint"];
        for about in ABOUT {
            let what = gate.filter(|gate| gate.about == about).map(|gate| gate.what.clone());
            self.note(about, what);
        }
    }

    fn context(&self) -> Option<&Context> {
        self.state.contexts.get(usize::try_from(self.state.context?).ok()?)
    }

    /// Notices that the workload is another. Leaving takes half as far again as entering, so that a workload between two contexts
    /// does not go back and forth.
    fn find_context(&mut self, seen: &Observation) {
        if seen.workload.is_empty() {
            return;
        }
        let radius = self.machine.policy.context_radius;
        let here = self.context().map(|context| distance(&context.measures, &seen.workload));
        if here.is_some_and(|distance| distance <= 1.5 * radius) {
            return;
        }
        let distances =
            (0..).zip(&self.state.contexts).map(|(at, c)| (at, distance(&c.measures, &seen.workload)));
        let nearest =
            distances.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, distance)| *distance <= radius);
        if self.state.trial().is_some() {
            let most = self.context().and_then(|context| farthest(&context.measures, &seen.workload));
            let detail = most.map_or_else(
                || "nothing was known of it when the trial began".to_owned(),
                |(name, then, now)| {
                    format!("{name} is {now:.3}, and was {then:.3} in the context that the trial began in")
                },
            );
            self.end(Reason::WorkloadChanged, detail);
        }
        let new = nearest.is_none();
        let context = nearest.map_or(self.state.contexts.len() as u64, |(at, _)| at);
        self.emit(Event::Context { context, new, measures: seen.workload.clone() });
    }

    fn proposed(&mut self, candidate: Candidate, seen: &Observation) {
        if self.state.open.is_some() || self.state.unsettled.is_some() || self.state.paused.is_some() {
            return;
        }
        self.note("proposals", None);
        let proposal = self.state.proposals + 1;
        let Candidate { config, point, asked, strategy } = candidate;
        let context = self.state.context.unwrap_or(0);
        let event = Event::Proposed { proposal, config, point, asked, strategy, context, seen: seen.clone() };
        self.emit(event);
        self.admit(seen);
    }

    fn admit(&mut self, seen: &Observation) {
        let Some(open) = self.state.open.clone() else { return };
        let proposal = open.proposal;
        let gate = self.machine.not_admitted(&self.state, seen, self.now);
        if !self.acts() {
            let (why, needs) = ("the mode lets nothing be tried", "mode approve or auto");
            return self.decline(proposal, why.to_owned(), needs.to_owned());
        }
        let waited = self.now.micros().saturating_sub(open.at.micros());
        if waited > micros(self.machine.policy.expiry) {
            let needs = gate.map_or("an approval in time".to_owned(), |gate| gate.what);
            return self.decline(proposal, "it waited too long".to_owned(), needs);
        }
        if gate.is_some() || self.state.mode == Mode::Approve && open.approved.is_none() {
            return self.note_gate(gate.as_ref());
        }
        let staked =
            self.state.account.clone().and_then(|mut account| account.open(&proposal.to_string()).ok());
        let Some(alpha) = staked else {
            let needs = "a budget for wrong promotions above 0 and below 1".to_owned();
            return self.decline(proposal, "nothing can be staked on it".to_owned(), needs);
        };
        let broken = seen.constraints.iter().filter(|constraint| constraint.verdict != Verdict::Holds);
        let mends: Vec<String> = broken.map(|constraint| constraint.name.clone()).collect();
        let why = admitted_because(&mends, open.approved.as_deref());
        self.emit(Event::Admitted { proposal, why, alpha, mends });
        if !self.machine.judge.has_canary()
            && let Some(trial) = self.state.trial()
        {
            let judged = self.machine.judge.judge(trial);
            self.emit(Event::Verifying { proposal, judged });
        }
        self.next_slice();
    }

    fn decline(&mut self, proposal: u64, why: String, needs: String) {
        self.emit(Event::Declined { proposal, why, needs });
    }

    fn go_on_with_trial(&mut self, seen: &Observation) {
        if let Some(gate) = self.machine.closed(&self.state, seen, self.now) {
            return self.end(Reason::Gated, gate.what);
        }
        if !self.acts() {
            return self.end(Reason::Ordered, "the mode was changed".to_owned());
        }
        match self.state.trial().and_then(|trial| trial.current.clone()) {
            None => self.next_slice(),
            Some(current) => self.await_slice(&current),
        }
    }

    fn await_slice(&mut self, current: &Current) {
        let policy = &self.machine.policy;
        if self.lapsed(current) {
            return self.end(Reason::Lapsed, format!("slice {} was not measured in time", current.slice));
        }
        let Some(turned) = current.turned else {
            let what = format!("what came of turning the knobs for slice {} is not known", current.slice);
            return self.end(Reason::Unreachable, what);
        };
        // A canary keeps its change from slice to slice: what has shown need not be waited for again.
        let shows = current.scope == Scope::Canary && current.slice > 0;
        let wash_out = if shows { Duration::ZERO } else { policy.wash_out };
        let from = turned.plus_micros(micros(wash_out));
        if self.now >= from.plus_micros(micros(policy.slice)) {
            let (slice, scope) = (current.slice, current.scope);
            self.command(Command::Measure { slice, scope, from, to: self.now });
        }
    }

    fn lapsed(&self, current: &Current) -> bool {
        self.now.micros().saturating_sub(current.intended.micros()) >= current.lease
    }

    fn next_slice(&mut self) {
        let Some(open) = &self.state.open else { return };
        let Some(trial) = &open.trial else { return };
        let (scope, arm) = self.machine.judge.next(trial);
        let (proposal, slice, values) = (open.proposal, trial.begun, open.config.clone());
        let lease = self.machine.policy.lease();
        self.emit(Event::Turning { proposal, slice, scope, arm, lease_s: lease.as_secs_f64() });
        self.command(Command::Turn { slice, scope, arm, values, lease });
    }

    fn turned(&mut self, slice: u64, came: Result<(), Trouble>) {
        let under_way = self.state.trial().and_then(|trial| trial.current.as_ref());
        if under_way.is_none_or(|current| current.slice != slice || current.turned.is_some()) {
            return;
        }
        match came {
            Ok(()) => self.emit(Event::Turned { slice }),
            Err(trouble) if trouble.refused => self.end(Reason::Refused, trouble.what),
            Err(trouble) => self.end(Reason::Unreachable, trouble.what),
        }
    }

    fn measured(&mut self, slice: u64, reading: Reading) {
        let Some(current) = self.state.trial().and_then(|trial| trial.current.clone()) else { return };
        if current.slice != slice || current.turned.is_none() {
            return;
        }
        if self.lapsed(&current) {
            return self.end(Reason::Lapsed, format!("slice {slice} was not measured in time"));
        }
        self.emit(Event::Measured { slice, reading: finite(reading) });
        let Some(trial) = self.state.trial() else { return };
        if let Some(what) = nothing_to_judge_by(trial) {
            return self.end(Reason::NoObjective, what);
        }
        let judged = self.machine.judge.judge(trial);
        self.judged(&judged);
    }

    fn judged(&mut self, judged: &Judged) {
        let Some(trial) = self.state.trial() else { return };
        let (proposal, phase, slices) = (trial.proposal, trial.phase, trial.slices.len());
        let most = match phase {
            Phase::Canary => self.machine.policy.canary_slices,
            Phase::Verify => self.machine.policy.verify_slices,
        };
        let missing = || judged.missing.join("; ");
        match (judged.safety, judged.benefit) {
            _ if judged.external => self.end(Reason::BothDegraded, "the control degraded as well".to_owned()),
            (Verdict::Violated, _) => self.end(Reason::Regressed, missing()),
            (_, Verdict::Violated) => self.end(Reason::NotBetter, found(judged)),
            (Verdict::Holds, _) if phase == Phase::Canary => {
                self.emit(Event::Verifying { proposal, judged: judged.clone() });
                self.next_slice();
            }
            (Verdict::Holds, Verdict::Holds) => self.promote(proposal, judged.clone()),
            _ if slices >= most || judged.over => self.end(Reason::Inconclusive, missing()),
            _ => self.next_slice(),
        }
    }

    fn promote(&mut self, proposal: u64, judged: Judged) {
        let learned = self.learned(Some(&judged), true);
        self.emit(Event::Promoted { proposal, judged });
        learned.into_iter().for_each(|event| self.emit(event));
        self.settle();
    }

    /// Ends the trial, and brings the knobs to the good settings where they may stand elsewhere.
    fn end(&mut self, why: Reason, detail: String) {
        let Some(trial) = self.state.trial() else { return };
        let proposal = trial.proposal;
        let judged = (!trial.slices.is_empty()).then(|| self.machine.judge.judge(trial));
        let broken = judged.as_ref().map(|judged| judged.broken.clone()).unwrap_or_default();
        let tells = why.tells_of_the_candidate();
        let learned = self
            .learned(judged.as_ref().filter(|_| tells), why != Reason::Regressed && why != Reason::Refused);
        self.emit(Event::Ended { proposal, why, detail, broken, judged });
        learned.into_iter().for_each(|event| self.emit(event));
        if self.state.unsettled.is_some() {
            self.settle();
        }
    }

    fn learned(&self, judged: Option<&Judged>, feasible: bool) -> Option<Event> {
        let open = self.state.open.as_ref()?;
        let trial = open.trial.as_ref()?;
        // Of a promotion, the verify phase alone; before that, what there is.
        let estimate = judged.and_then(|judged| judged.estimate);
        let promoted =
            judged.filter(|judged| judged.benefit == Verdict::Holds && trial.phase == Phase::Verify);
        Some(Event::Learned {
            proposal: open.proposal,
            strategy: open.strategy.clone(),
            value: estimate.map(|estimate| estimate - self.state.gain_here()),
            noise: judged.and_then(|judged| judged.noise),
            feasible,
            margins: judged.map(|judged| judged.margins.clone()).unwrap_or_default(),
            gain: promoted.and(estimate).map(|estimate| -estimate),
            slices: trial.begun,
        })
    }

    fn settle(&mut self) {
        let attempt = self.state.unsettled.as_ref().map_or(1, |unsettled| unsettled.attempts + 1);
        let row = self.state.rows;
        self.emit(Event::Settling { attempt });
        // Only the last one counts, where one decision has several.
        self.decision.commands.retain(|command| !matches!(command, Command::Settle { .. }));
        let (values, knobs) = (self.state.good().clone(), self.state.knobs.iter().cloned().collect());
        self.command(Command::Settle { row, values, knobs });
    }

    fn settle_again(&mut self) {
        let Some(unsettled) = &self.state.unsettled else { return };
        let doubled = 1_u32.checked_shl(unsettled.attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.machine.policy.interval.saturating_mul(doubled).min(LONGEST_BACKOFF);
        let due = unsettled.last.is_none_or(|last| self.now >= last.plus_micros(micros(wait)));
        if due {
            self.settle();
        }
    }

    fn settled(&mut self, row: u64, came: Result<(), Trouble>) {
        if self.state.unsettled.as_ref().is_none_or(|unsettled| unsettled.row != row) {
            return;
        }
        match came {
            Ok(()) => {
                self.note("target", None);
                self.emit(Event::Settled);
            }
            Err(trouble) if trouble.refused && !self.state.promotions.is_empty() => {
                let undone = self.state.promotions.last().map(|promotion| promotion.proposal);
                self.roll_back_to(
                    undone,
                    "the system".to_owned(),
                    format!("it refuses these settings: {}", trouble.what),
                );
            }
            Err(trouble) => {
                let what = format!(
                    "the knobs are not known to stand at the good settings: {}; tried again",
                    trouble.what
                );
                self.note("target", Some(what));
            }
        }
    }

    /// Undoes `first` and all that was promoted after it; everything, where there is none.
    fn roll_back_to(&mut self, first: Option<u64>, by: String, why: String) {
        let from = first.unwrap_or(0);
        let place = self.state.promotions.iter().position(|promotion| promotion.proposal >= from);
        let place = place.unwrap_or(self.state.promotions.len());
        let undone =
            self.state.promotions[place..].iter().rev().map(|promotion| promotion.proposal).collect();
        let before = place.checked_sub(1).and_then(|before| self.state.promotions.get(before));
        let to = before.map_or(&self.state.initial, |promotion| &promotion.config).clone();
        self.emit(Event::RolledBack { undone, to, by, why });
        self.settle();
    }

    fn ordered(&mut self, order: Order) {
        match order {
            Order::Pause { by, why } => {
                if self.state.paused.is_none() {
                    self.end(Reason::Ordered, format!("{by} paused: {why}"));
                    self.emit(Event::Paused { by, why });
                }
            }
            Order::Resume { by } => {
                let strayed = self.state.notes.contains_key(DRIFT);
                let resumes = strayed || self.state.paused.is_some();
                if resumes || !self.state.broken.is_empty() {
                    self.emit(Event::Resumed { by });
                }
                // Somebody may have turned knobs, whether or not that was seen.
                if self.acts() && self.state.trial().is_none() {
                    self.settle();
                }
            }
            Order::Approve { proposal, by } => match self.waiting(proposal) {
                Ok(Some(first)) => {
                    self.decision.refused = Some(format!("{first} has approved proposal {proposal} already"));
                }
                Ok(None) => self.emit(Event::Approved { proposal, by }),
                Err(what) => self.decision.refused = Some(what),
            },
            Order::Decline { proposal, by } => match self.waiting(proposal) {
                Ok(_) => self.decline(proposal, format!("{by} declined it"), "an approval".to_owned()),
                Err(what) => self.decision.refused = Some(what),
            },
            Order::Suggest { by, .. } if self.state.suggestions.len() >= MOST_SUGGESTIONS => {
                self.decision.refused = Some(format!(
                    "{MOST_SUGGESTIONS} suggestions wait already; {by}'s can be taken once one of them is proposed"
                ));
            }
            Order::Suggest { values, by } => self.emit(Event::Suggested { values, by }),
            Order::RollBack { proposal, by } => self.roll_back(proposal, by),
            Order::SetMode { mode, by } => {
                if !matches!(mode, Mode::Approve | Mode::Auto) {
                    self.end(Reason::Ordered, format!("{by} changed the mode"));
                }
                self.emit(Event::ModeSet { mode, by });
            }
            Order::Import(Export { system, space, contexts }) => {
                if space == self.state.space {
                    self.emit(Event::Imported { from: system, contexts });
                } else {
                    let own = &self.state.space;
                    let what = format!(
                        "{system} has another space ({space}, here it is {own}): nothing can be taken over"
                    );
                    self.decision.refused = Some(what);
                }
            }
        }
    }

    /// Who has approved it, if it waits and somebody did.
    fn waiting(&self, proposal: u64) -> Result<Option<String>, String> {
        match &self.state.open {
            Some(open) if open.proposal == proposal && open.trial.is_none() => Ok(open.approved.clone()),
            Some(open) if open.proposal == proposal => {
                Err(format!("proposal {proposal} is being tried already"))
            }
            Some(open) => Err(format!("proposal {proposal} does not wait; proposal {} does", open.proposal)),
            None => Err(format!("proposal {proposal} does not wait, and no other does")),
        }
    }

    fn roll_back(&mut self, proposal: Option<u64>, by: String) {
        let known =
            |proposal: &u64| self.state.promotions.iter().any(|promotion| promotion.proposal == *proposal);
        let tried = self.state.trial().map(|trial| trial.proposal);
        match proposal {
            Some(proposal) if tried == Some(proposal) => {
                self.end(Reason::Ordered, format!("{by} rolled it back"));
            }
            Some(proposal) if !known(&proposal) => {
                let good: Vec<String> =
                    self.state.promotions.iter().map(|p| p.proposal.to_string()).collect();
                let good =
                    if good.is_empty() { "none is".to_owned() } else { format!("{} are", good.join(", ")) };
                self.decision.refused = Some(format!("proposal {proposal} is not in force; {good}"));
            }
            proposal => {
                self.end(Reason::Ordered, format!("{by} rolled back"));
                let why = proposal.map_or("everything back to the initial settings".to_owned(), |proposal| {
                    format!("proposal {proposal} and what came after it")
                });
                self.roll_back_to(proposal, by, why);
            }
        }
    }
}

fn admitted_because(broken: &[String], approved: Option<&str>) -> String {
    let guards = if broken.is_empty() {
        "all guards hold by fresh readings".to_owned()
    } else {
        format!("{} is broken without it and must not get worse; the other guards hold", broken.join(", "))
    };
    approved.map_or(guards.clone(), |by| format!("{guards}; approved by {by}"))
}

/// What a candidate was found to be worth.
fn found(judged: &Judged) -> String {
    let times = judged.estimate.map(|log_ratio| (-log_ratio).exp());
    times.map_or("it has no gain".to_owned(), |times| {
        format!("{times:.2} times as good as the settings in force")
    })
}

/// What is wrong with a trial's measurements, where they are none.
fn nothing_to_judge_by(trial: &Trial) -> Option<String> {
    let objectives =
        |last: usize| trial.slices.iter().rev().take(last).map(|slice| slice.reading.turned.objective);
    let finite = |value: &Option<f64>| value.is_some_and(f64::is_finite);
    if trial.slices.len() >= EMPTY_SLICES && !objectives(EMPTY_SLICES).any(|value| finite(&value)) {
        return Some(format!("{EMPTY_SLICES} slices in a row gave no number: did the system die?"));
    }
    let equal = trial.slices.len() >= EQUAL_SLICES
        && objectives(EQUAL_SLICES).all(|value| finite(&value) && value == objectives(1).next().flatten());
    let first = objectives(1).next().flatten().unwrap_or_default();
    equal.then(|| format!("{EQUAL_SLICES} slices gave exactly {first}: a constant is no measurement"))
}

/// What is no number is nothing: rows could not keep it.
fn finite(mut reading: Reading) -> Reading {
    for side in std::iter::once(&mut reading.turned).chain(&mut reading.rest) {
        let values = [&mut side.objective, &mut side.offered].into_iter().chain(&mut side.constraints);
        values.for_each(|value| *value = value.filter(|number| number.is_finite()));
    }
    reading
}

/// The largest difference of a measure; what one side lacks counts as 0 there.
fn distance(a: &BTreeMap<String, f64>, b: &BTreeMap<String, f64>) -> f64 {
    farthest(a, b).map_or(0.0, |(_, a, b)| (a - b).abs())
}

/// Which measure differs most between two workloads, and what it is in either; one that is missing is 0.
fn farthest<'m>(
    a: &'m BTreeMap<String, f64>,
    b: &'m BTreeMap<String, f64>,
) -> Option<(&'m String, f64, f64)> {
    let at = |measures: &BTreeMap<String, f64>, name| measures.get(name).copied().unwrap_or(0.0);
    let both = a.keys().chain(b.keys()).map(|name| (name, at(a, name), at(b, name)));
    both.max_by(|one, other| (one.1 - one.2).abs().total_cmp(&(other.1 - other.2).abs()))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
