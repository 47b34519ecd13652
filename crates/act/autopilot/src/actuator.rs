//! How settings reach a running system.
//!
//! Systems that keep a lease themselves are turned directly ([`http`]). Those that can't ([`Settings`]) are turned by a watchdog
//! process on behalf of the manager ([`Guarded`]), which holds what to go back to and acts when the manager falls silent.

mod claim;
pub mod command;
pub mod config;
mod environment;
mod file;
mod guarded;
pub mod hard;
mod health;
pub mod http;
mod kubernetes;
mod postgres;
mod redis;
mod replicas;
pub mod settings;
mod split;
mod template;

use std::time::Duration;

use async_trait::async_trait;
use kandela_model::{Epoch, KnobError, KnobSpec, KnobValue, Lease};
use kandela_tune::Config;
use kandela_tune::space::Class;

pub(crate) use command::{NOTED_IN, wait_for_orphan};
pub use config::{ConfigError, TargetConfig};
pub(crate) use file::replace;
pub use guarded::Guarded;
pub(crate) use health::chain;
pub(crate) use postgres::{Postgres as PostgresSettings, Row as PostgresRow, STRONGER};
pub(crate) use redis::Redis as RedisSettings;
pub use settings::Settings;

use crate::watchdog::Report;

/// A call that takes longer is not waited for, unless the system's own commands may take as long.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(120);

/// A system, or a replica of one, whose knobs can be turned.
///
/// Whoever turns a knob does so under an epoch and a lease. Where the system itself can't keep the lease (a database, a file), a
/// watchdog beside it holds what to go back to, and acts when its heartbeat ends.
#[async_trait]
pub trait Actuator: Send + Sync {
    /// What it turns, in words: `PostgreSQL at 127.0.0.1:5432`.
    fn target(&self) -> &str;

    /// The knobs, and where each stands.
    ///
    /// # Errors
    /// [`ActuateError`], where the system can't be asked.
    async fn state(&self) -> Result<Vec<Standing>, ActuateError>;

    /// The highest epoch that has turned it, as far as it knows: whoever takes office does so under a higher one, whatever its own ledger
    /// says.
    ///
    /// # Errors
    /// [`ActuateError`], where the system can't be asked.
    async fn seen(&self) -> Result<Epoch, ActuateError> {
        Ok(Epoch(0))
    }

    /// Turns the knobs that `values` names, all of them or none, and returns once they are in effect. Values that stand already cost
    /// nothing but renew the lease.
    ///
    /// # Errors
    /// [`ActuateError`]; every knob then stands where it stood, unless the error says [`ActuateError::Unknown`].
    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError>;

    /// Takes the knobs back to the values that were confirmed last, at once, and returns when they are in effect. Step caps, which
    /// bound how far a trial may go, don't bound the way back. Knobs that hold no lease stay where they are.
    ///
    /// # Errors
    /// [`ActuateError`]; the leases that hold then lapse as they would have.
    async fn revert(&self, knobs: &[String], epoch: Epoch) -> Result<(), ActuateError>;

    /// How long to wait for any of the above.
    fn longest_call(&self) -> Duration {
        LONGEST_CALL
    }

    /// What its watchdogs did without being asked to and nobody has written down yet, oldest first.
    ///
    /// # Errors
    /// [`ActuateError`], where that can't be read.
    async fn reports(&self) -> Result<Vec<Report>, ActuateError> {
        Ok(Vec::new())
    }

    /// Forgets a report that is written down; one of another system is none of its business.
    ///
    /// # Errors
    /// [`ActuateError`]; it is then told again.
    async fn forget(&self, _report: &Report) -> Result<(), ActuateError> {
        Ok(())
    }
}

/// A knob and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it is.
    pub spec: KnobSpec,
    /// Its value now.
    pub value: KnobValue,
    /// The value that a lapse leads back to.
    pub confirmed: KnobValue,
    /// When the value lapses, from now; none where it is confirmed.
    pub lapses_in: Option<Duration>,
}

/// Why a system did not change, or may have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActuateError {
    /// A knob refused its value; nothing has changed.
    #[error("{target}: {error}")]
    Refused {
        /// Which system.
        target: String,
        /// What it said.
        #[source]
        error: KnobError,
    },
    /// The system has no such knob; nothing has changed.
    #[error("{target} has no knob {knob}; it has {}", known.join(", "))]
    NoKnob {
        /// Which system.
        target: String,
        /// The name that nothing has.
        knob: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No search may touch this knob, whatever a space says; nothing has changed.
    #[error("{target}: knob {knob} is of the class {}, which is never set: {why}; take it out of the space", class_name(*class))]
    Forbidden {
        /// Which system.
        target: String,
        /// The knob.
        knob: String,
        /// Its class.
        class: Class,
        /// What it decides.
        why: String,
    },
    /// Somebody else owns the field, who would put it back; nothing has changed, and what to change by hand was written down.
    #[error(
        "{target}: {owner} owns the field of knob {knob}, so it is left alone; what to change there lies in {proposal}"
    )]
    Foreign {
        /// Which system.
        target: String,
        /// The knob.
        knob: String,
        /// Who owns it.
        owner: String,
        /// The file that says what to change.
        proposal: String,
    },
    /// The system can't be reached or does not answer; nothing has changed.
    #[error("{target} can't be reached: {reason}")]
    Unreachable {
        /// Which system.
        target: String,
        /// Why.
        reason: String,
    },
    /// The change was begun and failed; what was done has been taken back, and every knob stands where it stood.
    #[error("{target}: the change failed and was taken back: {reason}")]
    Failed {
        /// Which system.
        target: String,
        /// Why.
        reason: String,
    },
    /// Somebody else holds values there, which are not to be taken for those in force; nothing was changed.
    #[error("{target} is another's: {holder}")]
    Held {
        /// Which system.
        target: String,
        /// Who has it, and what to do.
        holder: String,
    },
    /// Nobody can hold what to go back to, so nothing was changed.
    #[error("{target}: no watchdog can hold what to go back to, so nothing was changed: {reason}")]
    Unguarded {
        /// Which system.
        target: String,
        /// Why.
        reason: String,
    },
    /// It is not known whether the change took effect: read the state before anything else.
    #[error("{target}: it is not known whether the change took effect: {reason}")]
    Unknown {
        /// Which system.
        target: String,
        /// Why.
        reason: String,
    },
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "an error's words come as text or as another error, and end here"
)]
impl ActuateError {
    /// The system answered that knob `knob` can't be so.
    pub(crate) fn refused(target: &str, knob: &str, reason: impl ToString) -> ActuateError {
        let error = KnobError::Target { knob: knob.to_owned(), reason: reason.to_string() };
        ActuateError::Refused { target: target.to_owned(), error }
    }

    pub(crate) fn unreachable(target: &str, reason: impl ToString) -> ActuateError {
        ActuateError::Unreachable { target: target.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn failed(target: &str, reason: impl ToString) -> ActuateError {
        ActuateError::Failed { target: target.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn unknown(target: &str, reason: impl ToString) -> ActuateError {
        ActuateError::Unknown { target: target.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn unguarded(target: &str, reason: impl ToString) -> ActuateError {
        ActuateError::Unguarded { target: target.to_owned(), reason: reason.to_string() }
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Free => "free",
        Class::Durability => "durability",
        Class::Security => "security",
    }
}
