//! A system that a tuner drives: named by its URL, taken from setting to setting, and left as it was found.
//!
//! [`Target::open`] asks the server how it stands and makes the space that is worth a search there; [`Target::apply`] brings the settings of
//! a trial into force and returns once the server shows them; [`Target::restore`] brings back what was set before. What to go back to lies on
//! disk first ([`crate::watchdog`]): a tuner that is killed, hangs or forgets leaves a server as it was.

mod address;
mod machine;
mod open;
pub mod postgres;
pub mod redis;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kandela_model::{ApplyCost, Epoch, KnobValue, Lease};
use kandela_tune::space::Class;
use kandela_tune::{Config, Space, SpaceError};

use crate::actuator::command::Command;
use crate::actuator::config::OpenError;
use crate::actuator::settings::alike;
use crate::actuator::{ActuateError, Actuator, Guarded, Standing};
use crate::watchdog::Watch;

pub use machine::Machine;

/// A system under a tuner.
pub struct Target {
    system: Guarded,
    /// All that may be set, of which the space is a part.
    settable: Space,
    space: Space,
    epoch: Epoch,
    server: Server,
}

/// What else is known of it.
enum Server {
    Postgres { facts: Option<postgres::Facts>, workload: Workload, restarts: bool },
    Redis,
}

/// How a target is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where what to go back to lies, and how a watchdog is started.
    pub watch: Watch,
    /// What restarts the server. Without, only what a reload brings into force is searched.
    pub restart: Option<Command>,
    /// Where its `postgresql.auto.conf` lies, for a server that does not start again; with none, where the server says.
    pub data_directory: Option<PathBuf>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// What to search in place of the default.
    pub space: Option<Space>,
    /// What the server runs on; with none, this machine if the server is on it.
    pub machine: Option<Machine>,
    /// What the server is used for.
    pub workload: Workload,
}

impl Options {
    /// Nothing but a watchdog: no restart, the default space, this machine, mixed work.
    pub fn new(watch: Watch) -> Options {
        Options {
            watch,
            restart: None,
            data_directory: None,
            password_file: None,
            space: None,
            machine: None,
            workload: Workload::Mixed,
        }
    }
}

/// What a server is used for, in PGTune's five kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Many short reads, some writes.
    Web,
    /// Many short transactions that write.
    Oltp,
    /// Long queries over many rows.
    Analytic,
    /// A bit of everything, beside a person's programs.
    Desktop,
    /// Short transactions and long queries.
    Mixed,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 5] =
        [Workload::Web, Workload::Oltp, Workload::Analytic, Workload::Desktop, Workload::Mixed];
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Workload::Web => "web",
            Workload::Oltp => "oltp",
            Workload::Analytic => "dw",
            Workload::Desktop => "desktop",
            Workload::Mixed => "mixed",
        })
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(word: &str) -> Result<Workload, String> {
        let found = Workload::ALL.into_iter().find(|workload| workload.to_string() == word);
        found.ok_or_else(|| format!("{word:?} is no workload; those are web, oltp, dw, desktop and mixed"))
    }
}

/// Settings that a peer would make, as far as this server takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// What can be applied.
    pub config: Config,
    /// Settings that can't, each with why.
    pub left_out: Vec<(String, String)>,
}

/// Why a target can't be tuned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The URL names no system.
    #[error("the target's URL: {0}")]
    Url(String),
    /// Its description is wrong, or its folder can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It refused, failed, or can't be reached.
    #[error(transparent)]
    Actuate(#[from] ActuateError),
    /// What is to be searched is no space.
    #[error("{target}: {error}")]
    Space {
        /// Which system.
        target: String,
        /// Why.
        #[source]
        error: SpaceError,
    },
    /// The server is too old.
    #[error("{target} is version {version}; {least} or later is needed")]
    Version {
        /// Which system.
        target: String,
        /// What it is.
        version: u32,
        /// What it would have to be.
        least: u32,
    },
    /// It is on another machine, whose size nobody said.
    #[error("{target} is on another machine than this: say how much memory and how many cores it has")]
    Machine {
        /// Which system.
        target: String,
    },
    /// A restart could not be taken back.
    #[error(
        "{target}: a restart needs its data directory, to bring the server back if it does not start: {what}"
    )]
    DataDirectory {
        /// Which system.
        target: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// Somebody else is at it.
    #[error("{target} is being tuned by another, whose watchdog is {holder}; end that tuner first")]
    Held {
        /// Which system.
        target: String,
        /// Who has it.
        holder: String,
    },
    /// What an earlier tuner left is still in force.
    #[error(
        "{target} still has what an earlier tuner tried; a watchdog tries on to take it back, as {folder} says"
    )]
    Pending {
        /// Which system.
        target: String,
        /// Where reports are.
        folder: String,
    },
    /// There is nothing to search.
    #[error("{target} has no knob that can be searched{hint}")]
    Nothing {
        /// Which system.
        target: String,
        /// What would help.
        hint: &'static str,
    },
    /// A peer for another kind of system.
    #[error("{target} is no PostgreSQL, and PGTune knows nothing else")]
    NoPeer {
        /// Which system.
        target: String,
    },
}

