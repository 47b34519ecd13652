//! Turns the knobs of a system that keeps no leases, through a watchdog that keeps them for it.

use std::ffi::OsStr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kandela_model::{Epoch, Lease};
use kandela_tune::Config;
use kandela_tune::space::Class;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, Notify, mpsc};

use super::config::{OpenError, TargetConfig};
use super::settings::{Settings, Texts, spec_of};
use super::{ActuateError, Actuator, Standing};
use crate::watchdog::wire::{Answer, Fault, Order, Said, What};
use crate::watchdog::{Folder, Report, Watch, go_back_from_disk};

/// How long it takes to end a watchdog that hangs, and to learn what it held.
const RECOVERY: Duration = Duration::from_secs(30);
/// How long a start waits for what a crash left to be taken back.
const AT_START: Duration = Duration::from_secs(30);

/// How long a start waits for another's watchdog, which may be about to end, or about to go back for a manager that is gone.
const DYING: Duration = Duration::from_secs(3);
/// How long a watchdog that has let go may still show as the holder.
const ENDING: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(20);

/// A system whose leases a watchdog keeps. It starts one when there is something to hold, which ends when all is confirmed or back.
pub struct Guarded {
    settings: Box<dyn Settings>,
    config: TargetConfig,
    watch: Watch,
    folder: Folder,
    dog: Mutex<Option<Dog>>,
}

/// A watchdog that is alive, as far as is known.
struct Dog {
    orders: ChildStdin,
    answers: mpsc::Receiver<Answer>,
    /// Whether there is something that it would take back; looked at when it ends.
    holds: Arc<AtomicBool>,
    /// Whether it stays although it holds nothing.
    stays: Arc<AtomicBool>,
    /// Has it killed, when it does not answer.
    hung: Arc<Notify>,
    lapses: Option<Instant>,
    /// How many orders it was given.
    orders_given: u64,
}

