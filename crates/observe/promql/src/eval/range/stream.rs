//! Range functions, series by series.

use kandela_model::Labels;

use super::bounds::Bounds;
use super::kernels::{Kernel, Sliding};
use super::{Function, Notes, Window, around, over_time, rate, suspicious};
use crate::ast::Span;
use crate::eval::Evaluated;
use crate::eval::annotations::Annotations;
use crate::eval::labels;
use crate::eval::ranges::{RangeReader, Ranges};
use crate::eval::stream::{Stream, Worker, note_all};
use crate::eval::value::{Column, Grid, Point, is_absent};
use crate::source::Samples;

/// A function of windows.
pub(super) struct Windows<'a> {
    pub(super) ranges: Ranges<'a>,
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// The same for floats alone, where there is one.
    pub(super) kernel: Option<Kernel>,
    /// Values of each scalar argument.
    pub(super) scalars: Vec<Vec<f64>>,
    pub(super) span: Span,
    pub(super) grid: Grid,
}

impl Windows<'_> {
    fn keeps_name(&self) -> bool {
        matches!(self.name, "last_over_time" | "first_over_time")
    }
}

impl Stream for Windows<'_> {
    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.ranges.labels(index)
    }

    fn drops_name(&self, index: usize) -> bool {
        !self.keeps_name() || self.ranges.drops_name(index)
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        let reader = self.ranges.reader();
        Box::new(WindowsWorker { of: self, reader, floats: Bounds::default(), histograms: Bounds::default() })
    }
}

struct WindowsWorker<'a> {
    of: &'a Windows<'a>,
    reader: RangeReader<'a>,
    floats: Bounds,
    histograms: Bounds,
}

impl Worker for WindowsWorker<'_> {
    fn fill(&mut self, index: usize, column: &mut Column, notes: &mut Annotations) -> Evaluated<bool> {
        let of = self.of;
        let samples = self.reader.read(index, notes)?;
        let windows = of.grid.times().map(|at| of.ranges.window(at));
        self.floats.find(samples.times, windows);
        let any = match of.kernel {
            Some(kernel) if samples.histograms.is_empty() && samples.starts.is_empty() => kernel(
                &Sliding {
                    times: samples.times,
                    values: samples.values,
                    bounds: &self.floats,
                    grid: of.grid,
                    ranges: &of.ranges,
                },
                &mut column.floats,
            ),
            _ => {
                let times: Vec<i64> = samples.histograms.iter().map(|(at, _)| *at).collect();
                self.histograms.find(&times, of.grid.times().map(|at| of.ranges.window(at)));
                of.each_window(index, samples, (&self.floats, &self.histograms), column, notes)
            }
        };
        if any
            && matches!(of.name, "rate" | "increase")
            && column.floats.iter().any(|value| !is_absent(*value))
            && let Some(note) = suspicious(of.ranges.labels(index))
        {
            notes.add(note, of.span);
        }
        Ok(any)
    }
}

impl Windows<'_> {
    /// Calls the function for each window on its own.
    fn each_window(
        &self,
        index: usize,
        samples: Samples<'_>,
        (floats, histograms): (&Bounds, &Bounds),
        column: &mut Column,
        notes: &mut Annotations,
    ) -> bool {
        let name = labels::metric_name(self.ranges.labels(index));
        let mut told = Notes { name, told: Vec::new() };
        let mut args = vec![0.0; self.scalars.len()];
        let mut any = false;
        for (n, (of_floats, of_histograms)) in floats.windows().iter().zip(histograms.windows()).enumerate() {
            let at = self.grid.time(n);
            let (from, through) = self.ranges.window(at);
            let window = Window {
                times: samples.times.get(of_floats.0..of_floats.1).unwrap_or_default(),
                values: samples.values.get(of_floats.0..of_floats.1).unwrap_or_default(),
                starts: samples.starts.get(of_floats.0..of_floats.1).unwrap_or_default(),
                histograms: samples.histograms.get(of_histograms.0..of_histograms.1).unwrap_or_default(),
                from,
                through,
                at,
            };
            if window.is_empty() {
                continue;
            }
            for (arg, values) in args.iter_mut().zip(&self.scalars) {
                *arg = values.get(n).copied().unwrap_or(f64::NAN);
            }
            if let Some(point) = (self.function)(&window, &args, &mut told) {
                column.set(n, point);
                any = true;
            }
        }
        note_all(notes, told.told, self.span);
        any
    }
}

/// A function of ranges whose ends have values of their own.
pub(super) struct ExtendedWindows<'a> {
    pub(super) ranges: Ranges<'a>,
    pub(super) name: &'static str,
    pub(super) grid: Grid,
    pub(super) lookback: i64,
}

impl Stream for ExtendedWindows<'_> {
    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.ranges.labels(index)
    }

    fn drops_name(&self, _: usize) -> bool {
        true
    }

    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(ExtendedWorker { of: self, reader: self.ranges.reader() })
    }
}

struct ExtendedWorker<'a> {
    of: &'a ExtendedWindows<'a>,
    reader: RangeReader<'a>,
}

impl Worker for ExtendedWorker<'_> {
    fn fill(&mut self, index: usize, column: &mut Column, notes: &mut Annotations) -> Evaluated<bool> {
        let ExtendedWindows { ranges, name, grid, lookback } = self.of;
        let samples = self.reader.read(index, notes)?;
        let mut any = false;
        for (n, at) in grid.times().enumerate() {
            let around = around(ranges, samples, at, *lookback);
            let value = match *name {
                "rate" => around.change(rate::Kind::Rate).map(Point::Float),
                "increase" => around.change(rate::Kind::Increase).map(Point::Float),
                "delta" => around.change(rate::Kind::Delta).map(Point::Float),
                _ => around.extended(false).and_then(|extended| {
                    let window = extended.window(&around, at);
                    if *name == "resets" { over_time::resets(&window) } else { over_time::changes(&window) }
                }),
            };
            if let Some(point) = value {
                column.set(n, point);
                any = true;
            }
        }
        Ok(any)
    }
}
