//! Search for better settings: what may be set, what to measure next, what to recommend.
//!
//! Values in, values out: nothing here runs a command, asks a server, reads a clock or draws from the system's randomness. Whoever
//! measures (a command line, a benchmark, the autopilot) asks a [`Study`] for trials and tells it what came of them.
//!
//! - [`space`]: knobs with their ranges, scales and conditions, and points of the unit cube that stand for their settings;
//! - [`history`]: what was tried and what came of it;
//! - [`strategy`]: who proposes what to measure next, behind one trait;
//! - [`noise`]: whether a measurement, made again, would give the same value;
//! - [`recommend`]: which measured point is best, under noise not the luckiest;
//! - [`study`]: ask, tell, best.
//!
//! Values are minimised.

pub mod history;
mod model;
pub mod noise;
pub mod random;
pub mod recommend;
pub mod space;
pub mod strategy;
pub mod study;

pub use history::{History, Measured, Outcome, Trial};
pub use noise::Noise;
pub use recommend::{Recommendation, Recommender};
pub use space::{Config, Parameter, Space, SpaceError};
pub use strategy::{Brief, Propose, Strategy};
pub use study::{Best, Study, StudyError};
