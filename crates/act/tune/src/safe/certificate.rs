//! Which points keep a constraint, as far as can be known.
//!
//! **Declared**: the lower end of the envelope of the margins is 0 or more. Where the constraint is broken, a margin counts as 0, so
//! the rate need only hold where it is kept: on the straight way from a point that keeps it to one that does not, the margin falls to
//! 0 before it leaves what is kept. Where trials speak against the rate, the estimate must agree too: a doubt that is wrong takes nothing
//! from what was promised.
//!
//! **Estimated**: two estimates must both say so, and each is made cautious.
//!
//! - A Gaussian process of the margins with mean 0, so that what is unknown counts as standing at the bound. Its lower end lies β
//!   standard deviations down, with the likeliest lengths and with shorter ones, and β grows with what has surprised the process so far:
//!   a certificate lives on hyper-parameters that are themselves estimated (Capone, Lederer and Hirche, *Gaussian Process Uniform
//!   Error Bounds with Unknown Hyperparameters for Safety-Critical Applications*, 2022).
//! - The envelope of the process' values at the measured points, under the greatest slopes that the process makes likely anywhere.

use kandela_algebra::envelope::{Envelope, Slopes};

use super::Constraint;
use super::surface::{Belief, Hyper, Readings, Surface, fit};

/// So many standard deviations the lower end lies down. The chance that any of a hundred trials near the bound falls below is then 2 %,
/// if the process is right.
const BETA: f64 = 3.5;

/// With few measurements β grows by this over their number: the amplitude is open then, as Student's t has it.
const FEW: f64 = 4.0;

/// The lengths of the cautious process, in those of the likeliest one.
const SHORTER: f64 = 0.7;

/// The greatest slope anywhere, in standard deviations of slopes.
const STEEPEST: f64 = 4.0;

/// The least slope that is reckoned with, in margins for each width of the cube: what looked flat so far may end in an edge.
const LEAST_SLOPE: f64 = 4.0;

/// So many standard deviations two margins are brought together before their slope counts against a declared rate.
const CHORD: f64 = 2.5;

/// So much the logarithm of the likelihood falls, where slopes are held to a declared rate, before that counts against it.
const UNLIKELY: f64 = 4.0;

/// So many standard deviations a measurement is off at most, where nobody declared how much.
const FARTHEST_OFF: f64 = 3.5;

/// A quantity is expected to stay alike over two fifths of an axis, over more where many axes share in what it varies by, and to vary
/// by as much as its margin at the start.
fn belief(axes: usize) -> Belief {
    Belief {
        length: ((0.4 * (axes as f64).sqrt()).ln(), 0.6),
        amplitude: (0.0, 0.7),
        noise: (0.03_f64.ln(), 1.3),
    }
}

/// What is known of one constraint.
#[derive(Debug)]
pub(super) struct Certificate {
    /// On a scale on which margins are about 1.
    likeliest: Surface,
    cautious: Surface,
    beta: f64,
    /// Of the process at the measured points.
    envelope: Envelope<Slopes>,
    /// Of the margins under the declared rate, in the constraint's unit.
    declared: Option<Envelope<Slopes>>,
    /// Whether the declared rate is enough.
    trusted: bool,
    /// A slope that the measurements make likely and the declared rate does not allow.
    seen: Option<f64>,
}

/// What measurements say against a declared rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Contradiction {
    /// Two measurements, by their places, and how much too far apart they lie.
    Between(usize, usize, f64),
    /// The rate that the process sees.
    Seen(f64),
}