impl Target {
    /// The system at `postgres://USER@HOST:PORT/DB` or `redis://[USER@]HOST[:PORT]`. What an earlier tuner left there is taken back before
    /// anything is read; nothing else is changed.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn open(url: &str, options: &Options) -> Result<Target, TargetError> {
        open::open(url, options).await
    }

    /// What it is, in words: `PostgreSQL at 127.0.0.1:5432`.
    pub fn name(&self) -> &str {
        self.system.target()
    }

    /// What to search. Defaults are where the server stood when it was opened.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Brings `config` into force, by a restart where one is needed, and returns once the server is up and shows it. Knobs that it does
    /// not name go back to what they were when the target was opened.
    ///
    /// For `hold` at most: where neither this nor [`Target::restore`] is called in that time, the tuner counts as hung and all goes back.
    ///
    /// # Errors
    /// [`TargetError::Actuate`]; what was in force before then still is, unless the error says that it is not known.
    pub async fn apply(&self, config: &Config, hold: Duration) -> Result<(), TargetError> {
        self.take_back(|name| !config.contains_key(name)).await?;
        Ok(self.system.apply(config, self.epoch, Lease::For(hold)).await?)
    }

    /// Brings back what was set when the target was opened, exactly: what had no line in `postgresql.auto.conf` has none again.
    ///
    /// # Errors
    /// [`TargetError::Actuate`]; a watchdog then goes on trying.
    pub async fn restore(&self) -> Result<(), TargetError> {
        self.take_back(|_| true).await?;
        self.system.let_go().await;
        Ok(())
    }

    /// A knob that stands elsewhere than in `config`, in words: somebody else has turned it, or a watchdog went back.
    ///
    /// # Errors
    /// [`TargetError::Actuate`], where the server can't be asked.
    pub async fn strayed(&self, config: &Config) -> Result<Option<String>, TargetError> {
        let standings = self.system.state().await?;
        let off = |standing: &Standing| {
            let wanted = config.get(&standing.spec.name).filter(|wanted| !alike(wanted, &standing.value))?;
            Some(format!("{} stands at {}, not at {wanted}", standing.spec.name, standing.value))
        };
        Ok(standings.iter().find_map(off))
    }

    /// What to run, by `psql` or `redis-cli`, for `config` to stay in force; what is as it was is left out.
    pub fn statements(&self, config: &Config) -> Vec<String> {
        let before = self.space.decode(&self.space.start());
        let changed: Vec<(&String, &KnobValue)> =
            config.iter().filter(|(name, value)| before.get(*name) != Some(*value)).collect();
        let statement = |(name, value): &(&String, &KnobValue)| match self.server {
            Server::Postgres { .. } => {
                format!("ALTER SYSTEM SET {name} = '{}';", self.system.spelled(name, value))
            }
            Server::Redis => format!("CONFIG SET {name} {}", self.system.spelled(name, value)),
        };
        let restarts = |name: &str| {
            self.space.parameter(name).is_some_and(|parameter| parameter.spec.cost == ApplyCost::Restart)
        };
        let waiting: Vec<&str> =
            changed.iter().map(|(name, _)| name.as_str()).filter(|name| restarts(name)).collect();
        let last = match (&self.server, changed.is_empty(), waiting.is_empty()) {
            (Server::Redis, ..) | (_, true, _) => None,
            (_, _, true) => Some("SELECT pg_reload_conf();".to_owned()),
            (_, _, false) => Some(format!("-- and restart the server, for {}", waiting.join(" and "))),
        };
        changed.iter().map(statement).chain(last).collect()
    }

    /// What PGTune would set here, for as many sessions as the server lets in.
    ///
    /// # Errors
    /// [`TargetError::NoPeer`], where it is no PostgreSQL; [`TargetError::Machine`].
    pub fn pgtune(&self, storage: postgres::Storage, data: postgres::Data) -> Result<Peer, TargetError> {
        let target = || self.name().to_owned();
        let Server::Postgres { facts, workload, restarts } = &self.server else {
            return Err(TargetError::NoPeer { target: target() });
        };
        let facts = facts.as_ref().ok_or_else(|| TargetError::Machine { target: target() })?;
        let connections = facts.settings.get("max_connections").and_then(|row| row.value.parse().ok());
        let form = postgres::Form {
            version: facts.version,
            machine: facts.machine,
            storage,
            connections,
            workload: *workload,
            data,
        };
        let mut peer = Peer { config: Config::new(), left_out: Vec::new() };
        for (name, value) in postgres::pgtune(&form) {
            let fits = open::may_set(name, facts.settings.get(name), *restarts).and_then(|()| {
                let parameter = self.settable.parameter(name).ok_or("this server has no such setting")?;
                parameter.spec.check(&value).map_err(|error| error.to_string())
            });
            match fits {
                Ok(()) => drop(peer.config.insert(name.to_owned(), value)),
                Err(why) => peer.left_out.push((name.to_owned(), why)),
            }
        }
        Ok(peer)
    }

    async fn take_back(&self, which: impl Fn(&str) -> bool) -> Result<(), TargetError> {
        let names = self.settable.parameters().iter().map(|parameter| &parameter.spec.name);
        let names: Vec<String> = names.filter(|name| which(name)).cloned().collect();
        Ok(self.system.revert(&names, self.epoch).await?)
    }
}

/// Whether a search may turn any of it.
fn is_searched(parameter: &kandela_tune::Parameter) -> bool {
    parameter.class == Class::Free
}
