//! Numbers, texts and times as Go reads and writes them, since that is what Prometheus' clients have seen so far.

mod float;
mod number;
mod quote;
mod rfc3339;

pub(super) use float::{push_float, push_general_float, push_plain_float};
pub(super) use number::{parse_bool, parse_float, parse_int, parse_int32};
pub(super) use quote::quote;
pub(super) use rfc3339::{parse_rfc3339, push_rfc3339};
