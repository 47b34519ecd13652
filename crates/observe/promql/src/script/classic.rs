//! Classic histograms (`_bucket` with `le`, `_count`, `_sum`) as native ones with custom bounds, as `load_with_nhcb`
//! adds them beside the classic series.

use std::collections::BTreeMap;
use std::sync::Arc;

use kandela_model::{CUSTOM_BOUNDS_SCHEMA, Histogram, Labels, METRIC_NAME};

use super::command::LoadedSeries;
use super::literal::number;
use super::memory::Sample;
use crate::answer::Point;

const BUCKET_LABEL: &str = "le";

/// The native histograms of all classic ones among `series`, with their labels. Values that are histograms are passed
/// over.
pub(super) fn to_native(series: &[LoadedSeries]) -> Result<Vec<(Labels, Vec<Sample>)>, String> {
    let mut all: Vec<(Labels, BTreeMap<i64, Classic>)> = Vec::new();
    for one in series {
        let Some((labels, part)) = part_of(&one.labels)? else { continue };
        let index = all.iter().position(|(known, _)| *known == labels);
        let index = index.unwrap_or_else(|| {
            all.push((labels, BTreeMap::new()));
            all.len() - 1
        });
        let Some((_, by_time)) = all.get_mut(index) else { continue };
        for sample in &one.samples {
            if let Point::Float(value) = sample.point {
                by_time.entry(sample.time).or_default().set(part, value);
            }
        }
    }
    let natives = all.into_iter().map(|(labels, by_time)| {
        let samples = by_time.into_iter().map(|(time, classic)| {
            let histogram = classic.native().map_err(|reason| format!("{labels} at {time} µs: {reason}"))?;
            Ok(Sample { time, start: 0, point: Point::Histogram(Arc::new(histogram)) })
        });
        let samples = samples.collect::<Result<_, String>>()?;
        Ok((labels, samples))
    });
    natives.collect()
}

/// What a series holds of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// The count of values up to this bound.
    Bucket(f64),
    Count,
    Sum,
}

/// The labels of the histogram that a series is part of, and which part it is.
fn part_of(labels: &Labels) -> Result<Option<(Labels, Part)>, String> {
    let name = labels.get(METRIC_NAME).unwrap_or_default();
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels
            .get(BUCKET_LABEL)
            .ok_or_else(|| format!("{labels} is a bucket without label {BUCKET_LABEL}"))?;
        match number(bound) {
            Some(bound) if !bound.is_nan() => (base, Part::Bucket(bound)),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_sum") {
        (base, Part::Sum)
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else {
        return Ok(None);
    };
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME && *name != BUCKET_LABEL);
    let labels = Labels::new(others.chain([(METRIC_NAME, base)])).map_err(|error| error.to_string())?;
    Ok(Some((labels, part)))
}

/// A classic histogram at one time.
#[derive(Clone, Debug, Default)]
struct Classic {
    /// Bounds with the counts up to them; of a bound that stands twice, the first counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    fn set(&mut self, part: Part, value: f64) {
        match part {
            Part::Bucket(bound) if self.buckets.iter().all(|(known, _)| *known != bound) => {
                self.buckets.push((bound, value));
            }
            Part::Bucket(_) => {}
            Part::Count => self.count = Some(value),
            Part::Sum => self.sum = value,
        }
    }

    fn native(mut self) -> Result<Histogram, String> {
        self.buckets.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        let last = self.buckets.last().copied();
        let count =
            self.count.or(last.map(|(_, count)| count)).ok_or("there is neither a count nor a bucket")?;
        let mut totals = self.buckets;
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            totals.push((f64::INFINITY, count));
        }
        let mut below = 0.0;
        let mut counts = BTreeMap::new();
        for (index, (bound, total)) in (0i64..).zip(&totals) {
            if *total < 0.0 || count < 0.0 {
                return Err("a count is negative".to_owned());
            }
            if *total < below {
                return Err(format!("up to {bound} there are fewer values than up to the bound before"));
            }
            counts.insert(index, total - below);
            below = *total;
        }
        if below != count {
            return Err(format!("its count is {count} but its buckets hold {below}"));
        }
        let bounds = totals.iter().map(|(bound, _)| *bound).filter(|bound| *bound != f64::INFINITY);
        let mut histogram = Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count,
            sum: self.sum,
            custom_bounds: bounds.collect(),
            is_float: true,
            ..Histogram::default()
        };
        histogram.set_positive(&counts);
        Ok(histogram)
    }
}
