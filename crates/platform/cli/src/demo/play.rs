//! A demo under way: what the story asks for is done, and what comes of it is seen.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kandela_autopilot::manager::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Demo;
use super::cost::Meter;
use super::ideas::{self, Idea};
use super::report::{self, Customers, Known, Report};
use super::scenario::{Act, SETTLING, Seen, Story};
use super::show::Show;
use super::stage::{Second, Stage};
use super::system;
use super::trials::{Trial, trials};
use crate::client::Refused;
use crate::ends::Ends;
use crate::top::picture::{Asker, Objective, Picture, Row};
use crate::top::screen::Key;

/// How often it is looked at what happened.
const LOOK: Duration = Duration::from_millis(500);
/// Rates are over so long.
const WINDOW: Duration = Duration::from_secs(10);
/// What the shop promises its customers.
const PROMISE: Objective = Objective { p99: 0.3, errors: 0.01, of: Some("shop/gateway") };
/// How long the autopilot may take to bring all knobs to the good settings at the end.
const SETTLED: Duration = Duration::from_secs(20);
/// How long the last customers are waited for: longer than they wait themselves.
const LAST: Duration = Duration::from_secs(13);
/// Slices after which a trial is one that the fault may meet.
const FIRST_SLICES: u64 = 2;
/// How much slower the payment provider becomes.
const FAULT_MS: u64 = 20_000;
/// The system under management.
const SHOP: &str = "shop";

/// A demo under way.
pub(super) struct Play {
    pub(super) stage: Stage,
    asker: Asker,
    seconds: UnboundedReceiver<Second>,
    pub(super) began: Instant,
    pub(super) story: Story,
    /// The share of the usual load that this machine takes.
    strength: f64,
    ideas: [Idea; 2],
    rows: Vec<Row>,
    trials: Vec<Trial>,
    /// Whose suggestions wait to be proposed.
    waiting: VecDeque<String>,
    pub(super) first_noon: Customers,
    pub(super) second_noon: Customers,
    pub(super) latest: Option<Second>,
    /// When each act began, in seconds of the customers.
    acts: Vec<(Act, f64)>,
    /// In microseconds since 1970.
    fault: Option<(i64, Option<i64>)>,
    meter: Meter,
    /// What nobody planned, and how much of it was told.
    pub(super) incidents: Vec<String>,
    told: usize,
}

impl Play {
    pub(super) fn begin(
        mut stage: Stage,
        demo: &Demo,
        strength: f64,
        incidents: Vec<String>,
    ) -> anyhow::Result<Play> {
        let asker = Asker::new(stage.server(), Some(SHOP.to_owned()), WINDOW, PROMISE)?;
        let seconds = stage.admit_customers(demo.seed)?;
        let length = Duration::from_secs(60 * u64::from(demo.minutes));
        let meter = Meter::of(stage.platform(), &stage.others());
        Ok(Play {
            stage,
            asker,
            seconds,
            began: Instant::now(),
            story: Story::new(length),
            strength,
            ideas: ideas::ideas(demo.seed),
            rows: Vec::new(),
            trials: Vec::new(),
            waiting: VecDeque::new(),
            first_noon: Customers::default(),
            second_noon: Customers::default(),
            latest: None,
            acts: Vec::new(),
            fault: None,
            meter,
            told: incidents.len(),
            incidents,
        })
    }

