//! Values while a query is evaluated: a column of the step grid for each series.

use std::ops::{Add, Deref, DerefMut};
use std::sync::Arc;

use kandela_model::{Histogram, Labels, STALE_NAN};

use super::control::Held;
pub(crate) use crate::answer::Point;

/// The times at which an expression is evaluated, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) const fn at(time: i64) -> Self {
        Self { start: time, step: 1, count: 1 }
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |n| self.time(n))
    }

    pub(crate) const fn time(self, n: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(n as i64))
    }

    pub(crate) const fn end(self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }
}

/// What stands in a column where a series has no float: the staleness marker, which is never a result.
pub(crate) const ABSENT: f64 = STALE_NAN;

pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// A value at each step of a grid, where there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) floats: Vec<f64>,
    /// As long as `floats`, or empty where there are none.
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
}

impl Column {
    pub(crate) fn new(count: usize) -> Self {
        Self { floats: vec![ABSENT; count], histograms: Vec::new() }
    }

    /// How many bytes a column of floats takes.
    pub(crate) const fn bytes_of(count: usize) -> usize {
        count * size_of::<f64>()
    }

    /// Takes all values out and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.floats.fill(ABSENT);
        self.histograms.clear();
    }

    pub(crate) fn point(&self, n: usize) -> Option<Point> {
        self.float(n).map(Point::Float).or_else(|| self.histogram(n).map(|h| Point::Histogram(h.clone())))
    }

    pub(crate) fn float(&self, n: usize) -> Option<f64> {
        self.floats.get(n).copied().filter(|value| !is_absent(*value))
    }

    pub(crate) fn histogram(&self, n: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(n).and_then(Option::as_ref)
    }

    pub(crate) fn has(&self, n: usize) -> bool {
        self.float(n).is_some() || self.histogram(n).is_some()
    }

    pub(crate) fn set(&mut self, n: usize, point: Point) {
        match point {
            Point::Float(value) => self.set_float(n, value),
            Point::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms = vec![None; self.floats.len()];
                }
                if let Some(place) = self.histograms.get_mut(n) {
                    *place = Some(histogram);
                }
            }
        }
    }

    pub(crate) fn set_float(&mut self, n: usize, value: f64) {
        if let Some(place) = self.floats.get_mut(n) {
            *place = present(value);
        }
    }

    pub(crate) fn remove(&mut self, n: usize) {
        if let Some(place) = self.floats.get_mut(n) {
            *place = ABSENT;
        }
        if let Some(place) = self.histograms.get_mut(n) {
            *place = None;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.iter().all(|value| is_absent(*value)) && self.histograms.iter().all(Option::is_none)
    }

    /// How many values it has, and how many bytes it takes.
    pub(crate) fn held(&self) -> Held {
        let floats = self.floats.iter().filter(|value| !is_absent(**value)).count();
        let histograms = self.histograms.iter().flatten();
        let (mut samples, mut bytes) = (floats, Self::bytes_of(self.floats.len() + self.histograms.len()));
        for histogram in histograms {
            samples += 1;
            bytes += size_of::<Histogram>() + histogram.heap_bytes();
        }
        Held { samples, bytes }
    }
}

/// A value as it stands in a column: a marker that arithmetic passed on is any NaN.
pub(crate) fn present(value: f64) -> f64 {
    if is_absent(value) { f64::NAN } else { value }
}

/// A series on the step grid.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Whether the name is to go from the result; until then it still tells series apart.
    pub(crate) drop_name: bool,
    pub(crate) column: Column,
}

impl Series {
    pub(crate) fn new(labels: Labels, drop_name: bool, count: usize) -> Self {
        Self { labels, drop_name, column: Column::new(count) }
    }

    /// As [`Column::held`], with its labels.
    pub(crate) fn held(&self) -> Held {
        let Held { samples, bytes } = self.column.held();
        Held { samples, bytes: bytes + self.labels.as_ref().as_bytes().len() }
    }
}

impl Deref for Series {
    type Target = Column;

    fn deref(&self) -> &Column {
        &self.column
    }
}

impl DerefMut for Series {
    fn deref_mut(&mut self) -> &mut Column {
        &mut self.column
    }
}

/// The value of an expression over a grid.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Vec<f64>),
    String(Vec<u8>),
    Vector(Vec<Series>),
}

impl Value {
    pub(crate) fn held(&self) -> Held {
        match self {
            Self::Scalar(values) => Held { samples: values.len(), bytes: values.len() * 8 },
            Self::String(text) => Held { samples: 0, bytes: text.len() },
            Self::Vector(series) => series.iter().map(Series::held).fold(Held::default(), Held::add),
        }
    }
}
