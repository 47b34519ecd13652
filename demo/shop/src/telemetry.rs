//! What the shop tells about itself: metrics, traces and logs by the OpenTelemetry SDK, in the names of its semantic
//! conventions. Without an address to send to, nothing is recorded and the API's no-operation parts cost next to nothing.
//!
//! Sessions travel in a header that is never recorded, so that no path, attribute or log says who bought what.

mod export;
mod instruments;
mod spans;

pub(crate) use export::start;
pub(crate) use instruments::{
    breaker_refused, cache_asked, db_took, order_processed, orders_queued, pool_wait, shed,
};
pub(crate) use spans::{ClientCall, ServerCall, consumer_span, db_span, producer_span};
