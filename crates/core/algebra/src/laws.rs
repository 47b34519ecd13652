//! The laws as functions: each takes values and returns the first counterexample.
//!
//! Whoever implements one of the traits of this crate calls its law in a test, with values from any
//! generator:
//!
//! ```
//! use kandela_algebra::laws;
//! use kandela_algebra::merge::Sum;
//!
//! laws::merge((-5..5).map(Sum)).unwrap();
//! laws::subtract((-5..5).map(Sum)).unwrap();
//! ```
//!
//! Laws take the values in runs of neighbours, so a generator should not be sorted by what matters. A law
//! that was given too few values to say anything is an error too: a test must be able to fail.

mod envelope;
mod feedback;
mod intercept;
mod tree;
mod verdict;

use std::fmt::{self, Debug};

pub use envelope::{distance, envelope};
pub use feedback::{feedback, replay, then};
pub use intercept::{Ending, field, intercept, one_end};

use crate::merge::{
    Commutative, Idempotent, Merge, Subtract, Summary, Window, Windowed, merge_all, summarise, window,
};
pub use tree::comonad;
pub use verdict::{admission, heyting, persistent};

/// Why a law was not shown to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Both sides of the law, for inputs on which they differ.
    Counterexample {
        /// The law, as an equation.
        law: &'static str,
        /// The inputs, in the order in which the equation names them.
        inputs: Vec<String>,
        /// The left side.
        left: String,
        /// The right side.
        right: String,
    },
    /// Nothing was checked.
    TooFewValues {
        /// The law, as an equation.
        law: &'static str,
        /// How many values it takes at least.
        needed: usize,
        /// How many there were.
        given: usize,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Counterexample { law, inputs, left, right } => {
                write!(f, "{law} does not hold for {}: left {left}, right {right}", inputs.join("; "))
            }
            Broken::TooFewValues { law, needed, given } => {
                write!(
                    f,
                    "{law} was not checked: it takes at least {needed} values, the generator gave {given}"
                )
            }
        }
    }
}

impl std::error::Error for Broken {}

/// The laws of [`Merge`], bit for bit.
pub fn merge<T: Merge + Clone + PartialEq + Debug>(
    values: impl IntoIterator<Item = T>,
) -> Result<(), Broken> {
    merge_by(values, T::eq)
}

/// The laws of [`Merge`] up to `same`, for summaries that are [`Approximate`](crate::merge::Approximate).
pub fn merge_by<T: Merge + Clone + Debug>(
    values: impl IntoIterator<Item = T>,
    same: impl Fn(&T, &T) -> bool,
) -> Result<(), Broken> {
    const ASSOCIATIVE: &str = "(a ⊕ b) ⊕ c = a ⊕ (b ⊕ c)";
    for_neighbours::<T, 3>(ASSOCIATIVE, values, |[a, b, c]| {
        agree("a.empty() ⊕ a = a", &[a], &merged(&a.empty(), a), a, &same)?;
        agree("a ⊕ a.empty() = a", &[a], &merged(a, &a.empty()), a, &same)?;
        let (left, right) = (merged(&merged(a, b), c), merged(a, &merged(b, c)));
        agree(ASSOCIATIVE, &[a, b, c], &left, &right, &same)
    })
}

/// The law of [`Commutative`], up to `same` (`PartialEq::eq` where it holds bit for bit).
pub fn commutative<T: Commutative + Clone + Debug>(
    values: impl IntoIterator<Item = T>,
    same: impl Fn(&T, &T) -> bool,
) -> Result<(), Broken> {
    const LAW: &str = "a ⊕ b = b ⊕ a";
    for_neighbours::<T, 2>(LAW, values, |[a, b]| agree(LAW, &[a, b], &merged(a, b), &merged(b, a), &same))
}

/// The law of [`Idempotent`], bit for bit.
pub fn idempotent<T: Idempotent + Clone + PartialEq + Debug>(
    values: impl IntoIterator<Item = T>,
) -> Result<(), Broken> {
    const LAW: &str = "a ⊕ a = a";
    for_neighbours::<T, 1>(LAW, values, |[a]| agree(LAW, &[a], &merged(a, a), a, T::eq))
}

