//! Classic histograms as native ones with custom bounds (NHCB), by Prometheus' rules.

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Exemplar, Histogram, Labels, Timestamp};

/// What a sample of a classic histogram states.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// The cumulative count up to this bound, which is not NaN.
    Bucket(f64),
    Count,
    Sum,
}

/// Cumulative buckets, count and sum of one classic histogram.
#[derive(Debug, Default)]
pub(super) struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    pub(super) fn add(&mut self, part: Part, value: f64) {
        match part {
            Part::Bucket(bound) => self.buckets.push((bound, value)),
            Part::Count => self.count = Some(value),
            Part::Sum => self.sum = value,
        }
    }

    /// The native form; `None` where the buckets are not cumulative or contradict the count.
    pub(super) fn convert(mut self) -> Option<Histogram> {
        // A stable sort, since of two buckets with one bound the first counts.
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|later, first| later.0 == first.0);
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count))?;
        match last {
            Some((bound, in_buckets)) if bound == f64::INFINITY => {
                if in_buckets != count {
                    return None;
                }
            }
            _ => self.buckets.push((f64::INFINITY, count)),
        }
        let whole = |value: f64| value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
        let is_float = !whole(count) || self.buckets.iter().any(|(_, count)| !whole(*count));
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (_, cumulative) in &self.buckets {
            counts.push(cumulative - below);
            below = *cumulative;
        }
        let histogram = Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![BucketSpan { offset: 0, length: u32::try_from(counts.len()).ok()? }],
            positive_buckets: counts,
            custom_bounds: self
                .buckets
                .iter()
                .map(|(bound, _)| *bound)
                .filter(|b| *b < f64::INFINITY)
                .collect(),
            is_float,
            ..Histogram::default()
        };
        histogram.validate().is_ok().then_some(histogram)
    }
}

/// A histogram that the lines of a page have told of so far.
#[derive(Debug, Default)]
pub(super) struct Collator {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    labels: Labels,
    ts: Timestamp,
    metadata: u32,
    classic: Classic,
    exemplars: Vec<Exemplar>,
}

/// A finished histogram; none where its parts contradict each other.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) labels: Labels,
    pub(super) ts: Timestamp,
    pub(super) metadata: u32,
    pub(super) histogram: Option<Histogram>,
    pub(super) exemplars: Vec<Exemplar>,
}

impl Collator {
    /// Whether a sample of this metric and time belongs to the histogram at hand.
    pub(super) fn collects(&self, labels: &Labels, ts: Timestamp) -> bool {
        self.current.as_ref().is_some_and(|current| current.ts == ts && current.labels == *labels)
    }

    pub(super) fn start(&mut self, labels: Labels, ts: Timestamp, metadata: u32) {
        let (classic, exemplars) = (Classic::default(), Vec::new());
        self.current = Some(Current { labels, ts, metadata, classic, exemplars });
    }

    pub(super) fn add(&mut self, part: Part, value: f64) {
        if let Some(current) = &mut self.current {
            current.classic.add(part, value);
        }
    }

    pub(super) fn add_exemplar(&mut self, exemplar: Exemplar) {
        if let Some(current) = &mut self.current {
            current.exemplars.push(exemplar);
        }
    }

    pub(super) fn take(&mut self) -> Option<Collected> {
        let Current { labels, ts, metadata, classic, exemplars } = self.current.take()?;
        Some(Collected { labels, ts, metadata, histogram: classic.convert(), exemplars })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(buckets: &[(f64, f64)], count: Option<f64>) -> Classic {
        Classic { buckets: buckets.to_vec(), count, sum: 7.5 }
    }

    #[test]
    fn cumulative_buckets_become_absolute_ones() {
        let histogram =
            classic(&[(1.0, 2.0), (5.0, 5.0), (f64::INFINITY, 6.0)], Some(6.0)).convert().unwrap();
        assert_eq!(histogram.custom_bounds, [1.0, 5.0]);
        assert_eq!(histogram.positive_buckets, [2.0, 3.0, 1.0]);
        assert_eq!((histogram.count, histogram.sum, histogram.is_float), (6.0, 7.5, false));
    }

    #[test]
    fn a_missing_last_bucket_is_what_the_count_says() {
        let histogram = classic(&[(1.0, 2.0)], Some(3.0)).convert().unwrap();
        assert_eq!(histogram.positive_buckets, [2.0, 1.0]);
        let histogram = classic(&[(1.0, 2.0)], None).convert().unwrap();
        assert_eq!(histogram.count, 2.0);
    }

    #[test]
    fn fractions_make_a_float_histogram() {
        assert!(classic(&[(f64::INFINITY, 1.5)], None).convert().unwrap().is_float);
    }

    #[test]
    fn buckets_that_contradict_each_other_become_nothing() {
        assert_eq!(classic(&[(1.0, 2.0), (2.0, 1.0)], Some(2.0)).convert(), None);
        assert_eq!(classic(&[(f64::INFINITY, 2.0)], Some(3.0)).convert(), None);
        assert_eq!(classic(&[(1.0, -1.0)], Some(3.0)).convert(), None);
        assert_eq!(Classic::default().convert(), None);
    }
}
