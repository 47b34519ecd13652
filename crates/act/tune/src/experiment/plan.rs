//! How an experiment is to be run, declared before it begins.

use serde::{Deserialize, Serialize};

use crate::guard::Better;

/// How slices of time become observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// A changed unit beside a control, at the same time.
    Canary,
    /// The whole system, one arm after the other; each half of a block begins with so many slices that are dropped. There are as many
    /// whatever the arms are, since slices that were measured at times that depend on the coin would no longer be fair.
    Switchback {
        /// How many slices an effect takes to wear off.
        wash_out: u32,
    },
}

/// How an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How slices become observations.
    pub design: Design,
    /// Which way the objective is to go.
    pub better: Better,
    /// The smallest gain worth having, as a natural logarithm of a ratio: 0.02 is about 2 %. Above 0.
    pub smallest_gain: f64,
    /// The most that one block counts, as a natural logarithm of a ratio; above `smallest_gain`. What is claimed is that the mean gain,
    /// so clipped, is above 0. Small gains are found fastest with about five times the smallest gain, noise permitting.
    pub clip: f64,
    /// How many measured slices a half of a block averages over.
    pub slices: u32,
    /// The probability with which confirmation alone may be wrong.
    pub confirmation: f64,
    /// The probability with which a change that has the smallest gain may be given up as futile, in each of the two rounds.
    pub futility: f64,
    /// How many blocks at most, dropped ones included.
    pub most_blocks: u32,
    /// When a block is dropped.
    pub rules: Rules,
}

/// When a block is dropped; each rule looks only at what the arm can't touch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// A slice was offered fewer requests than this; 0 asks for no count.
    pub fewest_requests: f64,
    /// The load offered to its two halves differs by more than this factor; above 1.
    pub load_change: f64,
    /// In a canary, the control changed between the two halves by more than this many times the median of such changes; above 1.
    pub control_change: f64,
}

/// Why a plan can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the experiment's {field} is {value}; it must be {must}")]
pub struct PlanError {
    /// The field.
    pub field: &'static str,
    /// What it was.
    pub value: f64,
    /// What it must be.
    pub must: &'static str,
}

impl Plan {
    /// A plan for gains of at least `smallest_gain`, a natural logarithm of a ratio, with the usual levels: confirmation at 0.05,
    /// futility at 0.2, at most 200 blocks, one slice to each half.
    pub fn new(design: Design, better: Better, smallest_gain: f64) -> Plan {
        Plan {
            design,
            better,
            smallest_gain,
            clip: 5.0 * smallest_gain,
            slices: 1,
            confirmation: 0.05,
            futility: 0.2,
            most_blocks: 200,
            rules: Rules { fewest_requests: 0.0, load_change: 2.0, control_change: 8.0 },
        }
    }

    /// How many slices a block has, those of its wash-out included.
    pub fn block(&self) -> u64 {
        2 * (u64::from(self.wash_out()) + u64::from(self.slices))
    }

    pub(super) fn wash_out(&self) -> u32 {
        match self.design {
            Design::Canary => 0,
            Design::Switchback { wash_out } => wash_out,
        }
    }

    pub(super) fn check(&self, stake: f64) -> Result<(), PlanError> {
        let level = |value: f64| value > 0.0 && value < 1.0;
        let above = |value: f64, least: f64| value > least && value.is_finite();
        let probability = "a probability above 0 and below 1";
        let Rules { fewest_requests, load_change, control_change } = self.rules;
        let checks = [
            (level(stake), "stake", stake, probability),
            (level(self.confirmation), "confirmation", self.confirmation, probability),
            (level(self.futility), "futility", self.futility, probability),
            (
                above(self.smallest_gain, 0.0),
                "smallest_gain",
                self.smallest_gain,
                "a number above 0, such as 0.02",
            ),
            (above(self.clip, self.smallest_gain), "clip", self.clip, "a number above smallest_gain"),
            (self.slices > 0, "slices", 0.0, "at least 1"),
            (self.most_blocks > 0, "most_blocks", 0.0, "at least 1"),
            (fewest_requests >= 0.0, "fewest_requests", fewest_requests, "0 or more"),
            (above(load_change, 1.0), "load_change", load_change, "a factor above 1"),
            (above(control_change, 1.0), "control_change", control_change, "a factor above 1"),
        ];
        let broken = checks.into_iter().find(|(kept, ..)| !kept);
        broken.map_or(Ok(()), |(_, field, value, must)| Err(PlanError { field, value, must }))
    }
}
