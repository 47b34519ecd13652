//! Points in time.

use std::fmt;

/// A point in time: microseconds since the Unix epoch, UTC.
///
/// Metrics keep microseconds, the finest unit that Delta tables know. Prometheus speaks milliseconds and OTLP
/// nanoseconds; conversions floor, so a point never moves into the future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest and latest points that can be represented.
    pub const MIN: Self = Self(i64::MIN);
    /// See [`Timestamp::MIN`].
    pub const MAX: Self = Self(i64::MAX);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch; saturates at the ends.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From nanoseconds since the epoch, floored.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos.div_euclid(1_000))
    }

    /// From OTLP's unsigned nanoseconds; saturates at the end.
    pub fn from_unix_nanos(nanos: u64) -> Self {
        Self(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, floored.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Days since the epoch, floored: the number of the UTC date.
    pub const fn day(self) -> i32 {
        self.0.div_euclid(86_400_000_000) as i32
    }

    /// This point moved by `micros`, saturating.
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, micros) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_floor_before_the_epoch_too() {
        assert_eq!(Timestamp::from_nanos(-1).micros(), -1);
        assert_eq!(Timestamp::from_micros(-1).millis(), -1);
        assert_eq!(Timestamp::from_micros(-1).day(), -1);
        assert_eq!(Timestamp::from_micros(86_400_000_000).day(), 1);
    }

    #[test]
    fn a_time_is_shown_in_seconds() {
        assert_eq!(Timestamp::from_millis(1_500).to_string(), "1.500000");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "-0.001000");
    }

    #[test]
    fn absurd_times_saturate() {
        assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_nanos(u64::MAX).micros(), (u64::MAX / 1_000) as i64);
    }
}