impl Guarded {
    /// The system that `config` describes. What a crash left on disk is taken back first; a watchdog of another manager that is
    /// alive is left to that one, until a newer epoch is applied or reverted. Where the system does not let it within half a
    /// minute, a watchdog goes on trying, and nothing can be applied until it is done.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: &TargetConfig, watch: &Watch) -> Result<Guarded, OpenError> {
        let settings = config.settings()?;
        let folder = Folder::of(&watch.folder.join(&config.name));
        let guarded =
            Guarded { settings, config: config.clone(), watch: watch.clone(), folder, dog: Mutex::new(None) };
        guarded.folder.create().map_err(|e| guarded.unguarded(e))?;
        let began = Instant::now();
        while guarded.inverse()?.is_some() && began.elapsed() < DYING {
            if guarded.folder.is_free().map_err(|e| guarded.unguarded(e))? {
                recover(&guarded.watch, &guarded.folder, AT_START.min(watch.patience)).await;
                break;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Ok(guarded)
    }

    /// A value as the system writes it.
    pub(crate) fn spelled(&self, name: &str, value: &kandela_model::KnobValue) -> String {
        self.settings.spell(name, value)
    }

    fn inverse(&self) -> Result<Option<crate::watchdog::Inverse>, ActuateError> {
        self.folder.inverse().map_err(|e| self.unguarded(e))
    }

    fn unguarded(&self, reason: String) -> ActuateError {
        ActuateError::unguarded(self.settings.target(), reason)
    }

    /// Nobody else's watchdog holds values there that could be taken for what is in force.
    pub(crate) async fn is_not_held(&self) -> Result<(), ActuateError> {
        let began = Instant::now();
        loop {
            match self.settings.is_free().await {
                // One of this folder that has just ended may show a little longer.
                Err(ActuateError::Held { .. }) if began.elapsed() < ENDING => {
                    tokio::time::sleep(BETWEEN).await;
                }
                free => return free,
            }
        }
    }

    /// Lets others have the system, where nothing is held there.
    pub(crate) async fn let_go(&self) {
        // Without its input a watchdog ends.
        drop(self.dog.lock().await.take_if(|dog| !dog.holds.load(Ordering::Acquire)));
    }

    /// The values as the system spells them, if every knob may take its value in one step.
    async fn admit(&self, values: &Config) -> Result<Texts, ActuateError> {
        let (target, space) = (self.settings.target(), self.settings.space());
        let refused = |error| ActuateError::Refused { target: target.to_owned(), error };
        for (name, value) in values {
            let spec = spec_of(target, space, name)?;
            let class = space.parameter(name).map_or(Class::Free, |parameter| parameter.class);
            let declared = (class != Class::Free).then_some((class, "the space says so"));
            if let Some((class, why)) = self.settings.hard(name).or(declared) {
                let (target, knob, why) = (target.to_owned(), name.clone(), why.to_owned());
                return Err(ActuateError::Forbidden { target, knob, class, why });
            }
            spec.check(value).map_err(refused)?;
        }
        let read = self.settings.read().await?;
        for (name, value) in values {
            if let Some(reading) = read.get(name) {
                spec_of(target, space, name)?.check_step(&reading.value, value).map_err(refused)?;
            }
        }
        Ok(values
            .iter()
            .map(|(name, value)| (name.clone(), Some(self.settings.spell(name, value))))
            .collect())
    }

    /// Has the watchdog carry out an order, and starts one if none is alive.
    async fn order(
        &self,
        what: What,
        epoch: Epoch,
        knob: &str,
        lapses: Option<Duration>,
    ) -> Result<(), ActuateError> {
        let mut place = self.dog.lock().await;
        // One that went back since the last order has ended, and said so to nobody.
        if place.as_mut().is_some_and(|dog| !dog.is_alive()) {
            *place = None;
        }
        if place.is_none() {
            let mut dog = Dog::start(&self.watch, &self.folder, self.settings.target())?;
            let open = What::Open(Box::new(self.config.clone()));
            self.answered(&mut dog, epoch, open, knob).await?;
            *place = Some(dog);
        }
        let Some(dog) = place.as_mut() else { return Ok(()) };
        let answered = self.answered(dog, epoch, what, knob).await;
        if answered.is_ok() && lapses.is_some() {
            dog.lapses = lapses.map(|time| Instant::now() + time);
        }
        if !dog.holds.load(Ordering::Acquire) && !dog.stays.load(Ordering::Acquire) {
            *place = None;
        }
        answered
    }

    /// Gives an order and waits for its answer. A caller who stops waiting changes nothing but that: the watchdog goes on, and the
    /// next order's answer is told from this one's.
    async fn answered(
        &self,
        dog: &mut Dog,
        epoch: Epoch,
        what: What,
        knob: &str,
    ) -> Result<(), ActuateError> {
        let target = self.settings.target();
        dog.orders_given += 1;
        let number = dog.orders_given;
        let opens = matches!(what, What::Open(_));
        let order = Order { number, epoch: epoch.0, what };
        let mut line = serde_json::to_string(&order).map_err(|e| self.unguarded(e.to_string()))?;
        line.push('\n');
        if !opens {
            dog.holds.store(true, Ordering::Release);
        }
        // Where this fails the watchdog is gone, which the end of its answers says better.
        let _ = dog.orders.write_all(line.as_bytes()).await;
        // One that takes longer than the system's own commands may hangs, and is killed.
        let answer = match tokio::time::timeout(self.settings.longest_change(), dog.answer(number)).await {
            Ok(answer) => answer,
            Err(_) => {
                dog.hung.notify_one();
                dog.answer(number).await
            }
        };
        match answer.map(|answer| answer.what) {
            Some(Said::Done) => Ok(()),
            Some(Said::Fault(fault)) => Err(fault.error(target, knob)),
            Some(Said::WentBack(report)) => {
                let why = format!("its watchdog went back before it heard of this ({:?})", report.cause);
                Err(Fault::Failed(why).error(target, knob))
            }
            None => Err(match self.folder.inverse() {
                Ok(None) => ActuateError::failed(target, "its watchdog ended; the confirmed values hold"),
                Ok(Some(_)) => ActuateError::unknown(
                    target,
                    "its watchdog ended, and what it held is not taken back yet",
                ),
                Err(error) => ActuateError::unknown(target, error),
            }),
        }
    }
}

#[async_trait]
impl Actuator for Guarded {
    fn target(&self) -> &str {
        self.settings.target()
    }

