//! The autonomous performance manager: it proposes settings for a running system, tries them inside guards, keeps what helps, takes
//! back what does not, and writes down every step.
//!
//! - [`actuator`]: how settings reach a system, the only code that changes the outside world;
//! - [`ledger`]: what was decided, in order, so that a restart goes on where it stopped;
//! - [`machine`]: what follows from what: a pure state machine, whose state is the fold of the ledger;
//! - [`calendar`]: when nothing may be tried.

pub mod actuator;
pub mod calendar;
pub mod ledger;
pub mod machine;
