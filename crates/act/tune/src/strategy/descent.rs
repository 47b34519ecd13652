//! Descent by quadratic models within a trust region, without derivatives.
//!
//! In the line of Powell's NEWUOA and BOBYQA (*The BOBYQA algorithm for bound constrained optimization without derivatives*, 2009) and of
//! Ragonneau & Zhang's COBYQA: a model is fitted to what was measured near the best point; the next point is the lowest of the model
//! within a radius and within the bounds; the radius follows how well the model foretold. Unlike there, the model is fitted anew each
//! time to all points that are near, by [`super::quadratic`], and a radius shrinks only once the model is sure of itself there.
//!
//! Second derivatives that were learned farther away help where they change slowly and mislead where they do not. So there are two models:
//! one that departs from them as little as the points allow, and one that knows nothing but the points. Which one is followed is told by
//! what each of them foretold lately.

use nalgebra::{DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};

use super::frame::Frame;
use super::quadratic::{self, Fit};
use super::story::{Laboratory, Sample};
use crate::random::Random;

/// A descent under way.
pub(super) struct Descent {
    /// The best point so far.
    pub(super) centre: Sample,
    /// How far around it the model is believed.
    pub(super) radius: f64,
    /// What is known of the second derivatives, by moving coordinates.
    pub(super) hessian: DMatrix<f64>,
    /// How wrong the model that remembers and the one that doesn't were lately.
    misses: [f64; 2],
    failures: usize,
    /// How often in a row the radius shrank because a model that was sure was wrong.
    refuted: usize,
    /// About how much the next steps may gain: what was foretold lately.
    pub(super) hope: f64,
}

/// A model that is less sure than this of a point learns from it before the radius shrinks.
const UNSURE: f64 = 0.02;
/// What the past weighs in telling the models apart: about ten measurements count.
const LATELY: f64 = 0.9;
/// How much worse the model that remembers may foretell before the other is followed.
const FAVOUR: f64 = 1.3;
/// Points farther than this many radii say nothing about the region, whatever their slack.
const REACH: f64 = 30.0;
/// Models of a smooth function become true as the radius shrinks; one that was refuted so often in a row is of none.
const REFUTED: usize = 6;
/// What is left of a hope after a step that does not share it.
const FADING: f64 = 0.7;
/// Below this radius a place is as good as it gets.
pub(super) const FINEST: f64 = 1e-9;

impl Descent {
    /// A descent from `centre`, the model being believed within `radius`.
    pub(super) fn new(centre: Sample, radius: f64, hessian: DMatrix<f64>) -> Descent {
        Descent { centre, radius, hessian, misses: [0.0; 2], failures: 0, refuted: 0, hope: f64::INFINITY }
    }

    /// Whether models that were sure were wrong at one radius after another: the function is not smooth here, or stiff beyond them.
    pub(super) const fn is_refuted(&self) -> bool {
        self.refuted >= REFUTED
    }

    /// Goes on from `lower`, which others found; the radius grows to what lies between.
    pub(super) fn move_to(&mut self, frame: &Frame, lower: Sample) {
        let apart = (frame.inner(&lower.point) - frame.inner(&self.centre.point)).norm();
        self.radius = self.radius.max(apart.min(0.1));
        self.centre = lower;
    }

    /// Descends until nothing is left to gain, or `until` trials are left of the budget.
    pub(super) async fn run(
        &mut self,
        laboratory: &Laboratory,
        frame: &Frame,
        until: usize,
        random: &mut Random,
    ) {
        while laboratory.remaining() > until && self.step(laboratory, frame, random).await {}
    }

    /// Measures one more point; not, where nothing is left to gain.
    pub(super) async fn step(&mut self, laboratory: &Laboratory, frame: &Frame, random: &mut Random) -> bool {
        let n = frame.dimension();
        let finest = frame.finest().max(FINEST);
        while n > 0 && self.radius >= finest {
            laboratory.focus(&self.centre.point, self.radius);
            let Some(models) = self.models(laboratory, frame) else { return false };
            let follow = usize::from(self.misses[0] > FAVOUR * self.misses[1]);
            let fit = &models[follow];
            self.hessian = &fit.quadratic.hessian / (self.radius * self.radius);
            let at = frame.inner(&self.centre.point);
            let (low, high) = frame.room(&at);
            let (low, high) = (low / self.radius, high / self.radius);
            let lowest = fit.quadratic.lowest_within(1.0, &low, &high);
            let gain = fit.quadratic.constant - fit.quadratic.value(&lowest);
            self.hope = if self.hope.is_finite() { gain.max(FADING * self.hope) } else { gain };
            let precision = laboratory.noise() + 4e-15 * self.centre.value.abs();
            if gain > precision && lowest.norm() > 1e-3 {
                self.try_step(laboratory, frame, &models, follow, &lowest, Some(gain)).await;
                return true;
            }
            let (doubtful, doubt) = most_doubtful(fit, &low, &high, random);
            if doubt >= UNSURE && self.failures <= 2 * n {
                self.try_step(laboratory, frame, &models, follow, &doubtful, None).await;
                return true;
            }
            self.radius *= 0.25;
            self.failures = 0;
        }
        false
    }

