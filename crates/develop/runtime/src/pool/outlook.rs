//! What a pool of some size would do: waits, throughput, use, by a queueing model.
//!
//! The pool and its downstream are taken as a birth–death chain: requests arrive at rate λ whatever the state; with n in the system,
//! min(n, N) are in use and leave at rate X(min(n, N)) by the [Universal Scalability Law](super::usl). That is M/M/c with the
//! contention built in (Kleinrock, "Queueing Systems I", §3.1–3.5). Its steady state would do where it is soon reached. Near
//! saturation it is not, and beyond the knee a pool may work well for hours until a burst takes it to where less is done, and it stays
//! there. So only states count that are reached within [`HORIZON`] seconds: the mean time from none in the system to n is
//! Σ (π₀ + … + πⱼ)/(λπⱼ) over j < n (Karlin & Taylor, "A First Course in Stochastic Processes", §4.7), and the chain is cut where
//! that exceeds the horizon. Where arrivals outrun the downstream, the cut is what the queue grows to meanwhile.
//!
//! For arrivals and holds that are not exponential, waits are scaled by (c²ₐ + c²ₛ)/2 (Allen & Cunneen; Allen, "Probability,
//! Statistics and Queueing Theory", §5.3), from the measured variation. That is rough: where those in use share the downstream, long
//! holds make short ones wait less than it says.

use std::ops::RangeInclusive;

use super::usl::Usl;

/// What takes longer than this, in seconds, is not foreseen: the load will be another by then, and the size, too.
pub const HORIZON: f64 = 300.0;

/// What comes to the pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Arrivals a second.
    pub rate: f64,
    /// The squared coefficient of variation of the time between arrivals; 1 for a Poisson process.
    pub arrival_variation: f64,
    /// The same of how long a resource is held.
    pub hold_variation: f64,
}

/// What a size would do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// The mean wait, in seconds.
    pub wait_mean: f64,
    /// The 99th percentile of waits, in seconds.
    pub wait_p99: f64,
    /// Uses a second.
    pub throughput: f64,
    /// The share of the pool that is in use. 0 to 1.
    pub utilisation: f64,
}

/// The outlook for each of `sizes`, from 1. One pass: below N, all sizes share a chain.
pub fn outlooks(downstream: &Usl, load: &Load, sizes: RangeInclusive<usize>) -> Vec<Outlook> {
    // Relative to the heaviest state so far, so that nothing overflows.
    let mut below = Below { weight: 1.0, sum: 0.0, in_use: 0.0, reached_after: 0.0 };
    let mut outlooks = Vec::with_capacity(sizes.clone().count());
    for size in 1..=*sizes.end() {
        below.sum += below.weight;
        below.in_use += below.weight * (size - 1) as f64;
        below.reached_after += below.sum / (load.rate * below.weight);
        let capacity = downstream.throughput(size as f64);
        below.weight *= load.rate / capacity;
        if sizes.contains(&size) {
            outlooks.push(outlook(size, capacity, load, &below));
        }
        let most = below.sum.max(below.weight);
        if most > 1e100 {
            below.weight /= most;
            below.sum /= most;
            below.in_use /= most;
        }
    }
    outlooks
}

/// The states in which nobody waits.
struct Below {
    /// Of the state after them, in which all is in use.
    weight: f64,
    /// Of them all.
    sum: f64,
    /// Weighted by how many are in use.
    in_use: f64,
    /// The seconds after which the state after them is reached, from none in the system.
    reached_after: f64,
}

fn outlook(size: usize, capacity: f64, load: &Load, below: &Below) -> Outlook {
    let idle = Outlook {
        throughput: load.rate,
        utilisation: (below.in_use / below.sum / size as f64).min(1.0),
        ..Outlook::default()
    };
    let left = HORIZON - below.reached_after;
    // That may be no number, too: where nobody comes, or so few that this state weighs nothing.
    if left <= 0.0 || left.is_nan() {
        return idle;
    }
    let ratio = load.rate / capacity;
    // The sums of powers below have no value at 1.
    let ratio = if (ratio - 1.0).abs() < 1e-6 { 1.0 - 1e-6 } else { ratio };
    let longest = longest_queue(ratio, below.sum / below.weight, load.rate * left);
    let scaling = (load.arrival_variation + load.hold_variation) / 2.0;
    let cut = ratio.powf(longest + 1.0);
    if cut > 1e12 {
        // As good as all of the time, the queue is about as long as it has grown to.
        return Outlook {
            wait_mean: scaling * longest / capacity,
            wait_p99: scaling * (longest + 1.0) / capacity,
            throughput: capacity,
            utilisation: 1.0,
        };
    }
    // All relative to the weight of the state with nobody waiting and all in use.
    let at_or_above = (1.0 - cut) / (1.0 - ratio);
    let total = below.sum / below.weight + at_or_above;
    let last_hundredth = (0.01 * total * (1.0 - ratio) + cut).ln() / ratio.ln();
    // The mean of a geometric distribution that is cut off.
    let mean_queue = ratio / (1.0 - ratio) - (longest + 1.0) * cut / (1.0 - cut);
    Outlook {
        wait_mean: scaling * at_or_above / total * (mean_queue.clamp(0.0, longest) + 1.0) / capacity,
        wait_p99: scaling * last_hundredth.clamp(0.0, longest + 1.0) / capacity,
        throughput: load.rate.min(capacity),
        utilisation: ((below.in_use / below.weight / size as f64 + at_or_above) / total).min(1.0),
    }
}

