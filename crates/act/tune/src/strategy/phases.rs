//! A search in phases: look around, find out what kind of function it is, use what fits.
//!
//! 1. The start and both sides of it along each axis are measured, and two points that differ in all axes at once. Where the changes
//!    add up, the function is a sum of one term for each axis, and [`super::lines`] searches term by term.
//! 2. Else, where the budget is generous, the second derivatives are measured close to the best point, and whether the changes add up
//!    along the axes of the Hessian: many functions are sums in some rotated basis.
//! 3. What is left, and what the lines leave, is descended by [`super::descent`], which begins with that Hessian.
//! 4. Once nothing is left to gain there, it starts elsewhere.
//!
//! Each decision is by what was measured in this run.

use nalgebra::{DMatrix, DVector};

use super::frame::Frame;
use super::story::{Laboratory, Sample, Story};
use super::trust_region::{begin, elsewhere, turn};
use super::{Brief, Propose, curvature, descent, lines};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};

/// The phases, for budgets of some twenty trials for each axis and more.
pub struct Phases(Story);

impl Phases {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> Phases {
        let random = seeded(brief.seed, 0xfa);
        Phases(Story::new(brief, |laboratory| search(laboratory, random)))
    }
}

impl Propose for Phases {
    fn name(&self) -> &'static str {
        "phases"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.0.ask(seen)
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        self.0.tell(seen, trial);
    }
}

/// Changes that add up do so to this share of their sum.
const EXACT: f64 = 1e-7;
/// In a basis that was measured, to this share.
const NEARLY: f64 = 0.02;

async fn search(laboratory: Laboratory, mut random: Random) {
    let mut place = laboratory.space().start();
    while laboratory.remaining() > 0 {
        if let Some(begun) = begin(&laboratory, &place).await {
            let frame = Frame::at(laboratory.space(), &begun.centre.point);
            let begun = match by_terms(&laboratory, &frame, &place, begun).await {
                Kind::Sum(best) => descent::Start { radius: 1e-4, ..start_at(best, frame.dimension()) },
                Kind::Other(start) => start,
            };
            let end = descent::descend(&laboratory, &frame, begun, 1e-9, &mut random).await;
            turn(&laboratory, &end.best, &mut random).await;
        }
        place = elsewhere(&laboratory, &mut random);
    }
}

enum Kind {
    /// A sum, searched to the end.
    Sum(Sample),
    Other(descent::Start),
}

fn start_at(centre: Sample, n: usize) -> descent::Start {
    descent::Start { centre, radius: super::trust_region::RADIUS, hessian: DMatrix::zeros(n, n) }
}

async fn by_terms(laboratory: &Laboratory, frame: &Frame, place: &[f64], begun: descent::Start) -> Kind {
    let n = frame.dimension();
    let samples = laboratory.samples();
    let value_at = |point: &[f64]| samples.iter().rev().find(|s| s.point == point).map(|s| s.value);
    let snapped = laboratory.space().snap(place);
    let Some(origin) = value_at(&snapped).map(|value| Sample { point: snapped, value }) else {
        return Kind::Other(begun);
    };
    if laboratory.noise() > 0.0 || n < 2 {
        return Kind::Other(begun);
    }
    let known = along_axes(frame, &origin, &samples);
    let identity = DMatrix::identity(n, n);
    if adds_up(laboratory, frame, &origin, &identity, &known, EXACT).await {
        let start = lines::Start { origin, basis: identity, known, wide: true };
        return Kind::Sum(lines::follow(laboratory, frame, start).await);
    }
    let generous = laboratory.remaining() > 2 * curvature::cost(n) + 10 * n;
    if !generous {
        return Kind::Other(begun);
    }
    let centre = laboratory.lowest().unwrap_or(origin);
    let Some(hessian) = curvature::hessian(laboratory, frame, &centre).await else { return Kind::Other(begun) };
    let basis = hessian.clone().symmetric_eigen().eigenvectors;
    let known = along_basis(laboratory, frame, &centre, &basis).await;
    if let Some(known) = known
        && adds_up(laboratory, frame, &centre, &basis, &known, NEARLY).await
    {
        let start = lines::Start { origin: centre, basis, known, wide: false };
        return Kind::Sum(lines::follow(laboratory, frame, start).await);
    }
    let centre = laboratory.lowest().unwrap_or(begun.centre);
    Kind::Other(descent::Start { centre, hessian, ..begun })
}

/// What was measured on each axis through `origin`.
fn along_axes(frame: &Frame, origin: &Sample, samples: &[Sample]) -> Vec<Vec<(f64, f64)>> {
    let at = frame.inner(&origin.point);
    let mut known = vec![Vec::new(); frame.dimension()];
    for sample in samples.iter().filter(|sample| frame.holds(sample)) {
        let step = frame.inner(&sample.point) - &at;
        let mut moved = step.iter().enumerate().filter(|(_, s)| **s != 0.0);
        if let (Some((axis, s)), None) = (moved.next(), moved.next()) {
            known[axis].push((*s, sample.value));
        }
    }
    known
}

/// A measurement along each direction of `basis`, half a region away from `centre`.
async fn along_basis(
    laboratory: &Laboratory,
    frame: &Frame,
    centre: &Sample,
    basis: &DMatrix<f64>,
) -> Option<Vec<Vec<(f64, f64)>>> {
    let at = frame.inner(&centre.point);
    let inward = |direction: &DVector<f64>| {
        let room = |side: f64| (&at + direction * (side * 0.1)).map(|u| (0.5 - u).abs()).max();
        if room(1.0) <= room(-1.0) { 0.1 } else { -0.1 }
    };
    let steps: Vec<f64> = basis.column_iter().map(|column| inward(&column.into_owned())).collect();
    let place = |(index, step): (usize, &f64)| frame.point(&(&at + basis.column(index) * *step));
    let points: Vec<Vec<f64>> = steps.iter().enumerate().map(place).collect();
    let values: Option<Vec<f64>> = laboratory.measure_all(&points).await.into_iter().collect();
    Some(steps.into_iter().zip(values?).map(|(step, value)| vec![(step, value)]).collect())
}

/// Whether what changes along each direction alone adds up where all change together.
async fn adds_up(
    laboratory: &Laboratory,
    frame: &Frame,
    origin: &Sample,
    basis: &DMatrix<f64>,
    known: &[Vec<(f64, f64)>],
    tolerance: f64,
) -> bool {
    let at = frame.inner(&origin.point);
    let tests = known.iter().map(Vec::len).min().unwrap_or(0);
    for test in 0..tests {
        let mut inner = at.clone();
        let (mut foretold, mut moved) = (origin.value, 0.0);
        for (index, line) in known.iter().enumerate() {
            let mut ordered = line.clone();
            ordered.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (step, value) = ordered[test];
            inner += basis.column(index) * step;
            foretold += value - origin.value;
            moved += (value - origin.value).abs();
        }
        if inner.iter().any(|u| !(0.0..=1.0).contains(u)) {
            continue;
        }
        let Some(value) = laboratory.measure(&frame.point(&inner)).await else { return false };
        if (value - foretold).abs() > tolerance * moved + 1e-12 * origin.value.abs() {
            return false;
        }
    }
    tests > 0
}
