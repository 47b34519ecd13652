//! The knob that most settings of a part are.

use std::sync::Arc;

use kandela_model::{ApplyCost, KnobError, KnobSpec, KnobType, StepCap};

use super::{LeasedKnob, Scalar};
use crate::steward::Steward;

/// A knob `PART.SETTING` among those of `steward`, whose steps may be of any size and count at once.
pub(crate) fn live<T: Scalar>(
    steward: &Steward,
    part: &str,
    setting: &str,
    kind: KnobType,
    initial: T,
) -> Result<Arc<LeasedKnob<T>>, KnobError> {
    let spec = KnobSpec {
        name: format!("{part}.{setting}"),
        kind,
        step_cap: StepCap::Unlimited,
        cost: ApplyCost::Live,
    };
    let knob = Arc::new(LeasedKnob::new(spec, initial, steward.clock().clone())?);
    steward.knobs().add(&knob);
    Ok(knob)
}