    fn longest_call(&self) -> Duration {
        self.settings.longest_change() + RECOVERY
    }

    async fn seen(&self) -> Result<Epoch, ActuateError> {
        self.folder.epoch().map(Epoch).map_err(|e| self.unguarded(e))
    }

    async fn state(&self) -> Result<Vec<Standing>, ActuateError> {
        let mut place = self.dog.lock().await;
        let alive = place.as_mut().is_some_and(Dog::is_alive);
        let lapses = place.as_ref().filter(|_| alive).and_then(|dog| dog.lapses);
        drop(place);
        let inverse = self.inverse()?;
        // What one's own watchdog has is one's own.
        let others = inverse.is_none() && !alive;
        if others {
            self.is_not_held().await?;
        }
        let read = self.settings.read().await?;
        if others {
            // Somebody may have begun meanwhile.
            self.settings.is_free().await?;
        }
        let standing = |(name, reading): (String, super::settings::Reading)| {
            let spec = spec_of(self.target(), self.settings.space(), &name)?.clone();
            let before = inverse.as_ref().and_then(|inverse| inverse.before.get(&name));
            let confirmed = before.and_then(|before| before.value.typed(&spec.kind));
            // What another's watchdog holds lapses as soon as that watchdog wants.
            let lapses_in = before
                .map(|_| lapses.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now())));
            Ok(Standing {
                spec,
                confirmed: confirmed.unwrap_or_else(|| reading.value.clone()),
                value: reading.value,
                lapses_in,
            })
        };
        read.into_iter().map(standing).collect()
    }

    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError> {
        let Some(knob) = values.keys().next() else { return Ok(()) };
        let texts = self.admit(values).await?;
        match lease {
            Lease::For(time) => {
                let lease_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
                self.order(What::Hold { texts, lease_ms }, epoch, knob, Some(time)).await
            }
            Lease::Confirmed => self.order(What::Confirm { texts }, epoch, knob, None).await,
        }
    }

    /// The first call of a newer epoch has an older manager's watchdog go back and let go, whatever knobs it names.
    async fn revert(&self, knobs: &[String], epoch: Epoch) -> Result<(), ActuateError> {
        if self.inverse()?.is_none() {
            return Ok(());
        }
        let knob = knobs.first().map_or("", String::as_str);
        self.order(What::Revert { knobs: knobs.to_vec() }, epoch, knob, None).await
    }

    async fn reports(&self) -> Result<Vec<Report>, ActuateError> {
        self.folder.reports().map_err(|e| ActuateError::failed(self.target(), e))
    }

    async fn forget(&self, report: &Report) -> Result<(), ActuateError> {
        if report.target != self.config.name {
            return Ok(());
        }
        self.folder.settle(report).map_err(|e| ActuateError::failed(self.target(), e))
    }
}

