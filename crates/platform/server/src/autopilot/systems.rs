//! The systems under management, each a manager that runs beside the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use kandela_autopilot::explain::{ExplainError, Status, Story, explain, status};
use kandela_autopilot::ledger::{Entry, Ledger as _};
use kandela_autopilot::machine::Order;
use kandela_autopilot::manager::{ManagerError, Running};
use kandela_lake::Lake;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::sync::Notify;

use super::LakeLedger;
use super::config::SystemConfig;
use super::office::begin;
use crate::app::App;
use crate::net::Shutdown;
use crate::refusal::Refusal;
use crate::telemetry::Managed;

/// How soon a system that could not be taken in hand is tried again.
const RETRY: Duration = Duration::from_secs(15);
/// How long a manager may take to say how it stands.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a system may take to be managed again before what is in its way is told.
const BEGINS: Duration = Duration::from_secs(10);
/// How often there is a look at whether a manager has stopped by itself.
const LOOK: Duration = Duration::from_secs(1);

/// All systems, by name.
#[derive(Default)]
pub(crate) struct Systems {
    by_name: RwLock<BTreeMap<String, Arc<System>>>,
}

/// One system.
pub(crate) struct System {
    config: SystemConfig,
    /// Held while an order is followed, so that a manager is stopped after it.
    running: tokio::sync::Mutex<Option<Running>>,
    trouble: RwLock<Option<String>>,
    /// Somebody wants it taken in hand again.
    again: Notify,
    /// How it stood a moment ago, where somebody manages it.
    stood: RwLock<Option<Status>>,
}

/// A system, as lists show it.
#[derive(Serialize)]
pub(crate) struct Listed {
    name: String,
    objective: String,
    /// Why nobody manages it, where nobody does.
    trouble: Option<String>,
    status: Status,
}

impl Systems {
    /// The systems by these descriptions, not yet managed.
    pub(crate) fn new(configs: Vec<SystemConfig>) -> Systems {
        let system = |config: SystemConfig| {
            let trouble = RwLock::new(Some("not taken in hand yet".to_owned()));
            let running = tokio::sync::Mutex::default();
            let (again, stood) = (Notify::new(), RwLock::default());
            (config.name.clone(), Arc::new(System { config, running, trouble, again, stood }))
        };
        Systems { by_name: RwLock::new(configs.into_iter().map(system).collect()) }
    }

    /// Whether these are the descriptions that it has.
    pub(crate) fn are(&self, configs: &[SystemConfig]) -> bool {
        let systems = self.by_name.read();
        let has = |config: &SystemConfig| systems.get(&config.name).is_some_and(|one| one.config == *config);
        systems.len() == configs.len() && configs.iter().all(has)
    }

    /// How each stood a moment ago.
    pub(crate) fn stood(&self) -> Vec<Managed> {
        let one = |(name, system): (&String, &Arc<System>)| (name.clone(), system.stood.read().clone());
        self.by_name.read().iter().map(one).collect()
    }

    /// Each with how far it may go, where somebody manages it.
    pub(crate) fn modes(&self) -> Vec<(String, Option<String>)> {
        let mode = |status: kandela_autopilot::explain::Status| {
            serde_json::to_value(status.mode).ok()?.as_str().map(str::to_owned)
        };
        self.stood().into_iter().map(|(name, status)| (name, status.and_then(mode))).collect()
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<System>> {
        self.by_name.read().values().cloned().collect()
    }

    /// The system of that name; the only one, where no name is given.
    ///
    /// # Errors
    /// 404 where there is none, 400 where a name is needed.
    pub(crate) fn named(&self, name: Option<&str>) -> Result<Arc<System>, Refusal> {
        let systems = self.by_name.read();
        let names = || systems.keys().cloned().collect::<Vec<_>>().join(", ");
        match (name, systems.len()) {
            (_, 0) => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "no system is under management; name a file of systems in kandela.autopilot",
            )),
            (None, 1) => systems.values().next().cloned().ok_or_else(|| unknown("", &names())),
            (None, _) => {
                let message = format!("there are several systems; name one of {}", names());
                Err(Refusal::new(StatusCode::BAD_REQUEST, message))
            }
            (Some(name), _) => systems.get(name).cloned().ok_or_else(|| unknown(name, &names())),
        }
    }
}

fn unknown(name: &str, names: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no system {name:?}; there are {names}"))
}

impl System {
    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// How it stands.
    ///
    /// # Errors
    /// Where its ledger can't be read.
    pub(crate) async fn listed(&self, lake: &Lake) -> Result<Listed, Refusal> {
        let status = self.status(lake).await?;
        let trouble = self.trouble.read().clone();
        let SystemConfig { name, objective, .. } = &self.config;
        Ok(Listed { name: name.clone(), objective: objective.expression.clone(), trouble, status })
    }

