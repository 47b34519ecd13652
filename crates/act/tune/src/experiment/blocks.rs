//! From slices to observations: the order of arms, wash-out, rejection.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Asked;
use super::plan::{Design, Plan, Rules};
use crate::guard::Better;
use crate::random::{self, Random};

/// What a slice of time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// What is.
    Control,
    /// The change.
    Treated,
}

/// What a slice gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The objective where the arm runs: at the changed unit of a canary, at the system's entry in a switchback. `None` where it
    /// gave nothing; so counts what is not above 0 and finite.
    pub value: Option<f64>,
    /// The objective at the canary's control at the same time.
    pub control: Option<f64>,
    /// How many requests clients sent, whether or not they were served. It must not depend on the arm: leave it out where clients wait
    /// for answers before they send more.
    pub offered: Option<f64>,
    /// Whether something else went on that whoever observes knows of and the arm has no part in: a deployment, a freeze, telemetry of
    /// all that was lost.
    pub disturbed: bool,
}

/// How many blocks were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Something else went on.
    pub disturbed: u32,
    /// Too few requests were offered, or nobody told how many.
    pub too_few: u32,
    /// The load changed between the halves.
    pub load: u32,
    /// The control gave nothing, or was wildly off; or, in a switchback, the half without the change gave nothing.
    pub control: u32,
}

/// What a slice did to its block.
pub(super) enum Ended {
    /// The block goes on.
    Not,
    /// It is dropped.
    Rejected,
    /// It gave this gain, a natural logarithm of a ratio.
    Observed(f64),
}

/// Blocks as they come.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    coins: Random,
    order: [Arm; 2],
    wash_out: u64,
    slices: u64,
    next: u64,
    ended: u32,
    rejected: Rejected,
    place: u64,
    halves: [Half; 2],
    /// By how much the control changed within earlier blocks, sorted.
    changes: Vec<f64>,
}

/// Sums over the measured slices of a half.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    value: Option<f64>,
    control: Option<f64>,
    offered: Option<f64>,
    fewest: f64,
    disturbed: bool,
}

/// How many earlier blocks it takes to know how much a control changes.
const ENOUGH: usize = 8;

impl Blocks {
    pub(super) fn new(plan: &Plan, seed: u64) -> Blocks {
        let mut coins = random::seeded(seed, 0);
        Blocks {
            order: toss(&mut coins),
            coins,
            wash_out: u64::from(plan.wash_out()),
            slices: u64::from(plan.slices),
            next: 0,
            ended: 0,
            rejected: Rejected::default(),
            place: 0,
            halves: [Half::empty(); 2],
            changes: Vec::new(),
        }
    }

    pub(super) fn asks(&self) -> Asked {
        let half = self.wash_out + self.slices;
        let arm = self.order[usize::from(self.place >= half)];
        Asked { slice: self.next, arm, wash_out: self.place % half < self.wash_out }
    }

    pub(super) fn observe(&mut self, plan: &Plan, gave: &Slice) -> Ended {
        let (asked, half) = (self.asks(), self.wash_out + self.slices);
        if !asked.wash_out {
            self.halves[usize::from(self.place >= half)].add(gave);
        }
        self.next += 1;
        self.place += 1;
        if self.place < 2 * half {
            return Ended::Not;
        }
        let (order, halves) = (self.order, self.halves);
        self.drop_current();
        self.ended += 1;
        self.judge(plan, order, &halves)
    }

    /// Leaves the block that is under way; the next slice begins another.
    pub(super) fn drop_current(&mut self) {
        self.place = 0;
        self.order = toss(&mut self.coins);
        self.halves = [Half::empty(); 2];
    }

    pub(super) fn ended(&self) -> u32 {
        self.ended
    }

    pub(super) fn rejected(&self) -> Rejected {
        self.rejected
    }

    /// How many slices from here until so many blocks have ended.
    pub(super) fn slices_until(&self, blocks: u32) -> u64 {
        let block = 2 * (self.wash_out + self.slices);
        u64::from(blocks).saturating_mul(block).saturating_sub(self.place)
    }

    fn judge(&mut self, plan: &Plan, order: [Arm; 2], halves: &[Half; 2]) -> Ended {
        let paired = matches!(plan.design, Design::Canary);
        let wild = paired && self.control_is_wild(halves, plan.rules.control_change);
        let Rules { fewest_requests, load_change, .. } = plan.rules;
        let counted = halves.iter().all(|half| half.offered.is_some());
        let [a, b] = halves;
        let counts = &mut self.rejected;
        let reason = if a.disturbed || b.disturbed {
            Some(&mut counts.disturbed)
        } else if fewest_requests > 0.0 && (!counted || a.fewest.min(b.fewest) < fewest_requests) {
            Some(&mut counts.too_few)
        } else if changed(a.offered, b.offered) > libm::log(load_change) {
            Some(&mut counts.load)
        } else if wild {
            Some(&mut counts.control)
        } else {
            None
        };
        if let Some(count) = reason {
            *count += 1;
            return Ended::Rejected;
        }
        let value = |half: &Half| if paired { Some(half.value? - half.control?) } else { half.value };
        let slices = f64::from(plan.slices);
        let [first, second] = halves.map(|half| value(&half).map(|sum| sum / slices));
        let (treated, control) = if order[0] == Arm::Treated { (first, second) } else { (second, first) };
        match (treated, control) {
            (Some(treated), Some(control)) => Ended::Observed(match plan.better {
                Better::Lower => control - treated,
                Better::Higher => treated - control,
            }),
            (None, Some(_)) => Ended::Observed(-plan.clip),
            (_, None) => {
                counts.control += 1;
                Ended::Rejected
            }
        }
    }

    fn control_is_wild(&mut self, halves: &[Half; 2], times: f64) -> bool {
        let [Some(a), Some(b)] = halves.map(|half| half.control) else { return true };
        let change = (a - b).abs();
        let usual = self.changes.get(self.changes.len() / 2).copied();
        let known = self.changes.len() >= ENOUGH;
        let place = self.changes.partition_point(|earlier| *earlier < change);
        self.changes.insert(place, change);
        known && usual.is_some_and(|usual| usual > 0.0 && change > times * usual)
    }
}

/// The order of a block's arms.
fn toss(coins: &mut Random) -> [Arm; 2] {
    if coins.random::<bool>() { [Arm::Treated, Arm::Control] } else { [Arm::Control, Arm::Treated] }
}

impl Half {
    const fn empty() -> Half {
        Half {
            value: Some(0.0),
            control: Some(0.0),
            offered: Some(0.0),
            fewest: f64::INFINITY,
            disturbed: false,
        }
    }

    fn add(&mut self, gave: &Slice) {
        let positive = |value: Option<f64>| value.filter(|value| value.is_finite() && *value > 0.0);
        let log = |value| positive(value).map(libm::log);
        let sum = |sum: Option<f64>, next: Option<f64>| Some(sum? + next?);
        self.value = sum(self.value, log(gave.value));
        self.control = sum(self.control, log(gave.control));
        self.offered = sum(self.offered, gave.offered.filter(|offered| offered.is_finite()));
        self.fewest = self.fewest.min(gave.offered.unwrap_or(0.0));
        self.disturbed |= gave.disturbed;
    }
}

/// The logarithm of the factor between two loads; 0 where one is unknown.
fn changed(a: Option<f64>, b: Option<f64>) -> f64 {
    let (Some(a), Some(b)) = (a, b) else { return 0.0 };
    if a == b { 0.0 } else { (libm::log(a.max(0.0)) - libm::log(b.max(0.0))).abs() }
}
