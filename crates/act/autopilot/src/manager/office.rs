//! A term of office: what is decided is written first, and only then done.

use std::collections::VecDeque;
use std::time::Duration;

use kandela_algebra::verdict::Verdict;
use kandela_model::{Epoch, Timestamp};
use kandela_tune::Config;
use kandela_tune::experiment::Account;

use super::fleet::Came;
use super::{AutonomousPerformanceManager, ManagerError, TargetSlos};
use crate::evidence::Evidence;
use crate::explain::{Guard, Status, status_of};
use crate::ledger::{Entry, LedgerError};
use crate::machine::{
    Command, Event, Input, Judge, Machine, Observation, Order, Policy, State, since_it_began,
};
use crate::observe::Watch;
use crate::proposer::{Proposer, fingerprint};

/// A manager in office. It ends with the first row that somebody else writes.
pub struct Office {
    manager: AutonomousPerformanceManager,
    machine: Machine<Evidence>,
    initial: Config,
    epoch: Epoch,
    state: State,
    proposer: Proposer,
    watch: Watch,
    seen: Observation,
    /// Whether all knobs were seen at the good settings since they were brought there.
    stood: bool,
    /// Whether the last append failed, so that it is not known what the ledger says.
    unsure: bool,
    over: Option<ManagerError>,
}

impl Office {
    pub(super) async fn take(
        manager: AutonomousPerformanceManager,
        initial: Config,
        slos: TargetSlos,
        interval: Duration,
    ) -> Result<Office, ManagerError> {
        let settings = &manager.settings;
        // Each ledger has one of its own; this one says whether there could be one.
        Account::new(settings.alpha, settings.expected)?;
        let rest = !manager.fleet.rest.is_empty();
        let evidence = Evidence::new(
            slos.objective,
            slos.constraints,
            settings.plan,
            settings.guard_error,
            rest,
            settings.seed,
        )?;
        let proposer = Proposer::new(settings.space.clone(), &initial, settings.strategy, settings.seed)?;
        let watch = Watch::new(evidence.constraints().to_vec(), evidence.error());
        let policy = Policy { interval, ..settings.policy.clone() };
        let mut office = Office {
            manager,
            machine: Machine { policy, judge: evidence },
            initial,
            epoch: Epoch(0),
            state: State::default(),
            proposer,
            watch,
            seen: Observation::default(),
            stood: false,
            unsure: false,
            over: None,
        };
        office.begin().await?;
        Ok(office)
    }

    /// Where things stand.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was seen last.
    pub fn seen(&self) -> &Observation {
        &self.seen
    }

    /// Why nothing is proposed now, where nothing is.
    pub fn waits_for(&self) -> Option<String> {
        self.machine.waits_for(&self.state, &self.seen, self.manager.clock.now())
    }

    /// Where things stand, with the guards and what they are missing.
    pub fn status(&self) -> Status {
        let between =
            self.seen.constraints.iter().map(|seen| Guard { verdict: seen.verdict, what: seen.to_string() });
        let trial = self.state.trial().filter(|trial| !trial.slices.is_empty());
        let missing = trial.map(|trial| self.machine.judge.judge(trial).missing).unwrap_or_default();
        let missing = missing
            .into_iter()
            .map(|what| Guard { verdict: Verdict::Unknown, what: format!("the trial: {what}") });
        let waits_for = if self.state.open.is_none() { self.waits_for() } else { None };
        Status { waits_for, guards: between.chain(missing).collect(), ..status_of(&self.state) }
    }

    /// Why it is no longer in office.
    pub fn over(&mut self) -> Option<ManagerError> {
        self.over.take()
    }

