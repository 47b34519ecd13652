//! The account of errors: how probable it is that anything at all is promoted by mistake.

use serde::{Deserialize, Serialize};

/// An error budget that proposals stake parts of.
///
/// The probability that *any* change that is no gain is promoted, in all that the account ever pays for, is at most its budget: a
/// proposal that may be promoted by mistake with probability `s` takes `s` from it. What is not lost is paid back:
///
/// - a proposal that was promoted gives back its whole stake: either rightly, so that no error was made, or by mistake, and then
///   another mistake doesn't make "any mistake" worse (the fallback of Tian and Ramdas, "Online control of the familywise error
///   rate", 2021);
/// - one that was given up gives back what its bets had left of the stake, its stake at most. On average bets on a change that is no
///   gain win nothing, so what is paid back covers exactly the mistakes that could still have been made.
///
/// In short: with `V` = 1 once there was a mistake and else `V` = what is in the account and in open stakes, no proposal raises `V` on
/// average, and it begins with the budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    budget: f64,
    left: f64,
    proposals: u32,
    rows: Vec<Row>,
}

/// What one proposal did to the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The proposal.
    pub proposal: String,
    /// What it may be wrong with.
    pub staked: f64,
    /// What it gave back; `None` while it is open.
    pub returned: Option<f64>,
    /// Whether it was promoted.
    pub promoted: bool,
    /// What was left in the account after its last change.
    pub left: f64,
}

impl Row {
    /// What it has cost by now.
    pub fn spent(&self) -> f64 {
        self.staked - self.returned.unwrap_or(0.0)
    }
}

/// Why the account can't do that.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No budget.
    #[error("{0} is no error budget; give a probability above 0 and below 1, such as 0.05")]
    Budget(f64),
    /// No proposals.
    #[error("an account for 0 proposals pays for nothing; give how many are expected within its time")]
    Proposals,
    /// It has a stake already.
    #[error("proposal {0} has a stake; open each once")]
    Twice(String),
    /// Nothing is staked on it.
    #[error("proposal {0} has no open stake; open it before it is settled, and settle it once")]
    NotOpen(String),
}

impl Account {
    /// An account that may err with probability `budget` in all, meant for so many proposals. It never runs dry, but from three
    /// quarters of them on its stakes shrink.
    ///
    /// # Errors
    /// [`AccountError::Budget`] and [`AccountError::Proposals`].
    pub fn new(budget: f64, proposals: u32) -> Result<Account, AccountError> {
        if !(budget > 0.0 && budget < 1.0) {
            return Err(AccountError::Budget(budget));
        }
        if proposals == 0 {
            return Err(AccountError::Proposals);
        }
        Ok(Account { budget, left: budget, proposals, rows: Vec::new() })
    }

    /// Stakes a fair part of what is left on a proposal, and gives that part.
    ///
    /// # Errors
    /// [`AccountError::Twice`].
    pub fn open(&mut self, proposal: &str) -> Result<f64, AccountError> {
        if self.rows.iter().any(|row| row.proposal == proposal) {
            return Err(AccountError::Twice(proposal.to_owned()));
        }
        let opened = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let to_come = self.proposals.saturating_sub(opened).max(self.proposals.div_ceil(4));
        let staked = self.left / f64::from(to_come);
        self.left -= staked;
        let proposal = proposal.to_owned();
        self.rows.push(Row { proposal, staked, returned: None, promoted: false, left: self.left });
        Ok(staked)
    }

    /// Takes back what is left of a proposal's stake: `capital` is what it has grown to, as a multiple of it, as
    /// [`Experiment::capital`](super::Experiment::capital) gives it. Gives that part.
    ///
    /// # Errors
    /// [`AccountError::NotOpen`].
    pub fn settle(&mut self, proposal: &str, capital: f64, promoted: bool) -> Result<f64, AccountError> {
        let mut open = self.rows.iter_mut().filter(|row| row.returned.is_none());
        let row = open.find(|row| row.proposal == proposal);
        let row = row.ok_or_else(|| AccountError::NotOpen(proposal.to_owned()))?;
        let kept = if capital.is_nan() { 0.0 } else { capital.clamp(0.0, 1.0) };
        let returned = if promoted { row.staked } else { row.staked * kept };
        self.left += returned;
        row.returned = Some(returned);
        row.promoted = promoted;
        row.left = self.left;
        Ok(returned)
    }

    /// The probability of any mistake that it was opened with.
    pub fn budget(&self) -> f64 {
        self.budget
    }

    /// What is left to stake.
    pub fn left(&self) -> f64 {
        self.left
    }

    /// What each proposal staked and gave back, in the order in which they were opened.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}
