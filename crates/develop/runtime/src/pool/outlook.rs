//! What a pool of some size would do: waits, throughput, use, by a queueing model.
//!
//! The pool and its downstream are taken as a birth–death chain: requests arrive at rate λ whatever the state; with n in the system,
//! min(n, N) are in use and leave at rate X(min(n, N)) by the [Universal Scalability Law](super::usl). That is M/M/c with the
//! contention built in (Kleinrock, "Queueing Systems I", §3.1). From the chain: the share of requests that wait, and an exponential
//! tail of their wait at rate X(N) − λ. For arrivals and holds that are not exponential, waits are scaled by (c²ₐ + c²ₛ)/2 (Allen &
//! Cunneen; Allen, "Probability, Statistics and Queueing Theory", §5.3), from the measured variation.
//!
//! Its limits: it speaks of a load that stays as it is, for long enough; the scaling is an approximation, good where waits are not
//! rare; and where arrivals outrun the downstream there is no steady state. Then, and close to it, a wait means what it would grow to
//! within [`HORIZON`] seconds.

use super::usl::Usl;

/// Waits are looked at so far ahead, in seconds.
pub const HORIZON: f64 = 60.0;

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

/// The outlook for each size from 1 to `largest`, at index size − 1. One pass: below N, all sizes share a chain.
pub fn outlooks(downstream: &Usl, load: &Load, largest: usize) -> Vec<Outlook> {
    // Relative to the heaviest state so far, so that nothing overflows.
    let (mut weight, mut below, mut in_use_below) = (1.0_f64, 0.0_f64, 0.0_f64);
    let mut outlooks = Vec::with_capacity(largest);
    for size in 1..=largest {
        below += weight;
        in_use_below += weight * (size - 1) as f64;
        let capacity = downstream.throughput(size as f64);
        weight *= load.rate / capacity;
        outlooks.push(outlook(size, capacity, load, weight, below, in_use_below));
        if below > 1e100 || weight > 1e100 {
            let most = below.max(weight);
            weight /= most;
            below /= most;
            in_use_below /= most;
        }
    }
    outlooks
}

/// `weight` is that of the state with as many in the system as the size, `below` that of all before it.
fn outlook(size: usize, capacity: f64, load: &Load, weight: f64, below: f64, in_use_below: f64) -> Outlook {
    let gap = capacity - load.rate;
    let scaling = (load.arrival_variation + load.hold_variation) / 2.0;
    if gap <= 0.0 {
        let grown = HORIZON * (1.0 - gap / capacity);
        return Outlook { wait_mean: grown / 2.0, wait_p99: grown, throughput: capacity, utilisation: 1.0 };
    }
    let at_or_above = weight * capacity / gap;
    let total = below + at_or_above;
    let waits = at_or_above / total;
    Outlook {
        wait_mean: (scaling * waits / gap).min(HORIZON / 2.0),
        wait_p99: (scaling * (100.0 * waits).ln().max(0.0) / gap).min(HORIZON),
        throughput: load.rate,
        utilisation: (in_use_below / size as f64 + at_or_above) / total,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pool::simulate::{Phase, Shape, requests, run};

    const POISSON: Load = Load { rate: 8.0, arrival_variation: 1.0, hold_variation: 1.0 };

    #[test]
    fn one_server_is_as_in_the_book() {
        let downstream = Usl { service: 0.1, sigma: 0.0, kappa: 0.0 };
        let one = outlooks(&downstream, &POISSON, 1)[0];
        // M/M/1 with ρ = 0.8: a mean wait of ρ/(μ−λ).
        assert!((one.wait_mean - 0.4).abs() < 1e-9, "{one:?}");
        assert!((one.utilisation - 0.8).abs() < 1e-9, "{one:?}");
        assert!((one.wait_p99 - 80.0_f64.ln() / 2.0).abs() < 1e-9, "{one:?}");
    }

    #[test]
    fn more_arrivals_than_can_be_served_wait_ever_longer() {
        let downstream = Usl { service: 0.1, sigma: 0.0, kappa: 0.0 };
        let load = Load { rate: 30.0, ..POISSON };
        let outlooks = outlooks(&downstream, &load, 5);
        assert!(outlooks[0].wait_p99 > outlooks[1].wait_p99);
        assert!(outlooks[2].wait_p99 >= HORIZON && outlooks[3].wait_p99 < 5.0);
        assert!((outlooks[0].throughput - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_thousand_sizes_overflow_nothing() {
        let downstream = Usl { service: 0.1, sigma: 0.1, kappa: 0.01 };
        let load = Load { rate: 1e6, ..POISSON };
        assert!(outlooks(&downstream, &load, 2000).iter().all(|outlook| outlook.wait_p99.is_finite()));
    }

    #[test]
    fn it_foretells_what_the_simulation_does() {
        let downstream = Usl { service: 0.02, sigma: 0.05, kappa: 0.004 };
        let phases =
            [Phase { length: Duration::from_secs(1500), rate: 230.0, downstream, shape: Shape::Exponential }];
        let requests = requests(&phases, 9);
        let load = Load { rate: 230.0, ..POISSON };
        for size in [8, 10, 14] {
            let served = run(&phases, &requests, size, Duration::from_secs(60), |_, _, size| size);
            let mut waits: Vec<f64> = served.iter().map(|served| served.wait).collect();
            waits.sort_by(f64::total_cmp);
            let seen = waits[waits.len() * 99 / 100];
            let foretold = outlooks(&downstream, &load, size)[size - 1].wait_p99;
            assert!((foretold / seen - 1.0).abs() < 0.2, "size {size}: {foretold} s foretold, {seen} s seen");
        }
    }
}
