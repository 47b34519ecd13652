//! Several strategies on one budget, shared by what each earns.
//!
//! **Return.** A trial earns what it improves the best known value by, as a share of that and of what the last trials differ by: a
//! number from -1 to 1, whatever the objective's scale. Where measurements are noisy the measurement that won earns nothing: the
//! point is measured again, and the second measurement is what earns, also where it loses. Such checks cost trials; they take a
//! fifth of the budget at most, and an exact objective has none but the one that shows that it is exact. Earnings may come in any
//! order and late; they fade, so that a share follows what a strategy earns now.
//!
//! **Shares.** Weights are exponential in the returns (Hedge: Freund and Schapire, Journal of Computer and System Sciences 55, 1997),
//! mixed with an equal split: a share is never below a fifth of an equal one. Who is furthest behind its share of all trials so far is
//! asked, so nobody is ever given more than its share, which leaves the others a fifth of theirs together. Of two, each so gets a tenth of
//! the trials, always. Of more, one that earns nothing may wait for long while the others' fortunes turn. Every strategy sees the whole history.
//!
//! **Clones.** Members are clones as long as they have proposed the same points, asked at the same times. Clones are one *class*:
//! asked together, told together, one share, which their rows of the ledger split. So a strategy that is there twice, from the same
//! brief, changes nothing: the portfolio proposes point for point what it would have proposed with it once. Strategies that begin
//! with a common design are one class until it is over, and it is measured once.

mod ledger;

use std::cmp::Ordering;
use std::collections::VecDeque;

pub use ledger::LedgerRow;

use self::ledger::Account;
use crate::history::{History, Trial};
use crate::noise::{Noise, judge};
use crate::strategy::{Brief, Propose, Strategy, nearest, standing};
use standing::{Standing, best_known, key, known};

/// Who is in the portfolio that [`Strategy::Portfolio`] names.
pub const MEMBERS: [Strategy; 4] = [Strategy::CmaEs, Strategy::Annealing, Strategy::Genetic, Strategy::Spsa];

/// What a trial costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// One, whatever it took.
    Trial,
    /// Its seconds, in units of what trials take on average; one where they are not told.
    Second,
}

/// How the budget is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// By what each class of strategies earns for its price.
    Return(Price),
    /// In equal parts: what sharing by return is measured against.
    Equal,
}

/// Strategies that share a budget. See the [module](self).
pub struct Portfolio {
    members: Vec<Box<dyn Propose>>,
    classes: Vec<Class>,
    sharing: Sharing,
    pending: Vec<Pending>,
    /// The point that is held for the best, and its value, of which the measurement that won is no part under noise.
    best: Option<(Vec<f64>, Standing)>,
    /// A point that seems better than the best, and waits to be measured again.
    candidate: Option<Candidate>,
    checks: usize,
    lately: VecDeque<f64>,
    /// Seconds and number of the trials that told them.
    seconds: (f64, f64),
}

/// Members that have proposed the same points so far.
struct Class {
    members: Vec<usize>,
    /// Proposed, and not yet measured.
    queued: Option<Vec<f64>>,
    /// Trials that it was given.
    given: f64,
    /// What it earned and spent lately.
    earned: f64,
    spent: f64,
    account: Account,
}

struct Pending {
    point: Vec<f64>,
    members: Vec<usize>,
    is_check: bool,
}

struct Candidate {
    point: Vec<f64>,
    value: f64,
    members: Vec<usize>,
}

/// The share of the budget that is split equally, whatever anybody earns.
const EQUAL: f64 = 0.2;
/// How much more often the class with the highest return is asked than one with none: e to this power.
const RATE: f64 = 3.0;
/// Earnings count half after so many trials a class.
const HALF_LIFE: f64 = 10.0;
/// A class is presumed to earn what all earn, until it has spent a few times this.
const PRESUMED: f64 = 3.0;
/// The share of the trials that checks may take.
const CHECKED: f64 = 0.2;
/// So many of the last values say what trials differ by.
const REMEMBERED: usize = 30;

impl Portfolio {
    /// A portfolio of `members`.
    ///
    /// # Panics
    /// Where there are none.
    pub fn new(members: Vec<Box<dyn Propose>>, sharing: Sharing) -> Portfolio {
        assert!(!members.is_empty(), "a portfolio has at least one member");
        let all = Class {
            members: (0..members.len()).collect(),
            queued: None,
            given: 0.0,
            earned: 0.0,
            spent: 0.0,
            account: Account::default(),
        };
        Portfolio {
            members,
            classes: vec![all],
            sharing,
            pending: Vec::new(),
            best: None,
            candidate: None,
            checks: 0,
            lately: VecDeque::new(),
            seconds: (0.0, 0.0),
        }
    }

    /// A portfolio of named strategies, all of one brief, by their return a trial.
    ///
    /// # Panics
    /// Where none is named.
    pub fn of(strategies: &[Strategy], brief: &Brief) -> Portfolio {
        let members = strategies.iter().map(|strategy| strategy.begin(brief)).collect();
        Portfolio::new(members, Sharing::Return(Price::Trial))
    }

