//! What was measured, explained: a Gaussian process over a mixed space (Rasmussen, Williams 2006, "Gaussian Processes for Machine
//! Learning"), with the noise, the scale of values and the lengths of axes found from the measurements.

mod fit;
mod kernel;
mod scale;

use nalgebra::{Cholesky, DVector, Dyn};

use crate::history::History;
use crate::noise::Noise;
use crate::space::Space;
use fit::{Data, Theta};
use kernel::{Kernel, apart, words};
use scale::{Scale, Shape};

/// Above so many measurements a model takes a part of them.
const MOST: usize = 220;

/// A measurement that is to be explained.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) point: Vec<f64>,
    pub(crate) value: f64,
    /// Its standard error, where that is known.
    pub(crate) noise: Option<f64>,
}

/// The measurements of a history, at most a few hundred: the lowest, the newest, and others at even distances in time between.
pub(crate) fn observations(history: &History) -> Vec<Observation> {
    let measured: Vec<_> = history.measured().collect();
    let mut taken = vec![measured.len() <= MOST; measured.len()];
    if measured.len() > MOST {
        let mut order: Vec<usize> = (0..measured.len()).collect();
        order.sort_by(|a, b| measured[*a].1.value.total_cmp(&measured[*b].1.value));
        let newest = measured.len() - MOST / 4..measured.len();
        let even = (0..MOST / 4).map(|step| step * measured.len() / (MOST / 4));
        for index in order.into_iter().take(MOST / 2).chain(newest).chain(even) {
            taken[index] = true;
        }
    }
    let kept = measured.into_iter().zip(taken).filter(|(_, taken)| *taken);
    kept.map(|((trial, m), _)| Observation { point: trial.point.clone(), value: m.value, noise: m.noise })
        .collect()
}

/// What a fit learned, for the next one to begin from.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    theta: Theta,
    shape: Shape,
}

/// How long to look for a better explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// From several beginnings, for every shape of the values.
    Fresh,
    /// From what was learned before.
    Follow,
    /// As was learned before.
    Keep,
}

/// Whether a value may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Any value may: one that all others contradict is believed less.
    Doubtful,
    /// None is.
    Full,
}

/// The function as far as it is known. Means and variances are of standardised values.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    words: Vec<bool>,
    points: Vec<Vec<f64>>,
    kernel: Kernel,
    /// Variance of the noise of one more measurement.
    noise: f64,
    factor: Cholesky<f64, Dyn>,
    alpha: DVector<f64>,
    means: Vec<f64>,
    scale: Scale,
    learned: Learned,
}

/// What is known of a point: the covariances with what was measured are kept for what else is asked of it.
pub(crate) struct Prediction {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    covariances: DVector<f64>,
    whitened: DVector<f64>,
}