    /// Where things stand: as the manager knows, or as the ledger tells where nobody manages it.
    ///
    /// # Errors
    /// Where its ledger can't be read.
    pub(crate) async fn status(&self, lake: &Lake) -> Result<Status, Refusal> {
        // A manager that waits for a system that hangs answers nobody; the ledger says where things stand.
        let asked =
            tokio::time::timeout(ANSWER, async { self.running.lock().await.as_ref()?.status().await.ok() });
        if let Ok(Some(status)) = asked.await {
            return Ok(status);
        }
        status(&self.rows(lake, 0).await?).map_err(|error| unreadable(&error))
    }

    /// The story of a proposal.
    ///
    /// # Errors
    /// 404 where there is none; where the ledger can't be read.
    pub(crate) async fn story(&self, lake: &Lake, proposal: u64) -> Result<Story, Refusal> {
        explain(&self.rows(lake, 0).await?, proposal).map_err(|error| match error {
            ExplainError::Unknown { .. } => Refusal::new(StatusCode::NOT_FOUND, error.to_string()),
            other => unreadable(&other),
        })
    }

    /// The ledger's rows from `seq` on.
    ///
    /// # Errors
    /// Where they can't be read.
    pub(crate) async fn rows(&self, lake: &Lake, seq: u64) -> Result<Vec<Entry>, Refusal> {
        let ledger = LakeLedger::new(lake.clone(), &self.config.name);
        ledger.read(seq).await.map_err(|error| unreadable(&error))
    }

    /// Has an order followed.
    ///
    /// # Errors
    /// 409 where it is refused, 503 where nobody manages the system.
    pub(crate) async fn order(&self, order: Order) -> Result<(), Refusal> {
        if matches!(order, Order::Resume { .. }) {
            // Where it takes longer, or does not work, what is in its way is told.
            let _ = tokio::time::timeout(BEGINS, self.taken_in_hand()).await;
        }
        let running = self.running.lock().await;
        let Some(running) = running.as_ref() else {
            let why = self.trouble.read().clone().unwrap_or_else(|| "the server is ending".to_owned());
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("nobody manages the system: {why}"),
            ));
        };
        running.order(order).await.map_err(|error| match error {
            ManagerError::Refused(why) => Refusal::new(StatusCode::CONFLICT, why),
            other => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, other.to_string()),
        })
    }

    /// Has it taken in hand where nobody manages it, and returns when somebody does.
    async fn taken_in_hand(&self) {
        while self.running.lock().await.as_ref().is_none_or(Running::is_over) {
            self.again.notify_waiters();
            tokio::time::sleep(LOOK / 2).await;
        }
    }
}

fn unreadable(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Manages a system until the server ends: takes it in hand as soon as that works, and again after trouble. A manager that lost its
/// office to another stays away until somebody resumes it.
pub(crate) async fn manage(app: Arc<App>, system: Arc<System>, mut shutdown: Shutdown) {
    loop {
        let began = tokio::select! {
            began = begin(&app, &system.config) => began,
            () = shutdown.wait() => return,
        };
        let wait = match began {
            Ok(running) => {
                *system.trouble.write() = None;
                *system.running.lock().await = Some(running);
                let over = run(&system, &mut shutdown).await;
                let Some(over) = over else { return };
                tracing::warn!(system = system.name(), error = %over, "the autopilot has stopped");
                if matches!(over, ManagerError::LostOffice { .. }) {
                    *system.trouble.write() =
                        Some(format!("{over}; `kandela autopilot resume` has this server manage it again"));
                    tokio::select! {
                        () = system.again.notified() => continue,
                        () = shutdown.wait() => return,
                    }
                }
                *system.trouble.write() = Some(over.to_string());
                RETRY
            }
            Err(error) => {
                if system.trouble.read().as_ref() != Some(&error) {
                    tracing::warn!(system = system.name(), error, "the system can't be taken in hand yet");
                }
                *system.trouble.write() = Some(error);
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = system.again.notified() => {}
            () = shutdown.wait() => return,
        }
    }
}

/// Waits until the manager stops by itself, and gives why; nothing where the server ends.
async fn run(system: &System, shutdown: &mut Shutdown) -> Option<ManagerError> {
    let ends = loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.wait() => break true,
        }
        let running = system.running.lock().await;
        let Some(running) = running.as_ref().filter(|running| !running.is_over()) else { break false };
        tokio::select! {
            status = running.status() => *system.stood.write() = status.ok(),
            () = shutdown.wait() => break true,
        }
    };
    *system.stood.write() = None;
    let running = system.running.lock().await.take()?;
    let stopped = running.stop().await;
    if ends { None } else { Some(stopped.err().unwrap_or(ManagerError::Stopped)) }
}
