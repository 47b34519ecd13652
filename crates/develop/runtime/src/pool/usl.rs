//! The Universal Scalability Law, and its fit to what a pool measured.
//!
//! N. J. Gunther, "Guerrilla Capacity Planning", 2007: X(N) = λN / (1 + σ(N−1) + κN(N−1)). σ is contention (what is done one at a
//! time), κ coherence (what each has to agree on with each). With Little's law, N = X·H, it says how long a resource is held when
//! N are in use: H(N) = a·(1 + σ(N−1) + κN(N−1)), a = 1/λ, and that is linear in a, aσ and aκ.
//!
//! # The fit
//! For every n that was seen in use, the pool knows for how long (T) and how many uses ended meanwhile (C). C is Poisson of mean
//! Tn/H(n); it is exactly so where uses end at random, and where holds are of any shape but share the downstream evenly, on average
//! (Kelly's insensitivity). The likelihood is maximised by iterated weighted least squares (Fisher scoring), with no coefficient
//! below nothing (by trying which of them are at nothing). So the pool's own ups and downs are the experiment: no load test is needed,
//! and what was never in use is not known. Counts that vary more than Poisson's widen the intervals (quasi-likelihood: Pearson's χ² by
//! degrees of freedom).
//!
//! Prior knowledge, weak: a as it was before, give or take as much, where it was known; σ about 0 ± 0.5, κ about 0 ± 0.02. It decides only where nothing was measured, and keeps the interval there
//! wide. The interval is that of the normal approximation: the covariance of the weighted least squares.

use super::meter::Level;
use super::random::Random;

/// A downstream by the Universal Scalability Law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// a: how long one alone is held, in seconds.
    pub service: f64,
    /// σ, contention. 0 and more.
    pub sigma: f64,
    /// κ, coherence. 0 and more.
    pub kappa: f64,
}

impl Usl {
    /// How long each of `n` in use is held, in seconds.
    pub fn hold(&self, n: f64) -> f64 {
        let others = (n - 1.0).max(0.0);
        self.service * (1.0 + self.sigma * others + self.kappa * n * others)
    }

    /// How many uses end a second while `n` are in use.
    pub fn throughput(&self, n: f64) -> f64 {
        n / self.hold(n)
    }

    /// With how many in use most is done: √((1−σ)/κ), at least 1. Infinite where κ is 0.
    pub fn knee(&self) -> f64 {
        ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0)
    }
}

/// What was fitted, and how well it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The likeliest.
    pub usl: Usl,
    /// How many uses it was fitted to; forgotten ones count in part.
    pub ended: f64,
    /// The most that were in use, but for a thousandth of the uses: beyond, the fit extrapolates.
    pub most_in_use: usize,
    /// How much more the counts vary than Poisson's would. 1 and more.
    pub dispersion: f64,
    /// Of a, aσ·scale, aκ·scale².
    normal: Normal,
    /// Their mean, were they allowed to be negative, and a root of their covariance.
    mean: [f64; 3],
    root: [[f64; 3]; 3],
    scale: f64,
}

const PRIOR_SIGMA: f64 = 0.5;
const PRIOR_KAPPA: f64 = 0.02;
const ROUNDS: usize = 6;

