//! A gradient from two measurements, whatever the number of axes.

use std::sync::Arc;

use rand::Rng;

use super::design::Design;
use super::standing::{Standing, Strangers, best_known, cost, known};
use super::{Brief, Propose, apart};
use crate::history::{History, Trial};
use crate::noise::judge;
use crate::random::{Random, seeded};
use crate::space::Space;

/// Simultaneous perturbation stochastic approximation (Spall, IEEE Transactions on Automatic Control 37(3), 1992).
///
/// Gain sequences are those of Spall's "Implementation of the Simultaneous Perturbation Algorithm" (IEEE Transactions on Aerospace and
/// Electronic Systems 34(3), 1998): `a / (k + 1 + A)^0.602` and `c / (k + 1)^0.101`, with `A` a tenth of the steps to come, `a` from
/// the slopes of the first pairs, and `c` from the noise that is seen. A step that makes things clearly worse is taken back
/// ("blocking"). Whole numbers and categories are perturbed by half a cell at least and rounded; categories without an order are
/// taken in the order of their declaration.
///
/// It descends from the best point that is known, goes to a better one that others find, and where it no longer moves begins anew with
/// finer perturbations.
#[derive(Clone, Debug)]
pub struct Spsa {
    space: Arc<Space>,
    budget: Option<usize>,
    design: Design,
    random: Random,
    descent: Option<Descent>,
    /// What perturbations begin with, finer at each new beginning.
    reach: f64,
    strangers: Strangers,
}

/// One descent, from a beginning to where it no longer moves.
#[derive(Clone, Debug)]
struct Descent {
    at: Vec<f64>,
    /// Where the last step began, and the mean of the pair that was measured there.
    before: Option<(Vec<f64>, f64)>,
    step: i32,
    /// The numerator of the gain sequence; not known before the first pairs.
    gain: Option<f64>,
    offset: f64,
    reach: f64,
    slopes: Vec<Vec<f64>>,
    pairs: Vec<Pair>,
}

/// Two points on either side of where the descent stands.
#[derive(Clone, Debug)]
struct Pair {
    /// What each coordinate differs by between the two.
    between: Vec<f64>,
    points: [Vec<f64>; 2],
    asked: usize,
    costs: [Option<f64>; 2],
}

const ALPHA: f64 = 0.602;
const GAMMA: f64 = 0.101;
/// So many pairs are measured before the first step.
const CALIBRATION: usize = 2;
/// The first step's length on an axis with the mean slope; and the longest that any step has.
const FIRST_STEP: f64 = 0.1;
const LONGEST_STEP: f64 = 0.25;

impl Spsa {
    /// SPSA in the brief's space.
    pub fn new(brief: &Brief) -> Spsa {
        Spsa {
            space: Arc::clone(&brief.space),
            budget: brief.budget,
            design: Design::new(brief),
            random: seeded(brief.seed, 7),
            descent: None,
            reach: 0.05,
            strangers: Strangers::default(),
        }
    }

    fn begin(&mut self, seen: &History) {
        let known = known(seen);
        let Some(best) = best_known(&known) else { return };
        self.strangers.told(best.standing);
        let left = self.budget.map_or(200, |budget| budget.saturating_sub(seen.trials().len()));
        self.descent = Some(Descent {
            at: best.point.clone(),
            before: None,
            step: 0,
            gain: None,
            offset: 0.1 * (left / 2) as f64,
            reach: self.reach,
            slopes: Vec::new(),
            pairs: Vec::new(),
        });
        self.reach = (0.25 * self.reach).max(1e-6);
    }
}

