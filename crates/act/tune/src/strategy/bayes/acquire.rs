//! What a measurement would teach, and the point where that is most.

use nalgebra::DVector;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_distr::{Distribution, StandardNormal};

use crate::history::History;
use crate::model::{Model, Prediction};
use crate::random::Random;
use crate::space::{Axis, Space};

/// So many of the best measured points compete for being recommended after the next measurement.
const RIVALS: usize = 16;

/// Below this probability of being feasible a point is a last resort.
const LIKELY: f64 = 0.3;

/// Points that are looked at before any is improved, for each axis and in all.
const LOOKS: (usize, usize) = (30, 200);

/// What is known, ready to say what any measurement would teach.
pub(super) struct Acquisition<'a> {
    space: &'a Space,
    model: &'a Model,
    /// A model of 0 for feasible, 1 for not.
    failure: Option<&'a Model>,
    rivals: Vec<Rival>,
}

struct Rival {
    index: usize,
    mean: f64,
    whitened: DVector<f64>,
}

impl<'a> Acquisition<'a> {
    /// `None` where nothing feasible was measured.
    pub(super) fn new(
        space: &'a Space,
        model: &'a Model,
        failure: Option<&'a Model>,
        seen: &History,
    ) -> Option<Acquisition<'a>> {
        let infeasible = |point: &[f64]| {
            let mut at = seen
                .trials()
                .iter()
                .filter(|trial| trial.point == point && trial.outcome.is_some())
                .peekable();
            at.peek().is_some() && at.all(|trial| trial.feasible().is_none())
        };
        let points = model.points();
        let mut order: Vec<usize> = (0..points.len()).filter(|index| !infeasible(&points[*index])).collect();
        order.sort_by(|a, b| model.mean_at(*a).total_cmp(&model.mean_at(*b)));
        order.dedup_by(|a, b| points[*a] == points[*b]);
        order.truncate(RIVALS);
        let rival = |index: usize| Rival { index, mean: model.mean_at(index), whitened: model.whiten(index) };
        let rivals: Vec<Rival> = order.into_iter().map(rival).collect();
        (!rivals.is_empty()).then_some(Acquisition { space, model, failure, rivals })
    }

    /// The logarithm of how much lower the expected value of what is recommended gets by a measurement of `point`, times the
    /// probability that it is feasible.
    fn worth(&self, point: &[f64]) -> f64 {
        let at = self.model.predict(point);
        let deviation = (at.variance + self.model.noise()).sqrt();
        let own = Line { height: -at.mean, slope: at.variance / deviation };
        let others = self.rivals.iter().map(|rival| Line {
            height: -rival.mean,
            slope: self.model.shared(&at, rival.index, &rival.whitened) / deviation,
        });
        let mut lines: Vec<Line> = others.collect();
        lines.push(own);
        log_gain(&mut lines, -self.rivals[0].mean)
            + self.failure.map_or(0.0, |failure| log_feasible(failure, point))
    }

    /// The point that is worth most, as far as a search finds; `None` where no point is worth anything.
    pub(super) fn search(&self, random: &mut Random) -> Option<Vec<f64>> {
        let axes = self.space.axes().len();
        let mut looked: Vec<(f64, Vec<f64>)> = Vec::new();
        let mut look = |point: Vec<f64>| {
            let worth = self.worth(&point);
            looked.push((if worth.is_nan() { f64::NEG_INFINITY } else { worth }, point));
        };
        for rival in &self.rivals {
            look(self.model.points()[rival.index].clone());
        }
        let looks = (LOOKS.0 * axes).min(LOOKS.1);
        for _ in 0..looks {
            look(self.space.snap(&(0..axes).map(|_| random.random()).collect::<Vec<f64>>()));
        }
        for _ in 0..looks {
            let Some(rival) = self.rivals[..self.rivals.len().min(6)].choose(random) else { break };
            let width = *[0.02, 0.08, 0.25].choose(random).unwrap_or(&0.08);
            look(self.moved(&self.model.points()[rival.index], width, random));
        }
        looked.sort_by(|a, b| b.0.total_cmp(&a.0));
        looked.dedup_by(|a, b| a.1 == b.1);
        looked.truncate(4);
        let climbed = looked.into_iter().map(|(worth, point)| self.climb(worth, point, random));
        let best = climbed.max_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 > f64::NEG_INFINITY).then_some(best.1)
    }

    /// A point near `point`: some coordinates moved, words changed now and then.
    fn moved(&self, point: &[f64], width: f64, random: &mut Random) -> Vec<f64> {
        let axes = self.space.axes();
        let share = (2.0 / axes.len() as f64).clamp(0.2, 1.0);
        let mut moved = point.to_vec();
        let always = random.random_range(0..axes.len());
        for (index, axis) in axes.iter().enumerate() {
            if index == always || random.random::<f64>() < share {
                moved[index] = step(*axis, point[index], width, random);
            }
        }
        self.space.snap(&moved)
    }

    /// Goes from `point` to better neighbours with steps that get shorter.
    fn climb(&self, mut worth: f64, mut point: Vec<f64>, random: &mut Random) -> (f64, Vec<f64>) {
        let axes = self.space.axes();
        for width in [0.1, 0.03, 0.01, 0.003] {
            for index in 0..axes.len() {
                for _ in 0..2 {
                    let mut next = point.clone();
                    next[index] = step(axes[index], point[index], width, random);
                    let next = self.space.snap(&next);
                    if next == point {
                        continue;
                    }
                    let found = self.worth(&next);
                    if found > worth {
                        (worth, point) = (found, next);
                    }
                }
            }
            for _ in 0..axes.len().min(4) {
                let next = self.moved(&point, width, random);
                let found = self.worth(&next);
                if found > worth {
                    (worth, point) = (found, next);
                }
            }
        }
        (worth, point)
    }
}

