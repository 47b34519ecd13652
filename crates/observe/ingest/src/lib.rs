//! What comes in: every wire format that Kandela reads, decoded into `kandela-model` values.
//!
//! The only crate that knows wire formats coming in. It knows nothing of what happens to the values afterwards: no lake,
//! no server. Decoders are pure functions over bytes with bounded allocation; `scrape` is the one part that opens
//! connections.

pub mod compression;
pub mod exposition;
pub mod host;
pub mod label_limits;
pub mod otlp;
mod protobuf;
pub mod redact;
pub mod remote_write;
pub mod scrape;
pub mod tsdb;
