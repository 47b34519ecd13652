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

use super::descent::Descent;
use super::frame::Frame;
use super::story::{Laboratory, Sample, Story};
use super::trust_region::{RADIUS, after, begin, elsewhere, turn};
use super::{Brief, Propose, curvature, lines};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};

/// The phases, for budgets of some twenty trials for each axis and more.
pub struct Structured(Story);

impl Structured {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> Structured {
        let random = seeded(brief.seed, 0xfa);
        Structured(Story::new(brief, |laboratory| search(laboratory, random)))
    }
}

impl Propose for Structured {
    fn name(&self) -> &'static str {
        "structured"
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

/// Axes that are coupled by this share of what their curvatures allow have a stiff direction between them.
const COUPLED: f64 = 0.2;

/// How often lines that are tied are followed again after a descent.
const TURNS: usize = 4;

async fn search(laboratory: Laboratory, mut random: Random) {
    let mut place = laboratory.space().start();
    while laboratory.remaining() > 0 {
        place = match begin(&laboratory, &place).await {
            Some(begun) => {
                let turned = turn(&laboratory, &begun.centre, &mut random).await;
                let frame = Frame::at(laboratory.space(), &turned.point);
                let mut descent = if frame.holds(&begun.centre) {
                    by_terms(&laboratory, &frame, &place, begun, &mut random).await
                } else {
                    Descent::new(turned, begun.radius, begun.hessian)
                };
                descent.run(&laboratory, &frame, 0, &mut random).await;
                after(&laboratory, &descent.centre, &mut random).await
            }
            None => elsewhere(&laboratory, &mut random),
        };
    }
}

/// Searches term by term where the function is a sum, and gives the descent that goes on.
async fn by_terms(
    laboratory: &Laboratory,
    frame: &Frame,
    place: &[f64],
    begun: Descent,
    random: &mut Random,
) -> Descent {
    let n = frame.dimension();
    let samples = laboratory.samples();
    let value_at = |point: &[f64]| samples.iter().rev().find(|s| s.point == point).map(|s| s.value);
    let snapped = laboratory.space().snap(place);
    let Some(origin) = value_at(&snapped).map(|value| Sample { point: snapped, value }) else {
        return begun;
    };
    if laboratory.noise() > 0.0 || n < 2 {
        return begun;
    }
    let known = along_axes(frame, &origin, &samples);
    let identity = DMatrix::identity(n, n);
    let coupled = match adds_up(laboratory, frame, &origin, &identity, &known, EXACT).await {
        Sum::Yes => {
            let start = lines::Start { origin, basis: identity, known, wide: true };
            let (best, _) = lines::follow(laboratory, frame, start).await;
            return polishing(best, n);
        }
        Sum::No(coupled) => coupled,
    };
    let generous = laboratory.remaining() > 2 * curvature::cost(n) + 10 * n;
    if !generous || coupled < COUPLED {
        return begun;
    }
    let centre = laboratory.lowest().unwrap_or(origin);
    let Some(hessian) = curvature::hessian(laboratory, frame, &centre).await else { return begun };
    let basis = hessian.clone().symmetric_eigen().eigenvectors;
    let known = along_basis(laboratory, frame, &centre, &basis).await;
    if let Some(known) = known
        && let Sum::Yes = adds_up(laboratory, frame, &centre, &basis, &known, NEARLY).await
    {
        let mut start = lines::Start { origin: centre, basis: basis.clone(), known, wide: false };
        for _ in 0..TURNS {
            match lines::follow(laboratory, frame, start).await {
                (best, lines::End::Bottom) => return polishing(best, n),
                (_, lines::End::Coupled) => break,
                (centre, lines::End::Tied) => {
                    let until = laboratory.remaining().saturating_sub(4 * n);
                    let mut free = Descent::new(centre, RADIUS, hessian.clone());
                    free.run(laboratory, frame, until, random).await;
                    start = lines::Start {
                        origin: free.centre,
                        basis: basis.clone(),
                        known: vec![Vec::new(); n],
                        wide: false,
                    };
                }
            }
        }
    }
    let centre = laboratory.lowest().unwrap_or(begun.centre);
    Descent::new(centre, RADIUS, hessian)
}

/// What is left to do where lines reached the bottom: directions between them.
fn polishing(best: Sample, n: usize) -> Descent {
    Descent::new(best, 1e-4, DMatrix::zeros(n, n))
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
) -> Sum {
    let at = frame.inner(&origin.point);
    let tests = known.iter().map(Vec::len).min().unwrap_or(0);
    let mut tested = false;
    for test in 0..tests {
        let (mut foretold, mut moved, mut steps) = (origin.value, 0.0, DVector::zeros(known.len()));
        for (index, line) in known.iter().enumerate() {
            let mut ordered = line.clone();
            ordered.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (step, value) = ordered[test];
            steps[index] = step;
            foretold += value - origin.value;
            moved += (value - origin.value).abs();
        }
        let inner = &at + basis * &steps;
        if inner.iter().any(|u| !(0.0..=1.0).contains(u)) {
            continue;
        }
        let Some(value) = laboratory.measure(&frame.point(&inner)).await else { return Sum::No(0.0) };
        if (value - foretold).abs() > tolerance * moved + 1e-12 * origin.value.abs() {
            return Sum::No((value - foretold) / most_coupled(origin.value, known, &steps));
        }
        tested = true;
    }
    if tested { Sum::Yes } else { Sum::No(0.0) }
}

/// The change beyond the sum that there would be if only one direction mattered, so that each two axes were coupled as much as their
/// curvatures allow.
fn most_coupled(here: f64, known: &[Vec<(f64, f64)>], steps: &DVector<f64>) -> f64 {
    let curvature = |line: &Vec<(f64, f64)>| match line.as_slice() {
        [(a, at_a), (b, at_b), ..] => 2.0 * ((at_a - here) / a - (at_b - here) / b) / (a - b),
        _ => 0.0,
    };
    let bends: Vec<f64> =
        known.iter().zip(steps.iter()).map(|(l, s)| curvature(l).max(0.0).sqrt() * s.abs()).collect();
    let (sum, squares) = (bends.iter().sum::<f64>(), bends.iter().map(|b| b * b).sum::<f64>());
    0.5 * (sum * sum - squares)
}

enum Sum {
    Yes,
    /// No, and how coupled the directions are: at most about 1.
    No(f64),
}
