//! The search within what is certified.
//!
//! Each step is a step away from a measured point that is certified itself, at most as long as the *radius*: short at first, longer
//! with each trial that came out as expected, half as long after one that came out much worse. So a new region is tried near its edge
//! first, and what goes wrong goes wrong by little.
//!
//! Of the certified points in reach the one with the greatest expected improvement of the objective is measured next. Where hardly any
//! is expected, it is the one that tells most about the constraints, so that the certified set grows where the objective may still
//! fall (the expanders of Sui, Gotovos, Burdick and Krause, *Safe Exploration for Optimization with Gaussian Processes*, 2015).

use std::sync::Arc;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_distr::{Distribution, StandardNormal};

use super::certificate::{Certificate, Contradiction};
use super::surface::{Belief, Hyper, Readings, Surface, fit};
use super::{Alarm, Constraint};
use crate::history::{History, Outcome, Trial};
use crate::random::{Random, seeded};
use crate::space::{Axis, Space};
use crate::strategy::{Brief, Propose};

/// Points that are looked at for each proposal.
const CANDIDATES: usize = 600;

/// Points near the best of them that are looked at then.
const CLOSER: usize = 60;

/// Where less of the objective's spread is to be gained, what is told about the constraints counts.
const HARDLY_ANY: f64 = 0.01;

/// The radius of the first step and the greatest one, in widths of the cube for each root of the number of axes, and by what it grows.
const FIRST: f64 = 0.02;
const FARTHEST: f64 = 0.1;
const GROWTH: f64 = 1.08;

/// A margin so many standard deviations below what was expected halves the radius.
const SURPRISE: f64 = 2.5;

/// Search of what declared constraints allow, from the defaults of the space.
pub struct Safe {
    space: Arc<Space>,
    constraints: Arc<[Constraint]>,
    random: Random,
    /// For each constraint, whether what was declared of it still counts.
    trusted: Vec<bool>,
    margins_hyper: Vec<Option<Hyper>>,
    objective_hyper: Option<Hyper>,
    known: Option<Known>,
    fitted_at: usize,
    alarms: Vec<Alarm>,
}

/// What the trials so far say.
struct Known {
    /// So many of them have ended.
    ended: usize,
    certificates: Vec<Certificate>,
    objective: Surface,
    /// The unit and the zero of the objective's process.
    unit: (f64, f64),
    anchors: Vec<Anchor>,
    radius: f64,
}

/// A measured point that is certified.
struct Anchor {
    trial: u64,
    point: Vec<f64>,
    expected: f64,
}

impl Known {
    fn safe(&self, point: &Vec<f64>) -> bool {
        self.certificates.iter().all(|certificate| certificate.lower(point) >= 0.0)
    }
}

impl Safe {
    /// A safe search of the brief's space, within the brief's constraints.
    pub fn new(brief: &Brief) -> Safe {
        let count = brief.constraints.len();
        Safe {
            space: Arc::clone(&brief.space),
            constraints: Arc::clone(&brief.constraints),
            random: seeded(brief.seed, 5),
            trusted: vec![true; count],
            margins_hyper: vec![None; count],
            objective_hyper: None,
            known: None,
            fitted_at: 0,
            alarms: Vec::new(),
        }
    }

    /// Takes in what has ended since the last time.
    fn learn(&mut self, seen: &History) {
        let ended = seen.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        if seen.measured().next().is_none() {
            if ended >= 3 && self.alarms.is_empty() {
                self.alarms.push(Alarm::StartFails);
            }
            return;
        }
        if self.known.as_ref().is_some_and(|known| known.ended == ended) {
            return;
        }
        let steps = if ended >= 16 && ended < self.fitted_at + 4 {
            0
        } else {
            self.fitted_at = ended;
            if ended < 8 { 40 } else { 25 }
        };
        self.known = self.conclude(seen, ended, steps);
        self.doubt(seen);
        self.give_up(seen);
    }