impl Dog {
    fn start(watch: &Watch, folder: &Folder, target: &str) -> Result<Dog, ActuateError> {
        let unguarded = |reason: String| ActuateError::unguarded(target, reason);
        let mut child = spawn(watch, folder, true).map_err(unguarded)?;
        let (Some(orders), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(unguarded("it has no pipes".to_owned()));
        };
        let (sender, answers) = mpsc::channel(4);
        let (holds, stays, hung) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default(), Arc::new(Notify::new()));
        let keeper = Keeper {
            watch: watch.clone(),
            folder: folder.clone(),
            holds: holds.clone(),
            stays: stays.clone(),
            hung: hung.clone(),
        };
        tokio::spawn(keeper.keep(child, out, sender));
        Ok(Dog { orders, answers, holds, stays, hung, lapses: None, orders_given: 0 })
    }

    /// Whether it is there, and holds something or stays. Answers for which nobody waited are dropped.
    fn is_alive(&mut self) -> bool {
        loop {
            match self.answers.try_recv() {
                Ok(answer) if answer.held || answer.stays => {}
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Ok(_) | Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// The answer to order `number`, or what it said unasked.
    async fn answer(&mut self, number: u64) -> Option<Answer> {
        loop {
            let answer = self.answers.recv().await?;
            if answer.number == number || answer.number == 0 {
                return Some(answer);
            }
        }
    }
}

/// Looks after a watchdog: hears it, and has another take its place when it is killed.
struct Keeper {
    watch: Watch,
    folder: Folder,
    holds: Arc<AtomicBool>,
    stays: Arc<AtomicBool>,
    hung: Arc<Notify>,
}

impl Keeper {
    async fn keep(self, mut child: Child, out: ChildStdout, sender: mpsc::Sender<Answer>) {
        let mut lines = BufReader::new(out).lines();
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line,
                () = self.hung.notified() => {
                    // Fails only where it is gone by now.
                    let _ = child.start_kill();
                    continue;
                }
            };
            let Ok(Some(line)) = line else { break };
            let Ok(answer) = serde_json::from_str::<Answer>(&line) else { continue };
            self.holds.store(answer.held, Ordering::Release);
            self.stays.store(answer.stays, Ordering::Release);
            if let Said::WentBack(report) = &answer.what {
                tracing::warn!(target = report.target, cause = ?report.cause, took_ms = report.took_ms, "watchdog went back");
            }
            if sender.send(answer).await.is_err() {
                // Nobody gives orders any more; its input is closed, and it ends by itself.
                break;
            }
        }
        let ended = child.wait().await;
        if self.holds.load(Ordering::Acquire) {
            tracing::error!(folder = %self.folder.path().display(), status = ?ended.ok(), "watchdog ended while it held something");
            recover(&self.watch, &self.folder, self.watch.patience).await;
        }
        // Only now does the end of the answers show: whoever waits for one then finds what is so.
        drop(sender);
    }
}

/// Has a watchdog go back to what lies on disk; without one, goes back here.
async fn recover(watch: &Watch, folder: &Folder, patience: Duration) {
    let went_back = match spawn(watch, folder, false) {
        Ok(mut child) => match tokio::time::timeout(patience, child.wait()).await {
            Ok(ended) => ended.is_ok_and(|status| status.success()),
            // It tries on by itself, for as long as the target is away.
            Err(_) => true,
        },
        Err(error) => {
            tracing::error!(error, "no watchdog can be started");
            false
        }
    };
    if went_back {
        return;
    }
    match tokio::time::timeout(patience, go_back_from_disk(folder.path())).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error, "what was held can't be taken back"),
        Err(_) => tracing::error!("what was held can't be taken back yet"),
    }
}

/// Starts a watchdog in a process group of its own, so that what ends the manager's terminal does not end it.
fn spawn(watch: &Watch, folder: &Folder, piped: bool) -> Result<Child, String> {
    let Some((program, arguments)) = watch.program.split_first() else {
        return Err("the program of the watchdog is not known; give it in Watch".to_owned());
    };
    let errors = folder.path().join("watchdog.err");
    let errors =
        std::fs::File::create(&errors).map_err(|e| format!("{} can't be written: {e}", errors.display()))?;
    let pipe = || if piped { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(arguments).arg::<&OsStr>(folder.path().as_ref());
    command.stdin(pipe()).stdout(pipe()).stderr(errors).process_group(0);
    command.spawn().map_err(|e| format!("{} can't be started: {e}", program.to_string_lossy()))
}
