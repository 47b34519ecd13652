//! The scalar summaries.

use std::cmp::Ordering;

use super::{Approximate, Commutative, Idempotent, Merge, Subtract, Summary};

/// How many.
///
/// Counts modulo 2⁶⁴, so that taking away always undoes adding: a window that saw an absurd count is right
/// again once that count has left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub u64);

impl Merge for Count {
    fn empty(&self) -> Self {
        Count(0)
    }
    fn merge_from(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}
impl Commutative for Count {}
impl Subtract for Count {
    fn subtract(&mut self, other: &Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}
impl Summary for Count {
    type Item = ();
    type Out = u64;
    fn lift(&self, (): ()) -> Self {
        Count(1)
    }
    fn present(&self) -> u64 {
        self.0
    }
}

/// An exact sum of integers; durations go in as nanoseconds.
///
/// 2⁶⁴ values of any `i64` fit. Beyond that it is modulo 2¹²⁸, for the reason given at [`Count`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub i128);

impl Merge for Sum {
    fn empty(&self) -> Self {
        Sum(0)
    }
    fn merge_from(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}
impl Commutative for Sum {}
impl Subtract for Sum {
    fn subtract(&mut self, other: &Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}
impl Summary for Sum {
    type Item = i128;
    type Out = i128;
    fn lift(&self, item: i128) -> Self {
        Sum(item)
    }
    fn present(&self) -> i128 {
        self.0
    }
}

/// A sum of floats as a compensated pair: the rounded sum, and what rounding has dropped so far.
///
/// In whatever order n values come, the error is one rounding of the sum plus a term of the order of
/// 2⁻¹⁰⁶·n²·Σ|x| (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974).
/// It has no [`Subtract`]: an infinity that had once been in a window would leave NaN behind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloatSum {
    sum: f64,
    dropped: f64,
}

impl FloatSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let error =
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        // An infinite sum has no rounding error; `error` would be NaN and would outlive it.
        if sum.is_finite() {
            self.dropped += error;
        }
    }

    /// The sum, rounded once.
    pub fn value(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.dropped } else { self.sum }
    }

    /// Multiplies the sum by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.dropped *= factor;
    }
}

impl Merge for FloatSum {
    fn empty(&self) -> Self {
        FloatSum::default()
    }
    fn merge_from(&mut self, other: &Self) {
        self.add(other.sum);
        self.dropped += other.dropped;
    }
}
impl Commutative for FloatSum {}
impl Approximate for FloatSum {}
impl Summary for FloatSum {
    type Item = f64;
    type Out = f64;
    fn lift(&self, item: f64) -> Self {
        FloatSum { sum: item, dropped: 0.0 }
    }
    fn present(&self) -> f64 {
        self.value()
    }
    fn observe(&mut self, item: f64) {
        self.add(item);
    }
}

/// The smallest value; `None` before the first. NaN loses against every number, as in PromQL.
///
/// Ties are broken by the bits (−0 below +0), so the answer is the same bit for bit in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Min(pub Option<f64>);

/// The largest value; `None` before the first. NaN loses against every number, as in PromQL.
///
/// Ties are broken by the bits (−0 below +0), so the answer is the same bit for bit in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Max(pub Option<f64>);

/// The order in which an extreme is sought: every NaN before every number, else by `number_order`.
fn extreme_order(a: f64, b: f64, number_order: Ordering) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ => number_order,
    }
}

impl Min {
    /// Takes `value` in.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let replaces =
            self.0.is_none_or(|held| extreme_order(value, held, held.total_cmp(&value)) == Ordering::Greater);
        if replaces {
            self.0 = Some(value);
        }
    }
}

impl Max {
    /// Takes `value` in.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let replaces =
            self.0.is_none_or(|held| extreme_order(value, held, value.total_cmp(&held)) == Ordering::Greater);
        if replaces {
            self.0 = Some(value);
        }
    }
}

