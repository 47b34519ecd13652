//! One change, tried in one world.

use kandela_tune::experiment::{Arm, Decision, Design, Experiment, Plan, Slice};
use kandela_tune::guard::Better;

/// A system that serves slice after slice.
pub(super) trait System {
    /// What the next slice gives where it runs this arm, by this design; the change makes latency lower by `gain`, a logarithm of
    /// a ratio, where the system has no more to it than that.
    fn slice(&mut self, design: Design, arm: Arm, gain: f64) -> Slice;
}

/// What came of a change.
pub(super) struct Tried {
    pub(super) decision: Option<Decision>,
    pub(super) slices: u64,
    pub(super) capital: f64,
}

impl Tried {
    pub(super) fn promoted(&self) -> bool {
        self.decision == Some(Decision::Promote)
    }
}

/// The plan of all experiments here: latency is to fall, by 3 % at least.
pub(super) fn plan(design: Design) -> Plan {
    Plan::new(design, Better::Lower, 0.03)
}

/// A seed for each proposal of each run, by the finaliser of SplitMix64.
pub(super) fn coin(seed: u64, run: u32, proposal: u32) -> u64 {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix(mix(seed) ^ (u64::from(run) << 32 | u64::from(proposal)))
}

/// Follows the plan to its end.
pub(super) fn try_change(system: &mut impl System, plan: Plan, stake: f64, coin: u64, gain: f64) -> Tried {
    let mut experiment = Experiment::new(plan, stake, coin).expect("a plan that can be followed");
    let mut slices = 0;
    while let Some(asked) = experiment.asks() {
        let gave = system.slice(plan.design, asked.arm, gain);
        experiment.observe(asked.slice, &gave).expect("the slice that was asked for");
        slices += 1;
    }
    Tried { decision: experiment.progress().decision, slices, capital: experiment.capital() }
}
