//! Reading the points of one series after the other.

use std::sync::Arc;

use kandela_model::Histogram;
use kandela_model::tables::{HISTOGRAMS, SAMPLES, Table};

use super::FoundSeries;
use super::file::PointsFile;
use super::stripe::Stripe;
use crate::error::Result;
use crate::head::Block;
use crate::table::DataFile;

/// Reads series, best in ascending order of their numbers, since neighbours share what was decoded last. One for each
/// thread; it blocks where a file must be read.
#[derive(Debug)]
pub struct PointReader<'a> {
    found: &'a FoundSeries,
    samples: Vec<Cursor>,
    histograms: Vec<Cursor>,
    /// What the last series is read from.
    stripes: Vec<Arc<Stripe>>,
    chain: Vec<Block>,
    in_memory: (Vec<i64>, Vec<f64>),
    late: Vec<(Vec<i64>, Vec<f64>)>,
    joined: (Vec<i64>, Vec<f64>),
}

/// A histogram and its time in microseconds.
pub type TimedHistogram = (i64, Arc<Histogram>);

/// Times in microseconds, ascending, none twice, and as many values; a staleness marker is a value.
pub type TimedValues<'a> = (&'a [i64], &'a [f64]);

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
            stripes: Vec::new(),
            chain: Vec::new(),
            in_memory: Default::default(),
            late: Vec::new(),
            joined: Default::default(),
        }
    }

    /// The samples of series `index`. Nothing is copied where all of them lie in one file.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn samples(&mut self, index: usize) -> Result<TimedValues<'_>> {
        let Some(series) = self.found.series.get(index) else { return Ok((&[], &[])) };
        self.stripes.clear();
        for cursor in &mut self.samples {
            cursor.collect(self.found, series.id, &mut self.stripes)?;
        }
        self.late.clear();
        self.late.extend(self.found.head.late.iter().map(|late| late_of(late, series.id)));
        let mut pieces: Vec<TimedValues<'_>> = Vec::with_capacity(self.stripes.len() + 1);
        for stripe in &self.stripes {
            if let Stripe::Floats(floats) = &**stripe
                && let Some((times, values)) = floats.of(series.id)
            {
                pieces.push((times, values));
            }
        }
        let (range, in_memory) = (self.found.range, &mut self.in_memory);
        self.found.head.read(index, range, &mut self.chain, &mut in_memory.0, &mut in_memory.1);
        pieces.push((&self.in_memory.0, &self.in_memory.1));
        pieces.extend(self.late.iter().map(|(times, values)| (times.as_slice(), values.as_slice())));
        let (from, through) = range;
        for (times, values) in &mut pieces {
            let kept = times.partition_point(|ts| *ts < from)..times.partition_point(|ts| *ts <= through);
            (*times, *values) =
                (times.get(kept.clone()).unwrap_or_default(), values.get(kept).unwrap_or_default());
        }
        pieces.retain(|(times, _)| !times.is_empty());
        match pieces.as_slice() {
            [] => return Ok((&[], &[])),
            [only] => return Ok(*only),
            _ => {}
        }
        let (times, values) = (&mut self.joined.0, &mut self.joined.1);
        join(&pieces, times, values);
        Ok((times, values))
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
fn join(pieces: &[TimedValues<'_>], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    times.clear();
    values.clear();
    let mut in_time = pieces.to_vec();
    in_time.retain(|(times, _)| !times.is_empty());
    in_time.sort_by_key(|(times, _)| times.first().copied());
    let apart = in_time.is_sorted_by(|(before, _), (after, _)| before.last() < after.first());
    if apart {
        let all = in_time.iter().map(|(times, _)| times.len()).sum();
        times.reserve(all);
        values.reserve(all);
        for (some_times, some_values) in in_time {
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
        let pieces: Vec<_> = pieces.iter().map(|(times, values)| (&**times, &**values)).collect();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        join(&pieces, &mut times, &mut values);
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
