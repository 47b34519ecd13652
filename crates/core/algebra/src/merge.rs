//! Summaries that merge: the answer depends on no sharding, batch order or roll-up order.
//!
//! A [`Merge`] is an associative operation with an empty element. Whatever computes one over parts and merges
//! the parts gets what it would have got over the whole. What else a caller may rely on is said by markers,
//! so that code asks for exactly the property that it needs: a fan-out whose answers arrive in any order
//! wants [`Commutative`], a consumer that may see a batch twice wants [`Idempotent`], a window that forgets
//! old values by taking them away wants [`Subtract`].
//!
//! ```
//! use kandela_algebra::merge::{Count, Max, Merge, Summary, summarise};
//!
//! let like = (Count::default(), Max::default());
//! let mut whole = summarise(&like, [((), 3.0), ((), 8.0)]);
//! whole.merge_from(&summarise(&like, [((), 5.0)]));
//! assert_eq!(whole.present(), (3, Some(8.0)));
//! ```

mod containers;
mod summaries;
mod window;

pub use summaries::{Count, FloatSum, Max, MeanVariance, Min, Moments, Sum, Worst};
pub use window::{Running, TwoStacks, Window, Windowed, window};

/// An associative merge with an empty element (a monoid).
///
/// Laws, checked by `laws::merge`: `(a ⊕ b) ⊕ c = a ⊕ (b ⊕ c)`, `a.empty() ⊕ a = a = a ⊕ a.empty()`.
///
/// `empty` is asked of a value, not of the type: a histogram with a precision needs an empty of the same
/// precision. The method is `merge_from` because the plain `merge` collides with a coming method of `std`.
pub trait Merge: Sized {
    /// The summary of no observations, with the parameters of `self`.
    fn empty(&self) -> Self;

    /// Adds what `other` summarises after what `self` summarises.
    fn merge_from(&mut self, other: &Self);
}

/// `a ⊕ b = b ⊕ a`: parts may arrive in any order. Checked by `laws::commutative`.
pub trait Commutative: Merge {}

/// `a ⊕ a = a`: with [`Commutative`], safe under at-least-once delivery. Checked by `laws::idempotent`.
pub trait Idempotent: Merge {}

/// The laws hold up to floating-point rounding, not bit for bit. Checked by `laws::merge_by` with a
/// tolerance.
pub trait Approximate: Merge {}

/// A merge that can be undone: `(a ⊕ b) ⊖ b = a`. Checked by `laws::subtract`.
pub trait Subtract: Commutative {
    /// Takes away what `other` summarises, which must have been merged in before.
    fn subtract(&mut self, other: &Self);
}

/// A merge that starts from items and ends in an answer.
///
/// Law, checked by `laws::summary`: observing items one by one equals merging their lifts, however the items
/// are split.
pub trait Summary: Merge {
    /// What is observed.
    type Item;
    /// What is answered.
    type Out;

    /// The summary of one item, with the parameters of `self`.
    fn lift(&self, item: Self::Item) -> Self;

    /// The answer over everything merged so far.
    fn present(&self) -> Self::Out;

    /// Adds one item; equal to merging its [`lift`](Summary::lift), and often faster.
    fn observe(&mut self, item: Self::Item) {
        let lifted = self.lift(item);
        self.merge_from(&lifted);
    }
}

/// Merges `parts` in order, starting from the empty of `like`.
pub fn merge_all<'a, S: Merge + 'a>(like: &S, parts: impl IntoIterator<Item = &'a S>) -> S {
    parts.into_iter().fold(like.empty(), |mut merged, part| {
        merged.merge_from(part);
        merged
    })
}

/// Summarises `items` in order, starting from the empty of `like`.
pub fn summarise<S: Summary>(like: &S, items: impl IntoIterator<Item = S::Item>) -> S {
    items.into_iter().fold(like.empty(), |mut summary, item| {
        summary.observe(item);
        summary
    })
}