    /// The share of each class; they sum to 1.
    fn shares(&self) -> Vec<f64> {
        let count = self.classes.len() as f64;
        let spent: f64 = self.classes.iter().map(|class| class.spent).sum();
        let pooled = self.classes.iter().map(|class| class.earned).sum::<f64>() / spent.max(1.0);
        let returned = |class: &Class| (class.earned + PRESUMED * pooled) / (class.spent + PRESUMED);
        let highest = self.classes.iter().map(returned).fold(0.0, f64::max);
        if self.sharing == Sharing::Equal || highest <= 0.0 {
            return vec![1.0 / count; self.classes.len()];
        }
        let weights: Vec<f64> =
            self.classes.iter().map(|class| (RATE * (returned(class) / highest).max(-1.0)).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| EQUAL / count + (1.0 - EQUAL) * weight / total).collect()
    }

    /// The class that is furthest behind its share; the first among equals.
    fn next_class(&self) -> usize {
        let shares = self.shares();
        let total: f64 = self.classes.iter().map(|class| class.given).sum::<f64>() + 1.0;
        let behind = |class: usize| shares[class] * total - self.classes[class].given;
        (1..self.classes.len()).fold(0, |best, class| if behind(class) > behind(best) { class } else { best })
    }

    /// What the class proposes next; its members part where they disagree.
    fn propose(&mut self, class: usize, seen: &History) -> Vec<f64> {
        if let Some(queued) = self.classes[class].queued.take() {
            return queued;
        }
        let mut parted: Vec<(Vec<f64>, Vec<usize>)> = Vec::new();
        for member in self.classes[class].members.clone() {
            let point = self.members[member].ask(seen);
            match parted.iter_mut().find(|(other, _)| *other == point) {
                Some((_, members)) => members.push(member),
                None => parted.push((point, vec![member])),
            }
        }
        // By what they propose, not by their places: these may differ where a strategy is there twice.
        parted.sort_by(|(a, _), (b, _)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| a.total_cmp(b))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        let whole = self.classes.remove(class);
        let part = 1.0 / parted.len() as f64;
        let point = parted.first().map(|(point, _)| point.clone()).unwrap_or_default();
        for (place, (point, members)) in parted.into_iter().enumerate() {
            let queued = (place > 0).then_some(point);
            let account = whole.account.part(part);
            let (given, earned, spent) = (whole.given * part, whole.earned * part, whole.spent * part);
            self.classes.insert(class + place, Class { members, queued, given, earned, spent, account });
        }
        point
    }

    /// The classes that these members are in now.
    fn classes_of(&self, members: &[usize]) -> Vec<usize> {
        let holds = |class: &Class| class.members.iter().any(|member| members.contains(member));
        (0..self.classes.len()).filter(|class| holds(&self.classes[*class])).collect()
    }

    /// A check that is due: of a point that seems better than the best; or one that shows whether measurements are exact.
    fn due(&self, seen: &History) -> Option<(Vec<f64>, Vec<usize>)> {
        if self.sharing == Sharing::Equal || self.pending.iter().any(|pending| pending.is_check) {
            return None;
        }
        if let Some(candidate) = &self.candidate {
            let may = (self.checks as f64) < 1.0 + CHECKED * seen.trials().len() as f64;
            return may.then(|| (candidate.point.clone(), candidate.members.clone()));
        }
        let is_unknown =
            judge(seen) == Noise::Unknown && seen.measured().nth(8).is_some() && self.checks == 0;
        let best = self.best.as_ref().filter(|_| is_unknown)?;
        Some((best.0.clone(), Vec::new()))
    }

    fn price(&self, seconds: Option<f64>) -> f64 {
        let (total, count) = self.seconds;
        match (self.sharing, seconds) {
            (Sharing::Return(Price::Second), Some(seconds)) if total > 0.0 => seconds * count / total,
            _ => 1.0,
        }
    }

    /// What going from `before` to `after` is worth.
    fn worth(&self, before: f64, after: f64) -> f64 {
        let mut lately: Vec<f64> = self.lately.iter().copied().collect();
        lately.sort_by(f64::total_cmp);
        let usual = lately.get(lately.len() / 2).copied().unwrap_or(before);
        let (gain, spread) = (before - after, (usual - before).max(0.0));
        let size = gain.abs() + spread;
        if size > 0.0 && size.is_finite() { gain / size } else { 0.0 }
    }

    fn earn(&mut self, members: &[usize], gain: f64) {
        let classes = self.classes_of(members);
        let part = gain / classes.len().max(1) as f64;
        for class in classes {
            self.classes[class].earned += part;
            self.classes[class].account.gain += part;
        }
    }