    /// Measures at `step`, which is foretold to gain so much or was chosen to learn from.
    async fn try_step(
        &mut self,
        laboratory: &Laboratory,
        frame: &Frame,
        models: &[Fit; 2],
        follow: usize,
        step: &DVector<f64>,
        gain: Option<f64>,
    ) {
        let doubt = models[follow].doubt(step);
        let point =
            laboratory.space().snap(&frame.point(&(frame.inner(&self.centre.point) + step * self.radius)));
        let value = laboratory.measure(&point).await;
        let won = value.map_or(f64::NEG_INFINITY, |value| self.centre.value - value);
        if let Some(value) = value {
            let misses = models.each_ref().map(|model| (model.quadratic.value(step) - value).abs());
            let both = (misses[0] + misses[1]).max(f64::MIN_POSITIVE);
            for (sum, miss) in self.misses.iter_mut().zip(misses) {
                *sum = LATELY * *sum + miss / both;
            }
            if won > 0.0 {
                self.centre = Sample { point, value };
            }
        }
        let reached = step.norm();
        match gain.map(|gain| won / gain) {
            Some(ratio) if ratio >= 0.7 => {
                self.radius =
                    (2.0 * reached * self.radius).clamp(0.5 * self.radius, 2.0 * self.radius).min(0.5);
                (self.failures, self.refuted) = (0, 0);
            }
            Some(ratio) if ratio >= 0.1 => {
                self.radius = (2.0 * reached * self.radius).clamp(0.5 * self.radius, self.radius);
                (self.failures, self.refuted) = (0, 0);
            }
            Some(_) => {
                self.failures += 1;
                if doubt < UNSURE || self.failures > frame.dimension() + 1 || value.is_none() {
                    self.refuted += usize::from(doubt < UNSURE);
                    self.radius *= (0.5 * reached).clamp(0.1, 0.5);
                    self.failures = 0;
                }
            }
            None => self.failures += 1,
        }
    }

    /// Whether the best point lies on a plateau: all that is known within the radius, more points than a slope takes, has its value.
    pub(super) fn is_level(&self, laboratory: &Laboratory, frame: &Frame) -> bool {
        let at = frame.inner(&self.centre.point);
        let within = |sample: &Sample| {
            let apart = (frame.inner(&sample.point) - &at).norm();
            frame.holds(sample) && apart > 0.0 && apart <= 1.01 * self.radius
        };
        let samples = laboratory.samples();
        let mut near = samples.iter().filter(|sample| within(sample));
        let count = near.clone().count();
        count > frame.dimension() + 1 && near.all(|sample| sample.value == self.centre.value)
    }

    /// The model that remembers, and the one that doesn't.
    fn models(&self, laboratory: &Laboratory, frame: &Frame) -> Option<[Fit; 2]> {
        let n = frame.dimension();
        let at = frame.inner(&self.centre.point);
        let usable = laboratory.samples().into_iter().filter(|sample| frame.holds(sample));
        let mut near: Vec<(f64, DVector<f64>, f64)> = usable
            .map(|sample| {
                let step = (frame.inner(&sample.point) - &at) / self.radius;
                (step.norm(), step, sample.value)
            })
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.total_cmp(&b.2)));
        let coefficients = (n + 1) * (n + 2) / 2;
        let reached = near.iter().take_while(|(distance, ..)| *distance <= REACH).count().max(2 * n + 1);
        near.truncate(reached.min(coefficients + n));
        let values: Vec<f64> = near.iter().map(|(.., value)| *value).collect();
        let spread = values.iter().fold(0.0_f64, |widest, v| widest.max((v - self.centre.value).abs()));
        let noise = if spread > 0.0 { (laboratory.noise() / spread).powi(2) } else { 0.0 };
        let steps: Vec<DVector<f64>> = near.into_iter().map(|(_, step, _)| step).collect();
        let remembered = &self.hessian * (self.radius * self.radius);
        Some([
            quadratic::fit(steps.clone(), &values, noise, &remembered)?,
            quadratic::fit(steps, &values, noise, &DMatrix::zeros(n, n))?,
        ])
    }
}

/// The point at the region's rim of which the model is least sure.
fn most_doubtful(
    fit: &Fit,
    low: &DVector<f64>,
    high: &DVector<f64>,
    random: &mut Random,
) -> (DVector<f64>, f64) {
    let n = low.len();
    let mut candidates: Vec<DVector<f64>> = Vec::new();
    for axis in 0..n {
        for side in [1.0, -1.0] {
            candidates.push(DVector::from_fn(n, |i, _| if i == axis { side } else { 0.0 }));
        }
    }
    for _ in 0..4 * n {
        let direction = DVector::from_fn(n, |_, _| StandardNormal.sample(random));
        let length: f64 = DVector::norm(&direction);
        candidates.push(direction / length.max(f64::MIN_POSITIVE));
    }
    let within =
        |candidate: DVector<f64>| candidate.zip_zip_map(low, high, |s, low, high| s.clamp(low, high));
    let doubted = candidates.into_iter().map(within).map(|step| {
        let doubt = fit.doubt(&step);
        (step, doubt)
    });
    doubted.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((DVector::zeros(n), 0.0))
}