    /// Plays until the end; whether it was reached.
    pub(super) async fn play(&mut self, show: &mut Show) -> anyhow::Result<bool> {
        // It watches the first noon, and is given the keys after that.
        self.set_mode("observe").await?;
        self.enter(show).await?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut picture = Picture::default();
        let mut ends = Ends::listen()?;
        while self.story.act != Act::Over {
            tokio::select! {
                _ = look.tick() => {
                    self.look_after().await?;
                    match self.look(show).await {
                        Ok(seen) => picture = seen,
                        Err(error) => picture.faults = vec![format!("{error:#}")],
                    }
                    self.go_on(show).await?;
                    self.tell_incidents(show);
                    self.meter.look(self.stage.platform());
                    show.picture(self, &picture)?;
                }
                Some(second) = self.seconds.recv() => self.count(second),
                key = show.key() => if key == Key::Quit { return Ok(false) },
                () = ends.heard() => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Looks at the platform, and tells what is new in the ledger.
    async fn look(&mut self, show: &mut Show) -> anyhow::Result<Picture> {
        let known = self.rows.len();
        self.follow().await?;
        self.rows[known..].iter().for_each(|row| show.row(row));
        if show.is_live() { self.asker.ask().await } else { Ok(Picture::default()) }
    }

    /// Reads what is new in the ledger.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let from = self.rows.last().map_or(0, |row| row.seq + 1);
        self.rows.extend(self.asker.rows(SHOP, from).await?);
        (self.trials, self.waiting) = trials(&self.rows);
        Ok(())
    }

    fn seen(&self) -> Seen {
        let fault_began = self.fault.map(|(from, _)| from);
        let fault_ended = self.fault.and_then(|(_, to)| to);
        let noon = self.trials.iter().find(|trial| trial.is_suggested()).map(|trial| trial.context);
        Seen {
            ideas_over: self.ideas.iter().all(|idea| self.is_judged(idea)),
            on_trial: self.trials.iter().any(|trial| {
                !trial.is_suggested()
                    && noon != Some(trial.context)
                    && trial.under_way().is_some_and(|slices| slices >= FIRST_SLICES)
                    && !trial.mends.iter().any(|constraint| constraint == system::PAID)
            }),
            ended_in_fault: fault_began.is_some_and(|from| {
                self.trials.iter().any(|trial| trial.both_degraded().is_some_and(|at| at > from))
            }),
            resumed: fault_ended
                .is_some_and(|to| self.trials.iter().any(|trial| trial.measured.is_some_and(|at| at > to))),
        }
    }

    async fn go_on(&mut self, show: &mut Show) -> anyhow::Result<()> {
        let before = self.story.act;
        if before == Act::Ideas {
            self.suggest_again().await?;
        }
        self.story = self.story.at(self.began.elapsed(), self.seen());
        if self.story.act == before {
            return Ok(());
        }
        if before == Act::Fault {
            self.end_fault().await?;
        }
        self.enter(show).await
    }

    /// Does what an act begins with.
    async fn enter(&mut self, show: &mut Show) -> anyhow::Result<()> {
        let act = self.story.act;
        self.acts.push((act, self.began.elapsed().as_secs_f64()));
        show.act(act, self.began.elapsed());
        self.stage.set_rate(act.rate() * self.strength).await?;
        match act {
            Act::Ideas => {
                self.set_mode("auto").await?;
                for number in 0..self.ideas.len() {
                    self.suggest(number).await?;
                }
            }
            Act::Fault => {
                let fault = json!({"kind": "latency", "fixed_ms": FAULT_MS});
                self.put_fault(&fault).await?;
                self.fault = Some((now_micros(), None));
            }
            _ => {}
        }
        Ok(())
    }

    fn is_judged(&self, idea: &Idea) -> bool {
        report::of_idea(idea, &self.trials).next_back().is_some_and(Trial::is_judged)
    }

    async fn suggest(&mut self, number: usize) -> anyhow::Result<()> {
        let good = self.good().await?;
        let idea = &self.ideas[number];
        let (by, values) = (idea.by, idea.within_a_step(&good));
        self.order(&json!({"order": "suggest", "by": by, "values": values})).await?;
        // Until the ledger is read again.
        self.waiting.push_back(by.to_owned());
        Ok(())
    }

    /// Suggests again what was taken back for something that says nothing of it.
    async fn suggest_again(&mut self) -> anyhow::Result<()> {
        for number in 0..self.ideas.len() {
            let idea = &self.ideas[number];
            let waits = self.waiting.iter().any(|by| by == idea.by);
            let tried = report::of_idea(idea, &self.trials).any(|trial| trial.end.is_none());
            if !waits && !tried && !self.is_judged(idea) {
                self.suggest(number).await?;
            }
        }
        Ok(())
    }

    /// Says how far the autopilot may go.
    async fn set_mode(&mut self, mode: &str) -> anyhow::Result<()> {
        self.order(&json!({"order": "set_mode", "mode": mode, "by": "the demo"})).await
    }

    /// Has the autopilot follow an order, as soon as it is there to hear one.
    async fn order(&mut self, order: &Value) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = self.asker.order(order.clone()).await {
            let error = error.context(format!("the autopilot does not follow {order}"));
            self.wait_after(error, began).await?;
        }
        Ok(())
    }

    /// The good settings, as soon as the autopilot is there to tell them.
    async fn good(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let began = Instant::now();
        loop {
            match self.asker.good(SHOP).await {
                Ok(good) => return Ok(good),
                Err(error) => self.wait_after(error, began).await?,
            }
        }
    }

    /// Waits for a platform that did not answer, and starts one again that has ended.
    ///
    /// # Errors
    /// The one that there was, where the platform refused, or does not answer for long.
    async fn wait_after(&mut self, error: anyhow::Error, began: Instant) -> anyhow::Result<()> {
        let refused = error.downcast_ref::<Refused>().is_some_and(|refused| refused.status.is_client_error());
        if refused || began.elapsed() >= SETTLED {
            return Err(error);
        }
        self.look_after().await?;
        tokio::time::sleep(LOOK / 5).await;
        Ok(())
    }

    /// Starts the platform again, if it has ended.
    async fn look_after(&mut self) -> anyhow::Result<()> {
        if let Some(how) = self.stage.look_after().await? {
            self.incidents.push(format!("the platform ended ({how}) and was started again"));
        }
        Ok(())
    }

    /// Has the payment provider be as it was; nothing, where it is.
    pub(super) async fn end_fault(&mut self) -> anyhow::Result<()> {
        if !matches!(self.fault, Some((_, None))) {
            return Ok(());
        }
        self.put_fault(&json!([])).await?;
        if let Some((_, to)) = &mut self.fault {
            *to = Some(now_micros());
        }
        Ok(())
    }

    async fn put_fault(&self, fault: &Value) -> anyhow::Result<()> {
        let bank = self.stage.services.get("bank").context("the shop has no bank")?;
        let put = self.stage.client().put(format!("{bank}/faults")).json(fault).send().await;
        put.and_then(reqwest::Response::error_for_status).context("turning the payment provider")?;
        Ok(())
    }

    /// Counts a second for the noon that it belongs to, once what was there before is through.
    fn count(&mut self, second: Second) {
        let at = second.number as f64;
        let began = |act: Act| self.acts.iter().find(|(one, _)| *one == act).map(|(_, at)| *at);
        let within = |act: Act, next: Act| {
            let from = began(act).map(|at| at + SETTLING.as_secs_f64());
            from.is_some_and(|from| at >= from) && began(next).is_none_or(|to| at < to)
        };
        if within(Act::FirstNoon, Act::Ideas) {
            self.first_noon.add(second.requests, second.within);
        }
        if within(Act::SecondNoon, Act::Over) {
            self.second_noon.add(second.requests, second.within);
        }
        self.latest = Some(second);
    }

    /// Waits for the seconds that customers still wait in when all is over.
    async fn count_the_last(&mut self) {
        let over = self.acts.last().map_or(0.0, |(_, at)| *at);
        let last = tokio::time::Instant::now() + LAST;
        while self.latest.is_none_or(|latest| (latest.number as f64) < over) {
            match tokio::time::timeout_at(last, self.seconds.recv()).await {
                Ok(Some(second)) => self.count(second),
                _ => return,
            }
        }
    }

    fn tell_incidents(&mut self, show: &mut Show) {
        self.incidents.iter().skip(self.told).for_each(|what| show.said(what));
        self.told = self.incidents.len();
    }

    /// What it all showed; nothing is tried any more.
    pub(super) async fn report(&mut self, demo: &Demo) -> Report {
        let mut meanwhile = Vec::new();
        self.count_the_last().await;
        if let Err(error) = self.settle().await {
            meanwhile.push(format!("{error:#}"));
        }
        let system = self.asker.ask().await.ok().and_then(|picture| picture.system);
        let astray = match &system {
            Some(system) => self.astray(&system.good).await,
            None => None,
        };
        let system = system.unwrap_or_default();
        let mut untold = Vec::new();
        for trial in &self.trials {
            let path = format!("/api/kandela/v1/autopilot/explain/{}", trial.proposal);
            let story = self.asker.get(&path, &[("system", SHOP.to_owned())]).await;
            if !story.is_ok_and(|story| story["text"].as_str().is_some_and(|text| !text.is_empty())) {
                untold.push(trial.proposal);
            }
        }
        let fault = self.fault.and_then(|(from, to)| Some((from, to?)));
        let known = Known {
            ideas: &self.ideas,
            trials: &self.trials,
            first_noon: self.first_noon,
            second_noon: self.second_noon,
            fault,
            astray,
            untold,
        };
        let checks = report::checks(&known);
        self.meter.look(self.stage.platform());
        let cost = self.meter.cost(&self.stage.others());
        let since = now_micros() - i64::try_from(self.began.elapsed().as_micros()).unwrap_or_default();
        let seconds = |at: i64| (at - since) as f64 / 1e6;
        if demo.keep
            && let Err(error) = self.order(&json!({"order": "resume", "by": "the demo"})).await
        {
            meanwhile.push(format!("{error:#}"));
        }
        self.incidents.extend(meanwhile);
        Report {
            seed: demo.seed,
            minutes: demo.minutes,
            closed: checks.iter().all(|check| check.passed),
            checks,
            first_noon: self.first_noon,
            second_noon: self.second_noon,
            ideas: report::tried(&self.ideas, &self.trials),
            fault: fault.map(|(from, to)| (seconds(from), seconds(to))),
            trials: self.trials.clone(),
            settings: system.good,
            times_as_good: system.times_as_good,
            cost,
            incidents: self.incidents.clone(),
        }
    }

    /// Has the autopilot try nothing any more, and waits until all knobs are where they belong.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.order(&json!({"order": "pause", "by": "the demo", "why": "it is over"})).await?;
        let began = Instant::now();
        loop {
            self.follow().await?;
            if self.trials.iter().all(|trial| trial.admitted.is_none() || trial.settled.is_some()) {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < SETTLED,
                "the autopilot has not brought all knobs to the good settings"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Knobs that stand elsewhere than the ledger says.
    async fn astray(&self, good: &BTreeMap<String, String>) -> Option<Vec<String>> {
        let mut astray: Vec<String> = good.keys().cloned().collect();
        for url in self.stage.services.values() {
            // The world outside has none.
            let Ok(answer) = self.stage.client().get(format!("{url}/knobs")).send().await else {
                return None;
            };
            let Ok(knobs) = answer.json::<Vec<Value>>().await else { continue };
            for knob in knobs {
                let name = knob["name"].as_str().unwrap_or_default();
                let stands = &knob["value"];
                let stands = stands.as_str().map_or_else(|| stands.to_string(), str::to_owned);
                let same = |wanted: &String| match (wanted.parse::<f64>(), stands.parse::<f64>()) {
                    (Ok(wanted), Ok(stands)) => (wanted - stands).abs() <= 1e-9 * wanted.abs(),
                    _ => *wanted == stands,
                };
                if good.get(name).is_some_and(same) {
                    astray.retain(|one| one != name);
                }
            }
        }
        Some(astray)
    }
}

fn now_micros() -> i64 {
    SystemClock.now().micros()
}
