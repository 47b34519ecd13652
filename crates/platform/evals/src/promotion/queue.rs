//! Two replicas on one database: a larger pool in one of them takes its share from the other.

use kandela_tune::experiment::{Arm, Design, Slice};
use kandela_tune::random::{Random, seeded};
use rand::Rng;

use super::trial::System;

/// Connections of each replica before the change, and after.
const POOL: [u32; 2] = [8, 24];
/// How much of what the database can do is asked of it.
const LOAD: f64 = 0.97;
/// Length of a slice, in mean service times of the database.
const SLICE: f64 = 1_000.0;

/// Requests that come at random to two replicas, wait there for a connection, and then share the database equally with all that
/// have one. What the database does at a time does not depend on who asks, so a larger pool everywhere changes nothing; or with
/// `harm`, connections beyond what there were cost it some of its speed.
pub(super) struct Shared {
    random: Random,
    harm: bool,
    /// Requests at each replica, those that wait included.
    present: [u32; 2],
}

impl Shared {
    pub(super) fn new(harm: bool, seed: u64) -> Shared {
        Shared { random: seeded(seed, 1), harm, present: [POOL[0]; 2] }
    }

    /// Serves for a slice with these pools; gives the requests that came to each replica and the time that requests spent there.
    fn serve(&mut self, pools: [u32; 2]) -> [(f64, f64); 2] {
        let mut told = [(0.0, 0.0); 2];
        let mut now = 0.0;
        loop {
            let active: [u32; 2] = std::array::from_fn(|i| self.present[i].min(pools[i]));
            let connections = f64::from(active[0] + active[1]);
            let beyond = (connections - f64::from(2 * POOL[0])).max(0.0);
            let speed = if self.harm { 1.0 / (1.0 + 0.005 * beyond) } else { 1.0 };
            let served = if connections > 0.0 { speed } else { 0.0 };
            let wait = -(1.0 - self.random.random::<f64>()).ln() / (LOAD + served);
            let passed = wait.min(SLICE - now);
            for (told, present) in told.iter_mut().zip(self.present) {
                told.1 += passed * f64::from(present);
            }
            now += wait;
            if now >= SLICE {
                return told;
            }
            let event = self.random.random::<f64>() * (LOAD + served);
            if event < LOAD {
                let replica = usize::from(event >= LOAD / 2.0);
                self.present[replica] += 1;
                told[replica].0 += 1.0;
            } else {
                let of_first = served * f64::from(active[0]) / connections;
                self.present[usize::from(event - LOAD >= of_first)] -= 1;
            }
        }
    }
}

impl System for Shared {
    fn slice(&mut self, design: Design, arm: Arm, _: f64) -> Slice {
        let pool = POOL[usize::from(arm == Arm::Treated)];
        let latency = |(came, spent): (f64, f64)| (came > 0.0).then(|| spent / came);
        let (value, control, offered) = match design {
            Design::Canary => {
                let [changed, control] = self.serve([pool, POOL[0]]);
                (latency(changed), latency(control), changed.0 + control.0)
            }
            Design::Switchback { .. } => {
                let [a, b] = self.serve([pool, pool]);
                (latency((a.0 + b.0, a.1 + b.1)), None, a.0 + b.0)
            }
        };
        Slice { value, control, offered: Some(offered), disturbed: false }
    }
}
