//! PromQL over the lake: series for the evaluator, and queries within their limits.

mod run;
mod source;

pub(crate) use run::{Asked, Given, PromQl, PromQlLimits, micros};
