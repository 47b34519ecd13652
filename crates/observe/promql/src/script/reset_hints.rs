//! The reset hints that histograms have when Prometheus' storage gives them back.
//!
//! It keeps histograms in chunks, and a chunk is either of gauges or without resets. So a gauge stays one, the first
//! histogram of a chunk has an unknown hint, and every other one did not reset. A chunk is also cut when it is full
//! or a day ends, which is not done here: few scripts are as long. Sources: `tsdb/chunkenc/float_histogram.go` and
//! <https://github.com/prometheus/prometheus/issues/15346>.

use std::collections::BTreeMap;

use kandela_model::{Histogram, ResetHint};

/// The hint of `histogram` when it is stored after `previous`. `None` stands for no histogram, or a float in between;
/// `previous` has the hint that it was stored with.
pub(super) fn stored_hint(previous: Option<&Histogram>, histogram: &Histogram) -> ResetHint {
    if histogram.reset_hint == ResetHint::Gauge {
        return ResetHint::Gauge;
    }
    match previous {
        Some(previous) if continues(previous, histogram) => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    }
}

/// Whether a counter can have gone from `previous` to `next` in one chunk.
fn continues(previous: &Histogram, next: &Histogram) -> bool {
    if previous.reset_hint == ResetHint::Gauge || next.reset_hint == ResetHint::Reset {
        return false;
    }
    if next.is_stale() {
        return true;
    }
    let same_layout = previous.schema == next.schema
        && previous.zero_threshold == next.zero_threshold
        && previous.custom_bounds == next.custom_bounds;
    !previous.is_stale()
        && same_layout
        && next.count >= previous.count
        && next.zero_count >= previous.zero_count
        && grew(previous.positive(), next.positive())
        && grew(previous.negative(), next.negative())
}

fn grew(previous: impl Iterator<Item = (i64, f64)>, next: impl Iterator<Item = (i64, f64)>) -> bool {
    let next: BTreeMap<i64, f64> = next.collect();
    previous
        .into_iter()
        .all(|(index, count)| count == 0.0 || next.get(&index).is_some_and(|now| *now >= count))
}
