//! What an application links to be measured, and to hold up under load.
//!
//! Each part stands alone behind a cargo feature, and all share five things:
//!
//! - [`clock`]: time as an argument, so that a day passes in a second in a test;
//! - [`knob`]: settings that may be turned while the application runs, and that turn back by themselves;
//! - [`decision`]: what the controllers decided, why, and what followed;
//! - [`steward`]: who may change something now;
//! - [`range`]: settings are checked where a value is built.

pub mod clock;
pub mod decision;
pub mod knob;
#[cfg(feature = "pool")]
pub mod pool;
pub mod range;
pub mod steward;
mod sync;
