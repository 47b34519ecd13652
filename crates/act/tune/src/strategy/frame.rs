//! The coordinates in which a descent moves: all axes that have an order, the categories held.

use nalgebra::DVector;

use super::story::Sample;
use crate::space::{Axis, Space};

/// A point whose ordered coordinates move.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    base: Vec<f64>,
    moving: Vec<usize>,
    /// The widest cell of each moving axis; 0 where it is a real number.
    cells: Vec<f64>,
}

impl Frame {
    /// Moves from `base`.
    pub(super) fn at(space: &Space, base: &[f64]) -> Frame {
        let ordered = |axis: &Axis| match axis {
            Axis::Real => Some(0.0),
            Axis::Whole(count) => Some(1.0 / *count as f64),
            Axis::Category(_) => None,
        };
        let found = space.axes().iter().enumerate().filter_map(|(index, axis)| Some((index, ordered(axis)?)));
        let (moving, cells) = found.unzip();
        Frame { base: base.to_vec(), moving, cells }
    }

    /// How many coordinates move.
    pub(super) fn dimension(&self) -> usize {
        self.moving.len()
    }

    /// The moving coordinates of `point`.
    pub(super) fn inner(&self, point: &[f64]) -> DVector<f64> {
        DVector::from_fn(self.moving.len(), |i, _| point[self.moving[i]])
    }

    /// The point with these moving coordinates.
    pub(super) fn point(&self, inner: &DVector<f64>) -> Vec<f64> {
        let mut point = self.base.clone();
        self.moving.iter().zip(inner.iter()).for_each(|(axis, u)| point[*axis] = u.clamp(0.0, 1.0));
        point
    }

    /// Whether `sample` differs in moving coordinates only.
    pub(super) fn holds(&self, sample: &Sample) -> bool {
        (0..self.base.len()).all(|axis| self.moving.contains(&axis) || sample.point[axis] == self.base[axis])
    }

    /// Below this radius no step leaves the cell that it begins in.
    pub(super) fn finest(&self) -> f64 {
        self.cells.iter().fold(f64::INFINITY, |finest, cell| finest.min(cell / 2.0)).min(1.0)
    }
}
