//! Which samples a metric family has, by its kind.

use kandela_model::MetricKind;

/// What a sample says about its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Value,
    Total,
    Created,
    Bucket,
    Sum,
    Count,
    Info,
}

/// The suffixes that samples of a family of this kind carry (OpenMetrics 1.0, "Suffixes").
pub(super) const fn suffixes(kind: MetricKind) -> &'static [(&'static str, Role)] {
    match kind {
        MetricKind::Counter => &[("_total", Role::Total), ("_created", Role::Created)],
        MetricKind::Summary => {
            &[("_count", Role::Count), ("_sum", Role::Sum), ("_created", Role::Created), ("", Role::Value)]
        }
        MetricKind::Histogram => &[
            ("_bucket", Role::Bucket),
            ("_count", Role::Count),
            ("_sum", Role::Sum),
            ("_created", Role::Created),
        ],
        MetricKind::GaugeHistogram => {
            &[("_bucket", Role::Bucket), ("_gcount", Role::Count), ("_gsum", Role::Sum)]
        }
        MetricKind::Info => &[("_info", Role::Info)],
        MetricKind::Gauge | MetricKind::StateSet | MetricKind::Unknown => &[("", Role::Value)],
    }
}

/// What a sample called `sample` says in `family`, if it belongs there.
pub(super) fn role(kind: MetricKind, family: &str, sample: &str) -> Option<Role> {
    let suffix = sample.strip_prefix(family)?;
    suffixes(kind).iter().find_map(|(known, role)| (*known == suffix).then_some(*role))
}

/// The same where a family may be called by the name of its sample, as text 0.0.4 does with counters and sloppy exporters
/// with everything.
pub(super) fn loose_role(kind: MetricKind, family: &str, sample: &str) -> Option<Role> {
    role(kind, family, sample).or_else(|| (family == sample).then_some(Role::Value))
}

/// The label that belongs to the sample and not to the metric, if this kind has one.
pub(super) fn point_label(kind: MetricKind, family: &str) -> Option<&str> {
    match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => Some("le"),
        MetricKind::Summary => Some("quantile"),
        MetricKind::StateSet => Some(family),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_known_by_its_suffix() {
        assert_eq!(role(MetricKind::Counter, "a", "a_total"), Some(Role::Total));
        assert_eq!(role(MetricKind::Counter, "a", "a"), None);
        assert_eq!(role(MetricKind::Counter, "a", "ab_total"), None);
        assert_eq!(role(MetricKind::GaugeHistogram, "a", "a_count"), None);
        assert_eq!(loose_role(MetricKind::Counter, "a_total", "a_total"), Some(Role::Value));
    }
}
