//! Trust regions, one after another from new places, as long as the budget lasts.

use nalgebra::{DMatrix, DVector};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::descent::Descent;
use super::frame::Frame;
use super::story::{Laboratory, Sample, Story};
use super::{Brief, Propose, category};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};
use crate::space::Axis;

/// A model-based trust region with restarts. Real and whole axes are searched by quadratic models, categories by turns.
pub struct TrustRegion(Story);

impl TrustRegion {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> TrustRegion {
        let random = seeded(brief.seed, 0x7e);
        TrustRegion(Story::new(brief, |laboratory| search(laboratory, random)))
    }
}

impl Propose for TrustRegion {
    fn name(&self) -> &'static str {
        "trust-region"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.0.ask(seen)
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        self.0.tell(seen, trial);
    }
}

/// A tenth of an axis: how far around a point a search looks before it knows anything.
pub(super) const RADIUS: f64 = 0.1;

async fn search(laboratory: Laboratory, mut random: Random) {
    let start = laboratory.space().start();
    let next = descend_from(&laboratory, &start, &mut random).await;
    descend_on(laboratory, next, random).await;
}

/// Descents from elsewhere, one after another.
pub(super) async fn restarts(laboratory: Laboratory, mut random: Random) {
    let first = elsewhere(&laboratory, &mut random);
    descend_on(laboratory, first, random).await;
}

async fn descend_on(laboratory: Laboratory, mut place: Vec<f64>, mut random: Random) {
    while laboratory.remaining() > 0 {
        place = descend_from(&laboratory, &place, &mut random).await;
    }
}

/// Descends from `place`, as long as it may become the best, and gives where to begin next.
async fn descend_from(laboratory: &Laboratory, place: &[f64], random: &mut Random) -> Vec<f64> {
    let Some(mut descent) = begin(laboratory, place).await else { return elsewhere(laboratory, random) };
    let turned = turn(laboratory, &descent.centre, random).await;
    let frame = Frame::at(laboratory.space(), &turned.point);
    descent.centre = turned;
    while laboratory.remaining() > 0 && may_become_best(laboratory, &descent) {
        if !descent.step(laboratory, &frame, random).await {
            return after(laboratory, &descent.centre, random).await;
        }
    }
    elsewhere(laboratory, random)
}

/// Steps that gain as the last ones did are counted on.
const STEPS_AHEAD: f64 = 10.0;

fn may_become_best(laboratory: &Laboratory, descent: &Descent) -> bool {
    let best = laboratory.lowest().map_or(f64::INFINITY, |best| best.value);
    descent.centre.value <= best || descent.centre.value - STEPS_AHEAD * descent.hope < best
}

/// Where to begin once there is nothing left to gain at `best`: with other categories, if they are better, else elsewhere.
async fn after(laboratory: &Laboratory, best: &Sample, random: &mut Random) -> Vec<f64> {
    let turned = turn(laboratory, best, random).await;
    if turned.value < best.value { turned.point } else { elsewhere(laboratory, random) }
}

/// Measures `place` and both sides of it along each ordered axis; none where nothing there could be measured.
pub(super) async fn begin(laboratory: &Laboratory, place: &[f64]) -> Option<Descent> {
    let frame = Frame::at(laboratory.space(), place);
    let n = frame.dimension();
    let at = frame.inner(place);
    let mut points = vec![place.to_vec()];
    for axis in 0..n {
        for side in sides(at[axis]) {
            let mut inner = at.clone();
            inner[axis] += side;
            points.push(frame.point(&inner));
        }
    }
    let values = laboratory.measure_all(&points).await;
    let measured = points
        .iter()
        .zip(values)
        .filter_map(|(point, value)| Some(Sample { point: laboratory.space().snap(point), value: value? }));
    let centre = measured.min_by(|a, b| a.value.total_cmp(&b.value))?;
    Some(Descent::new(centre, RADIUS, DMatrix::zeros(n, n)))
}

/// One step to either side, or two to the same where a bound is near.
pub(super) fn sides(u: f64) -> [f64; 2] {
    if u < RADIUS {
        [RADIUS, 2.0 * RADIUS]
    } else if u > 1.0 - RADIUS {
        [-RADIUS, -2.0 * RADIUS]
    } else {
        [RADIUS, -RADIUS]
    }
}

/// Values of a category that are tried beside the best point.
const TURNED: usize = 4;

/// Tries other categories at `best`, each axis in turn, and gives what is best then.
pub(super) async fn turn(laboratory: &Laboratory, best: &Sample, random: &mut Random) -> Sample {
    let mut best = best.clone();
    for (index, axis) in laboratory.space().axes().iter().enumerate() {
        let Axis::Category(count) = axis else { continue };
        let held = category(best.point[index], *count);
        let first = random.random_range(0..*count);
        let others = (0..*count).map(|next| (first + next) % count).filter(|value| *value != held);
        for value in others.take(TURNED) {
            let mut point = best.point.clone();
            point[index] = (value as f64 + 0.5) / *count as f64;
            if let Some(value) = laboratory.measure(&point).await
                && value < best.value
            {
                best = Sample { point: laboratory.space().snap(&point), value };
            }
        }
    }
    best
}

/// Where to begin anew: by turns beside the best point, at a distance of any size, and far from all points.
///
/// A function with many valleys often has lower ones near a low one; one that has not is looked at elsewhere.
pub(super) fn elsewhere(laboratory: &Laboratory, random: &mut Random) -> Vec<f64> {
    match laboratory.lowest().filter(|_| random.random_bool(0.5)) {
        Some(best) => beside(&best, laboratory.space().axes(), random),
        None => emptiest(laboratory, random),
    }
}

fn beside(best: &Sample, axes: &[Axis], random: &mut Random) -> Vec<f64> {
    let distance = 0.3 * 0.1_f64.powf(random.random::<f64>());
    let moved = |(u, axis): (&f64, &Axis)| match axis {
        Axis::Category(_) => *u,
        Axis::Real | Axis::Whole(_) => {
            let step: f64 = StandardNormal.sample(random);
            (u + distance * step).clamp(0.0, 1.0)
        }
    };
    best.point.iter().zip(axes).map(moved).collect()
}

/// The emptiest of some random places, the categories of the best point in half of them.
fn emptiest(laboratory: &Laboratory, random: &mut Random) -> Vec<f64> {
    let axes = laboratory.space().axes();
    let samples = laboratory.samples();
    let emptiness = |point: &DVector<f64>| {
        let distance = |sample: &Sample| (DVector::from_column_slice(&sample.point) - point).norm();
        samples.iter().map(distance).fold(f64::INFINITY, f64::min)
    };
    let candidates = (0..20).map(|_| DVector::from_fn(axes.len(), |_, _| random.random::<f64>()));
    let candidates: Vec<DVector<f64>> = candidates.collect();
    let emptiest = candidates.iter().max_by(|a, b| emptiness(a).total_cmp(&emptiness(b)));
    let mut place: Vec<f64> = emptiest.map_or_else(|| vec![0.5; axes.len()], |p| p.iter().copied().collect());
    if let Some(best) = laboratory.lowest().filter(|_| random.random_bool(0.5)) {
        for (index, axis) in axes.iter().enumerate() {
            if matches!(axis, Axis::Category(_)) {
                place[index] = best.point[index];
            }
        }
    }
    place
}
