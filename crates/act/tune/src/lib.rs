//! Search for better settings: what may be set, what to measure next, what to recommend.
//!
//! Values in, values out: nothing here runs a command, asks a server, reads a clock or draws from the system's randomness. Whoever
//! measures (a command line, a benchmark, the autopilot) asks a [`Study`] for trials and tells it what came of them.
//!
//! - [`space`]: knobs with their ranges, scales and conditions, and points of the unit cube that stand for their settings;
//! - [`history`]: what was tried and what came of it;
//! - [`strategy`]: who proposes what to measure next, behind one trait;
//! - [`portfolio`]: several strategies on one budget, by what each earns; [`phases`]: one after another, by evidence;
//! - [`study`]: ask, tell, best;
//! - [`optimize`]: the whole search in one call, within constraints and a time budget.
//!
//! Values are minimised.

pub mod dqn;
pub mod history;
pub mod optimize;
pub mod phases;
pub mod portfolio;
pub mod random;
pub mod space;
pub mod strategy;
pub mod study;

pub use history::{History, Measured, Outcome, Trial};
pub use space::{Config, Parameter, Space, SpaceError};
pub use strategy::{Brief, Propose, Strategy};
pub use study::{Best, Study, StudyError};
