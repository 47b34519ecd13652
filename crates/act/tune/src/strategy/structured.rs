//! A search in phases: look around, find out what kind of function it is, use what fits.
//!
//! 1. The start and both sides of it along each axis are measured, and two points that differ in all axes at once. Where the changes
//!    add up, the function is a sum of one term for each axis, and [`super::lines`] searches term by term.
//! 2. Else it is descended by [`super::descent`]. Where that will not arrive within the budget at its pace, or its models are refuted
//!    again and again, and the axes are coupled, the second derivatives are measured where it began, and whether the changes add up
//!    along the axes of the Hessian: many functions are sums in some rotated basis. Then a descent in coordinates in which the function
//!    is round races one in its own.
//! 3. Once nothing is left to gain there, the rest of the budget is shared, by what each earns, between descents from elsewhere and a
//!    population, which sees the valleys from above where there are many, and needs no model where models fail.
//!
//! Each decision is by what was measured in this run.

use nalgebra::{DMatrix, DVector};

use super::descent::Descent;
use super::frame::Frame;
use super::story::{Laboratory, Sample, Story};
use super::trust_region::{RADIUS, begin, elsewhere, restarts, turn};
use super::{Brief, CmaEs, Propose, curvature, lines};
use crate::history::{History, Trial};
use crate::portfolio::{LedgerRow, Portfolio, Price, Sharing};
use crate::random::{Random, seeded};
use crate::space::Axis;

/// The phases, for budgets of some twenty trials for each axis and more.
pub struct Structured {
    brief: Brief,
    first: Story,
    /// What goes on once the first descent has ended, and the number of its first trial.
    then: Option<(u64, Portfolio)>,
}

impl Structured {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> Structured {
        let random = seeded(brief.seed, 0xfa);
        let first = Story::new(brief, |laboratory| search(laboratory, random));
        Structured { brief: brief.clone(), first, then: None }
    }

    fn shared(&self) -> Portfolio {
        let random = seeded(self.brief.seed, 0xfb);
        let descents = Story::new(&self.brief, |laboratory| restarts(laboratory, random));
        let members: Vec<Box<dyn Propose>> =
            vec![Box::new(Descents(descents)), Box::new(CmaEs::new(&self.brief))];
        Portfolio::new(members, Sharing::Return(Price::Trial))
    }
}

impl Propose for Structured {
    fn name(&self) -> &'static str {
        "structured"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if self.then.is_none() && self.first.is_over(seen) {
            self.then = Some((seen.trials().len() as u64, self.shared()));
        }
        match &mut self.then {
            Some((_, shared)) => shared.ask(seen),
            None => self.first.ask(seen),
        }
    }

    fn author(&self) -> &'static str {
        self.then.as_ref().map_or(self.name(), |(_, shared)| shared.author())
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        match &mut self.then {
            Some((begun, shared)) if trial.id >= *begun => shared.tell(seen, trial),
            _ => self.first.tell(seen, trial),
        }
    }

    fn ledger(&self) -> Vec<LedgerRow> {
        self.then.as_ref().map_or_else(Vec::new, |(_, shared)| shared.ledger())
    }
}

/// Descents one after another, from elsewhere each.
struct Descents(Story);

impl Propose for Descents {
    fn name(&self) -> &'static str {
        "descents"
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
        let Some(begun) = begin(&laboratory, &place).await else {
            place = elsewhere(&laboratory, &mut random);
            continue;
        };
        let turned = turn(&laboratory, &begun.centre, &mut random).await;
        let frame = Frame::at(laboratory.space(), &turned.point);
        let sum = if frame.holds(&begun.centre) {
            by_axes(&laboratory, &frame, &place).await
        } else {
            Sum::No(0.0)
        };
        match sum {
            Sum::Yes(best) => {
                polishing(best, frame.dimension()).run(&laboratory, &frame, 0, &mut random).await;
            }
            Sum::No(coupled) => {
                let descent = Descent::new(turned, begun.radius, begun.hessian);
                descend(&laboratory, &frame, descent, coupled, &mut random).await;
            }
        }
        let Some(best) = laboratory.lowest() else { return };
        let turned = turn(&laboratory, &best, &mut random).await;
        if turned.value >= best.value {
            return;
        }
        place = turned.point;
    }
}

/// Whether the function is a sum of a term for each axis, as far as the start and its sides tell; then the lowest point of the terms.
async fn by_axes(laboratory: &Laboratory, frame: &Frame, place: &[f64]) -> Sum<Sample> {
    let n = frame.dimension();
    let samples = laboratory.samples();
    let snapped = laboratory.space().snap(place);
    let Some(origin) = samples.iter().rev().find(|sample| sample.point == snapped).cloned() else {
        return Sum::No(0.0);
    };
    if laboratory.noise() > 0.0 || n < 2 {
        return Sum::No(0.0);
    }
    let known = along_axes(frame, &origin, &samples);
    let identity = DMatrix::identity(n, n);
    match adds_up(laboratory, frame, &origin, &identity, &known, EXACT).await {
        Sum::Yes(()) => {
            let start = lines::Start { origin, basis: identity, known, wide: true };
            Sum::Yes(lines::follow(laboratory, frame, start).await.0)
        }
        Sum::No(coupled) => Sum::No(coupled),
    }
}

