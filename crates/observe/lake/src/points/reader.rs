//! Reading the points of one series after the other.

use std::sync::Arc;

use kandela_model::Histogram;
use kandela_model::tables::{HISTOGRAMS, SAMPLES, Table};

use super::FoundSeries;
use super::file::PointsFile;
use super::stripe::Stripe;
use crate::error::Result;
use crate::table::DataFile;

/// Reads series, best in ascending order of their numbers, since neighbours share what was decoded last. One for each
/// thread; it blocks where a file must be read.
#[derive(Debug)]
pub struct PointReader<'a> {
    found: &'a FoundSeries,
    samples: Vec<Cursor>,
    histograms: Vec<Cursor>,
}

/// A histogram and its time in microseconds.
pub type TimedHistogram = (i64, Arc<Histogram>);

/// One file and the stripe that was read last.
#[derive(Debug)]
struct Cursor {
    table: &'static Table,
    listed: Arc<DataFile>,
    file: Option<Arc<PointsFile>>,
    last: Option<(usize, Arc<Stripe>)>,
}

impl<'a> PointReader<'a> {
    pub(super) fn new(found: &'a FoundSeries) -> Self {
        let cursors = |table, files: &[Arc<DataFile>]| {
            let cursor =
                |listed: &Arc<DataFile>| Cursor { table, listed: listed.clone(), file: None, last: None };
            files.iter().map(cursor).collect()
        };
        Self {
            found,
            samples: cursors(&SAMPLES, &found.sample_files),
            histograms: cursors(&HISTOGRAMS, &found.histogram_files),
        }
    }

    /// Puts the samples of series `index` into `times` (microseconds, ascending, none twice) and `values`, in place of what
    /// was there. A staleness marker is a sample.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn samples(&mut self, index: usize, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<()> {
        times.clear();
        values.clear();
        let Some(series) = self.found.series.get(index) else { return Ok(()) };
        let mut stripes: Vec<Arc<Stripe>> = Vec::new();
        for cursor in &mut self.samples {
            cursor.collect(self.found, series.id, &mut stripes)?;
        }
        let mut pieces: Vec<(&[i64], &[f64])> = Vec::with_capacity(stripes.len() + 1);
        for stripe in &stripes {
            if let Stripe::Floats(floats) = &**stripe
                && let Some((times, values)) = floats.of(series.id)
            {
                pieces.push((times, values));
            }
        }
        pieces.push(self.found.head.of(index));
        let late: Vec<(Vec<i64>, Vec<f64>)> =
            self.found.head.late.iter().map(|late| late_of(late, series.id)).collect();
        pieces.extend(late.iter().map(|(times, values)| (times.as_slice(), values.as_slice())));
        let (from, through) = self.found.range;
        for (times, values) in &mut pieces {
            let kept = times.partition_point(|ts| *ts < from)..times.partition_point(|ts| *ts <= through);
            (*times, *values) =
                (times.get(kept.clone()).unwrap_or_default(), values.get(kept).unwrap_or_default());
        }
        join(&mut pieces, times, values);
        Ok(())
    }

    /// Puts the histograms of series `index` into `points`, ascending by time, in place of what was there.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn histograms(&mut self, index: usize, points: &mut Vec<TimedHistogram>) -> Result<()> {
        points.clear();
        let Some(series) = self.found.series.get(index) else { return Ok(()) };
        let mut stripes: Vec<Arc<Stripe>> = Vec::new();
        for cursor in &mut self.histograms {
            cursor.collect(self.found, series.id, &mut stripes)?;
        }
        for stripe in &stripes {
            if let Stripe::Histograms(histograms) = &**stripe {
                points.extend(histograms.of(series.id).unwrap_or_default().iter().cloned());
            }
        }
        for rows in &self.found.head_histograms {
            let first = rows.partition_point(|(id, ..)| *id < series.id);
            let own = rows.get(first..).unwrap_or_default().iter().take_while(|(id, ..)| *id == series.id);
            points.extend(own.map(|(_, ts, histogram)| (*ts, histogram.clone())));
        }
        let (from, through) = self.found.range;
        points.retain(|(ts, _)| (from..=through).contains(ts));
        // Stable, and in order of rank before: of several at one time the first acknowledged stays.
        points.sort_by_key(|(ts, _)| *ts);
        points.dedup_by_key(|(ts, _)| *ts);
        Ok(())
    }
}

impl Cursor {
    /// Adds the stripes that may hold rows of series `id`.
    fn collect(&mut self, found: &FoundSeries, id: i64, stripes: &mut Vec<Arc<Stripe>>) -> Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(found.cache.file(self.table, &self.listed)?).clone(),
        };
        for number in file.stripes_of(id) {
            let stripe = match &self.last {
                Some((last, stripe)) if *last == number => stripe.clone(),
                _ => found.cache.stripe(&file, number)?,
            };
            self.last = Some((number, stripe.clone()));
            stripes.push(stripe);
        }
        Ok(())
    }
}

fn late_of(late: &[(i64, i64, f64)], id: i64) -> (Vec<i64>, Vec<f64>) {
    let first = late.partition_point(|(of, ..)| *of < id);
    late.get(first..)
        .unwrap_or_default()
        .iter()
        .take_while(|(of, ..)| *of == id)
        .map(|(_, ts, value)| (*ts, *value))
        .unzip()
}

/// Joins pieces that come in order of rank; of several samples at one time that of the lowest rank stays.
fn join(pieces: &mut Vec<(&[i64], &[f64])>, times: &mut Vec<i64>, values: &mut Vec<f64>) {
    pieces.retain(|(times, _)| !times.is_empty());
    pieces.sort_by_key(|(times, _)| times.first().copied());
    let apart = pieces.is_sorted_by(|(before, _), (after, _)| before.last() < after.first());
    if apart {
        let all = pieces.iter().map(|(times, _)| times.len()).sum();
        times.reserve(all);
        values.reserve(all);
        for (some_times, some_values) in pieces {
            times.extend_from_slice(some_times);
            values.extend_from_slice(some_values);
        }
        return;
    }
    let mut all: Vec<(i64, f64)> = Vec::new();
    for (some_times, some_values) in pieces {
        all.extend(some_times.iter().copied().zip(some_values.iter().copied()));
    }
    all.sort_by_key(|(ts, _)| *ts);
    all.dedup_by_key(|(ts, _)| *ts);
    (*times, *values) = all.into_iter().unzip();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn joined(pieces: &[(Vec<i64>, Vec<f64>)]) -> Vec<(i64, f64)> {
        let mut pieces: Vec<_> = pieces.iter().map(|(times, values)| (&**times, &**values)).collect();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        join(&mut pieces, &mut times, &mut values);
        times.into_iter().zip(values).collect()
    }

    proptest! {
        #[test]
        fn of_several_samples_at_one_time_the_first_piece_has_it(
            pieces in proptest::collection::vec(proptest::collection::btree_set(0..40i64, 0..12), 0..5)
        ) {
            let pieces: Vec<(Vec<i64>, Vec<f64>)> = pieces
                .into_iter()
                .enumerate()
                .map(|(rank, times)| (times.iter().copied().collect(), times.iter().map(|_| rank as f64).collect()))
                .collect();
            let mut expected = BTreeMap::new();
            for (times, values) in &pieces {
                for (ts, value) in times.iter().zip(values) {
                    expected.entry(*ts).or_insert(*value);
                }
            }
            prop_assert_eq!(joined(&pieces), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
