//! What a sizer remembers: of the downstream, of the load, and when to forget.

use super::meter::{Level, Sample};
use super::outlook::Load;
use super::usl::{Fit, Usl, fit};
use kandela_algebra::histogram::LogHistogram;

/// After so many seconds, what was seen of the downstream counts half.
const HALF_LIFE: f64 = 240.0;
/// The same for the slow estimate of the load, and for the quick one that contradicts it.
const SLOW: f64 = 60.0;
const QUICK: f64 = 4.0;
/// By how many standard errors a window alone contradicts, and by how many the quick estimate, which is asked as often but changes
/// less.
const SURELY: f64 = 5.0;
const CLEARLY: f64 = 4.0;
/// What was seen before a change counts as so many uses after it: enough to say in which direction to look, no more.
const AFTER_CHANGE: f64 = 30.0;
/// The cumulated surprise, in standard deviations, that means a change; and how much of each window's is taken as chance.
/// Page's CUSUM (Biometrika 41, 1954): one false alarm in some 10⁵ windows.
const SURPRISE: f64 = 8.0;
const CHANCE: f64 = 0.5;
/// How many downstreams are drawn to see how well the fit knows what to expect, and by which seed.
const DRAWS: usize = 24;
const SEED: u64 = 1954;

/// The downstream became this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Slower,
    Faster,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    levels: Vec<Level>,
    fit: Option<Fit>,
    /// How long one alone was held, before the last change.
    service: Option<f64>,
    slower: f64,
    faster: f64,
    slow: Rate,
    quick: Rate,
    holds: Moments,
    /// The square of how far windows were from what was expected, in standard deviations of Poisson counts, on average.
    unrest: f64,
}

impl Evidence {
    /// Learns from a window; says whether the downstream is another now.
    pub(super) fn learn(&mut self, sample: &Sample) -> Option<Change> {
        let change = self.surprise(sample);
        let seconds = sample.length.as_secs_f64();
        let mut kept = 0.5_f64.powf(seconds / HALF_LIFE);
        if change.is_some() {
            self.service = self.fit.as_ref().map(|fit| fit.usl.service);
            kept *= (AFTER_CHANGE / self.fit.as_ref().map_or(1.0, |fit| fit.ended)).min(1.0);
        }
        if self.levels.len() < sample.levels.len() {
            self.levels.resize(sample.levels.len(), Level::default());
        }
        for level in &mut self.levels {
            level.seconds *= kept;
            level.ended *= kept;
        }
        for (level, more) in self.levels.iter_mut().zip(&sample.levels) {
            level.seconds += more.seconds;
            level.ended += more.ended;
        }
        self.drop_forgotten();
        self.holds.learn(&sample.holds, kept);
        self.learn_load(sample);
        self.fit = fit(&self.levels, self.dispersion(), self.service);
        change
    }

    /// A window that cannot be of the same load begins anew; so do a few together, whose difference is smaller.
    fn learn_load(&mut self, sample: &Sample) {
        let mut window = Rate::default();
        window.learn(sample, SLOW);
        if self.slow.differs_from(&window, SURELY) {
            (self.slow, self.quick) = (window.clone(), window);
            return;
        }
        self.slow.learn(sample, SLOW);
        self.quick.learn(sample, QUICK);
        if self.slow.differs_from(&self.quick, CLEARLY) {
            self.slow = self.quick.clone();
        }
    }

    pub(super) fn fit(&self) -> Option<&Fit> {
        self.fit.as_ref()
    }

    pub(super) fn load(&self) -> Load {
        Load {
            rate: self.slow.rate(),
            arrival_variation: self.slow.variation(),
            hold_variation: self.holds.variation(),
        }
    }

    /// The standard error of the load's rate, as a share of it.
    pub(super) fn rate_error(&self) -> f64 {
        (self.slow.variation() / self.slow.arrivals.max(1.0)).sqrt()
    }

    /// Levels of which less than a thousandth of a use is remembered are no evidence, only cost.
    fn drop_forgotten(&mut self) {
        let known = |level: &Level| level.ended > 1e-3 || level.seconds > 1e-3;
        let kept = self.levels.iter().rposition(known).map_or(0, |last| last + 1);
        self.levels.truncate(kept);
    }

