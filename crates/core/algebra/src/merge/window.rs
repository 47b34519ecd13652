//! Windows that slide: the merge of the newest values, in constant amortised time per step.
//!
//! A summary names its engine once, by [`Windowed`]; the compiler holds it to that. What has [`Subtract`]
//! keeps one running total ([`Running`]); what has not (a maximum, a float sum) keeps two stacks
//! ([`TwoStacks`]). A pair runs each part on its own engine.
//!
//! ```
//! use kandela_algebra::merge::{Max, Sum, Window, window};
//!
//! let mut last_two = window(&(Sum::default(), Max::default()));
//! for (nanos, ratio) in [(30, 0.9), (10, 0.2), (20, 0.4)] {
//!     if last_two.len() == 2 {
//!         last_two.pop();
//!     }
//!     last_two.push((Sum(nanos), Max(Some(ratio))));
//! }
//! assert_eq!(last_two.total(), (Sum(30), Max(Some(0.4))));
//! ```

use std::collections::VecDeque;

use super::{Count, FloatSum, Max, Merge, Min, Moments, Subtract, Sum, Worst};
use crate::histogram::LogHistogram;

/// A first-in, first-out window over summaries. Checked against merging afresh by `laws::sliding`.
pub trait Window<S> {
    /// An empty window whose total is the empty of `like`.
    fn new(like: &S) -> Self;
    /// Takes in the newest value.
    fn push(&mut self, value: S);
    /// Lets go of the oldest value; false if there is none.
    fn pop(&mut self) -> bool;
    /// The merge of all values held, oldest first.
    fn total(&self) -> S;
    /// How many values are held.
    fn len(&self) -> usize;
    /// Whether no value is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A summary that knows which engine slides over it.
pub trait Windowed: Merge {
    /// [`Running`] where the summary has [`Subtract`], else [`TwoStacks`].
    type Window: Window<Self>;
}

/// An empty window over summaries like `like`.
pub fn window<S: Windowed>(like: &S) -> S::Window {
    S::Window::new(like)
}

/// A running total: adds the newest, subtracts the oldest.
#[derive(Clone, Debug)]
pub struct Running<S> {
    values: VecDeque<S>,
    total: S,
}

impl<S: Subtract + Clone> Window<S> for Running<S> {
    fn new(like: &S) -> Self {
        Running { values: VecDeque::new(), total: like.empty() }
    }
    fn push(&mut self, value: S) {
        self.total.merge_from(&value);
        self.values.push_back(value);
    }
    fn pop(&mut self) -> bool {
        let Some(oldest) = self.values.pop_front() else { return false };
        self.total.subtract(&oldest);
        true
    }
    fn total(&self) -> S {
        self.total.clone()
    }
    fn len(&self) -> usize {
        self.values.len()
    }
}

/// Two stacks: values come in on one, and leave from another that holds, for each value, the total from it
/// onwards.
///
/// When the second runs dry, the first is turned over onto it. Each value is so merged at most three times,
/// and nothing is ever taken away, so it also serves summaries that cannot forget, and keeps the order for
/// those where order matters.
#[derive(Clone, Debug)]
pub struct TwoStacks<S> {
    newer: Vec<S>,
    newer_total: S,
    older_totals: Vec<S>,
}

impl<S: Merge + Clone> Window<S> for TwoStacks<S> {
    fn new(like: &S) -> Self {
        TwoStacks { newer: Vec::new(), newer_total: like.empty(), older_totals: Vec::new() }
    }
    fn push(&mut self, value: S) {
        self.newer_total.merge_from(&value);
        self.newer.push(value);
    }
    fn pop(&mut self) -> bool {
        if self.older_totals.is_empty() {
            for mut value in self.newer.drain(..).rev() {
                if let Some(onwards) = self.older_totals.last() {
                    value.merge_from(onwards);
                }
                self.older_totals.push(value);
            }
            self.newer_total = self.newer_total.empty();
        }
        self.older_totals.pop().is_some()
    }
    fn total(&self) -> S {
        match self.older_totals.last() {
            Some(older) => {
                let mut total = older.clone();
                total.merge_from(&self.newer_total);
                total
            }
            None => self.newer_total.clone(),
        }
    }
    fn len(&self) -> usize {
        self.newer.len() + self.older_totals.len()
    }
}

impl<A, B, WA: Window<A>, WB: Window<B>> Window<(A, B)> for (WA, WB) {
    fn new(like: &(A, B)) -> Self {
        (WA::new(&like.0), WB::new(&like.1))
    }
    fn push(&mut self, value: (A, B)) {
        self.0.push(value.0);
        self.1.push(value.1);
    }
    fn pop(&mut self) -> bool {
        self.0.pop() & self.1.pop()
    }
    fn total(&self) -> (A, B) {
        (self.0.total(), self.1.total())
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Windowed for Count {
    type Window = Running<Self>;
}
impl Windowed for Sum {
    type Window = Running<Self>;
}
impl Windowed for FloatSum {
    type Window = TwoStacks<Self>;
}
impl Windowed for Min {
    type Window = TwoStacks<Self>;
}
impl Windowed for Max {
    type Window = TwoStacks<Self>;
}
impl Windowed for Moments {
    type Window = TwoStacks<Self>;
}
impl<T: Ord + Clone> Windowed for Worst<T> {
    type Window = TwoStacks<Self>;
}
impl Windowed for LogHistogram {
    type Window = TwoStacks<Self>;
}
impl<A: Windowed, B: Windowed> Windowed for (A, B) {
    type Window = (A::Window, B::Window);
}