impl Certificate {
    /// From `margins`; the hyper-parameters are kept from one time to the next, and fitted in so many steps. `trusted` says whether
    /// what was declared still counts. `None` before the first margin.
    pub(super) fn of(
        constraint: &Constraint,
        trusted: bool,
        margins: &Readings,
        hyper: &mut Option<Hyper>,
        steps: usize,
    ) -> Option<Certificate> {
        let axes = margins.points.first()?.len();
        let square: f64 = margins.values.iter().map(|v| v * v).sum();
        let scale = (square / margins.values.len() as f64).sqrt().max(f64::MIN_POSITIVE.sqrt());
        let scaled = Readings {
            points: margins.points.clone(),
            values: margins.values.iter().map(|v| v / scale).collect(),
            noise: margins.noise.iter().map(|n| n.map(|n| n / scale)).collect(),
        };
        let believed = belief(axes);
        let from = hyper.clone().unwrap_or_else(|| Hyper::believed(&believed, axes));
        let fitted = if steps > 0 { fit(&scaled, 0.0, &believed, from, steps) } else { from };
        let likeliest = Surface::given(&scaled, 0.0, fitted.clone())?;
        let cautious = Surface::given(&scaled, 0.0, fitted.with_lengths(SHORTER))?;
        *hyper = Some(fitted);
        // The first measurement is no surprise: nothing was known.
        let worst = likeliest.surprises.iter().skip(1).fold(0.0_f64, |worst, z| worst.max(z.abs()));
        // Few measurements leave the amplitude open, which widens the tails as Student's t does.
        let few = 1.0 + FEW / scaled.values.len() as f64;
        let beta = BETA * few * (worst / 3.0).max(1.0);
        let steepest = likeliest.slopes().into_iter().map(|slope| (STEEPEST * slope).max(LEAST_SLOPE));
        let believed = scaled.points.iter().map(|point| {
            let (mean, deviation) = likeliest.at(point);
            (mean, BETA * deviation)
        });
        let envelope = enveloped(Slopes(steepest.collect()), &scaled.points, believed);
        let declared = constraint.rate.map(|rate| {
            let noise = constraint.noise.unwrap_or(FARTHEST_OFF * likeliest.hyper().noise() * scale);
            // A margin that is counted as 0 is none: without noise its own point would be certified.
            let off = |margin: f64| if margin < 0.0 { noise.max(f64::MIN_POSITIVE) } else { noise };
            let kept = margins.values.iter().map(|margin| (margin.max(0.0), off(*margin)));
            enveloped(Slopes(vec![rate; axes]), &margins.points, kept)
        });
        let trusted = trusted && declared.is_some();
        let seen = constraint.rate.filter(|_| trusted);
        let seen = seen.and_then(|rate| likelier(&likeliest, &scaled, rate / scale)).map(|seen| seen * scale);
        Some(Certificate { likeliest, cautious, beta, envelope, declared, trusted, seen })
    }

    /// The lowest margin that must be reckoned with at `point`, in a unit of its own; nothing is measured where it is below 0.
    pub(super) fn lower(&self, point: &Vec<f64>) -> f64 {
        let declared = self.declared.as_ref().map_or(f64::INFINITY, |envelope| envelope.lower(point));
        if self.trusted || declared < 0.0 {
            return declared;
        }
        let bounded = self.envelope.lower(point);
        if bounded < 0.0 {
            return bounded;
        }
        let low = |surface: &Surface| {
            let (mean, deviation) = surface.at(point);
            mean - self.beta * deviation
        };
        bounded.min(low(&self.likeliest)).min(low(&self.cautious))
    }

    /// What is expected of the margin at `point`, and its standard deviation, in that unit.
    pub(super) fn expected(&self, point: &[f64]) -> (f64, f64) {
        self.likeliest.at(point)
    }

    /// How surprising each measurement was to the process, in standard deviations, below 0 where the margin was lower.
    pub(super) fn surprises(&self) -> &[f64] {
        &self.likeliest.surprises
    }

    /// Whether the measurements leave room for what was declared.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        if let Err(pair) = self.declared.as_ref().filter(|_| self.trusted)?.consistent() {
            return Some(Contradiction::Between(pair.low, pair.high, pair.excess));
        }
        self.seen.map(Contradiction::Seen)
    }
}

/// A slope above `rate` that the readings make likelier than any that keeps to it: that of the steepest way between two of them, else the
/// usual one of the process, if the process with as much slower changes or smaller ones explains them much worse.
fn likelier(process: &Surface, readings: &Readings, rate: f64) -> Option<f64> {
    let chord = process.steepest_chord(CHORD);
    if chord > rate {
        return Some(chord);
    }
    let usual = process.slopes().iter().map(|slope| slope * slope).sum::<f64>().sqrt();
    if usual <= rate {
        return None;
    }
    let (slower, smaller) = (usual / rate, rate / usual);
    let others = [process.hyper().with_lengths(slower), process.hyper().with_amplitude(smaller)];
    let explained = others.into_iter().filter_map(|hyper| Surface::given(readings, 0.0, hyper));
    let best = explained.map(|other| other.log_likelihood()).fold(f64::NEG_INFINITY, f64::max);
    (process.log_likelihood() - best > UNLIKELY).then_some(usual)
}

fn enveloped(
    slopes: Slopes,
    points: &[Vec<f64>],
    values: impl Iterator<Item = (f64, f64)>,
) -> Envelope<Slopes> {
    let mut envelope = Envelope::new(slopes);
    for (point, (value, noise)) in points.iter().zip(values) {
        // What is no number says nothing, and is left out.
        let _ = envelope.measure(point.clone(), value, noise);
    }
    envelope
}