impl Model {
    /// Explains `seen`; `None` where that can't be done, which is so below two measurements.
    pub(crate) fn fit(
        space: &Space,
        seen: &[Observation],
        noise: Noise,
        trust: Trust,
        learned: Option<&Learned>,
        effort: Effort,
    ) -> Option<Model> {
        if seen.len() < 2 || space.axes().is_empty() {
            return None;
        }
        let words = words(space);
        let values: Vec<f64> = seen.iter().map(|observation| observation.value).collect();
        let distances = distances(&words, seen);
        let mut best: Option<(f64, Scale, Theta, Data, Shape)> = None;
        let shapes = match learned {
            Some(learned) if effort != Effort::Fresh && Shape::fitting(&values).contains(&learned.shape) => {
                vec![learned.shape]
            }
            _ => Shape::fitting(&values),
        };
        for shape in shapes {
            let scale = Scale::of(&values, shape);
            let mut data = data(seen, &scale, noise, &words, distances.clone());
            let stretch: f64 = values.iter().map(|value| libm::log(scale.slope(*value))).sum();
            let typical = fit::typical(words.len());
            let starts = match (learned, effort) {
                (Some(learned), Effort::Fresh) => vec![learned.theta.clone(), typical],
                (Some(learned), _) => vec![learned.theta.clone()],
                (None, _) => vec![typical],
            };
            let steps = match effort {
                Effort::Fresh => 30,
                Effort::Follow => 6,
                Effort::Keep => 0,
            };
            let climbed = starts.iter().filter_map(|start| fit::climb(&data, start, steps));
            let Some((mut theta, mut density)) = climbed.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            // Each round of doubt changes the explanation, which shows other outliers.
            let rounds =
                if noise == Noise::None || trust == Trust::Full { 0 } else { 1 + steps.div_ceil(15) };
            for _ in 0..rounds {
                if !inflate(&mut data, &theta) || effort == Effort::Keep {
                    break;
                }
                let Some(again) = fit::climb(&data, &theta, steps / 2) else { break };
                (theta, density) = again;
            }
            if best.as_ref().is_none_or(|(highest, ..)| density + stretch > *highest) {
                best = Some((density + stretch, scale, theta, data, shape));
            }
        }
        let (_, scale, theta, data, shape) = best?;
        let kernel = Kernel::at(&theta);
        let own = if noise == Noise::None { 0.0 } else { fit::noise_variance(&theta) };
        let factor = fit::factor(&data, &kernel, own)?;
        let alpha = factor.solve(&data.values);
        let share = |index: usize| data.known[index] + own * data.inflation[index];
        let means = (0..seen.len()).map(|index| data.values[index] - share(index) * alpha[index]).collect();
        let told = data.known.iter().sum::<f64>() / seen.len() as f64;
        let points = seen.iter().map(|observation| observation.point.clone()).collect();
        Some(Model {
            words,
            points,
            kernel,
            noise: own + told,
            factor,
            alpha,
            means,
            scale,
            learned: Learned { theta, shape },
        })
    }

    /// What the next fit may begin from.
    pub(crate) fn learned(&self) -> &Learned {
        &self.learned
    }

    /// The points that were measured.
    pub(crate) fn points(&self) -> &[Vec<f64>] {
        &self.points
    }

    /// The mean at the measured point `index`.
    pub(crate) fn mean_at(&self, index: usize) -> f64 {
        self.means[index]
    }

    /// The variance of one measurement's noise.
    pub(crate) const fn noise(&self) -> f64 {
        self.noise
    }

    /// A value, standardised.
    pub(crate) fn standardised(&self, value: f64) -> f64 {
        self.scale.to(value)
    }

    /// A standardised value in the measurements' own unit.
    pub(crate) fn in_units(&self, standardised: f64) -> f64 {
        self.scale.back(standardised)
    }

    /// What is known of `point`.
    pub(crate) fn predict(&self, point: &[f64]) -> Prediction {
        let covariances = DVector::from_iterator(
            self.points.len(),
            self.points.iter().map(|seen| self.covariance(seen, point)),
        );
        let mut whitened = covariances.clone();
        self.factor.l_dirty().solve_lower_triangular_mut(&mut whitened);
        let variance = (self.kernel.variance - whitened.norm_squared()).max(self.kernel.variance * 1e-10);
        Prediction { mean: covariances.dot(&self.alpha), variance, covariances, whitened }
    }

    /// The covariance of what is not yet known of a point with that of the measured point `index`, of which `whitened` is
    /// [`Model::whiten`]'s.
    pub(crate) fn shared(&self, prediction: &Prediction, index: usize, whitened: &DVector<f64>) -> f64 {
        prediction.covariances[index] - prediction.whitened.dot(whitened)
    }

    /// The covariances of the measured point `index` with all others, whitened.
    pub(crate) fn whiten(&self, index: usize) -> DVector<f64> {
        self.predict(&self.points[index]).whitened
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let along = self.words.iter().zip(a.iter().zip(b));
        self.kernel.of(along.map(|(word, (a, b))| apart(*word, *a, *b)))
    }
}

