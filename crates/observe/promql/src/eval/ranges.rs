//! Ranges of samples, series by series: of a selector, or of a subquery.

use std::sync::Arc;

use kandela_model::{Histogram, Labels, ResetHint, is_stale};

use super::annotations::Annotations;
use super::durations;
use super::stream::{Stream, There, Worker};
use super::value::{Column, Grid, Point};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{Boundary, Expr, Kind};
use crate::source::{SampleBuffer, Samples, SeriesReader, SeriesSet};

/// The samples over which a function slides its window.
pub(super) struct Ranges<'a> {
    origin: Origin<'a>,
    pub(super) range: i64,
    fixed: Option<i64>,
    offset: i64,
    pub(super) boundary: Boundary,
    stats_only: bool,
}

enum Origin<'a> {
    Set(Arc<dyn SeriesSet>),
    Subquery(Box<dyn Stream + 'a>, Grid),
}

impl Ranges<'_> {
    /// The ends of the window at an evaluation's time; the first is not in it.
    pub(super) fn window(&self, at: i64) -> (i64, i64) {
        let end = self.fixed.unwrap_or(at).saturating_sub(self.offset);
        (end.saturating_sub(self.range), end)
    }

    pub(super) fn len(&self) -> usize {
        match &self.origin {
            Origin::Set(set) => set.len(),
            Origin::Subquery(stream, _) => stream.len(),
        }
    }

    pub(super) fn labels(&self, index: usize) -> &Labels {
        match &self.origin {
            Origin::Set(set) => set.labels(index),
            Origin::Subquery(stream, _) => stream.labels(index),
        }
    }

    pub(super) fn drops_name(&self, index: usize) -> bool {
        match &self.origin {
            Origin::Set(_) => false,
            Origin::Subquery(stream, _) => stream.drops_name(index),
        }
    }

    /// Reads samples on one thread.
    pub(super) fn reader(&self) -> RangeReader<'_> {
        let origin = match &self.origin {
            Origin::Set(set) => Reading::Set(set.reader()),
            Origin::Subquery(stream, grid) => {
                Reading::Subquery { worker: stream.worker(), column: Column::new(grid.count), grid: *grid }
            }
        };
        RangeReader { origin, stats_only: self.stats_only, buffer: SampleBuffer::default() }
    }
}

/// Reads the samples of one series after the other.
pub(super) struct RangeReader<'a> {
    origin: Reading<'a>,
    stats_only: bool,
    buffer: SampleBuffer,
}

enum Reading<'a> {
    Set(Box<dyn SeriesReader + 'a>),
    Subquery { worker: Box<dyn Worker + 'a>, column: Column, grid: Grid },
}

impl RangeReader<'_> {
    /// The samples of series `index`, without staleness markers.
    pub(super) fn read(&mut self, index: usize, notes: &mut Annotations) -> Evaluated<Samples<'_>> {
        let buffer = &mut self.buffer;
        match &mut self.origin {
            Reading::Set(reader) => {
                let samples = reader.read(index)?;
                let any_marker = has_marker(samples.values)
                    || samples.histograms.iter().any(|(_, histogram)| histogram.is_stale());
                let detects = self.stats_only && !samples.histograms.is_empty();
                if !any_marker && !detects {
                    return Ok(samples);
                }
                copy_without_markers(samples, buffer);
                if detects {
                    detect_resets(&mut buffer.histograms);
                }
            }
            Reading::Subquery { worker, column, grid } => {
                buffer.clear();
                column.clear();
                if worker.fill(index, column, notes)? {
                    for n in 0..grid.count {
                        match column.point(n) {
                            Some(Point::Float(value)) => {
                                buffer.times.push(grid.time(n));
                                buffer.values.push(value);
                            }
                            Some(Point::Histogram(histogram)) => {
                                buffer.histograms.push((grid.time(n), without_hint(histogram)));
                            }
                            None => {}
                        }
                    }
                }
            }
        }
        Ok(buffer.samples())
    }
}

