//! PromQL: parse, plan, evaluate.
//!
//! The language is that of Prometheus 3.14. Samples come from a [`SeriesSource`], which others implement: the lake, a remote
//! server that speaks Prometheus' remote read, a handful of series in memory. Times are microseconds since the Unix epoch.

pub mod answer;
pub mod ast;
mod depth;
mod eval;
mod floats;
pub mod functions;
pub mod histogram;
mod parse;
mod print;
mod quote;
pub mod script;
pub mod source;
mod tree_json;

pub use answer::{Answer, Answered, Point};
pub use depth::deeper;
pub use eval::{Control, EvalError, Limits, Options, Prepared, SharedMemory, When, evaluate, prepare};
pub use kandela_config::matcher::{MatchOp, Matcher};
pub use parse::{ParseError, parse, parse_selector};
pub use print::format;
pub use source::{
    SampleBuffer, Samples, Select, SeriesReader, SeriesSet, SeriesSource, SourceCause, SourceError,
};
pub use tree_json::tree_json;