    /// How much more counts of a window vary than Poisson's would. A full pool ends uses as so many renewal processes, whose counts
    /// vary by the squared coefficient of variation of the holds; beyond that, as was seen.
    fn dispersion(&self) -> f64 {
        self.holds.variation().max(self.unrest).max(1.0)
    }

    fn surprise(&mut self, sample: &Sample) -> Option<Change> {
        let fit = self.fit.as_ref()?;
        let expect = |usl: &Usl| -> f64 {
            let levels = sample.levels.iter().enumerate().skip(1);
            levels.map(|(n, level)| level.seconds * usl.throughput(n as f64)).sum()
        };
        let expected = expect(&fit.usl);
        let ended: f64 = sample.levels.iter().map(|level| level.ended).sum();
        if expected + ended < 10.0 {
            return None;
        }
        // By chance in the window, and by what the fit does not know: it is no change where it guessed badly.
        let draws = fit.draws(SEED, DRAWS);
        let ignorance = draws.iter().map(|usl| (expect(usl) - expected).powi(2)).sum::<f64>() / DRAWS as f64;
        let dispersion = self.dispersion();
        let variance = dispersion * expected.max(1.0) + ignorance;
        let deviations = ((ended - expected) / variance.sqrt()).clamp(-SURPRISE, SURPRISE);
        let square = (ended - expected).powi(2) / expected.max(1.0);
        self.unrest += 0.02 * (square.min(4.0 * dispersion) - self.unrest);
        self.faster = (self.faster + deviations - CHANCE).max(0.0);
        self.slower = (self.slower - deviations - CHANCE).max(0.0);
        let change = if self.slower > SURPRISE {
            Some(Change::Slower)
        } else if self.faster > SURPRISE {
            Some(Change::Faster)
        } else {
            None
        };
        if change.is_some() {
            (self.slower, self.faster) = (0.0, 0.0);
        }
        change
    }
}

/// A rate of arrivals that forgets.
#[derive(Clone, Debug, Default)]
struct Rate {
    arrivals: f64,
    seconds: f64,
    gap_sum: f64,
    gap_square_sum: f64,
}

impl Rate {
    fn learn(&mut self, sample: &Sample, half_life: f64) {
        let seconds = sample.length.as_secs_f64();
        let kept = 0.5_f64.powf(seconds / half_life);
        self.arrivals = self.arrivals * kept + sample.arrivals as f64;
        self.seconds = self.seconds * kept + seconds;
        self.gap_sum = self.gap_sum * kept + sample.gap_sum;
        self.gap_square_sum = self.gap_square_sum * kept + sample.gap_square_sum;
    }

    fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.arrivals / self.seconds } else { 0.0 }
    }

    /// The squared coefficient of variation of the gaps; that of a Poisson process while little is known. Held to a quarter and
    /// four, beyond which the queueing formula means nothing.
    fn variation(&self) -> f64 {
        if self.arrivals < 30.0 || self.gap_sum <= 0.0 {
            return 1.0;
        }
        let mean = self.gap_sum / self.arrivals;
        (self.gap_square_sum / self.arrivals / (mean * mean) - 1.0).clamp(0.25, 4.0)
    }

    /// From a rate of fewer seconds, by more than so many of its standard errors.
    fn differs_from(&self, shorter: &Rate, errors: f64) -> bool {
        let error = (self.rate().max(shorter.rate()) * self.variation() / shorter.seconds.max(1e-9)).sqrt();
        (self.rate() - shorter.rate()).abs() > errors * error
    }
}

/// Moments of hold times that forget.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    sum: f64,
    square_sum: f64,
}

impl Moments {
    fn learn(&mut self, holds: &LogHistogram, kept: f64) {
        self.count *= kept;
        self.sum *= kept;
        self.square_sum *= kept;
        for bucket in holds.buckets() {
            let (count, middle) = (bucket.count as f64, (bucket.lower + bucket.upper.min(f64::MAX)) / 2.0);
            self.count += count;
            self.sum += count * middle;
            self.square_sum += count * middle * middle;
        }
    }

    /// The squared coefficient of variation; that of exponential times while little is known. Held to nothing and 25.
    fn variation(&self) -> f64 {
        if self.count < 30.0 || self.sum <= 0.0 {
            return 1.0;
        }
        let mean = self.sum / self.count;
        (self.square_sum / self.count / (mean * mean) - 1.0).clamp(0.0, 25.0)
    }
}
