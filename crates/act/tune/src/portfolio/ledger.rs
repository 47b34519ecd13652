//! What each strategy got and what it earned.

use serde::{Deserialize, Serialize};

/// One strategy's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Its name.
    pub strategy: String,
    /// The share of the trials to come that it has now, from 0 to 1.
    pub share: f64,
    /// Trials that it proposed; a part of one where several proposed it together.
    pub trials: f64,
    /// Trials that measured again what it had proposed.
    pub checks: f64,
    /// What its trials earned: each between -1 and 1, by what it improved the best by.
    pub gain: f64,
    /// What its trials and checks took, in seconds, as far as told.
    pub seconds: f64,
}

/// What a class of strategies got and earned so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    trials: f64,
    checks: f64,
    pub(super) gain: f64,
    seconds: f64,
}

impl Account {
    pub(super) fn pay(&mut self, trials: f64, seconds: f64, is_check: bool) {
        if is_check {
            self.checks += trials;
        } else {
            self.trials += trials;
        }
        self.seconds += seconds;
    }

    pub(super) fn part(&self, part: f64) -> Account {
        Account {
            trials: self.trials * part,
            checks: self.checks * part,
            gain: self.gain * part,
            seconds: self.seconds * part,
        }
    }

    /// The row of one of `clones`.
    pub(super) fn row(&self, strategy: &str, share: f64, clones: f64) -> LedgerRow {
        let Account { trials, checks, gain, seconds } = self.part(1.0 / clones);
        LedgerRow { strategy: strategy.to_owned(), share, trials, checks, gain, seconds }
    }
}
