//! The system as the manager turns it: a canary and the rest.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{Epoch, KnobError, Lease};
use kandela_tune::Config;

use crate::actuator::{ActuateError, Actuator};
use crate::machine::{Arm, Scope, Trouble};
use crate::proposer::step_towards;

/// A call that takes longer is not waited for.
const LONGEST_CALL: Duration = Duration::from_secs(120);
/// As many capped steps lead anywhere.
const MOST_STEPS: usize = 256;

/// A system: one part is turned first, the rest only with it.
#[derive(Clone)]
pub struct Fleet {
    /// The canary, or the whole system where it has one part.
    pub canary: Arc<dyn Actuator>,
    /// The rest.
    pub rest: Vec<Arc<dyn Actuator>>,
}

/// What came of a call.
pub(super) enum Came {
    /// It is done.
    Done,
    /// It is not, or not for certain.
    Trouble(Trouble),
    /// Another manager has been there.
    Stale,
}

impl Fleet {
    /// Turns knobs for a slice; they go back by themselves after `lease`.
    pub(super) async fn turn(
        &self,
        scope: Scope,
        arm: Arm,
        values: &Config,
        epoch: Epoch,
        lease: Duration,
    ) -> Came {
        let names: Vec<String> = values.keys().cloned().collect();
        for actuator in self.parts(scope) {
            let call = async {
                match arm {
                    Arm::Candidate => actuator.apply(values, epoch, Lease::For(lease)).await,
                    Arm::Control => actuator.revert(&names, epoch).await,
                }
            };
            match limited(actuator.as_ref(), call).await {
                Came::Done => {}
                other => return other,
            }
        }
        Came::Done
    }

    /// Brings all knobs to `values` for good, first taking back what is leased. Where a step is capped, by several.
    pub(super) async fn settle(&self, values: &Config, knobs: &[String], epoch: Epoch) -> Came {
        let mut worst = Came::Done;
        for actuator in self.parts(Scope::All) {
            let call = settle_one(actuator.as_ref(), values, knobs, epoch);
            match limited(actuator.as_ref(), call).await {
                Came::Done => {}
                // The others are brought back all the same.
                other => worst = other,
            }
        }
        worst
    }

    fn parts(&self, scope: Scope) -> impl Iterator<Item = &Arc<dyn Actuator>> {
        let rest = if scope == Scope::All { self.rest.as_slice() } else { &[] };
        std::iter::once(&self.canary).chain(rest)
    }
}

async fn settle_one(
    actuator: &dyn Actuator,
    values: &Config,
    knobs: &[String],
    epoch: Epoch,
) -> Result<(), ActuateError> {
    actuator.revert(knobs, epoch).await?;
    for _ in 0..MOST_STEPS {
        let standings = actuator.state().await?;
        let next: Config = values
            .iter()
            .map(|(name, goal)| {
                let standing = standings.iter().find(|standing| standing.spec.name == *name);
                let step = standing.map(|standing| step_towards(&standing.spec, &standing.value, goal));
                (name.clone(), step.unwrap_or_else(|| goal.clone()))
            })
            .collect();
        let there = next == *values;
        actuator.apply(&next, epoch, Lease::Confirmed).await?;
        if there {
            return Ok(());
        }
    }
    let target = actuator.target().to_owned();
    Err(ActuateError::Failed { target, reason: "its step caps don't lead to the good settings".to_owned() })
}

async fn limited(actuator: &dyn Actuator, call: impl Future<Output = Result<(), ActuateError>>) -> Came {
    let trouble = |refused, what| Came::Trouble(Trouble { refused, what });
    match tokio::time::timeout(LONGEST_CALL, call).await {
        Ok(Ok(())) => Came::Done,
        Ok(Err(ActuateError::Refused { error: KnobError::StaleEpoch { .. }, .. })) => Came::Stale,
        Ok(Err(error)) => {
            let refused = matches!(
                error,
                ActuateError::Refused { .. }
                    | ActuateError::NoKnob { .. }
                    | ActuateError::Forbidden { .. }
                    | ActuateError::Foreign { .. }
            );
            trouble(refused, error.to_string())
        }
        Err(_) => trouble(
            false,
            format!("{} did not answer within {} s", actuator.target(), LONGEST_CALL.as_secs()),
        ),
    }
}