    /// A measurement that may be better than the best.
    fn promote(&mut self, trial: &Trial, members: Vec<usize>, is_noisy: bool) {
        let Some(measured) = trial.feasible() else { return };
        let value = measured.value;
        let best = self.best.as_ref().and_then(|(_, standing)| standing.value());
        let gain = match best {
            // Before there was a best, everybody was looking for one.
            None => 1.0,
            Some(best) if value < best => self.worth(best, value),
            Some(_) => return,
        };
        if is_noisy && best.is_some() {
            if self.candidate.as_ref().is_none_or(|candidate| value < candidate.value) {
                self.candidate = Some(Candidate { point: trial.point.clone(), value, members });
            }
        } else {
            self.best = Some((trial.point.clone(), Standing::Feasible(value)));
            self.earn(&members, gain);
        }
    }

    /// A second measurement of the candidate: what it earns, and whether it is the best now.
    fn verify(&mut self, trial: &Trial) {
        let Some(candidate) = self.candidate.take_if(|candidate| key(&candidate.point) == key(&trial.point))
        else {
            return;
        };
        let best = self.best.as_ref().and_then(|(_, standing)| standing.value());
        let (Some(best), Some(measured)) = (best, trial.feasible()) else { return };
        let gain = self.worth(best, measured.value);
        if gain > 0.0 {
            self.best = Some((candidate.point, Standing::Feasible(measured.value)));
        }
        self.earn(&candidate.members, gain);
    }

    /// Under noise the value of the best is the mean of its measurements but the one that won.
    fn value_best(&mut self, seen: &History) {
        let Some((point, standing)) = &mut self.best else { return };
        let here = seen.trials().iter().filter(|trial| trial.point == *point);
        let later: Vec<f64> = here.skip(1).filter_map(|trial| Some(trial.feasible()?.value)).collect();
        if !later.is_empty() {
            *standing = Standing::Feasible(later.iter().sum::<f64>() / later.len() as f64);
        }
    }
}

impl Propose for Portfolio {
    fn name(&self) -> &'static str {
        "portfolio"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if let Some((point, members)) = self.due(seen) {
            self.checks += 1;
            self.pending.push(Pending { point: point.clone(), members, is_check: true });
            return point;
        }
        if self.best.is_none()
            && let Some(best) = best_known(&known(seen)).filter(|best| best.standing.value().is_some())
        {
            // Others have measured before this portfolio began.
            self.best = Some((best.point.clone(), best.standing));
        }
        let class = self.next_class();
        let point = self.propose(class, seen);
        self.classes[class].given += 1.0;
        let members = self.classes[class].members.clone();
        self.pending.push(Pending { point: point.clone(), members, is_check: false });
        point
    }

    /// A check is of those whose point it measures again.
    fn author(&self) -> &'static str {
        let members = self.pending.last().map(|pending| pending.members.as_slice()).unwrap_or_default();
        let mut authors = members.iter().map(|member| self.members[*member].author());
        let first = authors.next().unwrap_or(self.name());
        if authors.all(|author| author == first) { first } else { self.name() }
    }

    /// In the order in which the members were given; clones split what is theirs.
    fn ledger(&self) -> Vec<LedgerRow> {
        let shares = self.shares();
        let row = |member: usize| {
            let class = self.classes.iter().position(|class| class.members.contains(&member)).unwrap_or(0);
            let clones = self.classes[class].members.len() as f64;
            self.classes[class].account.row(self.members[member].name(), shares[class] / clones, clones)
        };
        (0..self.members.len()).map(row).collect()
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let points = self.pending.iter().map(|pending| &pending.point);
        let Some(nearest) = nearest(points, &trial.point) else { return };
        let pending = self.pending.remove(nearest);
        let seconds =
            trial.measured().and_then(|measured| measured.seconds).filter(|s| s.is_finite() && *s >= 0.0);
        if let Some(seconds) = seconds {
            self.seconds = (self.seconds.0 + seconds, self.seconds.1 + 1.0);
        }
        let fade = 0.5_f64.powf(1.0 / (HALF_LIFE * self.classes.len() as f64));
        for class in &mut self.classes {
            class.earned *= fade;
            class.spent *= fade;
        }
        let (price, classes) = (self.price(seconds), self.classes_of(&pending.members));
        for class in &classes {
            let part = 1.0 / classes.len() as f64;
            self.classes[*class].spent += price * part;
            self.classes[*class].account.pay(part, seconds.unwrap_or(0.0) * part, pending.is_check);
        }
        if let Some(measured) = trial.feasible() {
            self.lately.push_back(measured.value);
            if self.lately.len() > REMEMBERED {
                self.lately.pop_front();
            }
        }
        let is_noisy = judge(seen).deviation() > 0.0;
        if is_noisy {
            self.value_best(seen);
        }
        let is_again = seen.trials().iter().filter(|other| other.point == trial.point).count() > 1;
        if is_again {
            self.verify(trial);
        } else {
            self.promote(trial, pending.members.clone(), is_noisy);
        }
        if !pending.is_check {
            for member in pending.members {
                self.members[member].tell(seen, trial);
            }
        }
    }
}