/// Fits the law to `levels`, by the number in use, whose counts vary `dispersion` times as much as Poisson's would; more if they show
/// it among themselves. `service` is how long one alone was held as far as was known before, where it was: it counts where levels
/// are too alike to tell the base from the contention. None where nothing ended.
pub fn fit(levels: &[Level], dispersion: f64, service: Option<f64>) -> Option<Fit> {
    let ended: f64 = levels.iter().map(|level| level.ended).sum();
    let used: f64 = levels.iter().enumerate().map(|(n, level)| n as f64 * level.seconds).sum();
    if ended <= 0.0 || used <= 0.0 {
        return None;
    }
    let mean_hold = used / ended;
    let scale = levels.len() as f64;
    let prior = Prior::of(mean_hold, service, scale);
    let rows: Vec<Row> = levels
        .iter()
        .enumerate()
        .filter(|(n, level)| *n > 0 && level.seconds > 0.0)
        .map(|(n, level)| Row::new(n, level, scale))
        .collect();
    let mut estimate = [mean_hold, 0.0, 0.0];
    for _ in 0..ROUNDS {
        let normal = Normal::of(&rows, &estimate, mean_hold).with(&prior);
        estimate = normal.solve_at_least_nothing(mean_hold * 1e-3);
    }
    let dispersion = seen_dispersion(&rows, &estimate).max(dispersion);
    let mut normal = Normal::of(&rows, &estimate, mean_hold);
    normal.divide(dispersion);
    let normal = normal.with(&prior);
    let root = inverse_root(&normal.matrix)?;
    let mean = normal.solve([true; 3])?;
    Some(Fit {
        usl: usl(&estimate, scale),
        ended,
        most_in_use: most_in_use(levels, ended),
        dispersion,
        normal,
        mean,
        root,
        scale,
    })
}

impl Fit {
    /// Downstreams that fit as well, drawn by `seed`: each is the law nearest to a draw from the normal approximation, as near as the
    /// measurements are sure ("randomise, then optimise"). To cut off what is negative, coefficient by coefficient, would leave
    /// behind what contradicts the measurements, as the three depend on each other.
    pub fn draws(&self, seed: u64, count: usize) -> Vec<Usl> {
        let mut random = Random::new(seed);
        let draw = |_| {
            let z = [random.normal(), random.normal(), random.normal()];
            let mut drawn = self.mean;
            for (i, value) in drawn.iter_mut().enumerate() {
                *value += (0..3).map(|j| self.root[i][j] * z[j]).sum::<f64>();
            }
            usl(&self.normal.about(&drawn).solve_at_least_nothing(0.05 * self.usl.service), self.scale)
        };
        (0..count).map(draw).collect()
    }
}

fn usl(estimate: &[f64; 3], scale: f64) -> Usl {
    let service = estimate[0];
    Usl { service, sigma: estimate[1] / scale / service, kappa: estimate[2] / (scale * scale) / service }
}

fn most_in_use(levels: &[Level], ended: f64) -> usize {
    let mut above = 0.0;
    let most = levels.iter().enumerate().rev().find(|(_, level)| {
        above += level.ended;
        above > ended / 1000.0
    });
    most.map_or(0, |(n, _)| n)
}

/// What is taken to be so before anything is measured: means and precisions of the three coefficients.
struct Prior {
    mean: [f64; 3],
    precision: [f64; 3],
}

impl Prior {
    fn of(mean_hold: f64, service: Option<f64>, scale: f64) -> Prior {
        let base = service.unwrap_or(mean_hold);
        let deviations = [
            if service.is_some() { base } else { 10.0 * mean_hold },
            PRIOR_SIGMA * base * scale,
            PRIOR_KAPPA * base * scale * scale,
        ];
        Prior { mean: [base, 0.0, 0.0], precision: deviations.map(|deviation| deviation.powi(-2)) }
    }
}

/// What is known of one number in use.
struct Row {
    /// The factors of the three coefficients.
    x: [f64; 3],
    /// Seconds × number in use.
    used: f64,
    ended: f64,
}

impl Row {
    fn new(n: usize, level: &Level, scale: f64) -> Row {
        let n = n as f64;
        let x = [1.0, (n - 1.0) / scale, n * (n - 1.0) / (scale * scale)];
        Row { x, used: n * level.seconds, ended: level.ended }
    }

    fn hold(&self, estimate: &[f64; 3]) -> f64 {
        self.x.iter().zip(estimate).map(|(x, value)| x * value).sum()
    }
}

/// The normal equations.
#[derive(Clone, Debug, PartialEq)]
struct Normal {
    matrix: [[f64; 3]; 3],
    right: [f64; 3],
}

