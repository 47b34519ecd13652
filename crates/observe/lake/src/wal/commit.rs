//! Group commit: one caller syncs for all who wait.

use std::ops::RangeInclusive;

use parking_lot::{Condvar, Mutex};

/// Who is durable, who is not, and whether somebody is finding out.
#[derive(Default)]
pub(super) struct GroupCommit {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether a leader is at work. Only one is: after a failed sync the system may call the next one a success.
    leading: bool,
    /// Every sequence through here is durable or failed.
    settled: u64,
    failed: Vec<Failure>,
}

struct Failure {
    sequences: RangeInclusive<u64>,
    reason: String,
}

/// What a leader found out.
pub(super) struct Outcome {
    /// The last sequence that it speaks of.
    pub(super) through: u64,
    /// Why they are not durable, where they are not.
    pub(super) failure: Option<String>,
}

impl GroupCommit {
    /// Returns when record `seq` is durable, or says why it is not. The first caller that waits runs `sync` for itself and
    /// all whose records were written before; the others wait for it.
    pub(super) fn through(&self, seq: u64, sync: impl Fn() -> Outcome) -> Result<(), String> {
        let mut state = self.state.lock();
        loop {
            if seq <= state.settled {
                return state.verdict(seq);
            }
            if state.leading {
                self.changed.wait(&mut state);
                continue;
            }
            state.leading = true;
            drop(state);
            let outcome = sync();
            state = self.state.lock();
            let nothing_beyond = outcome.through < seq;
            state.settle(outcome);
            self.changed.notify_all();
            if nothing_beyond {
                return Ok(());
            }
        }
    }

    /// Runs `act` while nobody else leads, and tells it through which sequence all is settled.
    pub(super) fn exclusively<R>(&self, act: impl FnOnce(u64) -> (Option<Outcome>, R)) -> R {
        let mut state = self.state.lock();
        while state.leading {
            self.changed.wait(&mut state);
        }
        state.leading = true;
        let settled = state.settled;
        drop(state);
        let (outcome, result) = act(settled);
        let mut state = self.state.lock();
        match outcome {
            Some(outcome) => state.settle(outcome),
            None => state.leading = false,
        }
        self.changed.notify_all();
        result
    }

    /// Starts the account at a log whose records through `seq` were read back.
    pub(super) fn starting_at(seq: u64) -> Self {
        Self { state: Mutex::new(State { settled: seq, ..State::default() }), changed: Condvar::new() }
    }
}

impl State {
    fn verdict(&self, seq: u64) -> Result<(), String> {
        let failure = self.failed.iter().find(|failure| failure.sequences.contains(&seq));
        failure.map_or(Ok(()), |failure| Err(failure.reason.clone()))
    }

    fn settle(&mut self, outcome: Outcome) {
        self.leading = false;
        if outcome.through <= self.settled {
            return;
        }
        if let Some(reason) = outcome.failure {
            self.failed.push(Failure { sequences: self.settled + 1..=outcome.through, reason });
        }
        self.settled = outcome.through;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(through: u64) -> Outcome {
        Outcome { through, failure: None }
    }

    #[test]
    fn a_failed_sync_is_reported_even_after_a_later_one_succeeded() {
        let commit = GroupCommit::default();
        let failing = || Outcome { through: 3, failure: Some("gone".into()) };
        assert_eq!(commit.through(2, failing), Err("gone".into()));
        assert_eq!(commit.through(5, || settled(5)), Ok(()));
        assert_eq!(commit.through(3, || panic!("already settled")), Err("gone".into()));
        assert_eq!(commit.through(4, || panic!("already settled")), Ok(()));
    }

    #[test]
    fn asking_for_a_record_that_was_never_written_does_not_hang() {
        assert_eq!(GroupCommit::default().through(9, || settled(2)), Ok(()));
    }
}
