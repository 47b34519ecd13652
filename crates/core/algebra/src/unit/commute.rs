//! Which aggregations commute with which maps of values.

/// Values at times, ascending. Times are in one unit of the caller's choice, and stay as they are under a
/// map.
///
/// ```
/// use kandela_algebra::unit::{Aggregate, Series};
///
/// let requests = Series { points: vec![(0, 10.0), (30, 40.0), (60, 5.0)] };
/// assert_eq!(requests.aggregate(Aggregate::Max), Some(40.0));
/// // 30 up to the second point, then a restart and 5 more, over 60 time units.
/// assert_eq!(requests.aggregate(Aggregate::Rate), Some(35.0 / 60.0));
/// assert_eq!(requests.map(|v| v > 20.0).points, [(0, false), (30, true), (60, false)]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series<A> {
    /// Time and value, ascending by time.
    pub points: Vec<(i64, A)>,
}

impl<A> Series<A> {
    /// The series with every value replaced by `f` of it.
    ///
    /// Mapping by the identity changes nothing, and mapping twice is mapping once by both.
    pub fn map<B>(self, mut f: impl FnMut(A) -> B) -> Series<B> {
        Series { points: self.points.into_iter().map(|(time, value)| (time, f(value))).collect() }
    }
}

/// How a window of values becomes one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Aggregate {
    /// The value at the earliest time.
    First,
    /// The value at the latest time.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Of n sorted values, the one of rank ⌈q·n⌉: always one of the values.
    Quantile(f64),
    /// As PromQL's `quantile_over_time`: on a straight line between the two values next to rank q·(n−1).
    InterpolatedQuantile(f64),
    /// The mean.
    Mean,
    /// The population standard deviation.
    StdDev,
    /// The sum.
    Sum,
    /// How many values.
    Count,
    /// The increase of a counter per time, where a fall means that it restarted from zero. Needs two points.
    Rate,
}

/// What is known of a map of values. Each class says what may be any in it; the order is from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapClass {
    /// x ↦ a·x with a > 0: most unit conversions.
    PositiveScale,
    /// x ↦ a·x: also changes of sign.
    Linear,
    /// x ↦ a·x + b with a > 0: conversions of temperature.
    PositiveAffine,
    /// x ↦ a·x + b.
    Affine,
    /// x ≤ y implies f(x) ≤ f(y): rounding, clamping, logarithms.
    Increasing,
    /// Any map.
    Any,
}

impl MapClass {
    /// All classes.
    pub const ALL: [MapClass; 6] = [
        MapClass::PositiveScale,
        MapClass::Linear,
        MapClass::PositiveAffine,
        MapClass::Affine,
        MapClass::Increasing,
        MapClass::Any,
    ];
}

/// Whether aggregating mapped values is mapping the aggregate, for every map of the class and all finite
/// values, up to rounding.
///
/// Where it is true, a planner may move the map past the aggregation. Where it is false, some map of the
/// class and some values give another answer; so "sum of rates", never "rate of sum".
pub fn commutes(aggregate: Aggregate, class: MapClass) -> bool {
    use MapClass::{Affine, Increasing, Linear, PositiveAffine, PositiveScale};
    match aggregate {
        Aggregate::First | Aggregate::Last => true,
        Aggregate::Min | Aggregate::Max | Aggregate::Quantile(_) => {
            matches!(class, PositiveScale | PositiveAffine | Increasing)
        }
        // Between two values lies a straight line, which only straight maps keep.
        Aggregate::InterpolatedQuantile(_) => matches!(class, PositiveScale | PositiveAffine),
        Aggregate::Mean => matches!(class, PositiveScale | Linear | PositiveAffine | Affine),
        Aggregate::Sum => matches!(class, PositiveScale | Linear),
        // A negative factor turns an increase into a restart, an offset moves the zero from which a counter
        // restarts.
        Aggregate::Rate | Aggregate::StdDev => class == PositiveScale,
        Aggregate::Count => false,
    }
}

impl Series<f64> {
    /// The aggregate of all values; `None` if there are none, for a rate if there are fewer than two or no
    /// time passes, and for a quantile outside of 0 to 1.
    pub fn aggregate(&self, aggregate: Aggregate) -> Option<f64> {
        let values = || self.points.iter().map(|&(_, value)| value);
        let n = self.points.len() as f64;
        let first = values().next()?;
        let mean = || values().sum::<f64>() / n;
        let sorted = || {
            let mut sorted: Vec<f64> = values().collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        match aggregate {
            Aggregate::First => Some(first),
            Aggregate::Last => values().next_back(),
            Aggregate::Min => Some(values().fold(first, f64::min)),
            Aggregate::Max => Some(values().fold(first, f64::max)),
            Aggregate::Quantile(q) => {
                let rank = unit_interval(q)? * n;
                sorted().get((rank.ceil() as usize).saturating_sub(1)).copied()
            }
            Aggregate::InterpolatedQuantile(q) => {
                let rank = unit_interval(q)? * (n - 1.0);
                let sorted = sorted();
                let (below, above) = (sorted.get(rank.floor() as usize)?, sorted.get(rank.ceil() as usize)?);
                Some(below + (above - below) * rank.fract())
            }
            Aggregate::Mean => Some(mean()),
            Aggregate::StdDev => {
                let mean = mean();
                Some((values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
            }
            Aggregate::Sum => Some(values().sum()),
            Aggregate::Count => Some(n),
            Aggregate::Rate => {
                let increases = values()
                    .zip(values().skip(1))
                    .map(|(before, after)| if after < before { after } else { after - before });
                let elapsed = self.points.last()?.0.checked_sub(self.points.first()?.0)?;
                (elapsed > 0).then(|| increases.sum::<f64>() / elapsed as f64)
            }
        }
    }
}

fn unit_interval(q: f64) -> Option<f64> {
    (0.0..=1.0).contains(&q).then_some(q)
}
