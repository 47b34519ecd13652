//! Covariance matrix adaptation: a normal distribution that learns where to sample, and along which directions.

mod categories;
mod gauss;
mod normal;

use std::cmp::Ordering;
use std::sync::Arc;

use rand::Rng;

use self::categories::Categories;
use self::gauss::{Gauss, fold};
use super::design::Design;
use super::standing::{Standing, Strangers, best_known, both, known};
use super::{Brief, DRAWS, Propose, apart, category};
use crate::history::{History, Outcome, Trial};
use crate::noise::{Noise, judge};
use crate::random::{Random, seeded};
use crate::space::{Axis, Space};

/// Active CMA-ES (Hansen, arXiv 1604.00772) with restarts by BIPOP (Hansen, GECCO workshop 2009).
///
/// Real axes are mirrored at their ends. Whole numbers keep a margin (Hamano et al., GECCO 2022), categories a distribution of their
/// own (`CatCMA`, GECCO 2024). Where the measurements are noisier than a generation's values differ, each candidate is measured several
/// times (after Hansen, Niederberger, Guzzella and Koumoutsakos, IEEE Transactions on Evolutionary Computation 13(1), 2009), as often
/// as leaves ten generations. It begins at the best point that is known, and takes in better ones that others find.
#[derive(Clone, Debug)]
pub struct CmaEs {
    space: Arc<Space>,
    budget: Option<usize>,
    design: Design,
    random: Random,
    /// The standard deviation that a search begins with.
    width: f64,
    run: Option<Run>,
    regimes: Regimes,
    strangers: Strangers,
}

/// One search, from its beginning to its restart.
#[derive(Clone, Debug)]
struct Run {
    /// None where all axes are categories.
    gauss: Option<Gauss>,
    categories: Vec<Categories>,
    lambda: usize,
    generation: Vec<Candidate>,
    /// How often each candidate is measured.
    repeats: usize,
    /// The best value of each generation.
    bests: Vec<f64>,
    large: bool,
}

#[derive(Clone, Debug)]
struct Candidate {
    /// What was sampled, on the numeric axes.
    numbers: Vec<f64>,
    choices: Vec<usize>,
    /// The point that it stands for.
    point: Vec<f64>,
    asked: usize,
    told: usize,
    standing: Standing,
}

/// How BIPOP shares trials between ever larger generations and small ones.
#[derive(Clone, Copy, Debug, Default)]
struct Regimes {
    doublings: u32,
    large: usize,
    small: usize,
}

impl CmaEs {
    /// CMA-ES in the brief's space.
    pub fn new(brief: &Brief) -> CmaEs {
        CmaEs::with_width(brief, 0.2)
    }

    /// It begins with standard deviation `width`, of axes from 0 to 1: a small one polishes.
    pub fn with_width(brief: &Brief, width: f64) -> CmaEs {
        CmaEs {
            space: Arc::clone(&brief.space),
            budget: brief.budget,
            design: Design::new(brief),
            random: seeded(brief.seed, 2),
            width,
            run: None,
            regimes: Regimes::default(),
            strangers: Strangers::default(),
        }
    }

    fn default_lambda(&self) -> usize {
        4 + (3.0 * (self.space.axes().len() as f64).ln()) as usize
    }

    fn left(&self, seen: &History) -> usize {
        self.budget.map_or(usize::MAX, |budget| budget.saturating_sub(seen.trials().len()))
    }

    fn begin(&mut self, lambda: usize, width: f64, at: &[f64], large: bool) {
        let axes = self.space.axes();
        let count = axes.iter().filter(|axis| matches!(axis, Axis::Category(_))).count();
        let mut categories = Vec::with_capacity(count);
        let mut numbers = Vec::with_capacity(axes.len() - count);
        for (axis, u) in axes.iter().zip(at) {
            match axis {
                Axis::Category(of) => {
                    let mut fresh = Categories::new(*of as usize, count);
                    fresh.lean(category(*u, *of) as usize);
                    categories.push(fresh);
                }
                Axis::Real | Axis::Whole(_) => numbers.push(*u),
            }
        }
        let gauss = (!numbers.is_empty()).then(|| Gauss::new(numbers, width, lambda));
        let generation = Vec::new();
        self.run = Some(Run { gauss, categories, lambda, generation, repeats: 1, bests: Vec::new(), large });
    }

    fn restart(&mut self, seen: &History) {
        let base = self.default_lambda();
        let large = base << (self.regimes.doublings + 1).min(16);
        // A large generation pays where some of them fit.
        let fits = large.saturating_mul(10) <= self.left(seen);
        let at = self.uniform();
        if fits && self.regimes.large <= self.regimes.small {
            self.regimes.doublings += 1;
            self.begin(large, self.width, &at, true);
        } else {
            let u: f64 = self.random.random();
            let most = 0.5 * large as f64 / base as f64;
            let lambda = (base as f64 * most.max(1.0).powf(u * u)) as usize;
            let width = self.width * 10.0_f64.powf(-2.0 * self.random.random::<f64>());
            self.begin(lambda, width, &at, false);
        }
    }