/// How many wait before `arrivals` more have come, on average, by the mean time to reach that many; `below` is the weight of the
/// states in which nobody waits.
fn longest_queue(ratio: f64, below: f64, arrivals: f64) -> f64 {
    let step = below + 1.0 / (1.0 - ratio);
    let taken =
        |queue: f64| step * (ratio.powf(-queue) - 1.0) / (1.0 / ratio - 1.0) - queue * ratio / (1.0 - ratio);
    // It takes an arrival at least to be one more.
    let (mut reached, mut beyond) = (0.0, arrivals + 1.0);
    // To within a millionth of what is possible.
    for _ in 0..20 {
        let middle = (reached + beyond) / 2.0;
        if taken(middle) <= arrivals { reached = middle } else { beyond = middle }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pool::simulate::{Phase, Shape, requests, run};

    const POISSON: Load = Load { rate: 8.0, arrival_variation: 1.0, hold_variation: 1.0 };

    #[test]
    fn one_server_is_as_in_the_book() {
        // So fast that what is rare happens well before the horizon.
        let downstream = Usl { service: 1e-4, sigma: 0.0, kappa: 0.0 };
        let one = outlooks(&downstream, &Load { rate: 8000.0, ..POISSON }, 1..=1)[0];
        // M/M/1 with ρ = 0.8: a mean wait of ρ/(μ−λ), exponential where there is any.
        assert!((one.wait_mean / 4e-4 - 1.0).abs() < 0.02, "{one:?}");
        assert!((one.utilisation / 0.8 - 1.0).abs() < 0.02, "{one:?}");
        // But for counting whole requests, not their remaining work.
        assert!((one.wait_p99 / (80.0_f64.ln() / 2000.0) - 1.0).abs() < 0.12, "{one:?}");
    }

    #[test]
    fn more_arrivals_than_can_be_served_wait_ever_longer() {
        let downstream = Usl { service: 0.1, sigma: 0.0, kappa: 0.0 };
        let load = Load { rate: 30.0, ..POISSON };
        let outlooks = outlooks(&downstream, &load, 1..=5);
        assert!(outlooks[0].wait_p99 > outlooks[1].wait_p99);
        // Of 30 a second, 10 are served: after the horizon, the last one waits for twice as long.
        assert!((outlooks[0].wait_p99 / (2.0 * HORIZON) - 1.0).abs() < 0.1, "{outlooks:?}");
        assert!(outlooks[2].wait_p99 > 3.0 && outlooks[3].wait_p99 < 1.0, "{outlooks:?}");
        assert!((outlooks[0].throughput - 10.0).abs() < 1e-9);
    }

    #[test]
    fn no_load_and_no_size_make_an_outlook_that_is_no_number() {
        for downstream in [
            Usl { service: 0.1, sigma: 0.1, kappa: 0.01 },
            Usl { service: 1e-6, sigma: 0.0, kappa: 0.0 },
            Usl { service: 100.0, sigma: 1.0, kappa: 1.0 },
        ] {
            for rate in [0.0, 1e-9, 1.0, 9.9, 10.0, 1e6] {
                for outlook in outlooks(&downstream, &Load { rate, ..POISSON }, 1..=2000) {
                    let Outlook { wait_mean, wait_p99, throughput, utilisation } = outlook;
                    assert!(wait_mean >= 0.0 && wait_mean.is_finite(), "{downstream:?} {rate} {outlook:?}");
                    assert!(wait_p99 >= 0.0 && wait_p99.is_finite(), "{downstream:?} {rate} {outlook:?}");
                    assert!(throughput >= 0.0 && (0.0..=1.001).contains(&utilisation), "{rate} {outlook:?}");
                }
            }
        }
    }

    #[test]
    fn a_pool_far_beyond_the_knee_is_well_until_a_burst_and_the_burst_is_far_off() {
        let downstream = Usl { service: 0.05, sigma: 0.05, kappa: 0.01 };
        // With 10 in use 87 a second are done, with 64 only 27.
        let at = |rate| outlooks(&downstream, &Load { rate, ..POISSON }, 64..=64)[0];
        assert_eq!(at(40.0).wait_p99, 0.0);
        assert!(at(70.0).wait_p99 > 60.0, "{:?}", at(70.0));
    }

    #[test]
    fn it_foretells_what_the_simulation_does() {
        let downstream = Usl { service: 0.02, sigma: 0.05, kappa: 0.004 };
        let phases =
            [Phase { length: Duration::from_secs(1500), rate: 230.0, downstream, shape: Shape::Exponential }];
        let requests = requests(&phases, 9);
        let load = Load { rate: 230.0, ..POISSON };
        for size in [8, 14] {
            let served = run(&phases, &requests, size, Duration::from_secs(60), |_, _, size| size);
            let mut waits: Vec<f64> = served.iter().map(|served| served.wait).collect();
            waits.sort_by(f64::total_cmp);
            let seen = waits[waits.len() * 99 / 100];
            let foretold = outlooks(&downstream, &load, size..=size)[0].wait_p99;
            assert!((foretold / seen - 1.0).abs() < 0.2, "size {size}: {foretold} s foretold, {seen} s seen");
        }
    }
}
