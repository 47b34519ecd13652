//! The distributions that the shop draws from.

use rand::Rng;

/// A log-normal number of this median; `sigma` is the spread of its logarithm.
pub(crate) fn log_normal(rng: &mut impl Rng, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(rng)).exp()
}

/// A standard normal number, by Box and Muller (1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// A waiting time for something that happens once in a unit of time on average.
pub(crate) fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// Ranks from 0, each the less likely the higher: rank k in proportion to 1/(k + 1)^exponent.
pub(crate) struct Zipf {
    /// The share of all ranks up to each.
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Over `ranks` ranks, of which there is at least one.
    pub(crate) fn new(ranks: usize, exponent: f64) -> Zipf {
        let mut total = 0.0;
        let sums = (0..ranks.max(1)).map(|rank| {
            total += ((rank + 1) as f64).powf(-exponent);
            total
        });
        let mut cumulative: Vec<f64> = sums.collect();
        cumulative.iter_mut().for_each(|sum| *sum /= total);
        Zipf { cumulative }
    }

    /// A rank.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> usize {
        let at: f64 = rng.random();
        self.cumulative.partition_point(|&sum| sum <= at).min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn half_of_log_normal_numbers_lie_below_their_median() {
        let mut rng = StdRng::seed_from_u64(1);
        let below = (0..10_000).filter(|_| log_normal(&mut rng, 300.0, 0.5) < 300.0).count();
        assert!((4_800..5_200).contains(&below), "{below}");
    }

    #[test]
    fn the_first_rank_comes_twice_as_often_as_the_second() {
        let zipf = Zipf::new(1000, 1.0);
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = vec![0_u32; 1000];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut rng)] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.85..2.15).contains(&ratio), "{ratio}");
    }

    #[test]
    fn waits_are_one_on_average() {
        let mut rng = StdRng::seed_from_u64(1);
        let mean = (0..10_000).map(|_| exponential(&mut rng)).sum::<f64>() / 1e4;
        assert!((0.96..1.04).contains(&mean), "{mean}");
    }
}