    fn conclude(&mut self, seen: &History, ended: usize, steps: usize) -> Option<Known> {
        let mut certificates = Vec::with_capacity(self.constraints.len());
        for (which, constraint) in self.constraints.iter().enumerate() {
            let margins = margins(seen, constraint, which);
            let hyper = &mut self.margins_hyper[which];
            certificates.push(Certificate::of(constraint, self.trusted[which], &margins, hyper, steps)?);
        }
        let (objective, unit) = self.objective(seen, steps)?;
        let radius = radius(&certificates, ended) * (self.space.axes().len() as f64).sqrt();
        let mut known = Known { ended, certificates, objective, unit, anchors: Vec::new(), radius };
        let mut anchors: Vec<Anchor> = Vec::new();
        for (trial, _) in seen.measured() {
            if anchors.iter().all(|anchor| anchor.point != trial.point) && known.safe(&trial.point) {
                let expected = known.objective.at(&trial.point).0;
                anchors.push(Anchor { trial: trial.id, point: trial.point.clone(), expected });
            }
        }
        anchors.sort_by(|a, b| a.expected.total_cmp(&b.expected));
        known.anchors = anchors;
        Some(known)
    }

    fn objective(&mut self, seen: &History, steps: usize) -> Option<(Surface, (f64, f64))> {
        let mut readings = Readings::default();
        for (trial, measured) in seen.measured() {
            readings.points.push(trial.point.clone());
            readings.values.push(measured.value);
            readings.noise.push(measured.noise);
        }
        let count = readings.values.len() as f64;
        let zero = readings.values.iter().sum::<f64>() / count;
        let square = readings.values.iter().map(|v| (v - zero).powi(2)).sum::<f64>() / count;
        let unit = if square > 0.0 && square.is_finite() { square.sqrt() } else { 1.0 };
        readings.values.iter_mut().for_each(|v| *v = (*v - zero) / unit);
        readings.noise.iter_mut().flatten().for_each(|noise| *noise /= unit);
        let axes = self.space.axes().len();
        let believed = Belief {
            length: ((0.5 * (axes as f64).sqrt()).ln(), 0.8),
            amplitude: (0.0, 0.7),
            noise: (0.1_f64.ln(), 1.2),
        };
        let from = self.objective_hyper.clone().unwrap_or_else(|| Hyper::believed(&believed, axes));
        let fitted = if steps > 0 { fit(&readings, 0.0, &believed, from, steps) } else { from };
        let surface = Surface::given(&readings, 0.0, fitted.clone())?;
        self.objective_hyper = Some(fitted);
        Some((surface, (unit, zero)))
    }

    /// Alarms, and estimates from now on, where trials contradict what was declared.
    fn doubt(&mut self, seen: &History) {
        let Some(known) = &self.known else { return };
        let ids: Vec<u64> = ended(seen).map(|trial| trial.id).collect();
        let mut doubted = false;
        for (which, certificate) in known.certificates.iter().enumerate() {
            let constraint = &self.constraints[which];
            let alarm = match certificate.contradiction() {
                None => continue,
                Some(Contradiction::Between(low, high, excess)) => {
                    let trials = (ids[low].min(ids[high]), ids[low].max(ids[high]));
                    Alarm::Contradicted { constraint: constraint.name.clone(), trials, excess }
                }
                Some(Contradiction::Seen(seen)) => {
                    let declared = constraint.rate.unwrap_or(0.0);
                    Alarm::Doubted { constraint: constraint.name.clone(), declared, seen }
                }
            };
            self.alarms.push(alarm);
            self.trusted[which] = false;
            doubted = true;
        }
        if doubted {
            self.known = self.conclude(seen, ids.len(), 0);
        }
    }

    /// The search ends where nothing is certified after as many trials as it takes to look around the start in all directions.
    fn give_up(&mut self, seen: &History) {
        let Some(known) = self.known.as_ref().filter(|known| known.anchors.is_empty()) else { return };
        if known.ended < 6 + 2 * self.space.axes().len() {
            return;
        }
        // Of several constraints the one that its best trial keeps least, on a scale on which margins are about 1.
        let expected = |which: usize| {
            let means = seen.measured().map(|(trial, _)| known.certificates[which].expected(&trial.point).0);
            means.fold(f64::NEG_INFINITY, f64::max)
        };
        let hardest = (0..self.constraints.len()).min_by(|a, b| expected(*a).total_cmp(&expected(*b)));
        let worst = hardest.map(|which| {
            let margins = seen.measured().filter_map(|(_, measured)| measured.margins.get(which).copied());
            (self.constraints[which].name.clone(), margins.fold(f64::NEG_INFINITY, f64::max))
        });
        if let Some((constraint, margin)) = worst.filter(|_| !self.alarms.iter().any(Alarm::ends)) {
            self.alarms.push(Alarm::Unmet { constraint, margin });
        }
    }