impl Normal {
    /// Of one round of Fisher scoring from `estimate`: the information of a row on its hold h is used/h³, and the working response
    /// 2h − ended·h²/used.
    fn of(rows: &[Row], estimate: &[f64; 3], mean_hold: f64) -> Normal {
        let mut normal = Normal { matrix: [[0.0; 3]; 3], right: [0.0; 3] };
        for row in rows {
            let hold = row.hold(estimate).max(1e-3 * mean_hold);
            let weight = row.used / hold.powi(3);
            let response = 2.0 * hold - row.ended * hold * hold / row.used;
            for i in 0..3 {
                for j in 0..3 {
                    normal.matrix[i][j] += weight * row.x[i] * row.x[j];
                }
                normal.right[i] += weight * row.x[i] * response;
            }
        }
        normal
    }

    /// The same information, about another solution.
    fn about(&self, solution: &[f64; 3]) -> Normal {
        let right = self.matrix.map(|row| row.iter().zip(solution).map(|(a, b)| a * b).sum());
        Normal { matrix: self.matrix, right }
    }

    fn with(mut self, prior: &Prior) -> Normal {
        for i in 0..3 {
            self.matrix[i][i] += prior.precision[i];
            self.right[i] += prior.precision[i] * prior.mean[i];
        }
        self
    }

    fn divide(&mut self, by: f64) {
        self.matrix.iter_mut().flatten().chain(&mut self.right).for_each(|value| *value /= by);
    }

    /// The best of the solutions whose coefficients are not negative, the first at least `least`.
    fn solve_at_least_nothing(&self, least: f64) -> [f64; 3] {
        let choices = [[true, true, true], [true, true, false], [true, false, true], [true, false, false]];
        let feasible = choices.into_iter().filter_map(|free| self.solve(free));
        let feasible =
            feasible.filter(|solution| solution[0] >= least && solution[1].min(solution[2]) >= 0.0);
        let best = feasible.min_by(|a, b| self.cost(a).total_cmp(&self.cost(b)));
        best.unwrap_or([(self.right[0] / self.matrix[0][0]).max(least), 0.0, 0.0])
    }

    /// But for a constant.
    fn cost(&self, solution: &[f64; 3]) -> f64 {
        let square: f64 = (0..3)
            .flat_map(|i| (0..3).map(move |j| (i, j)))
            .map(|(i, j)| solution[i] * self.matrix[i][j] * solution[j])
            .sum();
        let linear: f64 = solution.iter().zip(&self.right).map(|(value, right)| value * right).sum();
        square - 2.0 * linear
    }

    /// With only the free coefficients; by Gauss' elimination, which needs no pivots for what is positive definite.
    fn solve(&self, free: [bool; 3]) -> Option<[f64; 3]> {
        let (mut matrix, mut right) = (self.matrix, self.right);
        for i in (0..3).filter(|i| !free[*i]) {
            matrix.iter_mut().for_each(|row| row[i] = 0.0);
            matrix[i] = [0.0; 3];
            matrix[i][i] = 1.0;
            right[i] = 0.0;
        }
        for i in 0..3 {
            let pivot = matrix[i];
            if pivot[i] <= 0.0 || !pivot[i].is_finite() {
                return None;
            }
            for k in i + 1..3 {
                let factor = matrix[k][i] / pivot[i];
                matrix[k].iter_mut().zip(pivot).for_each(|(value, above)| *value -= factor * above);
                right[k] -= factor * right[i];
            }
        }
        for i in (0..3).rev() {
            let known: f64 = (i + 1..3).map(|j| matrix[i][j] * right[j]).sum();
            right[i] = (right[i] - known) / matrix[i][i];
        }
        Some(right)
    }
}

