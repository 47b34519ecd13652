//! How settings reach a running system.

use std::time::Duration;

use async_trait::async_trait;
use kandela_model::{Epoch, KnobError, KnobSpec, KnobValue, Lease};
use kandela_tune::Config;

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

    /// Turns the knobs that `values` names, all of them or none, and returns once they are in effect.
    ///
    /// # Errors
    /// [`ActuateError`]; every knob then stands where it stood, unless the error says [`ActuateError::Unknown`].
    async fn apply(&self, values: &Config, epoch: Epoch, lease: Lease) -> Result<(), ActuateError>;
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
    /// The system can't be reached or does not answer; nothing has changed.
    #[error("{target} can't be reached: {reason}")]
    Unreachable {
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
