//! The watchdog's loop.

use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kandela_model::WireValue;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::folder::{Before, Folder, Inverse};
use super::wire::{Answer, Cause, Fault, Order, Report, Said, What};
use crate::actuator::settings::{Settings, Texts};
use crate::actuator::{ActuateError, NOTED_IN, TargetConfig, wait_for_orphan};

/// How often it looks whether a manager of a newer epoch waits.
const LOOK: Duration = Duration::from_millis(250);
/// How often one that waits for the lock tries again.
const TRY: Duration = Duration::from_millis(50);
/// How long it waits for another watchdog to go back and let go of the target.
const HAND_OVER: Duration = Duration::from_secs(120);
/// The same where the other one is of the same epoch, and so is not asked to.
const SAME_EPOCH: Duration = Duration::from_secs(3);
/// How often it shows that the target is held.
const SHOW: Duration = Duration::from_secs(5);
/// How long one that has ended may still show as the target's holder.
const PASSING: Duration = Duration::from_secs(1);
/// How long one that was told to end tries to go back first.
const PARTING: Duration = Duration::from_secs(30);
/// Between attempts to go back, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Serves whoever holds the other end of standard input.
pub(super) async fn serve(path: &Path) -> Result<(), String> {
    NOTED_IN.scope(Folder::of(path).running(), serve_noting(path)).await
}

