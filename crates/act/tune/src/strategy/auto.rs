//! What to use when nobody says: by the space, the budget, and whether a second measurement gives the same value.
//!
//! - Where the space has categories or switches, where trials are few for its axes, or where measurements are noisy: [`Bayes`], which
//!   learns most from each trial. Once it has had so many that a model of all of them costs more than it tells, a portfolio goes on.
//! - Where all axes are numbers, trials are many and measurements exact: [`Structured`], which finds minima to the last digit.
//!
//! Whether measurements are exact is tried at the beginning, by measuring one point twice, where it makes a difference.

use super::{Bayes, Brief, Propose, Structured};
use crate::history::{History, Trial};
use crate::noise::{Noise, judge};
use crate::portfolio::{LedgerRow, MEMBERS, Portfolio};
use crate::space::Axis;

/// Trials for each axis from which on a search by structure pays: it spends about three an axis to look around.
const GENEROUS: usize = 15;
/// Trials of which a model of all of them is worth its cost.
const MODELLED: usize = 250;

/// The strategy `auto`.
pub struct Auto {
    brief: Brief,
    phase: Phase,
    /// The strategy that is asked now, and the one that was before.
    current: Option<Box<dyn Propose>>,
    former: Option<Box<dyn Propose>>,
    pending: Vec<Pending>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// One point is measured twice.
    Trying,
    Modelling,
    Structured,
    Sharing,
}

struct Pending {
    point: Vec<f64>,
    by: Phase,
}

impl Auto {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> Auto {
        let axes = brief.space.axes();
        let numbers = axes.iter().all(|axis| matches!(axis, Axis::Real));
        let generous = brief.budget.is_none_or(|budget| budget >= GENEROUS * axes.len());
        let phase = if numbers && generous { Phase::Trying } else { Phase::Modelling };
        Auto { brief: brief.clone(), phase, current: None, former: None, pending: Vec::new() }
    }

    /// What fits by what is known now.
    fn settle(&mut self, seen: &History) {
        let next = match self.phase {
            Phase::Trying => match judge(seen) {
                Noise::None => Phase::Structured,
                Noise::Some(_) => Phase::Modelling,
                Noise::Unknown => return,
            },
            Phase::Modelling if seen.trials().len() >= MODELLED => Phase::Sharing,
            Phase::Modelling | Phase::Structured | Phase::Sharing => self.phase,
        };
        if next == self.phase && self.current.is_some() {
            return;
        }
        self.phase = next;
        self.former = self.current.take();
        self.current = Some(match next {
            Phase::Structured => Box::new(Structured::new(&self.brief)),
            Phase::Sharing => Box::new(Portfolio::of(&MEMBERS, &self.brief)),
            Phase::Modelling | Phase::Trying => Box::new(Bayes::new(&self.brief)),
        });
    }
}

impl Propose for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.settle(seen);
        let (phase, start) = (self.phase, self.brief.space.start());
        let point = self.current.as_mut().map_or(start, |current| current.ask(seen));
        self.pending.push(Pending { point: point.clone(), by: phase });
        point
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let apart = |pending: &Pending| -> f64 {
            pending.point.iter().zip(&trial.point).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let nearest = (0..self.pending.len())
            .min_by(|a, b| apart(&self.pending[*a]).total_cmp(&apart(&self.pending[*b])));
        let Some(nearest) = nearest else { return };
        let by = self.pending.remove(nearest).by;
        let asked = if by == self.phase { &mut self.current } else { &mut self.former };
        if let (Some(asked), false) = (asked, by == Phase::Trying) {
            asked.tell(seen, trial);
        }
    }

    fn ledger(&self) -> Vec<LedgerRow> {
        self.current.as_ref().map_or_else(Vec::new, |current| current.ledger())
    }
}