    fn next(&mut self, seen: &History) -> Vec<f64> {
        let Some(known) = self.known.take() else { return self.space.start() };
        let pending: Vec<&[f64]> = seen.pending().collect();
        let next =
            if known.anchors.is_empty() { self.back(seen, &known) } else { self.onward(&known, &pending) };
        self.known = Some(known);
        next
    }

    /// Nothing is certified: looks again at the start, then around it for where the constraints stand better.
    fn back(&mut self, seen: &History, known: &Known) -> Vec<f64> {
        let start = self.space.start();
        let expected = |point: &[f64]| {
            let of = |certificate: &Certificate| certificate.expected(point);
            known
                .certificates
                .iter()
                .map(of)
                .map(|(mean, off)| (mean, mean + off))
                .fold((f64::INFINITY, f64::INFINITY), |least, (mean, hoped)| {
                    (least.0.min(mean), least.1.min(hoped))
                })
        };
        if known.ended < 4 && expected(&start).0 > 0.0 {
            return start;
        }
        let tried = seen.measured().map(|(trial, _)| trial.point.clone());
        let from = tried.max_by(|a, b| expected(a).0.total_cmp(&expected(b).0)).unwrap_or(start);
        let around: Vec<Vec<f64>> = (0..CANDIDATES).map(|_| self.near(&from, known.radius)).collect();
        around.into_iter().max_by(|a, b| expected(a).1.total_cmp(&expected(b).1)).unwrap_or(from)
    }

    fn onward(&mut self, known: &Known, pending: &[&[f64]]) -> Vec<f64> {
        let incumbent = known.anchors[0].expected;
        let mut best: (f64, Option<Vec<f64>>) = (0.0, None);
        let mut telling: (f64, Option<Vec<f64>>) = (0.0, None);
        for turn in 0..CANDIDATES {
            let anchor = match turn % 2 {
                0 => &known.anchors[turn / 2 % known.anchors.len().min(3)],
                _ => known.anchors.choose(&mut self.random).unwrap_or(&known.anchors[0]),
            };
            let candidate = self.near(&anchor.point, known.radius);
            if pending.iter().any(|at| self.within(at, &candidate, known.radius / 4.0))
                || !self.in_one_step(&anchor.point, &candidate)
            {
                continue;
            }
            let (mean, deviation) = known.objective.at(&candidate);
            let gain = expected_improvement(incumbent - mean, deviation);
            let hopeful = mean - 2.0 * deviation < incumbent;
            let open: f64 = known.certificates.iter().map(|c| c.expected(&candidate).1).sum();
            if (gain > best.0 || hopeful && open > telling.0) && known.safe(&candidate) {
                if hopeful && open > telling.0 {
                    telling = (open, Some(candidate.clone()));
                }
                if gain > best.0 {
                    best = (gain, Some(candidate));
                }
            }
        }
        let (mut gain, Some(mut at)) = best else { return known.anchors[0].point.clone() };
        if gain < HARDLY_ANY
            && let Some(telling) = telling.1
        {
            return telling;
        }
        for turn in 0..CLOSER {
            let candidate = self.near(&at, known.radius * if turn % 2 == 0 { 0.2 } else { 0.05 });
            let (mean, deviation) = known.objective.at(&candidate);
            let better = expected_improvement(incumbent - mean, deviation);
            if better > gain && self.reached(known, &candidate) && known.safe(&candidate) {
                (gain, at) = (better, candidate);
            }
        }
        at
    }

    fn reached(&self, known: &Known, point: &[f64]) -> bool {
        let from = |anchor: &Anchor| {
            self.within(&anchor.point, point, known.radius) && self.in_one_step(&anchor.point, point)
        };
        known.anchors.iter().any(from)
    }

    /// Whether the step caps of all parameters let one step lead from `from` to `to`.
    fn in_one_step(&self, from: &[f64], to: &[f64]) -> bool {
        let capped = |p: &crate::space::Parameter| p.spec.step_cap != kandela_model::StepCap::Unlimited;
        if !self.space.parameters().iter().any(capped) {
            return true;
        }
        let (from, to) = (self.space.decode(from), self.space.decode(to));
        self.space.parameters().iter().all(|parameter| {
            let name = &parameter.spec.name;
            match (from.get(name), to.get(name)) {
                (Some(a), Some(b)) => parameter.spec.check_step(a, b).is_ok(),
                _ => true,
            }
        })
    }

