//! What a ledger has of each proposal.

use std::collections::VecDeque;

use kandela_autopilot::machine::{Event, Reason, SUGGESTED};
use serde::Serialize;

use crate::top::picture::Row;

/// A proposal's way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Trial {
    pub proposal: u64,
    pub strategy: String,
    /// Who suggested it, where somebody did.
    pub by: Option<String>,
    /// The workload that it is for.
    pub context: u64,
    /// In microseconds since 1970, as all times here.
    pub admitted: Option<i64>,
    /// Constraints that were broken before it, and that it is not judged by.
    pub mends: Vec<String>,
    /// Slices that were measured, and when the last one was.
    pub slices: u64,
    pub measured: Option<i64>,
    pub end: Option<(i64, End)>,
    /// When all knobs stood at the good settings again.
    pub settled: Option<i64>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub(super) enum End {
    Promoted { times_as_good: Option<f64> },
    TakenBack { why: Reason, detail: String },
    NotTried { why: String },
}

impl Trial {
    /// Whether somebody suggested it.
    pub(super) fn is_suggested(&self) -> bool {
        self.by.is_some()
    }

    pub(super) fn is_promoted(&self) -> bool {
        matches!(self.end, Some((_, End::Promoted { .. })))
    }

    /// Whether it is being tried, and for how many slices already.
    pub(super) fn under_way(&self) -> Option<u64> {
        (self.admitted.is_some() && self.end.is_none()).then_some(self.slices)
    }

    /// Whether its end says what it is worth.
    pub(super) fn is_judged(&self) -> bool {
        match &self.end {
            Some((_, End::Promoted { .. })) => true,
            Some((_, End::TakenBack { why, .. })) => why.tells_of_the_candidate(),
            _ => false,
        }
    }

    /// When it was ended for a trouble that was not its own.
    pub(super) fn both_degraded(&self) -> Option<i64> {
        match &self.end {
            Some((at, End::TakenBack { why: Reason::BothDegraded, .. })) => Some(*at),
            _ => None,
        }
    }
}

/// All proposals of a ledger, in order, and who waits for a suggestion to be proposed.
pub(super) fn trials(rows: &[Row]) -> (Vec<Trial>, VecDeque<String>) {
    let mut trials: Vec<Trial> = Vec::new();
    let mut waiting: VecDeque<String> = VecDeque::new();
    for Row { at_micros: at, event, .. } in rows {
        let of = |trials: &mut Vec<Trial>, proposal: u64, change: &dyn Fn(&mut Trial)| {
            trials.iter_mut().filter(|trial| trial.proposal == proposal).for_each(change);
        };
        match event {
            // The one that waits longest is the next.
            Event::Suggested { by, .. } => waiting.push_back(by.clone()),
            Event::Dropped { .. } => drop(waiting.pop_front()),
            Event::Proposed { proposal, strategy, context, .. } => trials.push(Trial {
                proposal: *proposal,
                strategy: strategy.clone(),
                by: if strategy == SUGGESTED { waiting.pop_front() } else { None },
                context: *context,
                admitted: None,
                mends: Vec::new(),
                slices: 0,
                measured: None,
                end: None,
                settled: None,
            }),
            Event::Admitted { proposal, mends, .. } => of(&mut trials, *proposal, &|trial| {
                trial.admitted = Some(*at);
                trial.mends.clone_from(mends);
            }),
            Event::Measured { .. } => {
                for trial in trials.iter_mut().filter(|trial| trial.under_way().is_some()) {
                    trial.slices += 1;
                    trial.measured = Some(*at);
                }
            }
            Event::Promoted { proposal, judged } => {
                let times_as_good = judged.estimate.map(|log_ratio| (-log_ratio).exp());
                of(&mut trials, *proposal, &|trial| trial.end = Some((*at, End::Promoted { times_as_good })));
            }
            Event::Ended { proposal, why, detail, .. } => {
                let end = End::TakenBack { why: *why, detail: detail.clone() };
                of(&mut trials, *proposal, &|trial| trial.end = Some((*at, end.clone())));
            }
            Event::Declined { proposal, why, .. } => {
                let end = End::NotTried { why: why.clone() };
                of(&mut trials, *proposal, &|trial| trial.end = Some((*at, end.clone())));
            }
            Event::Settled => {
                let over = trials.iter_mut().filter(|trial| trial.end.is_some() && trial.settled.is_none());
                over.for_each(|trial| trial.settled = Some(*at));
            }
            _ => {}
        }
    }
    (trials, waiting)
}
