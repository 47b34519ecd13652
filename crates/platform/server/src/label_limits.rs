//! Limits on labels, for senders that nobody configured: remote write and OTLP.

use kandela_config::kandela::Limits;
use kandela_ingest::label_limits::{Excess, LabelLimits, TooMuch};
use kandela_model::{LabelsRef, MetricBatch, SeriesIndex};

/// What was left out of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub points: u64,
    /// What the first series had wrong.
    pub problem: Option<String>,
}

/// What the section `limits` says.
pub(crate) fn of(limits: &Limits) -> LabelLimits {
    LabelLimits {
        labels: limits.labels_per_series,
        name_bytes: limits.label_name_length,
        value_bytes: limits.label_value_length,
    }
}

/// Takes the points of series that are past a limit out of the batch.
pub(crate) fn enforce(limits: &LabelLimits, batch: &mut MetricBatch) -> LeftOut {
    let mut left_out = LeftOut::default();
    let series = 0..batch.series().len() as u32;
    let mut refused = vec![];
    for index in series.map(SeriesIndex) {
        let labels = batch.labels(index);
        if let Some(excess) = limits.exceeded(labels) {
            left_out.problem.get_or_insert_with(|| told(labels, &excess));
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

fn told(labels: LabelsRef<'_>, excess: &Excess<'_>) -> String {
    let short = |text: &str| text.chars().take(80).collect::<String>();
    let series = short(labels.metric_name().unwrap_or("without a name"));
    let Excess { of, label, found, allowed } = excess;
    let label = short(label);
    match of {
        TooMuch::Labels => {
            format!("series {series} has {found} labels, over limits.labels_per_series of {allowed}")
        }
        TooMuch::Name => {
            format!("a label's name {label}… has {found} bytes, over limits.label_name_length of {allowed}")
        }
        TooMuch::Value => format!(
            "label {label} of series {series} has {found} bytes, over limits.label_value_length of {allowed}"
        ),
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
        let left_out = enforce(&limits, &mut batch);
        assert_eq!(left_out.points, 3);
        assert!(left_out.problem.unwrap().contains("limits.label_value_length"));
        assert_eq!(batch.samples.len(), 1);
        assert_eq!(batch.samples[0].series, good);
        assert_eq!(enforce(&limits, &mut batch).points, 0, "what is left has nothing to lose");
    }
}
