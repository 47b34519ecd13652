//! Series of a result, found by their labels.

use std::collections::HashMap;
use std::sync::Arc;

use kandela_model::Labels;

use super::control::Control;
use super::value::{Column, Series};
use super::{EvalError, Evaluated};

/// Series that come to be while an operator computes; each counts against the query's limits from then on.
pub(super) struct Results {
    control: Arc<Control>,
    steps: usize,
    series: Vec<Series>,
    places: HashMap<Labels, usize>,
}

impl Results {
    pub(super) fn new(control: &Arc<Control>, steps: usize) -> Self {
        Self { control: control.clone(), steps, series: Vec::new(), places: HashMap::new() }
    }

    /// Where the series with these labels stands; it is empty where there was none.
    pub(super) fn place(&mut self, labels: Labels, drop_name: bool) -> Evaluated<usize> {
        if let Some(place) = self.places.get(&labels) {
            return Ok(*place);
        }
        let series = self.control.series(labels.clone(), drop_name, self.steps)?;
        self.series.push(series);
        self.places.insert(labels, self.series.len() - 1);
        Ok(self.series.len() - 1)
    }

    /// The series at a place that [`Results::place`] gave.
    pub(super) fn at(&mut self, place: usize) -> &mut Series {
        &mut self.series[place]
    }

    /// All that have a value, in the order in which they came to be.
    pub(super) fn present(mut self) -> Vec<Series> {
        self.series.retain(|one| !one.is_empty());
        self.series
    }
}

impl Control {
    /// An empty series of a result.
    pub(super) fn series(&self, labels: Labels, drop_name: bool, steps: usize) -> Result<Series, EvalError> {
        self.hold(0, Column::bytes_of(steps) + labels.as_ref().as_bytes().len())?;
        Ok(Series::new(labels, drop_name, steps))
    }
}
