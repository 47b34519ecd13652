//! Telemetry as rows of its tables, and back.
//!
//! A batch holds the rows in the order in which they were given; sorting is somebody else's. Ids are lower-case hex. Where a
//! value does not fit its column exactly, the function that writes it says what is kept.
//!
//! Readers take batches from anywhere: columns may stand in any order, and text may be of any of Arrow's text types.

mod columns;
mod dates;
mod events;
mod hex;
mod logs;
mod metrics;
mod packed;
mod profiles;
mod read;
mod spans;
#[cfg(test)]
mod tests;
mod values;

pub use dates::{dates, split_by_date};
pub use events::{events, events_from};
pub use logs::{logs, logs_from};
pub use metrics::{exemplars, exemplars_from, histograms, histograms_from};
pub use packed::{decode, encode};
pub use profiles::{profiles, profiles_from};
pub use spans::{spans, spans_from};
pub use values::body_text;
