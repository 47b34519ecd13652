//! What an engine answers, as plain values.

use std::sync::Arc;

use kandela_model::{Histogram, Labels};

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One number, of an instant query.
    Scalar(f64),
    /// One text, of an instant query.
    String(String),
    /// A value a series at the query's time, in the order that the engine gives.
    Vector(Vec<(Labels, Point)>),
    /// Values over time. Every range query answers so, a scalar as one series without labels; so does an instant
    /// query for a range vector. Times are microseconds and ascend.
    Matrix(Vec<(Labels, Vec<(i64, Point)>)>),
}

impl Answer {
    /// Heap bytes in use, about.
    pub fn heap_bytes(&self) -> usize {
        let of_labels = |labels: &Labels| labels.as_ref().as_bytes().len();
        let of_point = |point: &Point| match point {
            Point::Float(_) => 0,
            Point::Histogram(histogram) => size_of::<Histogram>() + histogram.heap_bytes(),
        };
        match self {
            Self::Scalar(_) => 0,
            Self::String(text) => text.len(),
            Self::Vector(vector) => {
                let of_one = |(labels, point): &(Labels, Point)| of_labels(labels) + of_point(point);
                size_of_val(vector.as_slice()) + vector.iter().map(of_one).sum::<usize>()
            }
            Self::Matrix(matrix) => {
                let of_points = |points: &Vec<(i64, Point)>| {
                    size_of_val(points.as_slice())
                        + points.iter().map(|(_, point)| of_point(point)).sum::<usize>()
                };
                let of_one = |(labels, points): &(Labels, Vec<_>)| of_labels(labels) + of_points(points);
                size_of_val(matrix.as_slice()) + matrix.iter().map(of_one).sum::<usize>()
            }
        }
    }
}

/// An answer with what the engine has to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The value.
    pub answer: Answer,
    /// Texts of the warnings as `PromQL warning: …`, each once.
    pub warnings: Vec<String>,
    /// Texts of the infos as `PromQL info: …`, each once.
    pub infos: Vec<String>,
}

impl From<Answer> for Answered {
    /// An answer without annotations.
    fn from(answer: Answer) -> Self {
        Self { answer, warnings: Vec::new(), infos: Vec::new() }
    }
}