    /// Looks at the system and does what follows.
    ///
    /// # Errors
    /// [`ManagerError`]. After [`ManagerError::LostOffice`] it does nothing any more; after an unavailable ledger, try again.
    pub async fn tick(&mut self) -> Result<(), ManagerError> {
        self.be_sure().await?;
        let news = self.manager.ledger.read(self.state.rows).await?;
        if !news.is_empty() {
            return Err(self.lose(&news));
        }
        let reports = self.manager.fleet.reports().await;
        if !reports.is_empty() {
            self.handle(Input::Reported(reports.clone())).await?;
            self.manager.fleet.forget(&reports).await;
        }
        self.look_for_strayed().await?;
        let now = self.manager.clock.now();
        let observed = self.manager.measurements.observe(now).await;
        self.seen = self.watch.see(now, observed);
        self.handle(Input::Tick(self.seen.clone())).await
    }

    /// Only what was seen at the good settings can stray from them: a target that never shows what it was given is left alone.
    async fn look_for_strayed(&mut self) -> Result<(), ManagerError> {
        let quiet = self.state.began && self.state.trial().is_none() && self.state.unsettled.is_none();
        if !quiet {
            return Ok(());
        }
        let Some(strayed) = self.manager.fleet.strayed(self.state.good()).await else { return Ok(()) };
        self.stood |= strayed.is_empty();
        if self.stood { self.handle(Input::Strayed(strayed)).await } else { Ok(()) }
    }

    /// Follows a person's order.
    ///
    /// # Errors
    /// [`ManagerError::Refused`] with the reason, and those of [`Office::tick`].
    pub async fn order(&mut self, order: Order) -> Result<(), ManagerError> {
        self.be_sure().await?;
        let order = match order {
            Order::Suggest { values, by } => {
                let values = self.proposer.suggestible(self.state.good(), &values);
                Order::Suggest { values: values.map_err(ManagerError::Refused)?, by }
            }
            other => other,
        };
        self.handle(Input::Order(order)).await
    }

    /// Rows may have been written that nobody acted upon: as after a crash.
    async fn be_sure(&mut self) -> Result<(), ManagerError> {
        if self.unsure { self.begin().await } else { Ok(()) }
    }

    /// Reads the ledger and writes the row that takes office: again, where another was first.
    async fn begin(&mut self) -> Result<(), ManagerError> {
        loop {
            let settings = &self.manager.settings;
            let mut state = State::default();
            let mut proposer =
                Proposer::new(settings.space.clone(), &self.initial, settings.strategy, settings.seed)?;
            let rows = self.manager.ledger.read(0).await?;
            let since = since_it_began(&rows);
            let next = rows.last().map_or(0, |row| row.seq + 1);
            state.rows = since.first().map_or(next, |row| row.seq);
            for row in since {
                let event = Event::of(row)?;
                state.apply(row.at, row.epoch, &event);
                proposer.apply(&event);
            }
            let space = fingerprint(&settings.space);
            if state.began && state.space != space {
                return Err(ManagerError::OtherSpace { ledger: state.space, own: space });
            }
            (self.state, self.proposer) = (state, proposer);
            let written = rows.iter().map(|row| row.epoch.0).max().unwrap_or(0);
            // A manager with another ledger may have been there.
            let seen = self.manager.fleet.seen().await;
            self.epoch = Epoch(written.max(seen.0).saturating_add(1));
            self.unsure = false;
            let reports = self.manager.fleet.reports().await;
            let input = Input::Office {
                holder: settings.holder.clone(),
                mode: settings.mode,
                initial: self.initial.clone(),
                goals: self.machine.judge.goals(),
                space,
                alpha: settings.alpha,
                expected: settings.expected,
                reports: reports.clone(),
            };
            match self.handle(input).await {
                Ok(()) => {
                    self.manager.fleet.forget(&reports).await;
                    return Ok(());
                }
                // Before it is in office, nothing was lost.
                Err(ManagerError::LostOffice { .. })
                    if self.state.office.as_ref().is_none_or(|o| o.epoch != self.epoch) =>
                {
                    self.over = None;
                }
                other => return other,
            }
        }
    }