fn distances(words: &[bool], seen: &[Observation]) -> Vec<f64> {
    let pairs = (0..seen.len()).flat_map(|row| (0..row).map(move |column| (row, column)));
    let along = |(row, column): (usize, usize)| {
        let axes = words.iter().zip(seen[row].point.iter().zip(&seen[column].point));
        axes.map(|(word, (a, b))| apart(*word, *a, *b))
    };
    pairs.flat_map(along).collect()
}

fn data(seen: &[Observation], scale: &Scale, noise: Noise, words: &[bool], distances: Vec<f64>) -> Data {
    let exact = noise == Noise::None;
    let known = |observation: &Observation| {
        let told = observation.noise.unwrap_or(0.0) * scale.slope(observation.value);
        if exact { 1e-9 } else { told * told }
    };
    Data {
        distances,
        values: DVector::from_iterator(
            seen.len(),
            seen.iter().map(|observation| scale.to(observation.value)),
        ),
        known: seen.iter().map(known).collect(),
        inflation: vec![if exact { 0.0 } else { 1.0 }; seen.len()],
        axes: words.len(),
    }
}

/// Gives values that lie far from where all others put them a wider noise, as if noise were Student's t with 4 degrees of freedom;
/// gives whether there are any.
fn inflate(data: &mut Data, theta: &[f64]) -> bool {
    let kernel = Kernel::at(theta);
    let noise = fit::noise_variance(theta);
    let Some(factor) = fit::factor(data, &kernel, noise) else { return false };
    let alpha = factor.solve(&data.values);
    let inverse = factor.inverse();
    let mut any = false;
    for index in 0..data.values.len() {
        // Left out, a value is off by alpha/inverse, with variance 1/inverse (Rasmussen, Williams 2006, eq. 5.12), of which its own
        // noise is a part that it no longer has to explain.
        let off = alpha[index] / inverse[(index, index)];
        let variance = 1.0 / inverse[(index, index)] - noise * (data.inflation[index] - 1.0);
        let squared = off * off / variance.max(f64::MIN_POSITIVE);
        let inflation = if squared > 4.0 { (4.0 + squared) / 5.0 } else { 1.0 };
        any |= (inflation / data.inflation[index] - 1.0).abs() > 0.1;
        data.inflation[index] = inflation;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let json = r#"{"x": {"type": "float", "min": 0, "max": 1}, "word": {"type": "enum", "values": ["a", "b", "c"]}}"#;
        serde_json::from_str(json).expect("a space")
    }

    fn seen(noise: impl Fn(usize) -> f64) -> Vec<Observation> {
        let at = |index: usize| {
            let (x, word) = ((index as f64 * 0.618) % 1.0, index % 3);
            let value = 10.0 + 5.0 * (x - 0.4) * (x - 0.4) + word as f64 + noise(index);
            Observation { point: vec![x, (word as f64 + 0.5) / 3.0], value, noise: None }
        };
        (0..30).map(at).collect()
    }

    #[test]
    fn a_function_of_a_number_and_a_word_is_predicted() {
        let model = Model::fit(&space(), &seen(|_| 0.0), Noise::None, Trust::Doubtful, None, Effort::Fresh)
            .expect("fits");
        for (x, word) in [(0.2, 0), (0.7, 1), (0.9, 2)] {
            let mean = model.predict(&[x, (f64::from(word) + 0.5) / 3.0]).mean;
            let truth = 10.0 + 5.0 * (x - 0.4) * (x - 0.4) + f64::from(word);
            assert!((model.in_units(mean) - truth).abs() < 0.05, "{} {truth}", model.in_units(mean));
        }
    }

    #[test]
    fn noise_is_told_from_the_function() {
        let wiggle = |index: usize| 0.3 * (index as f64 * 12.9898).sin();
        let noisy = Model::fit(&space(), &seen(wiggle), Noise::Unknown, Trust::Doubtful, None, Effort::Fresh)
            .expect("fits");
        let smooth =
            Model::fit(&space(), &seen(|_| 0.0), Noise::Unknown, Trust::Doubtful, None, Effort::Fresh)
                .expect("fits");
        assert!(noisy.noise() > 20.0 * smooth.noise(), "{} {}", noisy.noise(), smooth.noise());
    }
}