impl Propose for Spsa {
    fn name(&self) -> &'static str {
        "spsa"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if self.descent.is_none() {
            if let Some(point) = self.design.next(seen) {
                return point;
            }
            self.begin(seen);
        }
        let Some(descent) = &mut self.descent else {
            return (0..self.space.axes().len()).map(|_| self.random.random()).collect();
        };
        if let Some(stranger) = self.strangers.better(&known(seen)) {
            // With the gain that it has: the slopes there are not known yet.
            descent.at.clone_from(&stranger.point);
            descent.before = None;
            descent.pairs.retain(|pair| pair.asked > 0);
        }
        let half = descent.pairs.iter_mut().find(|pair| pair.asked < 2);
        let pair = match half {
            Some(pair) => pair,
            None => {
                let pair = descent.perturb(&self.space, &mut self.random);
                descent.pairs.push(pair);
                let last = descent.pairs.len() - 1;
                &mut descent.pairs[last]
            }
        };
        pair.asked += 1;
        pair.points[pair.asked - 1].clone()
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let (Some(descent), Some(outcome)) = (&mut self.descent, &trial.outcome) else { return };
        let distance = |point: &[f64]| apart(point, &trial.point);
        let waiting = descent.pairs.iter().enumerate().flat_map(|(place, pair)| {
            (0..pair.asked).filter(|side| pair.costs[*side].is_none()).map(move |side| (place, side))
        });
        let to = |(place, side): &(usize, usize)| distance(&descent.pairs[*place].points[*side]);
        let Some((place, side)) = waiting.min_by(|a, b| to(a).total_cmp(&to(b))) else { return };
        let pair = &mut descent.pairs[place];
        let standing = Standing::of(outcome);
        self.strangers.told(standing);
        pair.costs[side] = Some(cost(standing, seen));
        if let [Some(plus), Some(minus)] = pair.costs {
            let pair = descent.pairs.swap_remove(place);
            descent.learn(&pair, (plus, minus), judge(seen).deviation());
            if descent.is_still() {
                self.descent = None;
                self.begin(seen);
            }
        }
    }
}

impl Descent {
    fn perturb(&self, space: &Space, random: &mut Random) -> Pair {
        let reach = self.reach / f64::from(self.step + 1).powf(GAMMA);
        let mut between = Vec::with_capacity(self.at.len());
        let mut points = [self.at.clone(), self.at.clone()];
        for (index, u) in self.at.iter().enumerate() {
            let cell = space.cell(index, *u).map_or(0.0, |(low, high)| 0.5 * (high - low));
            let half = reach.max(cell).min(0.5);
            let middle = u.clamp(half, 1.0 - half);
            let side = if random.random() { half } else { -half };
            points[0][index] = middle + side;
            points[1][index] = middle - side;
            between.push(2.0 * side);
        }
        let points = points.map(|point| space.snap(&point));
        Pair { between, points, asked: 0, costs: [None, None] }
    }

    fn learn(&mut self, pair: &Pair, (plus, minus): (f64, f64), noise: f64) {
        let difference = plus - minus;
        let slope: Vec<f64> = pair.between.iter().map(|between| difference / between).collect();
        let mean = 0.5 * (plus + minus);
        let Some(gain) = self.gain else {
            self.slopes.push(slope);
            if self.slopes.len() == CALIBRATION {
                self.calibrate(mean, noise);
            }
            return;
        };
        if let Some((before, then)) = &self.before
            && mean > then + 2.0 * noise + 0.5 * difference.abs()
        {
            self.at.clone_from(before);
            self.gain = Some(0.5 * gain);
            self.before = None;
            return;
        }
        self.before = Some((self.at.clone(), mean));
        self.go(&slope, gain);
    }

    /// Sets the gain, so that the first step has the length that it should have; and the reach, so that what a pair differs by can be
    /// told from noise.
    fn calibrate(&mut self, mean: f64, noise: f64) {
        let axes = self.at.len() as f64;
        let slopes = std::mem::take(&mut self.slopes);
        let count = slopes.len() as f64;
        let size = slopes.iter().flatten().map(|s| s.abs()).sum::<f64>() / (count * axes);
        if size > 0.0 {
            let gain = FIRST_STEP * (1.0 + self.offset).powf(ALPHA) / size;
            self.gain = Some(gain);
            self.reach = self.reach.max((noise / size).min(0.15));
            self.before = Some((self.at.clone(), mean));
            let total = (0..self.at.len()).map(|index| slopes.iter().map(|s| s[index]).sum::<f64>() / count);
            self.go(&total.collect::<Vec<_>>(), gain);
        } else {
            // A plateau: look further away.
            self.reach = (2.0 * self.reach).min(0.5);
        }
    }

    fn go(&mut self, slope: &[f64], gain: f64) {
        let rate = gain / (f64::from(self.step) + 1.0 + self.offset).powf(ALPHA);
        for (u, slope) in self.at.iter_mut().zip(slope) {
            *u = (*u - (rate * slope).clamp(-LONGEST_STEP, LONGEST_STEP)).clamp(0.0, 1.0);
        }
        self.step += 1;
    }

    /// Whether its steps have become much shorter than what it can tell apart.
    fn is_still(&self) -> bool {
        let Some((before, _)) = &self.before else { return false };
        let longest = self.at.iter().zip(before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        longest < 0.05 * self.reach
    }
}