    fn uniform(&mut self) -> Vec<f64> {
        (0..self.space.axes().len()).map(|_| self.random.random()).collect()
    }

    fn draw(&mut self) -> Option<Candidate> {
        let run = self.run.as_ref()?;
        let numbers = run.gauss.as_ref().map_or_else(Vec::new, |gauss| gauss.sample(&mut self.random));
        let choices: Vec<usize> = run.categories.iter().map(|c| c.sample(&mut self.random)).collect();
        let point = self.space.snap(&point_of(&self.space, &numbers, &choices));
        Some(Candidate { numbers, choices, point, asked: 1, told: 0, standing: Standing::Failed })
    }

    /// Learns from the generation, once it is complete, and prepares the next.
    fn learn_where_complete(&mut self, seen: &History) {
        let left = self.left(seen);
        let Some(run) = &mut self.run else { return };
        let repeats = run.repeats;
        if run.generation.iter().filter(|candidate| candidate.told >= repeats).count() < run.lambda {
            return;
        }
        let (mut done, waiting): (Vec<_>, Vec<_>) =
            run.generation.drain(..).partition(|candidate| candidate.told >= repeats);
        run.generation = waiting;
        if run.large {
            self.regimes.large += done.len();
        } else {
            self.regimes.small += done.len();
        }
        done.sort_by(|a, b| a.standing.order(&b.standing));
        if let Some(stranger) = self.strangers.better(&known(seen)) {
            done.insert(0, candidate_of(&self.space, &stranger.point, stranger.standing));
        }
        run.repeats = repeats_for(&done, judge(seen), left, run.lambda);
        run.learn(&self.space, &done);
        if run.is_over() {
            self.restart(seen);
        }
    }
}

impl Propose for CmaEs {
    fn name(&self) -> &'static str {
        "cma-es"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if self.run.is_none() {
            if let Some(point) = self.design.next(seen) {
                return point;
            }
            let known = known(seen);
            let Some(best) = best_known(&known) else { return self.uniform() };
            self.strangers.told(best.standing);
            self.begin(self.default_lambda(), self.width, &best.point, true);
        }
        if let Some(run) = &mut self.run
            && let Some(again) = run.generation.iter_mut().find(|candidate| candidate.asked < run.repeats)
        {
            again.asked += 1;
            return again.point.clone();
        }
        // Without noise, what is known need not be measured again.
        let is_exact = judge(seen).deviation() == 0.0;
        let known = if is_exact && self.space.axes().iter().any(|axis| *axis != Axis::Real) {
            known(seen)
        } else {
            Vec::new()
        };
        for _ in 0..DRAWS {
            let Some(mut candidate) = self.draw() else { break };
            let Some(run) = &mut self.run else { break };
            let Some(found) = known.iter().find(|known| known.point == candidate.point) else {
                let point = candidate.point.clone();
                run.generation.push(candidate);
                return point;
            };
            candidate.told = run.repeats;
            candidate.asked = run.repeats;
            candidate.standing = found.standing;
            run.generation.push(candidate);
            self.learn_where_complete(seen);
        }
        // All that it would sample is known: it has converged.
        self.restart(seen);
        let candidate = self.draw();
        match (&mut self.run, candidate) {
            (Some(run), Some(candidate)) => {
                let point = candidate.point.clone();
                run.generation.push(candidate);
                point
            }
            _ => self.uniform(),
        }
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let (Some(run), Some(outcome)) = (&mut self.run, &trial.outcome) else { return };
        let waiting = run.generation.iter_mut().filter(|candidate| candidate.told < candidate.asked);
        let distance = |candidate: &Candidate| apart(&candidate.point, &trial.point);
        let nearest = waiting.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        // The design's last outcomes may come after the run began.
        let Some(candidate) = nearest else { return };
        if distance(candidate) > 0.0 {
            // Whoever measured has moved the point.
            let moved = candidate_of(&self.space, &trial.point, candidate.standing);
            (candidate.point, candidate.numbers, candidate.choices) =
                (moved.point, moved.numbers, moved.choices);
        }
        candidate.take(outcome);
        self.strangers.told(candidate.standing);
        self.learn_where_complete(seen);
    }
}

impl Candidate {
    fn take(&mut self, outcome: &Outcome) {
        let standing = Standing::of(outcome);
        self.told += 1;
        self.standing = if self.told == 1 { standing } else { both(self.standing, standing, self.told) };
    }
}

