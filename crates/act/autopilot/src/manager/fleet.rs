//! The system as the manager turns it: a canary and the rest.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{Epoch, KnobError, KnobValue, Lease};
use kandela_tune::Config;

use crate::actuator::settings::alike;
use crate::actuator::{ActuateError, Actuator, LONGEST_CALL};
use crate::machine::{Arm, Scope, Strayed, Trouble};
use crate::proposer::step_towards;
use crate::watchdog::Report;

/// To settle takes some calls: what is leased goes back, then what is good is set.
const SETTLING: u32 = 3;
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
    /// Another manager has been there, of epoch `seen`.
    Stale { target: String, seen: Epoch },
}

impl Came {
    /// What counts of two parts of a system: an epoch that is over more than a refusal, that more than silence.
    fn and(self, other: Came) -> Came {
        let weight = |came: &Came| match came {
            Came::Done => 0,
            Came::Trouble(Trouble { refused: false, .. }) => 1,
            Came::Trouble(Trouble { refused: true, .. }) => 2,
            Came::Stale { .. } => 3,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
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
            match limited(actuator.as_ref(), actuator.longest_call(), call).await {
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
            // Whatever comes of one, the others are brought back all the same.
            let longest = actuator.longest_call() * SETTLING;
            worst = worst.and(limited(actuator.as_ref(), longest, call).await);
        }
        worst
    }

    /// The highest epoch that any part has seen; of those that can't be asked, none.
    pub(super) async fn seen(&self) -> Epoch {
        let mut highest = Epoch(0);
        for actuator in self.parts(Scope::All) {
            if let Ok(Ok(seen)) = tokio::time::timeout(LONGEST_CALL, actuator.seen()).await {
                highest = highest.max(seen);
            }
        }
        highest
    }

    /// The knobs that are to stay elsewhere than at `good`; nothing where a part can't be asked.
    pub(super) async fn strayed(&self, good: &Config) -> Option<Vec<Strayed>> {
        let mut strayed = Vec::new();
        for actuator in self.parts(Scope::All) {
            let standings = tokio::time::timeout(LONGEST_CALL, actuator.state()).await.ok()?.ok()?;
            let off = standings.into_iter().filter(|standing| {
                good.get(&standing.spec.name).is_some_and(|good| !alike(good, &standing.confirmed))
            });
            strayed.extend(off.map(|standing| Strayed {
                target: actuator.target().to_owned(),
                knob: standing.spec.name,
                stands: standing.confirmed,
            }));
        }
        Some(strayed)
    }

    /// What watchdogs did without being asked to.
    pub(super) async fn reports(&self) -> Vec<Report> {
        let mut all = Vec::new();
        for actuator in self.parts(Scope::All) {
            match actuator.reports().await {
                Ok(reports) => all.extend(reports),
                Err(error) => tracing::warn!(%error, "what its watchdogs did is not known"),
            }
        }
        all
    }

    /// Has watchdogs forget what is written down.
    pub(super) async fn forget(&self, reports: &[Report]) {
        for actuator in self.parts(Scope::All) {
            for report in reports {
                if let Err(error) = actuator.forget(report).await {
                    tracing::warn!(%error, "a report that is written down is not forgotten");
                }
            }
        }
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
        // A target that stands there already, and where nothing lapses, is left alone: to write it again may restart a service.
        let stands = |(name, goal): (&String, &KnobValue)| {
            let standing = standings.iter().find(|standing| standing.spec.name == *name);
            standing.is_some_and(|it| it.lapses_in.is_none() && it.value == *goal && it.confirmed == *goal)
        };
        if values.iter().all(stands) {
            return Ok(());
        }
        actuator.apply(&next, epoch, Lease::Confirmed).await?;
        if there {
            return Ok(());
        }
    }
    let target = actuator.target().to_owned();
    Err(ActuateError::Failed { target, reason: "its step caps don't lead to the good settings".to_owned() })
}

async fn limited(
    actuator: &dyn Actuator,
    longest: Duration,
    call: impl Future<Output = Result<(), ActuateError>>,
) -> Came {
    let trouble = |refused, what| Came::Trouble(Trouble { refused, what });
    match tokio::time::timeout(longest, call).await {
        Ok(Ok(())) => Came::Done,
        Ok(Err(ActuateError::Refused { target, error: KnobError::StaleEpoch { seen, .. } })) => {
            Came::Stale { target, seen }
        }
        Ok(Err(error)) => {
            let refused = matches!(
                error,
                ActuateError::Refused { .. }
                    | ActuateError::NoKnob { .. }
                    | ActuateError::Forbidden { .. }
                    | ActuateError::Foreign { .. }
                    // It was tried, the system did not bear it, and all is as it was.
                    | ActuateError::Failed { .. }
            );
            trouble(refused, error.to_string())
        }
        Err(_) => {
            trouble(false, format!("{} did not answer within {} s", actuator.target(), longest.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_part_says_for_certain_is_not_lost_in_the_silence_of_another() {
        let trouble = |refused| Came::Trouble(Trouble { refused, what: "trouble".to_owned() });
        let stale = || Came::Stale { target: "canary".to_owned(), seen: Epoch(9) };
        for (first, second) in [(stale(), trouble(false)), (trouble(true), stale()), (stale(), Came::Done)] {
            assert!(matches!(first.and(second), Came::Stale { seen: Epoch(9), .. }));
        }
        let refused = |came| matches!(came, Came::Trouble(Trouble { refused: true, .. }));
        assert!(refused(trouble(true).and(trouble(false))) && refused(trouble(false).and(trouble(true))));
    }
}
