//! Faults that are put into a service on purpose: `PUT /faults` sets them, `GET` shows them, `DELETE` clears them.
//!
//! ```json
//! [{"kind": "latency", "median_ms": 200, "sigma": 0.5, "endpoint": "GET /items/{id}", "share": 0.2, "duration_s": 60},
//!  {"kind": "leak", "mb_per_s": 5, "cap_mb": 200}]
//! ```

mod act;
mod spec;

pub(crate) use act::{Faults, Struck};
pub(crate) use spec::{Fault, Kind, parse};