impl Run {
    fn learn(&mut self, space: &Space, done: &[Candidate]) {
        let half = self.lambda / 2;
        let weights: Vec<f64> =
            (1..=half).map(|rank| (half as f64 + 0.5).ln() - (rank as f64).ln()).collect();
        let total: f64 = weights.iter().sum();
        for (place, categories) in self.categories.iter_mut().enumerate() {
            let chosen = done.iter().zip(&weights).map(|(c, weight)| (c.choices[place], weight / total));
            categories.learn(chosen, 0.3);
        }
        if let Some(gauss) = &mut self.gauss {
            gauss.learn(&done.iter().map(|candidate| candidate.numbers.as_slice()).collect::<Vec<_>>());
            let alike =
                done[0].standing.order(&done[(7 * done.len() / 10).max(1)].standing) == Ordering::Equal;
            if alike {
                gauss.widen();
            }
            let numeric =
                (0..space.axes().len()).filter(|index| !matches!(space.axes()[*index], Axis::Category(_)));
            let margin = 1.0 / (self.lambda * gauss.mean.len()) as f64;
            for (coordinate, index) in numeric.enumerate() {
                if !gauss.mean[coordinate].is_finite() {
                    break;
                }
                match space.cell(index, gauss.mean[coordinate]) {
                    None => gauss.fold_mean(coordinate),
                    Some(cell) => gauss.keep_margin(coordinate, cell, margin),
                }
            }
        }
        self.bests.push(done[0].standing.value().unwrap_or(f64::INFINITY));
    }

    /// Whether nothing more is to be expected: the tutorial's appendix B.3, on the scale of the unit cube.
    fn is_over(&self) -> bool {
        let Some(gauss) = &self.gauss else { return self.is_flat() };
        let narrow = (0..gauss.mean.len()).all(|coordinate| gauss.deviation(coordinate) < 1e-11);
        !gauss.is_sound() || narrow || self.is_flat()
    }

    /// Whether the best values of the last generations are all the same, or no better than long before.
    fn is_flat(&self) -> bool {
        let dimension = self.categories.len() + self.gauss.as_ref().map_or(0, |gauss| gauss.mean.len());
        let span = 10 + (30 * dimension).div_ceil(self.lambda);
        if self.bests.len() < span {
            return false;
        }
        let last = &self.bests[self.bests.len() - span..];
        let (low, high) =
            last.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let differ = high.is_finite() && high - low > 1e-13 * low.abs().max(1e-300);
        if !differ {
            return true;
        }
        let long = 12 * span;
        self.bests.len() >= long && {
            let history = &self.bests[self.bests.len() - long..];
            median(&history[long - span..]) >= median(&history[..span])
        }
    }
}

/// How often each candidate of the next generation is measured: as often as brings the noise of its mean below half of what the
/// generation's true values differ by, within what the budget bears.
fn repeats_for(done: &[Candidate], noise: Noise, left: usize, lambda: usize) -> usize {
    let Noise::Some(noise) = noise else { return 1 };
    let values: Vec<f64> = done.iter().filter_map(|candidate| candidate.standing.value()).collect();
    if values.len() < 3 {
        return 1;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
    let told = done.iter().map(|candidate| candidate.told.max(1)).min().unwrap_or(1) as f64;
    let signal = (variance - noise * noise / told).max(0.1 * variance);
    let wanted = (4.0 * noise * noise / signal.max(f64::MIN_POSITIVE)).ceil();
    let bearable = if left == usize::MAX { 8 } else { left / (10 * lambda) };
    (wanted.min(8.0) as usize).min(bearable).max(1)
}

/// A point as if it had been sampled.
fn candidate_of(space: &Space, point: &[f64], standing: Standing) -> Candidate {
    let (mut numbers, mut choices) = (Vec::new(), Vec::new());
    for (axis, u) in space.axes().iter().zip(point) {
        match axis {
            Axis::Category(of) => choices.push(category(*u, *of) as usize),
            Axis::Real | Axis::Whole(_) => numbers.push(*u),
        }
    }
    Candidate { numbers, choices, point: point.to_vec(), asked: 1, told: 1, standing }
}

/// The point that sampled numbers and categories stand for: real axes mirrored at their ends, whole numbers cut off.
fn point_of(space: &Space, numbers: &[f64], choices: &[usize]) -> Vec<f64> {
    let (mut numbers, mut choices) = (numbers.iter(), choices.iter());
    let coordinate = |axis: &Axis| match axis {
        Axis::Real => numbers.next().map(|x| fold(*x)),
        Axis::Whole(_) => numbers.next().map(|x| x.clamp(0.0, 1.0)),
        Axis::Category(of) => choices.next().map(|choice| (*choice as f64 + 0.5) / *of as f64),
    };
    space.axes().iter().map(coordinate).map(|u| u.unwrap_or(0.5)).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
