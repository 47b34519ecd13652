//! Search by a bound on slopes, for a few axes.
//!
//! LIPO (Malherbe & Vayatis, *Global optimization of Lipschitz functions*, ICML 2017) measures where the function could be lowest if it
//! changes no faster than it was seen to change. As in King's MaxLIPO+TR (dlib, *A global optimization algorithm worth using*, 2017) each
//! axis has a slope of its own, the least that explain all differences, and every second trial is a step of a trust region from
//! the best point, which LIPO by itself would take long to polish.

use kandela_algebra::envelope::{Envelope, Slopes};
use nalgebra::DMatrix;
use rand::Rng;

use super::descent::Descent;
use super::frame::Frame;
use super::story::{Laboratory, Sample, Story};
use super::trust_region::{RADIUS, turn};
use super::{Brief, Propose, category};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};
use crate::space::{Axis, Space};

/// LIPO and a trust region by turns.
pub struct Lipo(Story);

impl Lipo {
    /// A search of the brief's space. Beyond some six axes bounds on slopes tell little.
    pub fn new(brief: &Brief) -> Lipo {
        let random = seeded(brief.seed, 0x11);
        Lipo(Story::new(brief, |laboratory| search(laboratory, random)))
    }
}

impl Propose for Lipo {
    fn name(&self) -> &'static str {
        "lipo"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.0.ask(seen)
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        self.0.tell(seen, trial);
    }
}

/// Places that are looked at for each that is measured.
const CANDIDATES: usize = 500;

async fn search(laboratory: Laboratory, mut random: Random) {
    let space = laboratory.space().clone();
    let mut steepness = Steepness::new(&space);
    let mut failed: Vec<Vec<f64>> = Vec::new();
    let mut descent: Option<(Frame, Descent)> = None;
    let mut turned: Option<Sample> = None;
    let mut first = Some(space.start());
    loop {
        let noise = laboratory.noise();
        steepness.learn(&space, &laboratory.samples(), noise);
        let place = match first.take() {
            Some(place) => place,
            None => lowest_possible(&laboratory, &steepness, &failed, &mut random),
        };
        if laboratory.measure(&place).await.is_none() {
            failed.push(embedded(&space, &place));
        }
        let Some(best) = laboratory.lowest() else { continue };
        if descent.as_ref().is_none_or(|(_, descent)| best.value < descent.centre.value) {
            let frame = Frame::at(&space, &best.point);
            let n = frame.dimension();
            descent = Some((frame, Descent::new(best, RADIUS, DMatrix::zeros(n, n))));
        }
        if let Some((frame, descent)) = &mut descent
            && !descent.step(&laboratory, frame, &mut random).await
            && turned.as_ref() != Some(&descent.centre)
        {
            turn(&laboratory, &descent.centre, &mut random).await;
            turned = Some(descent.centre.clone());
        }
    }
}

/// Of many random places, the one where the bound on slopes leaves most room below.
fn lowest_possible(
    laboratory: &Laboratory,
    steepness: &Steepness,
    failed: &[Vec<f64>],
    random: &mut Random,
) -> Vec<f64> {
    let space = laboratory.space();
    let samples = laboratory.samples();
    let mut envelope = Envelope::new(Slopes(steepness.slopes()));
    let noise = laboratory.noise();
    for sample in &samples {
        // A value that is no measurement says nothing.
        let _ = envelope.measure(embedded(space, &sample.point), sample.value, noise);
    }
    let worst = samples.iter().map(|sample| sample.value).fold(f64::NEG_INFINITY, f64::max);
    for place in failed {
        let _ = envelope.measure(place.clone(), worst, 0.0);
    }
    let candidates = (0..CANDIDATES).map(|_| {
        let place: Vec<f64> = space.axes().iter().map(|_| random.random()).collect();
        let bound = envelope.lower(&embedded(space, &place));
        (place, bound)
    });
    let lowest = candidates.min_by(|a, b| a.1.total_cmp(&b.1));
    lowest.map_or_else(|| space.start(), |(place, _)| place)
}

/// The point with a coordinate for each value of a category, so that any two of them are equally far from each other.
fn embedded(space: &Space, point: &[f64]) -> Vec<f64> {
    let mut embedded = Vec::with_capacity(point.len());
    for (u, axis) in space.snap(point).into_iter().zip(space.axes()) {
        match axis {
            Axis::Real | Axis::Whole(_) => embedded.push(u),
            Axis::Category(count) => {
                let chosen = category(u, *count);
                embedded.extend((0..*count).map(|value| if value == chosen { 1.0 } else { 0.0 }));
            }
        }
    }
    embedded
}

/// The least squared slopes that explain all differences: the point nearest to nought of the polyhedron that the pairs cut out, by
/// Hildreth's method (*A quadratic programming procedure*, 1957).
struct Steepness {
    squares: Vec<f64>,
    known: Vec<(Vec<f64>, f64)>,
    pairs: Vec<Pair>,
}

struct Pair {
    /// Squared distances by coordinate.
    apart: Vec<f64>,
    /// Squared difference of the values.
    change: f64,
    weight: f64,
}

/// Rounds over the pairs that bind, for each new measurement.
const ROUNDS: usize = 4;

impl Steepness {
    fn new(space: &Space) -> Steepness {
        let dimension = embedded(space, &space.start()).len();
        Steepness { squares: vec![0.0; dimension], known: Vec::new(), pairs: Vec::new() }
    }

    fn learn(&mut self, space: &Space, samples: &[Sample], noise: f64) {
        for sample in &samples[self.known.len().min(samples.len())..] {
            let point = embedded(space, &sample.point);
            for (other, value) in &self.known {
                let apart: Vec<f64> = point.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).collect();
                let change = ((sample.value - value).abs() - 2.0 * noise).max(0.0).powi(2);
                let pair = Pair { apart, change, weight: 0.0 };
                if pair.length() > 0.0 && pair.lacks(&self.squares) > 0.0 {
                    self.pairs.push(pair);
                }
            }
            self.known.push((point, sample.value));
        }
        for _ in 0..ROUNDS {
            for pair in &mut self.pairs {
                let more = (pair.lacks(&self.squares) / pair.length()).max(-pair.weight);
                pair.weight += more;
                self.squares.iter_mut().zip(&pair.apart).for_each(|(square, apart)| *square += more * apart);
            }
        }
        self.pairs.retain(|pair| pair.weight > 0.0);
    }

    fn slopes(&self) -> Vec<f64> {
        self.squares.iter().map(|square| square.max(0.0).sqrt()).collect()
    }
}

impl Pair {
    fn length(&self) -> f64 {
        self.apart.iter().map(|apart| apart * apart).sum()
    }

    fn lacks(&self, squares: &[f64]) -> f64 {
        self.change - self.apart.iter().zip(squares).map(|(apart, square)| apart * square).sum::<f64>()
    }
}
