//! Arithmetic on histograms, as PromQL does it.
//!
//! Native histograms are [`kandela_model::Histogram`]s whose counts are floats: results of arithmetic may be negative,
//! fractional or NaN. What comes out of a function here has `is_float` set. Classic histograms are lists of
//! [`ClassicBucket`]s.
//!
//! | question | function |
//! | --- | --- |
//! | `+`, `-`, `rate` | [`add`], [`sub`] |
//! | `*`, `/`, unary `-` | [`mul`], [`div`] |
//! | `sum`, `avg` and their `_over_time` | [`HistogramSum`], [`HistogramMean`] |
//! | `==`, `!=` | [`equal`] |
//! | `</`, `>/` | [`trim`] |
//! | `resets`, `rate` | [`detect_reset`] |
//! | `histogram_quantile` | [`quantile`], [`classic_quantile`] |
//! | `histogram_fraction` | [`fraction`], [`classic_fraction`] |
//! | `histogram_avg`, `histogram_stdvar`, `histogram_stddev` | [`average`], [`variance`], [`deviation`] |
//! | the HTTP API, `count_values` | [`buckets`], [`text`], [`test_notation`] |
//!
//! The semantics are those of Prometheus 3.14 (`model/histogram/float_histogram.go`, `promql/quantile.go`) and of its
//! [specification of native histograms](https://prometheus.io/docs/specs/native_histograms/). Nothing here gives
//! annotations; what a caller may have to annotate is part of each result.

mod arithmetic;
mod bound_table;
mod bucket;
mod classic;
mod compact;
mod kahan;
mod layout;
mod moments;
mod quantile;
mod reset;
mod sum;
#[cfg(test)]
mod testing;
mod text;
mod trim;

pub use arithmetic::{add, div, mul, sub};
pub use bucket::{Bucket, buckets};
pub use classic::{ClassicBucket, ClassicQuantile, ForcedMonotonicity, classic_fraction, classic_quantile};
pub use compact::{compact, equal};
pub use layout::{Addition, MixedSchemas};
pub use moments::{average, deviation, variance};
pub use quantile::{NanNote, fraction, quantile};
pub use reset::detect_reset;
pub use sum::{HistogramMean, HistogramSum};
pub use text::{test_notation, text};
pub use trim::{Keep, trim};
