//! The coordinates in which a descent moves: all axes that have an order, the categories held.

use nalgebra::{DMatrix, DVector};

use super::curvature::Axes;
use super::story::Sample;
use crate::space::{Axis, Space};

/// A point whose ordered coordinates move.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    base: Vec<f64>,
    moving: Vec<usize>,
    /// The widest cell of each moving axis; 0 where it is a real number.
    cells: Vec<f64>,
    turned: Option<Turned>,
}

/// Coordinates that count from `origin`, along axes of their own.
#[derive(Clone, Debug)]
struct Turned {
    origin: DVector<f64>,
    there: DMatrix<f64>,
    back: DMatrix<f64>,
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
        Frame { base: base.to_vec(), moving, cells, turned: None }
    }

    /// The same moves, counted from `origin` in lengths along `axes`.
    pub(super) fn turned(&self, origin: &[f64], axes: &Axes) -> Frame {
        let there = &axes.basis * DMatrix::from_diagonal(&axes.lengths);
        let back = DMatrix::from_diagonal(&axes.lengths.map(f64::recip)) * axes.basis.transpose();
        let turned = Some(Turned { origin: self.inner(origin), there, back });
        Frame { turned, ..self.clone() }
    }

    /// How many coordinates move.
    pub(super) fn dimension(&self) -> usize {
        self.moving.len()
    }

    /// The moving coordinates of `point`.
    pub(super) fn inner(&self, point: &[f64]) -> DVector<f64> {
        let moved = DVector::from_fn(self.moving.len(), |i, _| point[self.moving[i]]);
        match &self.turned {
            None => moved,
            Some(turned) => &turned.back * (moved - &turned.origin),
        }
    }

    /// The point with these moving coordinates.
    pub(super) fn point(&self, inner: &DVector<f64>) -> Vec<f64> {
        let mut point = self.base.clone();
        let moved = self.turned.as_ref().map(|turned| &turned.origin + &turned.there * inner);
        let moved = moved.as_ref().unwrap_or(inner);
        self.moving.iter().zip(moved.iter()).for_each(|(axis, u)| point[*axis] = u.clamp(0.0, 1.0));
        point
    }

    /// How far each coordinate may go down and up from `at`; without end where the bounds are oblique.
    pub(super) fn room(&self, at: &DVector<f64>) -> (DVector<f64>, DVector<f64>) {
        match self.turned {
            None => (at.map(|u| -u), at.map(|u| 1.0 - u)),
            Some(_) => (at.map(|_| f64::NEG_INFINITY), at.map(|_| f64::INFINITY)),
        }
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
