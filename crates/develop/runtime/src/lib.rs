//! What an application links to be measured, and to hold up under load.
//!
//! Each part stands alone behind a cargo feature, and all share five things:
//!
//! - [`clock`]: time as an argument, so that a day passes in a second in a test;
//! - [`knob`]: settings that may be turned while the application runs, and that turn back by themselves;
//! - [`decision`]: what the controllers decided, why, and what followed;
//! - [`steward`]: who may change something now;
//! - [`range`]: settings are checked where a value is built.
//!
//! The parts:
//!
//! - `intercept` (cargo feature `intercept`; as `tower` layers with `tower`): timing, metrics, deadlines, retries within a
//!   budget, and W3C trace context around any call.

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "breaker")]
pub mod breaker;
pub mod clock;
pub mod decision;
#[cfg(feature = "intercept")]
pub mod intercept;
pub mod knob;
#[cfg(feature = "limiter")]
pub mod limiter;
pub mod range;
#[cfg(any(feature = "breaker", feature = "limiter"))]
mod steady;
pub mod steward;
mod sync;