/// Between steps of a subquery samples are left out, and with them what hints say of neighbours.
fn without_hint(histogram: Arc<Histogram>) -> Arc<Histogram> {
    let hints = matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset);
    if !hints && histogram.start.is_none() {
        return histogram;
    }
    let reset_hint = if hints { ResetHint::Unknown } else { histogram.reset_hint };
    Arc::new(Histogram { reset_hint, start: None, ..Histogram::clone(&histogram) })
}

/// Tells resets by hints, as Prometheus does where it reads counts and sums alone.
pub(super) fn detect_resets(histograms: &mut [(i64, Arc<Histogram>)]) {
    let mut before: Option<Arc<Histogram>> = None;
    for (_, histogram) in histograms {
        let original = histogram.clone();
        if let Some(before) = &before
            && histogram.reset_hint != ResetHint::Gauge
        {
            let is_reset = crate::histogram::detect_reset(histogram, before);
            let reset_hint = if is_reset { ResetHint::Reset } else { ResetHint::NotReset };
            *histogram = Arc::new(Histogram { reset_hint, ..Histogram::clone(histogram) });
        }
        before = Some(original);
    }
}

/// Whether any value is a staleness marker. Looks at several at a time, since mostly none is.
fn has_marker(values: &[f64]) -> bool {
    values.chunks(64).any(|some| some.iter().fold(false, |any, value| any | is_stale(*value)))
}

fn copy_without_markers(samples: Samples<'_>, into: &mut SampleBuffer) {
    into.clear();
    for (n, (time, value)) in samples.times.iter().zip(samples.values).enumerate() {
        if !is_stale(*value) {
            into.times.push(*time);
            into.values.push(*value);
            into.starts.extend(samples.starts.get(n));
        }
    }
    let histograms = samples.histograms.iter().filter(|(_, histogram)| !histogram.is_stale());
    into.histograms.extend(histograms.cloned());
}

impl Evaluator {
    /// The ranges of a range selector or subquery.
    pub(super) fn ranges<'a>(&mut self, expr: &'a Expr, grid: Grid) -> Evaluated<Ranges<'a>> {
        let stats_only = self.stats_only;
        match &expr.unwrapped().kind {
            Kind::Matrix(matrix) => {
                let (fixed, offset) = self.moved(matrix.selector.at, matrix.selector.offset.as_ref())?;
                let range = durations::positive(&matrix.range, self.known)?;
                let origin = Origin::Set(self.set(expr.unwrapped().span)?);
                Ok(Ranges { origin, range, fixed, offset, boundary: matrix.selector.boundary, stats_only })
            }
            Kind::Subquery(subquery) => {
                let range = durations::positive(&subquery.range, self.known)?;
                let step = match &subquery.step {
                    Some(step) => durations::positive(step, self.known)?,
                    None => self.options.subquery_step,
                };
                let (fixed, offset) = self.moved(subquery.at, subquery.offset.as_ref())?;
                let first = fixed.unwrap_or(grid.start).saturating_sub(offset).saturating_sub(range);
                let last = fixed.unwrap_or(grid.end()).saturating_sub(offset);
                // Steps are multiples of the step since the epoch, and a window has no start.
                let start = first.saturating_sub(first.rem_euclid(step)).saturating_add(step);
                let steps = last.saturating_sub(start) / step;
                let count =
                    if last < start { 0 } else { usize::try_from(steps).unwrap_or(usize::MAX - 1) + 1 };
                let inner = Grid { start, step, count };
                self.control.room_for(count)?;
                let stream: Box<dyn Stream + 'a> = match count {
                    0 => Box::new(There(Vec::new())),
                    _ => self.stream(&subquery.expr, inner)?,
                };
                let origin = Origin::Subquery(stream, inner);
                Ok(Ranges { origin, range, fixed, offset, boundary: Boundary::Plain, stats_only: false })
            }
            _ => failed("expected a range vector"),
        }
    }
}