/// Another coordinate: a word is drawn anew, a whole number goes at least to its neighbour.
fn step(axis: Axis, u: f64, width: f64, random: &mut Random) -> f64 {
    let by: f64 = StandardNormal.sample(random);
    match axis {
        Axis::Category(_) => random.random(),
        Axis::Real => mirrored(u + by * width),
        Axis::Whole(count) => mirrored(u + by.signum() * (by.abs() * width).max(1.0 / count as f64)),
    }
}

/// Folds a coordinate that left 0 to 1 back in.
fn mirrored(u: f64) -> f64 {
    if u < 0.0 {
        (-u).min(1.0)
    } else if u > 1.0 {
        (2.0 - u).max(0.0)
    } else {
        u
    }
}

/// The logarithm of the probability that a trial at `point` is feasible; much less where that is unlikely.
fn log_feasible(failure: &Model, point: &[f64]) -> f64 {
    let Prediction { mean, variance, .. } = failure.predict(point);
    // Labels are 0 and 1; half way between them lies the border.
    let border = 0.5 * (failure.standardised(0.0) + failure.standardised(1.0));
    let probability = normal_below((border - mean) / (variance + failure.noise()).sqrt()).max(1e-12);
    // What will most likely fail promises much, since nothing was ever measured there; a trial is too dear for that.
    libm::log(probability) + 4.0 * libm::log(probability / LIKELY).min(0.0)
}

fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// How high something will be expected to be, by how many standard deviations the measurement comes out.
struct Line {
    height: f64,
    slope: f64,
}

/// The logarithm of E[max over lines of height + slope·Z] − `before`, where Z is standard normal and `before` is the height of one of the lines.
///
/// The maximum of lines is a chain of pieces; each bend adds the change of slope times f(−|z|) where it lies, f(z) = φ(z) + zΦ(z)
/// (Frazier, Powell, Dayanik 2009, "The Knowledge-Gradient Policy for Correlated Normal Beliefs"). All terms are positive, so the sum
/// is taken in logarithms, which keep an order among gains too small for a number.
fn log_gain(lines: &mut [Line], before: f64) -> f64 {
    let highest = lines.iter().map(|line| line.height).fold(f64::NEG_INFINITY, f64::max);
    lines.sort_by(|a, b| a.slope.total_cmp(&b.slope).then(a.height.total_cmp(&b.height)));
    let mut hull: Vec<(&Line, f64)> = Vec::with_capacity(lines.len());
    for line in lines.iter() {
        let mut from = f64::NEG_INFINITY;
        while let Some((last, begins)) = hull.last() {
            let rise = line.slope - last.slope;
            from = if rise > 1e-300 {
                (last.height - line.height) / rise
            } else if line.height >= last.height {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
            if from > *begins || (from == f64::INFINITY && *begins == f64::NEG_INFINITY) {
                break;
            }
            hull.pop();
            from = f64::NEG_INFINITY;
        }
        if from < f64::INFINITY {
            hull.push((line, from));
        }
    }
    let bends = hull.windows(2).map(|pair| {
        let rise = pair[1].0.slope - pair[0].0.slope;
        libm::log(rise) + log_expected_excess(-pair[1].1.abs())
    });
    let known = libm::log((highest - before).max(0.0));
    let terms: Vec<f64> = bends.chain(std::iter::once(known)).collect();
    let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + libm::log(terms.iter().map(|term| libm::exp(term - most)).sum())
}

/// ln(φ(z) + zΦ(z)) for z up to 0.
fn log_expected_excess(z: f64) -> f64 {
    let log_density = -0.5 * z * z - 0.5 * libm::log(2.0 * std::f64::consts::PI);
    if z > -6.0 {
        return libm::log(libm::exp(log_density) + z * normal_below(z));
    }
    // Mills' ratio, expanded.
    let square = z * z;
    log_density - libm::log(square) + libm::log1p(-3.0 / square + 15.0 / (square * square))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn the_gain_is_that_of_many_draws() {
        let lines = || {
            [(0.0, 0.1), (-0.5, 1.0), (-0.2, -0.6), (-3.0, 0.3), (0.0, 0.1)]
                .map(|(height, slope)| Line { height, slope })
        };
        let mut random = seeded(1, 0);
        let draws = 200_000;
        let mean = (0..draws).map(|_| {
            let z: f64 = StandardNormal.sample(&mut random);
            lines().iter().map(|line| line.height + line.slope * z).fold(f64::NEG_INFINITY, f64::max)
        });
        let simulated = mean.sum::<f64>() / f64::from(draws);
        let exact = log_gain(&mut lines(), 0.0).exp();
        assert!((exact / simulated - 1.0).abs() < 0.02, "{exact} {simulated}");
    }

    #[test]
    fn small_excesses_keep_their_order() {
        let mut last = log_expected_excess(0.0);
        for step in 1..400 {
            let next = log_expected_excess(-f64::from(step) * 0.1);
            assert!(next < last && next.is_finite());
            last = next;
        }
    }

    #[test]
    fn what_teaches_nothing_has_no_gain() {
        let line = || Line { height: 1.0, slope: 0.0 };
        assert_eq!(log_gain(&mut [line(), Line { height: 0.5, slope: 0.0 }], 1.0), f64::NEG_INFINITY);
    }
}
