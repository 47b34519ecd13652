//! Operators on two values.

use std::sync::Arc;

use kandela_model::{Histogram, ResetHint};

use super::annotations::{Annotations, Note};
use super::value::{Column, Point};
use crate::ast::{Binary, BinaryOp, Span};
use crate::histogram::{self, Keep};

/// Where an operator stands, and what is noted about it.
pub(super) struct Operator<'a> {
    pub(super) binary: &'a Binary,
    pub(super) span: Span,
    pub(super) notes: &'a mut Annotations,
}

impl Operator<'_> {
    /// What becomes of two values; `kept` is what a comparison that chooses gives.
    pub(super) fn apply(&mut self, left: &Point, right: &Point, kept: &Point) -> Option<Point> {
        let (op, returns_bool) = (self.binary.op, self.binary.returns_bool);
        if op.is_comparison() {
            let holds = self.compare(op, left, right)?;
            return match (returns_bool, holds) {
                (true, holds) => Some(Point::Float(f64::from(u8::from(holds)))),
                (false, true) => Some(kept.clone()),
                (false, false) => None,
            };
        }
        match (left, right) {
            (Point::Float(left), Point::Float(right)) => {
                if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
                    self.incompatible("float", op, "float");
                    return None;
                }
                Some(Point::Float(of_scalars(op, *left, *right)))
            }
            (Point::Histogram(histogram), Point::Float(by)) => {
                let mut result = Histogram::clone(histogram);
                match op {
                    BinaryOp::Mul => histogram::mul(&mut result, *by),
                    BinaryOp::Div => histogram::div(&mut result, *by),
                    BinaryOp::TrimUpper => result = histogram::trim(&result, Keep::Below, *by),
                    BinaryOp::TrimLower => result = histogram::trim(&result, Keep::Above, *by),
                    _ => {
                        self.incompatible("histogram", op, "float");
                        return None;
                    }
                }
                Some(Point::Histogram(Arc::new(result)))
            }
            (Point::Float(by), Point::Histogram(histogram)) => {
                if op != BinaryOp::Mul {
                    self.incompatible("float", op, "histogram");
                    return None;
                }
                let mut result = Histogram::clone(histogram);
                histogram::mul(&mut result, *by);
                Some(Point::Histogram(Arc::new(result)))
            }
            (Point::Histogram(left), Point::Histogram(right)) => self.of_histograms(op, left, right),
        }
    }

    fn of_histograms(&mut self, op: BinaryOp, left: &Histogram, right: &Histogram) -> Option<Point> {
        let mut result = left.clone();
        let (added, during) = match op {
            BinaryOp::Add => (histogram::add(&mut result, right), "addition"),
            BinaryOp::Sub => (histogram::sub(&mut result, right), "subtraction"),
            _ => {
                self.incompatible("histogram", op, "histogram");
                return None;
            }
        };
        let Ok(addition) = added else {
            self.note(Note::IncompatibleSchemas(op.symbol()));
            return None;
        };
        if addition.reset_conflict {
            self.note(Note::ResetConflict(during));
        }
        if addition.bounds_reconciled {
            self.note(Note::BoundsReconciled(during));
        }
        if op == BinaryOp::Sub {
            result.reset_hint = ResetHint::Gauge;
        }
        histogram::compact(&mut result);
        Some(Point::Histogram(Arc::new(result)))
    }

    fn compare(&mut self, op: BinaryOp, left: &Point, right: &Point) -> Option<bool> {
        match (left, right) {
            (Point::Float(left), Point::Float(right)) => Some(holds(op, *left, *right)),
            (Point::Histogram(left), Point::Histogram(right)) => match op {
                BinaryOp::Equal => Some(histogram::equal(left, right)),
                BinaryOp::NotEqual => Some(!histogram::equal(left, right)),
                _ => {
                    self.incompatible("histogram", op, "histogram");
                    None
                }
            },
            (Point::Float(_), Point::Histogram(_)) => {
                self.incompatible("float", op, "histogram");
                None
            }
            (Point::Histogram(_), Point::Float(_)) => {
                self.incompatible("histogram", op, "float");
                None
            }
        }
    }

    fn incompatible(&mut self, left: &'static str, op: BinaryOp, right: &'static str) {
        self.note(Note::IncompatibleTypes { left, op: op.symbol(), right });
    }

    /// Whether two series have nothing but floats, and the operator takes them.
    pub(super) fn is_of_floats(&self, left: &Column, right: &Column) -> bool {
        let trims = matches!(self.binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        !trims && left.histograms.is_empty() && right.histograms.is_empty()
    }

    fn note(&mut self, note: Note) {
        self.notes.add(note, self.span);
    }
}

pub(super) fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessOrEqual => left <= right,
        BinaryOp::Greater => left > right,
        _ => left >= right,
    }
}

pub(super) fn of_scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        op if op.is_comparison() => f64::from(u8::from(holds(op, left, right))),
        _ => f64::NAN,
    }
}
