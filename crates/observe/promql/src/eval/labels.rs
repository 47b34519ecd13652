//! Label sets of results.

use std::cmp::Ordering;

use kandela_model::{Labels, METRIC_NAME};

/// Labels that say what a metric is; they go with its name.
pub(crate) const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

pub(crate) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// Labels of pairs; pairs with an empty value are left out.
pub(crate) fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut pairs: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    pairs.sort_unstable();
    pairs.dedup_by_key(|(name, _)| *name);
    Labels::new(pairs).unwrap_or_default()
}

/// Without name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    from_pairs(labels.iter().filter(|(name, _)| !is_metadata(name)))
}

pub(crate) fn keep(labels: &Labels, wanted: &[String]) -> Labels {
    from_pairs(labels.iter().filter(|(name, _)| wanted.iter().any(|wanted| wanted == name)))
}

pub(crate) fn without(labels: &Labels, unwanted: &[String]) -> Labels {
    from_pairs(
        labels
            .iter()
            .filter(|(name, _)| !is_metadata(name) && !unwanted.iter().any(|unwanted| unwanted == name)),
    )
}

/// With `name` set to `value`, or removed where that is empty.
pub(crate) fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    let others = labels.iter().filter(|(other, _)| *other != name);
    from_pairs(others.chain([(name, value)]))
}

/// Prometheus' order: pair by pair.
pub(crate) fn compare(a: &Labels, b: &Labels) -> Ordering {
    a.iter().cmp(b.iter())
}

pub(crate) fn metric_name(labels: &Labels) -> &str {
    labels.get(METRIC_NAME).unwrap_or_default()
}
