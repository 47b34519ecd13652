//! Limits on labels, for senders that nobody configured: remote write and OTLP.

use kandela_config::kandela::Limits;
use kandela_model::{LabelsRef, MetricBatch, SeriesIndex};

/// How many labels a series may have, and how long they may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelLimits {
    labels: usize,
    name_bytes: usize,
    value_bytes: usize,
}

/// What was left out of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub points: u64,
    /// What the first series had wrong.
    pub problem: Option<String>,
}

impl LabelLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        let bound = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            labels: bound(limits.labels_per_series),
            name_bytes: bound(limits.label_name_length),
            value_bytes: bound(limits.label_value_length),
        }
    }

    /// Takes the points of series that are past a limit out of the batch.
    pub(crate) fn enforce(&self, batch: &mut MetricBatch) -> LeftOut {
        let mut left_out = LeftOut::default();
        let series = 0..batch.series().len() as u32;
        let mut refused = vec![];
        for index in series.map(SeriesIndex) {
            let labels = batch.labels(index);
            if let Some(problem) = self.problem(labels) {
                left_out.problem.get_or_insert(problem);
                refused.push(index);
            }
        }
        if refused.is_empty() {
            return left_out;
        }
        let keep = |index: &SeriesIndex| refused.binary_search(index).is_err();
        let before = batch.points();
        batch.samples.retain(|sample| keep(&sample.series));
        batch.deltas.retain(|delta| keep(&delta.series));
        batch.histograms.retain(|histogram| keep(&histogram.series));
        batch.exemplars.retain(|exemplar| keep(&exemplar.series));
        left_out.points = (before - batch.points()) as u64;
        left_out
    }

    fn problem(&self, labels: LabelsRef<'_>) -> Option<String> {
        // A label takes at least four bytes, so most sets are fine at a glance.
        let bytes = labels.as_bytes().len();
        if bytes <= self.name_bytes.min(self.value_bytes) && bytes / 4 <= self.labels {
            return None;
        }
        let named = || labels.metric_name().unwrap_or("without a name").chars().take(80).collect::<String>();
        let count = labels.len();
        if count > self.labels {
            let limit = self.labels;
            return Some(format!(
                "series {} has {count} labels, over limits.labels_per_series of {limit}",
                named()
            ));
        }
        labels.iter().find_map(|(name, value)| {
            let label: String = name.chars().take(80).collect();
            if name.len() > self.name_bytes {
                let (found, limit) = (name.len(), self.name_bytes);
                Some(format!("a label's name {label}… has {found} bytes, over limits.label_name_length of {limit}"))
            } else if value.len() > self.value_bytes {
                let (found, limit) = (value.len(), self.value_bytes);
                let series = named();
                Some(format!(
                    "label {label} of series {series} has {found} bytes, over limits.label_value_length of {limit}"
                ))
            } else {
                None
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::Timestamp;

    use super::*;

    #[test]
    fn only_the_series_past_a_limit_loses_its_points() {
        let limits = LabelLimits { labels: 4, name_bytes: 20, value_bytes: 30 };
        let mut batch = MetricBatch::default();
        let long_value = "v".repeat(31);
        let long_name = "n".repeat(21);
        let many: Vec<(String, &str)> =
            (0..4).map(|n| (format!("l{n}"), "v")).chain([("__name__".to_owned(), "m")]).collect();
        let good = batch.add_series([("__name__", "good"), ("job", "shop")]).unwrap();
        let value = batch.add_series([("__name__", "bad"), ("job", long_value.as_str())]).unwrap();
        let name = batch.add_series([("__name__", "bad"), (long_name.as_str(), "x")]).unwrap();
        let many = batch.add_series(many).unwrap();
        for series in [good, value, name, many] {
            batch.add_sample(series, Timestamp::from_millis(1), 1.0);
        }
        let left_out = limits.enforce(&mut batch);
        assert_eq!(left_out.points, 3);
        assert!(left_out.problem.unwrap().contains("limits.label_value_length"));
        assert_eq!(batch.samples.len(), 1);
        assert_eq!(batch.samples[0].series, good);
        assert_eq!(limits.enforce(&mut batch).points, 0, "what is left has nothing to lose");
    }
}
