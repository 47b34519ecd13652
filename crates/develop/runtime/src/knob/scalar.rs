//! Values that fit into one atomic word.

use std::time::Duration;

use kandela_model::KnobValue;

/// A value that a [`LeasedKnob`](super::LeasedKnob) can hold.
pub trait Scalar: Copy + Send + Sync + 'static {
    /// The value in 64 bits.
    fn to_bits(self) -> u64;

    /// The value whose [`to_bits`](Scalar::to_bits) this is.
    fn from_bits(bits: u64) -> Self;

    /// The value as the world outside sees it.
    fn to_value(self) -> KnobValue;

    /// The value that this is, if it is one.
    fn from_value(value: &KnobValue) -> Option<Self>;
}

impl Scalar for usize {
    fn to_bits(self) -> u64 {
        self as u64
    }
    fn from_bits(bits: u64) -> Self {
        bits as usize
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }
}

impl Scalar for f64 {
    fn to_bits(self) -> u64 {
        f64::to_bits(self)
    }
    fn from_bits(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Float(self)
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Float(number) => Some(*number),
            _ => None,
        }
    }
}

impl Scalar for bool {
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Bool(self)
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Bool(on) => Some(*on),
            _ => None,
        }
    }
}

/// As seconds, a real number.
impl Scalar for Duration {
    fn to_bits(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }
    fn from_bits(bits: u64) -> Self {
        Duration::from_nanos(bits)
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Float(self.as_secs_f64())
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn returns<T: Scalar + PartialEq + Debug>(value: T) {
        assert_eq!(T::from_bits(value.to_bits()), value);
        assert_eq!(T::from_value(&value.to_value()), Some(value));
    }

    #[test]
    fn a_value_returns_from_bits_and_from_outside() {
        returns(17_usize);
        returns(-0.25_f64);
        returns(true);
        returns(Duration::from_millis(1500));
    }

    #[test]
    fn negative_sizes_and_times_are_no_values() {
        assert_eq!(usize::from_value(&KnobValue::Int(-1)), None);
        assert_eq!(Duration::from_value(&KnobValue::Float(-1.0)), None);
    }
}