    async fn handle(&mut self, input: Input) -> Result<(), ManagerError> {
        let mut inputs = VecDeque::from([input]);
        let mut refused = None;
        while let Some(input) = inputs.pop_front() {
            let now = self.manager.clock.now();
            let decision = self.machine.decide(&self.state, self.epoch, now, input);
            refused = refused.or(decision.refused);
            self.write(now, &decision.events).await?;
            for command in decision.commands {
                inputs.extend(self.carry_out(command).await?);
            }
        }
        refused.map_or(Ok(()), |what| Err(ManagerError::Refused(what)))
    }

    async fn write(&mut self, at: Timestamp, events: &[Event]) -> Result<(), ManagerError> {
        if events.is_empty() {
            return Ok(());
        }
        let subject = &self.manager.settings.subject;
        let row = |(seq, event): (u64, &Event)| event.row(seq, at, self.epoch, subject);
        let rows: Vec<Entry> = (self.state.rows..).zip(events).map(row).collect();
        match self.manager.ledger.append(&rows).await {
            Ok(()) => {}
            Err(LedgerError::Conflict { .. }) => {
                let news = self.manager.ledger.read(self.state.rows).await?;
                return Err(self.lose(&news));
            }
            Err(error) => {
                self.unsure = true;
                return Err(error.into());
            }
        }
        for event in events {
            if let Some(what) = event.news(self.state.mode) {
                tracing::info!(subject = self.manager.settings.subject, what, "autopilot");
            }
            self.state.apply(at, self.epoch, event);
            self.proposer.apply(event);
        }
        Ok(())
    }

    fn lose(&mut self, news: &[Entry]) -> ManagerError {
        let office = news.iter().rev().find_map(|row| match Event::of(row) {
            Ok(Event::Office { holder, .. }) => Some((holder, row.epoch)),
            _ => None,
        });
        let (holder, epoch) = office.unwrap_or(("another manager".to_owned(), self.epoch));
        self.lost(holder, epoch)
    }

    fn lost(&mut self, holder: String, epoch: Epoch) -> ManagerError {
        let lost = |holder| ManagerError::LostOffice { holder, epoch, own: self.epoch };
        self.over = Some(lost(holder.clone()));
        lost(holder)
    }

    async fn carry_out(&mut self, command: Command) -> Result<Option<Input>, ManagerError> {
        let fleet = &self.manager.fleet;
        Ok(match command {
            Command::Propose { context, good, suggested, remembered } => {
                let (suggested, remembered) = (suggested.as_ref(), remembered.as_ref());
                let advice = &self.seen.advice;
                let candidate = self.proposer.propose(context, &good, suggested, remembered, advice);
                Some(Input::Candidate(candidate, self.seen.clone()))
            }
            Command::Turn { slice, scope, arm, values, lease } => {
                let came = fleet.turn(scope, arm, &values, self.epoch, lease).await;
                Some(Input::Turned(slice, self.heard(came)?))
            }
            Command::Settle { row, values, knobs } => {
                self.stood = false;
                let came = fleet.settle(&values, &knobs, self.epoch).await;
                // Whoever changes a knob from here on is noticed.
                if matches!(came, Came::Done) {
                    self.stood = fleet.strayed(&values).await.is_some_and(|strayed| strayed.is_empty());
                }
                Some(Input::Settled(row, self.heard(came)?))
            }
            Command::Measure { slice, scope, from, to } => {
                let reading = self.manager.measurements.slice(scope, from, to).await;
                Some(Input::Measured(slice, reading))
            }
        })
    }

    fn heard(&mut self, came: Came) -> Result<Result<(), crate::machine::Trouble>, ManagerError> {
        match came {
            Came::Done => Ok(Ok(())),
            Came::Trouble(trouble) => Ok(Err(trouble)),
            Came::Stale { target, seen } => {
                let holder = format!("a manager with another ledger, which has turned {target},");
                Err(self.lost(holder, seen))
            }
        }
    }
}
