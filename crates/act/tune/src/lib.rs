//! Search for better settings: what may be set, what to measure next, what to recommend.
//!
//! Values in, values out: nothing here runs a command, asks a server, reads a clock or draws from the system's randomness. Whoever
//! measures (a command line, a benchmark, the autopilot) asks a [`Study`] for trials and tells it what came of them.
//!
//! - [`space`]: knobs with their ranges, scales and conditions, and points of the unit cube that stand for their settings;
//! - [`history`]: what was tried and what came of it;
//! - [`safe`]: search that keeps constraints while it searches;
//! - [`strategy`]: who proposes what to measure next, behind one trait;
//! - [`portfolio`]: several strategies on one budget, by what each earns; [`phases`]: one after another, by evidence;
//! - [`study`]: ask, tell, best;
//! - [`ask_tell`]: the same as a conversation of JSON lines;
//! - [`optimize`]: the whole search in one call, within constraints and a time budget;
//! - [`guard`]: objectives and constraints as people declare them, and whether they are kept;
//! - [`experiment`]: whether a change is better, by randomised slices, and the account of errors;
//! - [`betting`]: confidence that may be looked at after every observation;
//! - [`noise`]: whether a measurement, made again, would give the same value;
//! - [`recommend`]: which measured point is best, under noise not the luckiest.
//!
//! Values are minimised.

pub mod ask_tell;
pub mod betting;
pub mod dqn;
pub mod experiment;
pub mod guard;
pub mod history;
mod model;
pub mod noise;
pub mod optimize;
pub mod phases;
pub mod portfolio;
pub mod random;
pub mod recommend;
pub mod safe;
pub mod space;
pub mod strategy;
pub mod study;

pub use history::{History, Measured, Outcome, Trial};
pub use noise::Noise;
pub use recommend::{Recommendation, Recommender};
pub use safe::{Alarm, Bound, Constraint};
pub use space::{Config, Parameter, Space, SpaceError};
pub use strategy::{Brief, Propose, Strategy};
pub use study::{Best, Study, StudyError};
