//! The autonomous performance manager: it proposes settings for a running system, tries them inside guards, keeps what helps, takes
//! back what does not, and writes down every step.
//!
//! - [`actuator`]: how settings reach a system, the only code that changes the outside world;
//! - [`watchdog`]: a process beside each system that can't keep a lease, which goes back when the manager falls silent;
//! - [`ledger`]: what was decided, in order, so that a restart goes on where it stopped.

pub mod actuator;
pub mod ledger;
pub mod watchdog;
