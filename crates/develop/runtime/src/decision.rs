//! What the controllers of a process decided: what, why, on what evidence, and whether it did what was expected.
//!
//! A controller is pure: it is fed samples and returns a [`Decision`], or none where all stays as it is. Whoever runs it turns the
//! knob, and puts the decision into the [`DecisionLog`] that all parts of a process share.

use std::collections::VecDeque;
use std::sync::Arc;

use kandela_model::KnobValue;
use parking_lot::Mutex;

use crate::clock::Moment;

/// What a controller wants a knob to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<T> {
    /// The new value.
    pub value: T,
    /// Why.
    pub reason: Reason,
}

/// Why a value was chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reason {
    /// In a sentence: "the wait for a connection is most of a request".
    pub why: String,
    /// The numbers behind it, by the names that they have in telemetry.
    pub evidence: Vec<(&'static str, f64)>,
    /// What is expected to follow, where the controller can tell.
    pub expected: Option<Effect>,
}

/// A measure before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// What is measured, with its unit: `pool_wait_p99_seconds`.
    pub measure: &'static str,
    /// Before the change.
    pub before: f64,
    /// After the change.
    pub after: f64,
}

/// One decision that was carried out or refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number: decisions of a log count from 0.
    pub number: u64,
    /// When.
    pub at: Moment,
    /// The knob.
    pub knob: String,
    /// Where it stood.
    pub from: KnobValue,
    /// Where it went, or was to go.
    pub to: KnobValue,
    /// Why.
    pub reason: Reason,
    /// Why the knob did not turn, where it did not.
    pub refused: Option<String>,
    /// What followed, once it was measured.
    pub observed: Option<Effect>,
}

/// The last decisions of all parts. Copies share one log.
#[derive(Clone, Debug)]
pub struct DecisionLog {
    shared: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    entries: VecDeque<Entry>,
    kept: usize,
    next: u64,
}

impl DecisionLog {
    /// Keeps the last `kept` decisions; at least one.
    pub fn new(kept: usize) -> DecisionLog {
        let log = Log { entries: VecDeque::new(), kept: kept.max(1), next: 0 };
        DecisionLog { shared: Arc::new(Mutex::new(log)) }
    }

    /// Adds a decision and returns its number; that of `entry` is not looked at.
    pub fn record(&self, mut entry: Entry) -> u64 {
        let mut log = self.shared.lock();
        entry.number = log.next;
        log.next += 1;
        if log.entries.len() == log.kept {
            log.entries.pop_front();
        }
        let number = entry.number;
        log.entries.push_back(entry);
        number
    }

    /// Says what followed decision `number`. Nothing happens if the log keeps it no longer.
    pub fn observe(&self, number: u64, effect: Effect) {
        let mut log = self.shared.lock();
        if let Some(entry) = log.entries.iter_mut().find(|entry| entry.number == number) {
            entry.observed = Some(effect);
        }
    }

    /// The decisions kept, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.lock().entries.iter().cloned().collect()
    }
}

impl Default for DecisionLog {
    /// Keeps the last 1,024 decisions.
    fn default() -> Self {
        DecisionLog::new(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(knob: &str) -> Entry {
        Entry {
            number: 0,
            at: Moment::ORIGIN,
            knob: knob.to_owned(),
            from: KnobValue::Int(8),
            to: KnobValue::Int(16),
            reason: Reason::default(),
            refused: None,
            observed: None,
        }
    }

    #[test]
    fn the_oldest_decision_goes_first() {
        let log = DecisionLog::new(2);
        for knob in ["a", "b", "c"] {
            log.record(entry(knob));
        }
        let kept: Vec<(u64, String)> = log.entries().into_iter().map(|e| (e.number, e.knob)).collect();
        assert_eq!(kept, [(1, "b".to_owned()), (2, "c".to_owned())]);
    }

    #[test]
    fn what_followed_stands_beside_what_was_expected() {
        let log = DecisionLog::default();
        let number = log.record(entry("pool.size"));
        let effect = Effect { measure: "pool_wait_p99_seconds", before: 0.2, after: 0.03 };
        log.observe(number, effect.clone());
        log.observe(99, Effect { measure: "nothing", before: 0.0, after: 0.0 });
        assert_eq!(log.entries()[0].observed, Some(effect));
    }
}
