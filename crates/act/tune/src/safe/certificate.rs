//! Which points keep a constraint, as far as can be known.
//!
//! Declared: the lower end of the envelope of the margins is 0 or more. Estimated: two estimates must both say so, and each is made
//! cautious.
//!
//! - A Gaussian process of the margins with mean 0, so that what is unknown counts as standing at the bound; its lower end lies
//!   β standard deviations down, with lengths shorter than the likeliest ones, and β grows with what has surprised the process so
//!   far. (That safety lives on hyper-parameters which are themselves estimated: Capone, Lederer and Hirche, 2022.)
//! - The envelope of the process' values at the measured points, under the greatest slopes that the process makes likely anywhere.

use kandela_algebra::envelope::{Envelope, Inconsistent, Slopes};

use super::surface::{Belief, Hyper, Readings, Surface, fit};

/// How cautious an estimated certificate is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caution {
    pub(crate) beta: f64,
    pub(crate) shorter: f64,
    pub(crate) slopes: f64,
}

fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

impl Caution {
    pub(crate) fn usual() -> Caution {
        Caution { beta: env("S_BETA", 3.0), shorter: env("S_SHORT", 0.8), slopes: env("S_SLOPES", 3.0) }
    }
}

pub(crate) fn belief(axes: usize) -> Belief {
    Belief {
        length: ((env("S_LEN", 0.4) * (axes as f64).powf(env("S_POW", 0.5))).ln(), env("S_LSD", 0.7)),
        amplitude: (0.0, 0.7),
        noise: (0.03_f64.ln(), 1.3),
    }
}

/// What is known of one constraint.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The unit of what follows, so that margins are about 1.
    scale: f64,
    likeliest: Surface,
    cautious: Surface,
    beta: f64,
    envelope: Envelope<Slopes>,
}

impl Certificate {
    /// From margins; `hyper` is kept from one time to the next.
    pub(crate) fn estimated(
        margins: &Readings,
        hyper: &mut Option<Hyper>,
        steps: usize,
    ) -> Option<Certificate> {
        let caution = Caution::usual();
        let axes = margins.points.first()?.len();
        let square: f64 = margins.values.iter().map(|v| v * v).sum();
        let scale = (square / margins.values.len() as f64).sqrt().max(1e-12);
        let scaled = Readings {
            points: margins.points.clone(),
            values: margins.values.iter().map(|v| v / scale).collect(),
            noise: margins.noise.iter().map(|n| n.map(|n| n / scale)).collect(),
        };
        let believed = belief(axes);
        let from = hyper.clone().unwrap_or_else(|| Hyper::believed(&believed, axes));
        let fitted = if steps > 0 { fit(&scaled, 0.0, &believed, from, steps) } else { from };
        let likeliest = Surface::given(&scaled, 0.0, fitted.clone())?;
        let cautious = Surface::given(&scaled, 0.0, fitted.with_lengths(caution.shorter))?;
        *hyper = Some(fitted);
        let worst = likeliest.surprises.iter().skip(1).fold(0.0_f64, |worst, z| worst.max(z.abs()));
        let beta = caution.beta * (worst / 3.0).max(1.0);
        let steepest = |k: usize| {
            let hyper = likeliest.hyper();
            caution.slopes * hyper.amplitude() * (5.0_f64 / 3.0).sqrt() / hyper.length(k)
        };
        let mut envelope = Envelope::new(Slopes((0..axes).map(steepest).collect()));
        for point in &scaled.points {
            let (mean, deviation) = likeliest.at(point);
            let _ = envelope.measure(point.clone(), mean, caution.beta * deviation);
        }
        Some(Certificate { scale, likeliest, cautious, beta, envelope })
    }

    /// The lowest margin that must be reckoned with at `point`, in the constraint's unit.
    pub(crate) fn lower(&self, point: &Vec<f64>) -> f64 {
        let of = |surface: &Surface| {
            let (mean, deviation) = surface.at(point);
            mean - self.beta * deviation
        };
        let bounded = self.envelope.lower(point);
        if bounded < 0.0 {
            return bounded * self.scale;
        }
        of(&self.likeliest).min(of(&self.cautious)).min(bounded) * self.scale
    }

    /// The highest margin that can be hoped for at `point`.
    pub(crate) fn hope(&self, point: &[f64]) -> f64 {
        let (mean, deviation) = self.likeliest.at(point);
        (mean + self.beta * deviation) * self.scale
    }

    pub(crate) fn surprises(&self) -> &[f64] {
        &self.likeliest.surprises
    }

    pub(crate) fn noise(&self) -> f64 {
        self.likeliest.hyper().noise() * self.scale
    }
}
