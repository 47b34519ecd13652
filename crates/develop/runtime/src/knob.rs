//! Knobs of an application: values that a controller may turn while it runs, and that turn back by themselves.
//!
//! A part (a pool, a limiter) keeps its settings in [`LeasedKnob`]s and reads them where it needs them, at the cost of two
//! relaxed loads. Two may turn one: the part's own controller, by [`LeasedKnob::steer`], and somebody outside (the autopilot, a
//! person), by [`Knob::set`] under a [`Lease`]. They never fight: as long as somebody outside holds a knob, the part's own
//! controller is refused. A lease that lapses takes the knob back to its last confirmed value, at the next read, with nobody's
//! help; so a controller that died leaves nothing behind, and one of a lower [`Epoch`] that comes back is refused.

mod leased;
#[cfg(any(feature = "breaker", feature = "intercept", feature = "limiter"))]
mod live;
mod registry;
mod scalar;

pub use kandela_model::{
    ApplyCost, Epoch, Hold, Knob, KnobError, KnobSpec, KnobType, KnobValue, Lease, StepCap,
};
pub use leased::LeasedKnob;
#[cfg(any(feature = "breaker", feature = "intercept", feature = "limiter"))]
pub(crate) use live::live;
pub use registry::Knobs;
pub use scalar::Scalar;
