//! Descent by quadratic models within a trust region, without derivatives.
//!
//! In the line of Powell's NEWUOA and BOBYQA (*The BOBYQA algorithm for bound constrained optimization without derivatives*, 2009) and of
//! Ragonneau & Zhang's COBYQA: a model is fitted to what was measured near the best point; the next point is the lowest of the model
//! within a radius and within the bounds; the radius follows how well the model foretold. Unlike there, the model is fitted anew each
//! time to all points that are near, by [`super::quadratic`], and a radius shrinks only once the model is sure of itself there.

use nalgebra::{DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};

use super::frame::Frame;
use super::quadratic::{self, Fit, Quadratic};
use super::story::{Laboratory, Sample};
use crate::random::Random;

/// Where a descent begins.
pub(super) struct Start {
    /// The best point so far.
    pub(super) centre: Sample,
    /// How far around it the model is believed.
    pub(super) radius: f64,
    /// What is known of the second derivatives, by moving coordinates.
    pub(super) hessian: DMatrix<f64>,
}

/// Where a descent ended.
pub(super) struct End {
    pub(super) best: Sample,
    pub(super) hessian: DMatrix<f64>,
}

/// A model that is less sure than this of a point learns from it before it shrinks.
const UNSURE: f64 = 0.02;
pub(super) fn envf(k:&str,d:f64)->f64{std::env::var(k).ok().and_then(|v|v.parse().ok()).unwrap_or(d)}

/// Descends until the radius is below `finest`, nothing is left to gain, or `until` trials are left of the budget.
pub(super) async fn descend(
    laboratory: &Laboratory,
    frame: &Frame,
    start: Start,
    finest: f64,
    until: usize,
    random: &mut Random,
) -> End {
    let Start { mut centre, mut radius, mut hessian } = start;
    let n = frame.dimension();
    let finest = finest.max(frame.finest());
    let mut failures = 0;
    let mut misses = [0.0, 0.0];
    while radius >= finest && laboratory.remaining() > until && n > 0 {
        laboratory.focus(&centre.point, radius);
        let at = frame.inner(&centre.point);
        let zero = DMatrix::zeros(n, n);
        let (Some(kept), Some(plain)) = (
            model(laboratory, frame, &centre, radius, &hessian),
            model(laboratory, frame, &centre, radius, &zero),
        ) else {
            break;
        };
        let rivals = [kept.quadratic.clone(), plain.quadratic.clone()];
        let fit = if misses[0] <= misses[1] * envf("FAV", 1.3) { kept } else { plain };
        hessian = &fit.quadratic.hessian / (radius * radius);
        let low = at.map(|u| -u / radius);
        let high = at.map(|u| (1.0 - u) / radius);
        let mut step = fit.quadratic.lowest_within(1.0, &low, &high);
        let gain = fit.quadratic.value(&DVector::zeros(n)) - fit.quadratic.value(&step);
        let precision = laboratory.noise() + 4e-15 * centre.value.abs();
        let promising = gain > precision && step.norm() > 1e-3;
        if !promising {
            let (doubtful, doubt) = most_doubtful(&fit, &low, &high, random);
            if doubt < UNSURE || failures > 2 * n {
                radius *= 0.25;
                failures = 0;
                continue;
            }
            step = doubtful;
        }
        let doubt = fit.doubt(&step);
        let inner = &at + &step * radius;
        let measured = laboratory.measure(&frame.point(&inner)).await;
        if let Some(value) = measured {
            let miss = |model: &Quadratic| (model.value(&step) - value).abs();
            let (one, two) = (miss(&rivals[0]), miss(&rivals[1]));
            let sum = (one + two).max(f64::MIN_POSITIVE);
            let mem = envf("MEM", 0.9);
            misses = [mem * misses[0] + one / sum, mem * misses[1] + two / sum];
        }
        let won = measured.map_or(f64::NEG_INFINITY, |value| centre.value - value);
        let length = step.norm();
        if let Some(value) = measured
            && won > 0.0
        {
            centre = Sample { point: laboratory.space().snap(&frame.point(&inner)), value };
        }
        if std::env::var("TRD").is_ok() { let e=hessian.clone().symmetric_eigenvalues(); eprintln!("n {} f {:.3e} r {radius:.2e} prom {promising} gain {gain:.2e} won {won:.2e} len {length:.2} doubt {doubt:.1e} fails {failures} eig {:.1e} {:.1e}", laboratory.remaining(), centre.value, e.min(), e.max()); }
        let ratio = if promising { won / gain } else { f64::NAN };
        if ratio >= 0.7 {
            radius = (2.0 * length * radius).clamp(radius * 0.5, radius * 2.0).min(0.5);
            failures = 0;
        } else if ratio >= 0.1 {
            radius = (2.0 * length * radius).clamp(radius * 0.5, radius);
            failures = 0;
        } else {
            failures += 1;
            if ratio < 0.1 && (doubt < UNSURE || failures > n + 1 || measured.is_none()) {
                radius *= (0.5 * length).clamp(0.1, 0.5);
                failures = 0;
            }
        }
    }
    End { best: centre, hessian }
}

fn model(
    laboratory: &Laboratory,
    frame: &Frame,
    centre: &Sample,
    radius: f64,
    hessian: &DMatrix<f64>,
) -> Option<Fit> {
    let n = frame.dimension();
    let at = frame.inner(&centre.point);
    let usable = laboratory.samples().into_iter().filter(|sample| frame.holds(sample));
    let mut near: Vec<(f64, DVector<f64>, f64)> = usable
        .map(|sample| {
            let step = (frame.inner(&sample.point) - &at) / radius;
            (step.norm(), step, sample.value)
        })
        .collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.total_cmp(&b.2)));
    let full = (n + 1) * (n + 2) / 2;
    // Too far, and a point says nothing about the region, whatever its slack.
    let reach = near.iter().take_while(|(distance, ..)| *distance <= envf("REACH",30.0)).count().max(2 * n + 1);
    near.truncate(reach.min((full as f64*envf("FULL",1.0)) as usize + n));
    let values: Vec<f64> = near.iter().map(|(.., value)| *value).collect();
    let spread = values.iter().fold(0.0_f64, |widest, v| widest.max((v - centre.value).abs()));
    let noise = laboratory.noise();
    let slack = if spread > 0.0 { (noise / spread).powi(2) } else { 0.0 } + 1e-16;
    let steps = near.into_iter().map(|(_, step, _)| step).collect();
    quadratic::fit(steps, &values, slack, &(hessian * (radius * radius * envf("DECAY",1.0))))
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
    let within = |candidate: DVector<f64>| candidate.zip_zip_map(low, high, |s, low, high| s.clamp(low, high));
    let doubted = candidates.into_iter().map(within).map(|step| {
        let doubt = fit.doubt(&step);
        (step, doubt)
    });
    doubted.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((DVector::zeros(n), 0.0))
}
