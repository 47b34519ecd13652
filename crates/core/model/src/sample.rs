//! Samples, staleness and exemplars.

use crate::{Labels, Timestamp};

/// The bit pattern by which Prometheus marks the end of a series (`value.StaleNaN`).
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether `value` is the staleness marker. Compares bits, since an ordinary NaN is a value like any other.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// A float at a point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub ts: Timestamp,
    /// What; [`STALE_NAN`] ends the series.
    pub value: f64,
}

/// One measurement that a trace explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// When it was measured.
    pub ts: Timestamp,
    /// The measured value, in the unit of its series.
    pub value: f64,
    /// The trace that it belongs to, 32 hex digits, where known.
    pub trace_id: Option<String>,
    /// The span that it belongs to, 16 hex digits, where known.
    pub span_id: Option<String>,
    /// Its other labels.
    pub labels: Labels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_itself_is_stale() {
        assert!(is_stale(STALE_NAN));
        assert!(!is_stale(f64::NAN));
        assert!(!is_stale(0.0));
    }
}