/// The law of [`Subtract`], bit for bit.
pub fn subtract<T: Subtract + Clone + PartialEq + Debug>(
    values: impl IntoIterator<Item = T>,
) -> Result<(), Broken> {
    const LAW: &str = "(a ⊕ b) ⊖ b = a";
    for_neighbours::<T, 2>(LAW, values, |[a, b]| {
        let mut left = merged(a, b);
        left.subtract(b);
        agree(LAW, &[a, b], &left, a, T::eq)
    })
}

/// The law of [`Summary`], up to `same`: items observed one by one give what the merge of their lifts gives,
/// and what the two halves give that any cut leaves.
pub fn summary<S: Summary + Clone + Debug>(
    like: &S,
    items: &[S::Item],
    same: impl Fn(&S, &S) -> bool,
) -> Result<(), Broken>
where
    S::Item: Clone + Debug,
{
    const LIFTS: &str = "observe(items) = ⊕ lift(item)";
    const CUT: &str = "summarise(xs ++ ys) = summarise(xs) ⊕ summarise(ys)";
    enough(LIFTS, 2, items.len())?;
    let whole = summarise(like, items.iter().cloned());
    let lifted: Vec<S> = items.iter().cloned().map(|item| like.lift(item)).collect();
    agree(LIFTS, &[&items], &whole, &merge_all(like, &lifted), &same)?;
    for cut in 0..=items.len() {
        let (xs, ys) = items.split_at(cut);
        let halves = merged(&summarise(like, xs.iter().cloned()), &summarise(like, ys.iter().cloned()));
        agree(CUT, &[&xs, &ys], &whole, &halves, &same)?;
    }
    Ok(())
}

/// The law of [`Window`], up to `same`: the total is always the merge of the values held, for windows of up
/// to four values.
pub fn sliding<S: Windowed + Clone + Debug>(
    values: impl IntoIterator<Item = S>,
    same: impl Fn(&S, &S) -> bool,
) -> Result<(), Broken> {
    const LAW: &str = "window.total() = ⊕ values held";
    let values: Vec<S> = values.into_iter().collect();
    enough(LAW, 5, values.len())?;
    for width in 1..=4 {
        let mut sliding = window(&values[0]);
        for end in 1..=values.len() {
            let held = &values[end.saturating_sub(width)..end];
            sliding.push(values[end - 1].clone());
            if sliding.len() > width {
                sliding.pop();
            }
            agree(LAW, &[&held], &sliding.total(), &merge_all(&values[0], held), &same)?;
        }
        while sliding.pop() {}
        agree(LAW, &[&"nothing"], &sliding.total(), &values[0].empty(), &same)?;
    }
    Ok(())
}

fn merged<T: Merge + Clone>(a: &T, b: &T) -> T {
    let mut merged = a.clone();
    merged.merge_from(b);
    merged
}

fn for_neighbours<T, const N: usize>(
    law: &'static str,
    values: impl IntoIterator<Item = T>,
    check: impl Fn([&T; N]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let values: Vec<T> = values.into_iter().collect();
    enough(law, N, values.len())?;
    values.windows(N).try_for_each(|neighbours| check(std::array::from_fn(|i| &neighbours[i])))
}

fn enough(law: &'static str, needed: usize, given: usize) -> Result<(), Broken> {
    if given < needed { Err(Broken::TooFewValues { law, needed, given }) } else { Ok(()) }
}

fn agree<T: Debug>(
    law: &'static str,
    inputs: &[&dyn Debug],
    left: &T,
    right: &T,
    same: impl Fn(&T, &T) -> bool,
) -> Result<(), Broken> {
    if same(left, right) {
        return Ok(());
    }
    Err(Broken::Counterexample {
        law,
        inputs: inputs.iter().map(|input| format!("{input:?}")).collect(),
        left: format!("{left:?}"),
        right: format!("{right:?}"),
    })
}
