//! The autonomous performance manager: drives the [machine](crate::machine) against a real ledger, real measurements and a real system.

mod fleet;
mod office;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kandela_model::{Epoch, Timestamp};
use kandela_tune::experiment::{AccountError, Plan};
use kandela_tune::guard::{Constraint, Objective};
use kandela_tune::{Config, Space, SpaceError, Strategy};
use tokio::sync::{mpsc, oneshot, watch};

pub use fleet::Fleet;
pub use office::Office;

use crate::evidence::EvidenceError;
use crate::explain::Status;
use crate::ledger::{Ledger, LedgerError};
use crate::machine::{Mode, Order, Policy, RowError};
use crate::observe::Measurements;

/// How long a manager that is to stop may take to end its step.
const LAST_STEP: Duration = Duration::from_secs(5);

/// What time it is.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Returns after `time`.
    async fn sleep(&self, time: Duration);
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// What is to become better and what must not be broken.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSlos {
    /// What is to become better.
    pub objective: Objective,
    /// What must not be broken.
    pub constraints: Vec<Constraint>,
}

/// What a person declared, beside the objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What the ledger's rows are about: the system's name.
    pub subject: String,
    /// Who this manager is, for the ledger.
    pub holder: String,
    /// How far it may go.
    pub mode: Mode,
    /// What may be set.
    pub space: Space,
    /// Who proposes.
    pub strategy: Strategy,
    /// What randomness is seeded with.
    pub seed: u64,
    /// How it works.
    pub policy: Policy,
    /// The experiment of the verify phase.
    pub plan: Plan,
    /// The probability that a guard is wrong.
    pub guard_error: f64,
    /// The probability with which anything at all may be promoted by mistake.
    pub alpha: f64,
    /// For how many proposals that is meant.
    pub expected: u32,
}

/// A system under management, before it begins.
pub struct AutonomousPerformanceManager {
    /// What a person declared.
    pub settings: Settings,
    /// The system.
    pub fleet: Fleet,
    /// Who measures it.
    pub measurements: Arc<dyn Measurements>,
    /// Where decisions are written.
    pub ledger: Arc<dyn Ledger>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why management can't begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// Another manager is in office. This one does nothing any more; start it again to take over.
    #[error("{holder} took office as epoch {}: this manager (epoch {}) has stopped", epoch.0, own.0)]
    LostOffice {
        /// Who.
        holder: String,
        /// Its epoch.
        epoch: Epoch,
        /// This one's.
        own: Epoch,
    },
    /// The ledger can't be used; nothing was done that is not written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger holds what can't be read.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The initial settings are no settings of the space.
    #[error("the initial settings: {0}")]
    Initial(#[from] SpaceError),
    /// Nothing could be staked on a promotion.
    #[error("alpha and the number of proposals: {0}")]
    Account(#[from] AccountError),
    /// The objectives can't be judged.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The ledger is of another system.
    #[error(
        "the ledger is of a space of fingerprint {ledger}, this one's is {own}: use a ledger of its own for each space"
    )]
    OtherSpace {
        /// The ledger's.
        ledger: String,
        /// This one's.
        own: String,
    },
    /// An order that is not followed.
    #[error("{0}")]
    Refused(String),
    /// The manager is not running any more.
    #[error("the manager has stopped")]
    Stopped,
}

/// A manager at work.
pub struct Running {
    asks: mpsc::Sender<Ask>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), ManagerError>>,
}

/// What a manager at work is asked.
enum Ask {
    Order(Order, oneshot::Sender<Result<(), ManagerError>>),
    Status(oneshot::Sender<Status>),
}

/// Answers who asks; looks at the system where nobody does.
async fn answer(office: &mut Office, ask: Option<Ask>) -> Result<(), ManagerError> {
    match ask {
        // Whoever asked may have gone.
        Some(Ask::Order(order, answer)) => drop(answer.send(office.order(order).await)),
        Some(Ask::Status(answer)) => drop(answer.send(office.status())),
        None => match office.tick().await {
            Err(ManagerError::Ledger(LedgerError::Unavailable(what))) => {
                tracing::warn!(what, "the ledger can't be used; nothing is done until it can");
            }
            other => other?,
        },
    }
    Ok(())
}

/// Returns once the manager is to stop and has had time to end its step.
async fn given_up(stopped: &mut watch::Receiver<bool>, clock: &dyn Clock) {
    // Whoever is gone wants nothing any more.
    let _ = stopped.wait_for(|stops| *stops).await;
    clock.sleep(LAST_STEP).await;
}

impl Running {
    /// Has a person's order followed; returns once it is written and what it takes was tried.
    ///
    /// # Errors
    /// [`ManagerError::Refused`] with the reason, or why the manager stopped.
    pub async fn order(&self, order: Order) -> Result<(), ManagerError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Order(order, answer)).await.map_err(|_| ManagerError::Stopped)?;
        answered.await.map_err(|_| ManagerError::Stopped)?
    }

    /// Where things stand.
    ///
    /// # Errors
    /// [`ManagerError::Stopped`]; the ledger still says where things stood.
    pub async fn status(&self) -> Result<Status, ManagerError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Status(answer)).await.map_err(|_| ManagerError::Stopped)?;
        answered.await.map_err(|_| ManagerError::Stopped)
    }

    /// Stops after the present step, which is left where it hangs. Knobs that are on trial go back when their lease lapses.
    ///
    /// # Errors
    /// Why it had stopped by itself.
    pub async fn stop(self) -> Result<(), ManagerError> {
        self.stop.send_replace(true);
        self.task.await.unwrap_or(Err(ManagerError::Stopped))
    }

    /// Whether it has stopped by itself.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl AutonomousPerformanceManager {
    /// Takes office and manages the system from then on: looks each `interval`, proposes, tries inside the guards, keeps what helps.
    /// A ledger that has rows is gone on with, and `initial_config` then counts no more.
    ///
    /// # Errors
    /// [`ManagerError`], where management can't begin.
    pub async fn start_autonomous_management(
        self,
        initial_config: Config,
        target_slos: TargetSlos,
        interval: Duration,
    ) -> Result<Running, ManagerError> {
        let clock = Arc::clone(&self.clock);
        let mut office = self.take_office(initial_config, target_slos, interval).await?;
        let (asks, mut asked) = mpsc::channel::<Ask>(16);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            // Whoever asks, however often, puts off no look at the system.
            let mut due = clock.sleep(interval);
            loop {
                let ask = tokio::select! {
                    biased;
                    _ = stopped.wait_for(|stops| *stops) => return Ok(()),
                    () = &mut due => None,
                    Some(ask) = asked.recv() => Some(ask),
                };
                let looks = ask.is_none();
                tokio::select! {
                    biased;
                    done = answer(&mut office, ask) => done?,
                    // A step that hangs is left as a crash would leave it, which does no harm.
                    () = given_up(&mut stopped, clock.as_ref()) => return Ok(()),
                }
                if looks {
                    due = clock.sleep(interval);
                }
                if let Some(error) = office.over() {
                    return Err(error);
                }
            }
        });
        Ok(Running { asks, stop, task })
    }

    /// Takes office, to be driven by [`Office::tick`].
    ///
    /// # Errors
    /// As [`start_autonomous_management`](Self::start_autonomous_management).
    pub async fn take_office(
        self,
        initial_config: Config,
        target_slos: TargetSlos,
        interval: Duration,
    ) -> Result<Office, ManagerError> {
        Office::take(self, initial_config, target_slos, interval).await
    }
}