async fn serve_noting(path: &Path) -> Result<(), String> {
    let folder = Folder::of(path);
    folder.create()?;
    // Before anything is held, so that no signal ends it without its going back.
    let mut signals = Signals::new()?;
    let mut lines = lines_of_stdin();
    let first = lines.recv().await;
    let order = match first.map(|line| read_order(&line)) {
        Some(Ok(order)) => order,
        Some(Err(error)) => return Err(error),
        None => return go_back_noting(path, Some(&mut signals)).await,
    };
    let What::Open(target) = order.what else { return Err("the first order is to open a target".to_owned()) };
    let opened = open(&folder, *target, order.epoch).await;
    let mut dog = match opened {
        Ok(dog) => dog,
        Err(fault) => {
            let tries_on = matches!(fault, Fault::Unguarded(_)) && folder.is_free()?;
            say(order.number, Stands::Ends, Said::Fault(fault));
            return if tries_on { go_back_noting(path, Some(&mut signals)).await } else { Ok(()) };
        }
    };
    say(order.number, Stands::Ends, Said::Done);
    let mut look = tokio::time::interval(LOOK);
    let mut show = tokio::time::interval(SHOW);
    let cause = loop {
        let deadline = dog.deadline.or(dog.stays_until);
        let lapse = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = lapse => break Cause::LeaseLapsed,
            line = lines.recv() => {
                // A line that breaks off is one that the manager died over.
                let Some(Ok(order)) = line.map(|line| read_order(&line)) else { break Cause::ManagerGone };
                match dog.obey(order).await {
                    Next::GoOn => {}
                    Next::End => return Ok(()),
                    Next::GoBack(cause) => break cause,
                }
            }
            () = signals.recv() => break Cause::ToldToEnd,
            // A connection that nothing goes over may be closed by the target. Where another has taken it by now, the next order says so.
            _ = show.tick(), if dog.held.is_some() => drop(dog.settings.claim().await),
            _ = look.tick() => if folder.successor().is_ok_and(|epoch| epoch > dog.epoch) {
                break Cause::Succeeded;
            },
        }
    };
    match dog.held.take() {
        Some(inverse) => {
            let report = go_back(&folder, dog.settings.as_ref(), &inverse, cause, Some(&mut signals)).await?;
            say(0, Stands::Ends, Said::WentBack(report));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Goes back to what lies on disk, if anything does, once no other watchdog is at it.
pub(crate) async fn go_back_from_disk(path: &Path) -> Result<(), String> {
    NOTED_IN.scope(Folder::of(path).running(), go_back_noting(path, None)).await
}

async fn go_back_noting(path: &Path, signals: Option<&mut Signals>) -> Result<(), String> {
    let folder = Folder::of(path);
    let began = Instant::now();
    let _lock = loop {
        if folder.inverse()?.is_none() {
            return Ok(());
        }
        match folder.lock()? {
            Some(lock) => break lock,
            None if began.elapsed() >= HAND_OVER => {
                return Err(format!("{} holds the target", folder.holder()));
            }
            None => tokio::time::sleep(TRY).await,
        }
    };
    let Some(inverse) = folder.inverse()? else { return Ok(()) };
    wait_for_orphan(&folder.running()).await?;
    let settings = inverse.target.settings().map_err(|e| e.to_string())?;
    go_back(&folder, settings.as_ref(), &inverse, Cause::FoundOnDisk, signals).await.map(drop)
}

/// Goes back, however long it takes; only a signal ends it before, and what is on disk is then left to the next start.
async fn go_back(
    folder: &Folder,
    settings: &dyn Settings,
    inverse: &Inverse,
    cause: Cause,
    mut signals: Option<&mut Signals>,
) -> Result<Report, String> {
    let since = Instant::now();
    let mut wait = RETRY.0;
    let mut failed = false;
    let told = loop {
        if failed && folder.inverse()?.is_none() {
            return Err("what to go back to was removed by hand while the target was away".to_owned());
        }
        let restored = match settings.claim().await {
            // It is restored past a target that does not answer.
            Ok(()) | Err(ActuateError::Unreachable { .. }) => settings.restore(&inverse.texts()).await,
            Err(error) => Err(error),
        };
        let error = match restored {
            Ok(()) => break None,
            // Somebody else has taken the field since, and decides what it is.
            Err(error @ ActuateError::Foreign { .. }) => break Some(error.to_string()),
            Err(error) => error.to_string(),
        };
        if !failed {
            // Told at the first time only, as it may be hours until the target is back; where it can't be told, going back counts more.
            let _ = folder.report(&report(inverse, cause, since, Some(error.clone())));
            failed = true;
        }
        let told_to_end = async {
            match &mut signals {
                Some(signals) => signals.recv().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::time::timeout(wait, told_to_end).await.is_ok();
        // The signal that it goes back for has been heard; whoever sent it does not wait for ever.
        if ended || (cause == Cause::ToldToEnd && since.elapsed() >= PARTING) {
            return Err(format!(
                "told to end before it could go back, which is left to the next start: {error}"
            ));
        }
        wait = (wait * 2).min(RETRY.1);
    };
    let report = report(inverse, cause, since, told);
    folder.report(&report)?;
    folder.keep(None)?;
    Ok(report)
}

fn report(inverse: &Inverse, cause: Cause, since: Instant, error: Option<String>) -> Report {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Report {
        target: inverse.target.name.clone(),
        at_ms: now.as_millis() as u64,
        epoch: inverse.epoch,
        cause,
        restored: inverse.values(),
        took_ms: since.elapsed().as_millis() as u64,
        error,
    }
}

/// A watchdog that has its target to itself.
struct Dog {
    folder: Folder,
    _lock: File,
    settings: Box<dyn Settings>,
    target: TargetConfig,
    epoch: u64,
    /// The order that is being obeyed.
    number: u64,
    held: Option<Inverse>,
    deadline: Option<Instant>,
    /// How long it keeps others away although it holds nothing: a trial goes back and forth.
    stays_until: Option<Instant>,
}

/// How a watchdog stands after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// There is something that a lapse would take back.
    Holds,
    /// There is nothing, but there may be again.
    Stays,
    /// It ends.
    Ends,
}

enum Next {
    GoOn,
    End,
    GoBack(Cause),
}

async fn open(folder: &Folder, target: TargetConfig, epoch: u64) -> Result<Dog, Fault> {
    let lock = take_over(folder, epoch).await?;
    wait_for_orphan(&folder.running()).await.map_err(Fault::Unguarded)?;
    if let Some(inverse) = folder.inverse().map_err(Fault::Unguarded)? {
        let settings = inverse.target.settings().map_err(|e| Fault::Unguarded(e.to_string()))?;
        match claimed(settings.as_ref()).await {
            Ok(()) | Err(ActuateError::Unreachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let restored = settings.restore(&inverse.texts()).await;
        restored
            .map_err(|e| Fault::Unguarded(format!("what an earlier one left is not taken back yet: {e}")))?;
        folder
            .report(&report(&inverse, Cause::FoundOnDisk, Instant::now(), None))
            .map_err(Fault::Unguarded)?;
        folder.keep(None).map_err(Fault::Unguarded)?;
    }
    let settings = target.settings().map_err(|e| Fault::Unguarded(e.to_string()))?;
    Ok(Dog {
        folder: folder.clone(),
        _lock: lock,
        settings,
        target,
        epoch,
        number: 0,
        held: None,
        deadline: None,
        stays_until: None,
    })
}

/// Has the target show that it is held. A watchdog that this one took over from may show a little longer.
async fn claimed(settings: &dyn Settings) -> Result<(), ActuateError> {
    let began = Instant::now();
    loop {
        match settings.claim().await {
            Err(ActuateError::Held { .. }) if began.elapsed() < PASSING => tokio::time::sleep(TRY).await,
            claimed => return claimed,
        }
    }
}

/// The lock, from whoever of an older epoch has it.
async fn take_over(folder: &Folder, epoch: u64) -> Result<File, Fault> {
    let began = Instant::now();
    let mut asked = false;
    loop {
        let seen = folder.epoch().map_err(Fault::Unguarded)?;
        if epoch < seen {
            return Err(Fault::Stale { offered: epoch, seen });
        }
        if let Some(lock) = folder.lock().map_err(Fault::Unguarded)? {
            // Looked at again under the lock: another may have had it in between.
            let seen = folder.epoch().map_err(Fault::Unguarded)?;
            if epoch < seen {
                return Err(Fault::Stale { offered: epoch, seen });
            }
            folder.set_epoch(epoch).map_err(Fault::Unguarded)?;
            return Ok(lock);
        }
        if !asked && folder.successor().map_err(Fault::Unguarded)? < epoch {
            folder.set_successor(epoch).map_err(Fault::Unguarded)?;
            asked = true;
        }
        if began.elapsed() >= if seen < epoch { HAND_OVER } else { SAME_EPOCH } {
            return Err(Fault::Unguarded(format!(
                "{} is the watchdog of a manager of epoch {seen} and does not let go; end that manager, or acquire a newer epoch",
                folder.holder()
            )));
        }
        tokio::time::sleep(TRY).await;
    }
}

impl Dog {
    async fn obey(&mut self, order: Order) -> Next {
        self.number = order.number;
        if order.epoch < self.epoch {
            return self.answer(Some(Fault::Stale { offered: order.epoch, seen: self.epoch }));
        }
        if order.epoch > self.epoch {
            if let Err(error) = self.folder.set_epoch(order.epoch) {
                return self.answer(Some(Fault::Unguarded(error)));
            }
            self.epoch = order.epoch;
        }
        let done = match order.what {
            What::Open(_) => Err(Fault::Failed("a target is open already".to_owned())),
            What::Hold { texts, lease_ms } => {
                let set = self.set(&texts).await;
                if set.is_ok() {
                    self.stays_until = None;
                    self.deadline = Some(Instant::now() + Duration::from_millis(lease_ms));
                }
                set
            }
            What::Confirm { texts } => self.confirm(&texts).await,
            What::Revert { knobs } => self.revert(&knobs).await,
        };
        match done {
            Ok(()) => self.answer(None),
            // Nobody knows where it stands, so all goes back to where it is known to be good.
            Err(Fault::Unknown(reason)) => match self.settle_half_way().await {
                Ok(()) => {
                    self.answer(Some(Fault::Failed(format!("{reason}; the confirmed values are back"))))
                }
                Err(error) => {
                    say(
                        self.number,
                        Stands::Holds,
                        Said::Fault(Fault::Unknown(format!("{reason}; {error}"))),
                    );
                    Next::GoBack(Cause::HalfWay)
                }
            },
            Err(fault) => self.answer(Some(fault)),
        }
    }

    fn answer(&self, fault: Option<Fault>) -> Next {
        let stands = match (&self.held, self.stays_until) {
            (Some(_), _) => Stands::Holds,
            (None, Some(_)) => Stands::Stays,
            (None, None) => Stands::Ends,
        };
        say(self.number, stands, fault.map_or(Said::Done, Said::Fault));
        if stands == Stands::Ends { Next::End } else { Next::GoOn }
    }

    /// Sets `texts`, with what to go back to on disk before.
    async fn set(&mut self, texts: &Texts) -> Result<(), Fault> {
        claimed(self.settings.as_ref()).await?;
        let standing = |held: &Inverse| texts.iter().all(|(name, text)| held.tried.get(name) == Some(text));
        if self.held.as_ref().is_some_and(standing) {
            return Ok(());
        }
        let before = self.held.clone();
        let mut inverse = before.clone().unwrap_or_else(|| Inverse::new(self.epoch, self.target.clone()));
        inverse.epoch = self.epoch;
        if texts.keys().any(|name| !inverse.before.contains_key(name)) {
            let read = self.settings.read().await?;
            for name in texts.keys() {
                let known: Vec<String> = read.keys().cloned().collect();
                let reading = read.get(name).ok_or_else(|| Fault::NoKnob { knob: name.clone(), known })?;
                let stood = Before { set: reading.set.clone(), value: WireValue::from(&reading.value) };
                inverse.before.entry(name.clone()).or_insert(stood);
            }
        }
        inverse.tried.extend(texts.clone());
        self.folder.keep(Some(&inverse)).map_err(Fault::Unguarded)?;
        self.held = Some(inverse);
        match self.settings.write(texts).await {
            Ok(()) => Ok(()),
            Err(error @ ActuateError::Unknown { .. }) => Err(error.into()),
            Err(error) => {
                // Nothing has changed, so there is no more to go back from than there was.
                self.folder.keep(before.as_ref()).map_err(Fault::Unknown)?;
                self.held = before;
                Err(error.into())
            }
        }
    }

    async fn confirm(&mut self, texts: &Texts) -> Result<(), Fault> {
        let held_before = self.held.is_some();
        self.set(texts).await?;
        let Some(mut inverse) = self.held.clone() else { return Ok(()) };
        inverse.before.retain(|name, _| !texts.contains_key(name));
        inverse.tried.retain(|name, _| !texts.contains_key(name));
        let left = (!inverse.before.is_empty()).then_some(inverse);
        if left.is_none()
            && let Err(error) = self.settings.keep().await
        {
            let fault = if held_before { Fault::Failed } else { Fault::Unknown };
            return Err(fault(format!("the values are not confirmed: {error}")));
        }
        self.folder.keep(left.as_ref()).map_err(Fault::Unknown)?;
        if left.is_none() {
            (self.deadline, self.stays_until) = (None, None);
        }
        self.held = left;
        Ok(())
    }

    async fn revert(&mut self, knobs: &[String]) -> Result<(), Fault> {
        let Some(mut inverse) = self.held.clone() else { return Ok(()) };
        let mut texts = inverse.texts();
        texts.retain(|name, _| knobs.contains(name));
        if texts.is_empty() {
            return Ok(());
        }
        self.settings.restore(&texts).await?;
        inverse.before.retain(|name, _| !knobs.contains(name));
        inverse.tried.retain(|name, _| !knobs.contains(name));
        let left = (!inverse.before.is_empty()).then_some(inverse);
        self.folder.keep(left.as_ref()).map_err(Fault::Unknown)?;
        if left.is_none() {
            self.stays_until = self.deadline.take();
        }
        self.held = left;
        Ok(())
    }

    /// One attempt to go back from a change of which nobody knows how far it went.
    async fn settle_half_way(&mut self) -> Result<(), String> {
        let Some(inverse) = &self.held else { return Ok(()) };
        let since = Instant::now();
        self.settings.restore(&inverse.texts()).await.map_err(|e| e.to_string())?;
        self.folder.report(&report(inverse, Cause::HalfWay, since, None))?;
        self.folder.keep(None)?;
        (self.held, self.deadline) = (None, None);
        Ok(())
    }
}

/// Signals that ask a process to end.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> Result<Signals, String> {
        let on = |kind| signal(kind).map_err(|e| format!("signals can't be heard: {e}"));
        Ok(Signals([on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?]))
    }

    async fn recv(&mut self) {
        let [terminate, interrupt, hang_up] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

fn read_order(line: &str) -> Result<Order, String> {
    serde_json::from_str(line).map_err(|error| format!("an order that can't be read: {error}"))
}

/// Lines of standard input; the end of the channel is that of the input.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Tells the manager, which may be gone.
fn say(number: u64, stands: Stands, what: Said) {
    let (held, stays) = (stands == Stands::Holds, stands == Stands::Stays);
    let Ok(line) = serde_json::to_string(&Answer { number, held, stays, what }) else { return };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