    /// How far a step of that radius may go along each axis: a whole number at least to its neighbour, a word nowhere, since nothing
    /// is known of another word before it is tried.
    fn reach(&self, radius: f64) -> Vec<f64> {
        let along = |axis: &Axis| match axis {
            Axis::Real => radius,
            Axis::Whole(count) => radius.max(1.0 / *count as f64),
            Axis::Category(_) => 0.0,
        };
        self.space.axes().iter().map(along).collect()
    }

    fn within(&self, a: &[f64], b: &[f64], radius: f64) -> bool {
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        let square = |(apart, reach): (f64, f64)| if apart == 0.0 { 0.0 } else { (apart / reach).powi(2) };
        apart.zip(self.reach(radius)).map(square).sum::<f64>() <= 1.0 + 1e-6
    }

    /// A point of the space at most `radius` from `from`, along one axis or any way.
    fn near(&mut self, from: &[f64], radius: f64) -> Vec<f64> {
        let reach = self.reach(radius);
        let axes = from.len();
        let few = axes > 1 && self.random.random_bool(0.3);
        let mut direction: Vec<f64> = Vec::with_capacity(axes);
        for _ in 0..axes {
            let along: f64 = StandardNormal.sample(&mut self.random);
            let left_out = few && !self.random.random_bool(1.0 / axes as f64);
            direction.push(if left_out { 0.0 } else { along });
        }
        let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        if norm == 0.0 {
            return from.to_vec();
        }
        let far = [1.0, 1.0, 0.6, 0.3].choose(&mut self.random).copied().unwrap_or(1.0);
        let far = far * self.random.random_range(0.7..1.0);
        let moved = (0..axes).map(|k| (from[k] + reach[k] * far * direction[k] / norm).clamp(0.0, 1.0));
        self.space.snap(&moved.collect::<Vec<f64>>())
    }
}

impl Propose for Safe {
    fn name(&self) -> &'static str {
        "safe"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.learn(seen);
        self.next(seen)
    }

    fn tell(&mut self, seen: &History, _trial: &Trial) {
        self.learn(seen);
    }

    /// The certified trial at which the lowest value is expected.
    fn recommend(&self, _seen: &History) -> Option<(u64, f64)> {
        let known = self.known.as_ref()?;
        let best = known.anchors.first()?;
        Some((best.trial, known.unit.1 + known.unit.0 * best.expected))
    }

    fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }
}

fn ended(seen: &History) -> impl Iterator<Item = &Trial> {
    seen.trials().iter().filter(|trial| trial.outcome.is_some())
}

/// The margins of one constraint. A trial that failed counts as one that broke it by half of what margins usually are.
fn margins(seen: &History, constraint: &Constraint, which: usize) -> Readings {
    let known: Vec<f64> = seen.measured().filter_map(|(_, m)| m.margins.get(which).copied()).collect();
    let usual = (known.iter().map(|v| v * v).sum::<f64>() / known.len().max(1) as f64).sqrt();
    let mut readings = Readings::default();
    for trial in ended(seen) {
        let value = match &trial.outcome {
            Some(Outcome::Measured(measured)) => measured.margins.get(which).copied(),
            Some(Outcome::Failed) | None => Some(-0.5 * usual),
        };
        readings.points.push(trial.point.clone());
        readings.values.push(value.unwrap_or(0.0));
        readings.noise.push(constraint.noise.map(|most| most / 3.0));
    }
    readings
}

/// How far a step may lead, after so many trials have ended.
fn radius(certificates: &[Certificate], ended: usize) -> f64 {
    (1..ended).fold(FIRST, |radius, trial| {
        let surprises = certificates.iter().filter_map(|certificate| certificate.surprises().get(trial));
        if surprises.copied().fold(f64::INFINITY, f64::min) < -SURPRISE {
            (radius / 2.0).max(FIRST / 2.0)
        } else {
            (radius * GROWTH).min(FARTHEST)
        }
    })
}

fn expected_improvement(gain: f64, deviation: f64) -> f64 {
    let z = gain / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let below = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    gain * below + deviation * density
}
