//! What one window shows, in the light of all before: the sizes within one step, and how good they are.

use std::ops::RangeInclusive;

use super::builder::LARGEST_SIZE;
use super::evidence::Evidence;
use super::meter::Sample;
use super::outlook::{Load, outlooks};
use super::random::Random;
use super::sizer::{Advice, MEASURE, SURE};
use super::usl::{Fit, Usl};
use crate::decision::{Decision, Effect, Reason};

/// How many downstreams are drawn to see what is not known.
const DRAWS: usize = 64;
/// The seed of the draws. One seed for all rounds: what changes between them is what was measured, not luck.
const SEED: u64 = 1993;
/// The load may grow by so much before the next decision: it is planned for.
const HEADROOM: f64 = 0.25;
/// But for no more than this share of what the downstream can do.
const CAN_DO: f64 = 0.8;
/// A backlog is to be worked off within so many seconds.
const DRAIN: f64 = 4.0;
/// Losses are logarithms; sizes that differ by less are equally good, and the smallest of them is taken.
const INDIFFERENT: f64 = 0.03;
/// Where nobody waits, fewer are gone to only if it is so sure that nobody would: to be wrong costs more than to be slow.
const ENOUGH_SURE: f64 = 0.9;
/// The pool is full when all is in use for this share of the time.
const FULL: f64 = 0.9;

/// Downstreams and loads that fit as well as the likeliest. The load may be up to `headroom` larger.
pub(super) fn draw(fit: &Fit, load: &Load, rate_error: f64, headroom: f64) -> Vec<(Usl, Load)> {
    let mut random = Random::new(SEED);
    let with_load = |usl: Usl| {
        let error = 1.0 + rate_error * random.normal();
        let rate = load.rate * error.max(0.1);
        let grown = rate * (1.0 + headroom * random.uniform());
        // There is no planning for what the downstream can't do.
        let can_do = CAN_DO * usl.throughput(usl.knee().min(LARGEST_SIZE as f64));
        (usl, Load { rate: grown.min(rate.max(can_do)), ..*load })
    };
    fit.draws(SEED, DRAWS).into_iter().map(with_load).collect()
}

/// What one window shows, in the light of all before.
pub(super) struct View<'a> {
    pub(super) fit: &'a Fit,
    load: Load,
    pub(super) size: usize,
    pub(super) is_full: bool,
    wait_p99: f64,
    pub(super) waiting: usize,
    /// A wait that does not matter beside a hold, in seconds.
    pub(super) negligible: f64,
    /// The smallest size whose losses are known.
    first: usize,
    /// By draw, the losses of sizes from `first`.
    losses: Vec<Vec<f64>>,
    /// Sizes within one step.
    candidates: RangeInclusive<usize>,
    pub(super) best: usize,
    interval: RangeInclusive<usize>,
    /// By how much the best is better than the present size, on average.
    pub(super) gain: f64,
    pub(super) confidence: f64,
}

impl<'a> View<'a> {
    pub(super) fn of(
        evidence: &Evidence,
        fit: &'a Fit,
        window: &Sample,
        size: usize,
        sizes: &RangeInclusive<usize>,
    ) -> View<'a> {
        let load = evidence.load();
        let (start, end) = ((*sizes.start()).max(size.div_ceil(2)), (*sizes.end()).min(2 * size));
        let (first, last) = (start.min(size), end.max(size));
        let negligible = (0.05 * fit.usl.service).max(1e-4);
        let backlog = window.waiting as f64 / DRAIN;
        let pressed = Load { rate: load.rate + backlog, ..load };
        let losses: Vec<Vec<f64>> = draw(fit, &pressed, evidence.rate_error(), HEADROOM)
            .iter()
            .map(|(usl, load)| {
                let outlooks = outlooks(usl, load, first..=last);
                outlooks.iter().map(|outlook| (negligible + outlook.wait_p99).ln()).collect()
            })
            .collect();
        let mean = |at: usize| losses.iter().map(|of| of[at]).sum::<f64>() / losses.len() as f64;
        let means: Vec<f64> = (0..=last - first).map(mean).collect();
        let candidates = start..=end.max(start);
        let best = smallest_good(&means, first, &candidates);
        let mut bests: Vec<usize> = losses.iter().map(|of| smallest_good(of, first, &candidates)).collect();
        bests.sort_unstable();
        let interval = bests[DRAWS / 20]..=bests[DRAWS - 1 - DRAWS / 20];
        let is_no_worse = |of: &&Vec<f64>| of[best - first] <= of[size - first] + INDIFFERENT;
        let confidence = losses.iter().filter(is_no_worse).count() as f64 / DRAWS as f64;
        View {
            fit,
            load,
            size,
            is_full: window.share_full(size) >= FULL,
            wait_p99: window.wait_p99(),
            waiting: window.waiting,
            negligible,
            gain: means[size - first] - means[best - first],
            candidates,
            best,
            interval,
            confidence,
            first,
            losses,
        }
    }

    /// The smallest size at which nobody is as good as sure to wait.
    pub(super) fn smallest_enough(&self) -> Option<usize> {
        let limit = (2.0 * self.negligible).ln();
        let is_enough = |size: &usize| {
            let of_draw = |of: &&Vec<f64>| of[*size - self.first] <= limit;
            self.losses.iter().filter(of_draw).count() as f64 >= ENOUGH_SURE * DRAWS as f64
        };
        self.candidates.clone().find(is_enough)
    }

    pub(super) fn is_surely_worse(&self, size: usize) -> bool {
        let at = size.checked_sub(self.first);
        let of_draw = |of: &&Vec<f64>| {
            let loss = at.and_then(|at| of.get(at));
            loss.is_some_and(|loss| *loss > of[self.size - self.first] + INDIFFERENT)
        };
        self.losses.iter().filter(of_draw).count() as f64 >= SURE * DRAWS as f64
    }

    pub(super) fn advice(&self) -> Advice {
        Advice {
            size: self.best,
            interval: self.interval.clone(),
            confidence: self.confidence,
            downstream: self.fit.usl,
            load: self.load,
            is_full: self.is_full,
        }
    }

    pub(super) fn decide(&self, size: usize, why: &str) -> Decision<usize> {
        let after = outlooks(&self.fit.usl, &self.load, size..=size)[0].wait_p99;
        let evidence = vec![
            ("pool_arrivals_per_second", self.load.rate),
            ("pool_wait_p99_seconds", self.wait_p99),
            ("pool_waiting", self.waiting as f64),
            ("pool_full", f64::from(u8::from(self.is_full))),
            ("downstream_service_seconds", self.fit.usl.service),
            ("downstream_sigma", self.fit.usl.sigma),
            ("downstream_kappa", self.fit.usl.kappa),
            ("pool_size_low", *self.interval.start() as f64),
            ("pool_size_high", *self.interval.end() as f64),
            ("confidence", self.confidence),
        ];
        let expected = Effect { measure: MEASURE, before: self.wait_p99, after };
        Decision { value: size, reason: Reason { why: why.to_owned(), evidence, expected: Some(expected) } }
    }
}

/// The smallest of `candidates` whose loss is about the least; `losses` begin with the size `first`.
fn smallest_good(losses: &[f64], first: usize, candidates: &RangeInclusive<usize>) -> usize {
    let least = candidates.clone().map(|size| losses[size - first]).fold(f64::INFINITY, f64::min);
    candidates.clone().find(|size| losses[size - first] <= least + INDIFFERENT).unwrap_or(*candidates.start())
}
