//! Points of neighbouring series, as they stand one after the other in a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use kandela_model::{Histogram, STALE_NAN};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;
use crate::rows;

/// Which rows of a stripe are whose.
#[derive(Debug, Default)]
pub(super) struct Runs {
    ids: Vec<i64>,
    /// Where each one's rows end.
    ends: Vec<u32>,
}

impl Runs {
    fn of(series_ids: &[i64]) -> Self {
        let mut runs = Self::default();
        let mut end = 0;
        for run in series_ids.chunk_by(|a, b| a == b) {
            end += run.len() as u32;
            runs.ids.extend(run.first());
            runs.ends.push(end);
        }
        runs
    }

    /// Which run is of series `id`, and its rows.
    fn find(&self, id: i64) -> Option<(usize, std::ops::Range<usize>)> {
        let run = self.ids.binary_search(&id).ok()?;
        let start = run.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        Some((run, start as usize..*self.ends.get(run)? as usize))
    }

    fn rows(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| start as usize..*end as usize)
    }

    fn heap_bytes(&self) -> usize {
        self.ids.len() * 12
    }
}

/// Decoded points.
#[derive(Debug)]
pub(super) enum Stripe {
    Floats(Floats),
    Histograms(Histograms),
}

impl Stripe {
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Floats(floats) => floats.bytes,
            Self::Histograms(histograms) => histograms.bytes,
        }
    }
}

/// Samples. Series that were measured at the same times, as those of one target are, share them.
#[derive(Debug)]
pub(super) struct Floats {
    runs: Runs,
    times: Vec<Arc<[i64]>>,
    values: ScalarBuffer<f64>,
    bytes: usize,
}

impl Floats {
    /// From rows of the samples table.
    pub(super) fn new(batch: &RecordBatch) -> Option<Self> {
        let ids = batch.column_by_name("series_id")?.as_primitive_opt::<Int64Type>()?;
        let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let values = batch.column_by_name("value")?.as_primitive_opt::<Float64Type>()?;
        let runs = Runs::of(ids.values());
        let mut shared: HashMap<u64, Arc<[i64]>> = HashMap::new();
        let mut bytes = runs.heap_bytes() + values.len() * 8;
        let mut intern = |rows: std::ops::Range<usize>| {
            let run = times.values().get(rows).unwrap_or_default();
            let known = shared.entry(hash(run)).or_insert_with(|| run.into());
            bytes += 16;
            if **known == *run {
                return known.clone();
            }
            bytes += run.len() * 8;
            Arc::from(run)
        };
        let times: Vec<Arc<[i64]>> = runs.rows().map(&mut intern).collect();
        bytes += shared.values().map(|times| times.len() * 8).sum::<usize>();
        let values = match values.nulls() {
            None => values.values().clone(),
            // A staleness marker stands as NULL.
            Some(_) => values.iter().map(|value| value.unwrap_or(STALE_NAN)).collect(),
        };
        Some(Self { runs, times, values, bytes })
    }

    /// The samples of series `id`.
    pub(super) fn of(&self, id: i64) -> Option<(&Arc<[i64]>, &[f64])> {
        let (run, rows) = self.runs.find(id)?;
        Some((self.times.get(run)?, self.values.get(rows)?))
    }
}

fn hash(times: &[i64]) -> u64 {
    // First, last and a few in between tell nearly all apart, and all are compared in the end.
    let picked: Vec<u8> = times
        .iter()
        .step_by((times.len() / 16).max(1))
        .chain(times.last())
        .flat_map(|time| time.to_le_bytes())
        .collect();
    xxh3_64(&picked) ^ times.len() as u64
}

/// Histograms.
#[derive(Debug)]
pub(super) struct Histograms {
    runs: Runs,
    points: Vec<(i64, Arc<Histogram>)>,
    bytes: usize,
}

impl Histograms {
    /// From rows of the histograms table.
    pub(super) fn new(batch: &RecordBatch) -> Result<Self> {
        let mut ids = Vec::with_capacity(batch.num_rows());
        let mut points = Vec::with_capacity(batch.num_rows());
        let mut bytes = 0;
        for (id, ts, histogram) in rows::histograms_from(batch)? {
            ids.push(id);
            bytes += 32 + size_of::<Histogram>() + histogram.heap_bytes();
            points.push((ts.micros(), Arc::new(histogram)));
        }
        let runs = Runs::of(&ids);
        bytes += runs.heap_bytes();
        Ok(Self { runs, points, bytes })
    }

    /// The histograms of series `id` with their times.
    pub(super) fn of(&self, id: i64) -> Option<&[(i64, Arc<Histogram>)]> {
        self.points.get(self.runs.find(id)?.1)
    }
}
