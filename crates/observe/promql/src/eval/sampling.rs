//! Which series `limit_ratio` takes: by their hashes, so the same ones each time, and the same ones as Prometheus.

use kandela_model::Labels;

use super::labels;
use super::value::Series;

/// Whether a series is in the part of all that `ratio`, from -1 to 1, takes; a negative one takes what its complement leaves.
pub(super) fn is_in_ratio(series: &Series, ratio: f64) -> bool {
    let hash =
        if series.drop_name { hash(&labels::without_metadata(&series.labels)) } else { hash(&series.labels) };
    let offset = hash as f64 / u64::MAX as f64;
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// The hash of labels in Prometheus' releases from 3.0 to 3.14 at least (`labels_stringlabels.go`): xxHash of names and values,
/// each behind its length.
fn hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            push_length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}

/// One byte below 255; otherwise 255 and three bytes, the lowest first.
fn push_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < u8::MAX => bytes.push(short),
        _ => bytes.extend([u8::MAX].into_iter().chain(length.to_le_bytes().into_iter().take(3))),
    }
}