impl PartialEq for Min {
    fn eq(&self, other: &Self) -> bool {
        self.0.map(f64::to_bits) == other.0.map(f64::to_bits)
    }
}
impl Eq for Min {}
impl Merge for Min {
    fn empty(&self) -> Self {
        Min(None)
    }
    fn merge_from(&mut self, other: &Self) {
        if let Some(value) = other.0 {
            self.add(value);
        }
    }
}
impl Commutative for Min {}
impl Idempotent for Min {}
impl Summary for Min {
    type Item = f64;
    type Out = Option<f64>;
    fn lift(&self, item: f64) -> Self {
        Min(Some(item))
    }
    fn present(&self) -> Option<f64> {
        self.0
    }
}

impl PartialEq for Max {
    fn eq(&self, other: &Self) -> bool {
        self.0.map(f64::to_bits) == other.0.map(f64::to_bits)
    }
}
impl Eq for Max {}
impl Merge for Max {
    fn empty(&self) -> Self {
        Max(None)
    }
    fn merge_from(&mut self, other: &Self) {
        if let Some(value) = other.0 {
            self.add(value);
        }
    }
}
impl Commutative for Max {}
impl Idempotent for Max {}
impl Summary for Max {
    type Item = f64;
    type Out = Option<f64>;
    fn lift(&self, item: f64) -> Self {
        Max(Some(item))
    }
    fn present(&self) -> Option<f64> {
        self.0
    }
}

/// The worst status of a group; `None` before the first. The type's `Ord` says what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worst<T>(pub Option<T>);

impl<T> Default for Worst<T> {
    fn default() -> Self {
        Worst(None)
    }
}
impl<T: Ord + Clone> Merge for Worst<T> {
    fn empty(&self) -> Self {
        Worst(None)
    }
    fn merge_from(&mut self, other: &Self) {
        if other.0 > self.0 {
            self.0.clone_from(&other.0);
        }
    }
}
impl<T: Ord + Clone> Commutative for Worst<T> {}
impl<T: Ord + Clone> Idempotent for Worst<T> {}
impl<T: Ord + Clone> Summary for Worst<T> {
    type Item = T;
    type Out = Option<T>;
    fn lift(&self, item: T) -> Self {
        Worst(Some(item))
    }
    fn present(&self) -> Option<T> {
        self.0.clone()
    }
}

/// Count, mean and sum of squared deviations, enough for mean and variance.
///
/// Merged by the pairwise update of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances" (1979), which does not cancel the way a sum of squares does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

/// What [`Moments`] say about at least one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanVariance {
    /// How many values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their population variance (divided by the count), as PromQL's `stdvar`. NaN if a value was not finite.
    pub variance: f64,
}

impl Merge for Moments {
    fn empty(&self) -> Self {
        Moments::default()
    }
    fn merge_from(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let count = self.count.saturating_add(other.count);
        if !self.mean.is_finite() || !other.mean.is_finite() {
            *self = Moments { count, mean: self.mean + other.mean, squares: f64::NAN };
            return;
        }
        let share = other.count as f64 / count as f64;
        let apart = other.mean - self.mean;
        self.mean = if apart.is_finite() {
            self.mean + apart * share
        } else {
            self.mean * (1.0 - share) + other.mean * share
        };
        self.squares += other.squares + apart * apart * share * self.count as f64;
        self.count = count;
    }
}
impl Commutative for Moments {}
impl Approximate for Moments {}
impl Summary for Moments {
    type Item = f64;
    type Out = Option<MeanVariance>;
    fn lift(&self, item: f64) -> Self {
        let squares = if item.is_finite() { 0.0 } else { f64::NAN };
        Moments { count: 1, mean: item, squares }
    }
    fn present(&self) -> Option<MeanVariance> {
        (self.count > 0).then(|| MeanVariance {
            count: self.count,
            mean: self.mean,
            variance: self.squares / self.count as f64,
        })
    }
}
