//! The newest sample of each series at each step: what a selector of instants gives.

use std::sync::Arc;

use kandela_model::{Labels, Timestamp, is_stale};

use super::annotations::Annotations;
use super::range::interpolated;
use super::ranges::detect_resets;
use super::stream::{Stream, Worker};
use super::value::{Column, Grid, Point};
use super::{Evaluated, Evaluator};
use crate::ast::{Boundary, Selector, Span};
use crate::source::{Samples, SeriesReader, SeriesSet};

/// What is asked of the newest sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Value,
    /// When it was taken, in seconds.
    Time,
    /// Since when it counts, in seconds; 0 where that is not known.
    Start,
}

/// The series of a selector of instants.
pub(super) struct Newest {
    set: Arc<dyn SeriesSet>,
    grid: Grid,
    fixed: Option<i64>,
    offset: i64,
    lookback: i64,
    is_smoothed: bool,
    stats_only: bool,
    asked: Asked,
}

impl Evaluator {
    pub(super) fn newest(
        &self,
        selector: &Selector,
        span: Span,
        grid: Grid,
        asked: Asked,
    ) -> Evaluated<Newest> {
        let (fixed, offset) = self.moved(selector.at, selector.offset.as_ref())?;
        Ok(Newest {
            set: self.set(span)?,
            grid,
            fixed,
            offset,
            lookback: self.options.lookback,
            is_smoothed: selector.boundary == Boundary::Smoothed,
            stats_only: self.stats_only,
            asked,
        })
    }
}

impl Stream for Newest {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.set.labels(index)
    }

    fn drops_name(&self, _: usize) -> bool {
        self.asked != Asked::Value
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(NewestWorker { of: self, reader: self.set.reader() })
    }
}

struct NewestWorker<'a> {
    of: &'a Newest,
    reader: Box<dyn SeriesReader + 'a>,
}

impl Worker for NewestWorker<'_> {
    fn fill(&mut self, index: usize, column: &mut Column, _: &mut Annotations) -> Evaluated<bool> {
        let samples = self.reader.read(index)?;
        if self.of.stats_only && !samples.histograms.is_empty() {
            let mut histograms = samples.histograms.to_vec();
            detect_resets(&mut histograms);
            return Ok(self.of.fill(Samples { histograms: &histograms, ..samples }, column));
        }
        Ok(self.of.fill(samples, column))
    }
}

impl Newest {
    fn fill(&self, samples: Samples<'_>, column: &mut Column) -> bool {
        let (mut floats, mut histograms) = (0, 0);
        let mut any = false;
        for n in 0..self.grid.count {
            let end = self.fixed.unwrap_or_else(|| self.grid.time(n)).saturating_sub(self.offset);
            while samples.times.get(floats).is_some_and(|at| *at <= end) {
                floats += 1;
            }
            while samples.histograms.get(histograms).is_some_and(|(at, _)| *at <= end) {
                histograms += 1;
            }
            let float = floats.checked_sub(1);
            let float_at = float.and_then(|at| samples.times.get(at)).map_or(i64::MIN, |at| *at);
            let histogram = histograms.checked_sub(1).and_then(|at| samples.histograms.get(at));
            let histogram_at = histogram.map_or(i64::MIN, |(at, _)| *at);
            let newest = float_at.max(histogram_at);
            if newest == i64::MIN || newest <= end.saturating_sub(self.lookback) {
                continue;
            }
            let point = match (float, histogram) {
                (Some(at), _) if float_at >= histogram_at => self.of_float(samples, at, end),
                (_, Some((at, histogram))) if !histogram.is_stale() => Some(match self.asked {
                    Asked::Value => Point::Histogram(histogram.clone()),
                    Asked::Time => seconds(*at),
                    Asked::Start => seconds(histogram.start.map_or(0, Timestamp::micros)),
                }),
                _ => None,
            };
            if let Some(point) = point {
                column.set(n, point);
                any = true;
            }
        }
        any
    }

    /// Of float number `at`, which is the newest at `end`.
    fn of_float(&self, samples: Samples<'_>, at: usize, end: i64) -> Option<Point> {
        let (time, value) = (*samples.times.get(at)?, *samples.values.get(at)?);
        if is_stale(value) {
            return None;
        }
        Some(match self.asked {
            Asked::Time => seconds(time),
            Asked::Start => seconds(samples.starts.get(at).copied().unwrap_or_default()),
            Asked::Value if self.is_smoothed && time < end => {
                let next = samples.times.get(at + 1).zip(samples.values.get(at + 1));
                let next = next.filter(|(next, value)| {
                    **next <= end.saturating_add(self.lookback) && !is_stale(**value)
                });
                Point::Float(
                    next.map_or(value, |(next, after)| interpolated((time, value), (*next, *after), end)),
                )
            }
            Asked::Value => Point::Float(value),
        })
    }
}

fn seconds(micros: i64) -> Point {
    Point::Float(micros as f64 / 1e6)
}