/// Descends until nothing is left to gain; once that seems to take too long, along the axes of the Hessian.
async fn descend(
    laboratory: &Laboratory,
    frame: &Frame,
    mut descent: Descent,
    coupled: f64,
    random: &mut Random,
) {
    let n = frame.dimension();
    let real = laboratory.space().axes().iter().all(|axis| !matches!(axis, Axis::Whole(_)));
    let may_measure = real && n > 1 && coupled >= COUPLED && laboratory.noise() == 0.0;
    // Where terms are large beside what differences of them are off by.
    let far = descent.centre.clone();
    let leg = 2 * n;
    let mut passed = vec![far.value];
    while laboratory.remaining() > 0 {
        let mut goes_on = true;
        for _ in 0..leg {
            goes_on = goes_on
                && !descent.is_refuted()
                && !descent.is_level(laboratory, frame)
                && laboratory.remaining() > 0
                && descent.step(laboratory, frame, random).await;
        }
        passed.push(descent.centre.value);
        let generous = laboratory.remaining() > curvature::cost(n) + 10 * n;
        let is_stuck =
            if goes_on { is_slow(&passed, laboratory.remaining() / leg) } else { descent.is_refuted() };
        if may_measure && generous && is_stuck {
            return along_hessian(laboratory, frame, &far, descent, random).await;
        }
        if !goes_on {
            return;
        }
    }
}

/// Whether a descent that passed these values, a leg apart, will not arrive within `left` more legs: what it gains falls off too
/// slowly.
fn is_slow(passed: &[f64], left: usize) -> bool {
    let [first, .., a, b, c, d] = passed else { return false };
    let (early, late) = (a - b, c - d);
    if late <= 0.0 {
        return early > 0.0;
    }
    // Of two legs, so that one alone does not tell.
    let rate = (late / early).sqrt();
    if rate.is_nan() || rate >= 1.0 {
        return true;
    }
    let missing = late * rate / (1.0 - rate);
    (missing / (ARRIVED * (first - d))).ln() > (1.0 / rate).ln() * left as f64
}

/// A descent has arrived where this share of what it gained is left to gain.
const ARRIVED: f64 = 1e-12;

/// Measures the second derivatives at `far`, and searches line by line along their axes; then by a descent in coordinates in which
/// the function is round there, and one in its own.
async fn along_hessian(
    laboratory: &Laboratory,
    frame: &Frame,
    far: &Sample,
    mut descent: Descent,
    random: &mut Random,
) {
    let n = frame.dimension();
    let measured = curvature::hessian(laboratory, frame, far).await;
    let lowest = |other| laboratory.lowest().filter(|lowest| frame.holds(lowest)).unwrap_or(other);
    let centre = lowest(descent.centre.clone());
    let Some(hessian) = measured else {
        descent.centre = centre;
        return descent.run(laboratory, frame, 0, random).await;
    };
    let axes = curvature::axes(&hessian);
    let known = along_basis(laboratory, frame, &centre, &axes.basis).await;
    if let Some(known) = known
        && let Sum::Yes(()) = adds_up(laboratory, frame, &centre, &axes.basis, &known, NEARLY).await
    {
        let mut start =
            lines::Start { origin: centre.clone(), basis: axes.basis.clone(), known, wide: false };
        for _ in 0..TURNS {
            match lines::follow(laboratory, frame, start).await {
                (_, lines::End::Bottom | lines::End::Coupled) => break,
                (centre, lines::End::Tied) => {
                    let until = laboratory.remaining().saturating_sub(4 * n);
                    let mut free = Descent::new(centre, RADIUS, hessian.clone());
                    free.run(laboratory, frame, until, random).await;
                    let (origin, basis) = (free.centre, axes.basis.clone());
                    start = lines::Start { origin, basis, known: vec![Vec::new(); n], wide: false };
                }
            }
        }
    }
    let centre = lowest(centre);
    let round = frame.turned(&centre.point, &axes);
    let plain = Descent::new(centre.clone(), RADIUS, hessian);
    let turned = Descent::new(centre, RADIUS, axes.curvatures());
    race(laboratory, [(&round, turned), (frame, plain)], random).await;
}

/// What a descent gained while the other went on counts less with each leg.
const STALE: f64 = 0.25;

/// Two descents from the best point, in legs; who gained more goes on.
async fn race(laboratory: &Laboratory, mut rivals: [(&Frame, Descent); 2], random: &mut Random) {
    let mut gains = [f64::INFINITY; 2];
    while laboratory.remaining() > 0 && gains != [f64::NEG_INFINITY; 2] {
        let next = usize::from(gains[1] > gains[0]);
        let (frame, descent) = &mut rivals[next];
        if let Some(best) = laboratory.lowest().filter(|best| frame.holds(best)) {
            descent.move_to(frame, best);
        }
        let before = descent.centre.value;
        let mut goes_on = true;
        for _ in 0..=frame.dimension() {
            goes_on = goes_on && laboratory.remaining() > 0 && descent.step(laboratory, frame, random).await;
        }
        gains[next] = if goes_on { before - descent.centre.value } else { f64::NEG_INFINITY };
        gains[1 - next] *= STALE;
    }
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

/// A measurement along each direction of `basis`, a region away from `centre`.
async fn along_basis(
    laboratory: &Laboratory,
    frame: &Frame,
    centre: &Sample,
    basis: &DMatrix<f64>,
) -> Option<Vec<Vec<(f64, f64)>>> {
    let at = frame.inner(&centre.point);
    let inward = |direction: &DVector<f64>| {
        let room = |side: f64| (&at + direction * (side * RADIUS)).map(|u| (0.5 - u).abs()).max();
        if room(1.0) <= room(-1.0) { RADIUS } else { -RADIUS }
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
) -> Sum<()> {
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
    if tested { Sum::Yes(()) } else { Sum::No(0.0) }
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

enum Sum<T> {
    Yes(T),
    /// No, and how coupled the directions are: at most about 1.
    No(f64),
}