/// L⁻ᵀ of `matrix` = L·Lᵀ (Cholesky): its square is the inverse.
fn inverse_root(matrix: &[[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let mut lower = [[0.0_f64; 3]; 3];
    for i in 0..3 {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = matrix[i][j] - known;
            lower[i][j] = if i == j { rest.sqrt() } else { rest / lower[j][j] };
        }
        if !lower[i][i].is_finite() || lower[i][i] <= 0.0 {
            return None;
        }
    }
    let mut root = [[0.0_f64; 3]; 3];
    for (j, column) in root.iter_mut().enumerate() {
        for i in j..3 {
            let known: f64 = (j..i).map(|k| lower[i][k] * column[k]).sum();
            column[i] = (f64::from(u8::from(i == j)) - known) / lower[i][i];
        }
    }
    Some(root)
}

/// Pearson's χ² by degrees of freedom, over the levels with enough to tell; 1 at least.
fn seen_dispersion(rows: &[Row], estimate: &[f64; 3]) -> f64 {
    let expected = rows.iter().map(|row| (row, row.used / row.hold(estimate)));
    let terms: Vec<f64> = expected
        .filter(|(_, expected)| *expected >= 5.0)
        .map(|(row, expected)| (row.ended - expected).powi(2) / expected)
        .collect();
    let freedom = terms.len().saturating_sub(3);
    if freedom == 0 { 1.0 } else { (terms.iter().sum::<f64>() / freedom as f64).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: Usl = Usl { service: 0.02, sigma: 0.05, kappa: 0.002 };

    /// `seconds` at each of `seen`, as they are on average.
    fn levels(truth: &Usl, seen: std::ops::RangeInclusive<usize>, seconds: f64) -> Vec<Level> {
        let level = |n: usize| match seen.contains(&n) {
            true => Level { seconds, ended: seconds * truth.throughput(n as f64) },
            false => Level::default(),
        };
        (0..=*seen.end()).map(level).collect()
    }

    #[test]
    fn the_law_is_found_in_what_follows_it() {
        let fit = fit(&levels(&TRUTH, 1..=30, 1000.0), 1.0, None).expect("enough");
        assert!((fit.usl.service / TRUTH.service - 1.0).abs() < 0.02, "{fit:?}");
        assert!((fit.usl.sigma / TRUTH.sigma - 1.0).abs() < 0.1, "{fit:?}");
        assert!((fit.usl.kappa / TRUTH.kappa - 1.0).abs() < 0.1, "{fit:?}");
        assert!((fit.usl.knee() / TRUTH.knee() - 1.0).abs() < 0.05, "{fit:?}");
    }

    #[test]
    fn what_was_never_in_use_is_not_known() {
        let spread = |seen| {
            let fit = fit(&levels(&TRUTH, seen, 10.0), 1.0, None).expect("enough");
            let mut at_forty: Vec<f64> = fit.draws(1, 200).iter().map(|usl| usl.throughput(40.0)).collect();
            at_forty.sort_by(f64::total_cmp);
            at_forty[180] / at_forty[20]
        };
        assert!(spread(1..=4) > 3.0, "{}", spread(1..=4));
        assert!(spread(1..=40) < 1.2, "{}", spread(1..=40));
    }

    #[test]
    fn a_downstream_that_scales_has_no_knee() {
        let truth = Usl { service: 0.02, sigma: 0.0, kappa: 0.0 };
        let fit = fit(&levels(&truth, 1..=30, 1000.0), 1.0, None).expect("enough");
        assert!(fit.usl.knee() > 300.0, "{fit:?}");
    }

    #[test]
    fn nothing_ended_means_nothing_is_known() {
        assert_eq!(fit(&[], 1.0, None), None);
        assert_eq!(fit(&[Level { seconds: 10.0, ended: 0.0 }; 4], 1.0, None), None);
    }

    #[test]
    fn no_counts_however_odd_make_a_fit_that_is_no_number() {
        for seen in [
            vec![(1, 1.0, 1e9)],
            vec![(1, 1e-9, 1.0), (60_000, 1e-9, 1.0)],
            vec![(3, 5.0, 0.0), (9, 1.0, 2.0)],
        ] {
            let mut levels = vec![Level::default(); 60_001];
            for (n, seconds, ended) in seen {
                levels[n] = Level { seconds, ended };
            }
            let fit = fit(&levels, 1.0, None).expect("something ended");
            for usl in fit.draws(1, 50).iter().chain([&fit.usl]) {
                assert!(usl.throughput(10.0).is_finite() && usl.service > 0.0, "{usl:?}");
            }
        }
    }
}
