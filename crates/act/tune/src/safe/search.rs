//! The search within what is certified.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_distr::{Distribution, StandardNormal};

use super::certificate::Certificate;
use super::surface::{Belief, Hyper, Readings, Surface, fit};
use super::{Alarm, Constraint};
use crate::history::{History, Outcome, Trial};
use crate::random::{Random, seeded};
use crate::space::{Axis, Space};
use crate::strategy::{Brief, Propose};
use std::sync::Arc;

/// Safe search.
pub struct Safe {
    space: Arc<Space>,
    constraints: Arc<[Constraint]>,
    random: Random,
    hypers: Vec<Option<Hyper>>,
    objective: Option<Hyper>,
    alarms: Vec<Alarm>,
    fitted: usize,
}

fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

impl Safe {
    /// A safe search of the brief's space.
    pub fn new(brief: &Brief) -> Safe {
        Safe {
            space: Arc::clone(&brief.space),
            constraints: Arc::clone(&brief.constraints),
            random: seeded(brief.seed, 5),
            hypers: vec![None; brief.constraints.len()],
            objective: None,
            alarms: Vec::new(),
            fitted: 0,
        }
    }

    fn margins(&self, seen: &History, which: usize) -> Readings {
        let mut readings = Readings::default();
        for (trial, measured) in seen.measured() {
            readings.points.push(trial.point.clone());
            readings.values.push(measured.margins[which]);
            readings.noise.push(None);
        }
        readings
    }

    fn next(&mut self, seen: &History) -> Option<Vec<f64>> {
        let count = seen.measured().count();
        if count == 0 {
            return None;
        }
        let steps = if count < 16 || count >= self.fitted + 4 {
            self.fitted = count;
            if count < 8 { 40 } else { 25 }
        } else {
            0
        };
        let mut certificates = Vec::new();
        for which in 0..self.constraints.len() {
            let readings = self.margins(seen, which);
            certificates.push(Certificate::estimated(&readings, &mut self.hypers[which], steps)?);
        }
        let objective = self.objective(seen, steps)?;
        let safe = |point: &Vec<f64>| certificates.iter().all(|certificate| certificate.lower(point) >= 0.0);
        let mut anchors: Vec<(Vec<f64>, f64)> = Vec::new();
        for (trial, _) in seen.measured() {
            if safe(&trial.point) && !anchors.iter().any(|(p, _)| *p == trial.point) {
                anchors.push((trial.point.clone(), objective.at(&trial.point).0));
            }
        }
        if anchors.is_empty() {
            return None;
        }
        anchors.sort_by(|a, b| a.1.total_cmp(&b.1));
        let incumbent = anchors[0].1;
        let radius = self.radius(&certificates);
        let mut best: (f64, Option<Vec<f64>>) = (f64::NEG_INFINITY, None);
        for turn in 0..600 {
            let anchor = if turn % 2 == 0 {
                &anchors[turn / 2 % anchors.len().min(3)].0
            } else {
                &anchors.choose(&mut self.random).expect("anchors").0
            };
            let anchor = anchor.clone();
            let candidate = self.near(&anchor, radius);
            let (mean, deviation) = objective.at(&candidate);
            let gain = expected_improvement(incumbent - mean, deviation);
            if gain > best.0 && safe(&candidate) {
                best = (gain, Some(candidate));
            }
        }
        if let Some(mut at) = best.1.take() {
            for turn in 0..60 {
                let candidate = self.near(&at, radius * if turn % 2 == 0 { 0.2 } else { 0.05 });
                if !anchors.iter().any(|(anchor, _)| self.within(anchor, &candidate, radius)) {
                    continue;
                }
                let (mean, deviation) = objective.at(&candidate);
                let gain = expected_improvement(incumbent - mean, deviation);
                if gain > best.0 && safe(&candidate) {
                    best.0 = gain;
                    at = candidate;
                }
            }
            best.1 = Some(at);
        }
        best.1
    }

    fn caps(&self, radius: f64) -> Vec<f64> {
        let cap = |axis: &Axis| match axis {
            Axis::Real => radius,
            Axis::Whole(count) => radius.max(1.0 / *count as f64),
            Axis::Category(_) => 0.0,
        };
        self.space.axes().iter().map(cap).collect()
    }

    fn within(&self, a: &[f64], b: &[f64], radius: f64) -> bool {
        let caps = self.caps(radius);
        let squares =
            (0..a.len()).map(|k| if a[k] == b[k] { 0.0 } else { ((a[k] - b[k]) / caps[k]).powi(2) });
        squares.sum::<f64>() <= 1.0 + 1e-9
    }

    fn near(&mut self, anchor: &[f64], radius: f64) -> Vec<f64> {
        let caps = self.caps(radius);
        let axes = anchor.len();
        let few = self.random.random_bool(0.3);
        let mut direction: Vec<f64> = (0..axes)
            .map(|_| {
                let z: f64 = StandardNormal.sample(&mut self.random);
                if few && axes > 1 && !self.random.random_bool(1.0 / axes as f64) { 0.0 } else { z }
            })
            .collect();
        if direction.iter().all(|d| *d == 0.0) {
            direction[self.random.random_range(0..axes)] =
                if self.random.random_bool(0.5) { 1.0 } else { -1.0 };
        }
        let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        let far = [1.0, 1.0, 0.6, 0.3].choose(&mut self.random).copied().unwrap_or(1.0)
            * self.random.random_range(0.7..1.0_f64);
        let moved: Vec<f64> =
            (0..axes).map(|k| (anchor[k] + caps[k] * far * direction[k] / norm).clamp(0.0, 1.0)).collect();
        self.space.snap(&moved)
    }

    /// How far a step may lead from what was found safe.
    fn radius(&self, certificates: &[Certificate]) -> f64 {
        let count = certificates.first().map_or(0, |c| c.surprises().len());
        let (first, most) = (env("S_FIRST", 0.1), env("S_MOST", 0.3));
        let mut radius = first;
        for trial in 1..count {
            let worst = certificates.iter().map(|c| c.surprises()[trial]).fold(f64::INFINITY, f64::min);
            if worst < -2.5 {
                radius = (radius * 0.5).max(first / 2.0);
            } else {
                radius = (radius * env("S_GROW", 1.1)).min(most);
            }
        }
        radius
    }

    fn objective(&mut self, seen: &History, steps: usize) -> Option<Surface> {
        let mut readings = Readings::default();
        for (trial, measured) in seen.measured() {
            readings.points.push(trial.point.clone());
            readings.values.push(measured.value);
            readings.noise.push(None);
        }
        let count = readings.values.len() as f64;
        let mean = readings.values.iter().sum::<f64>() / count;
        let spread =
            (readings.values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-12);
        readings.values.iter_mut().for_each(|v| *v = (*v - mean) / spread);
        let axes = readings.points[0].len();
        let believed = Belief {
            length: ((0.5 * (axes as f64).sqrt()).ln(), 0.8),
            amplitude: (0.0, 0.7),
            noise: (0.1_f64.ln(), 1.2),
        };
        let from = self.objective.clone().unwrap_or_else(|| Hyper::believed(&believed, axes));
        let fitted = if steps > 0 { fit(&readings, 0.0, &believed, from, steps) } else { from };
        let surface = Surface::given(&readings, 0.0, fitted.clone());
        self.objective = Some(fitted);
        surface
    }
}

fn expected_improvement(gain: f64, deviation: f64) -> f64 {
    let z = gain / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let below = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    gain * below + deviation * density
}

impl Propose for Safe {
    fn name(&self) -> &'static str {
        "safe"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.next(seen).unwrap_or_else(|| self.space.start())
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}
