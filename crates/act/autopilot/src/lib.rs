//! The autonomous performance manager: it proposes settings for a running system, tries them inside guards, keeps what helps, takes
//! back what does not, and writes down every step.
//!
//! - [`actuator`]: how settings reach a system, the only code that changes the outside world;
//! - [`ledger`]: what was decided, in order, so that a restart goes on where it stopped;
//! - [`machine`]: what follows from what: a pure state machine, whose state is the fold of the ledger;
//! - [`evidence`]: trials judged by guards and experiments;
//! - [`proposer`]: what to try next, one search a context;
//! - [`runbook`]: what a person would turn by hand, tried first;
//! - [`observe`]: what is asked of whoever measures;
//! - [`manager`]: drives it all;
//! - [`explain`](mod@explain): the story of a proposal, and where things stand, from the ledger alone;
//! - [`calendar`]: when nothing may be tried;
//! - [`target`]: a server that a tuner drives, named by its URL;
//! - [`watchdog`]: a process beside each system that can't keep a lease, which goes back when the manager falls silent.

pub mod actuator;
pub mod calendar;
pub mod evidence;
pub mod explain;
pub mod ledger;
pub mod machine;
pub mod manager;
pub mod observe;
pub mod proposer;
pub mod runbook;
pub mod target;
pub mod watchdog;

pub use manager::AutonomousPerformanceManager;
