//! The time that is left, as a header: the grammar of gRPC's `grpc-timeout`.
//!
//! gRPC over HTTP/2, "Requests": `TimeoutValue TimeoutUnit`, at most eight digits, and one of `H`, `M`, `S`, `m`, `u`, `n`. It is
//! the one published grammar for this, has nanoseconds and hours, and says how long instead of until when, so that clocks need
//! not agree.

use std::time::Duration;

/// The header's name.
pub const TIMEOUT: &str = "grpc-timeout";

const LARGEST: u128 = 99_999_999;
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Reads a value. None where it is not of the grammar.
pub fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    Some(Duration::from_nanos(*nanos) * number)
}

/// Writes `left` in the finest unit that holds it in eight digits, rounded down: whoever is called believes in no more than the
/// caller has. Off by less than 0.01 %.
pub fn format(left: Duration) -> String {
    let of = |nanos: u64| left.as_nanos() / u128::from(nanos);
    let (unit, nanos) = UNITS.into_iter().find(|(_, nanos)| of(*nanos) <= LARGEST).unwrap_or(UNITS[5]);
    format!("{}{}", of(nanos).min(LARGEST), char::from(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_is_read() {
        let read = |text: &str| parse(text.as_bytes());
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("30S"), Some(Duration::from_secs(30)));
        assert_eq!(read("150m"), Some(Duration::from_millis(150)));
        assert_eq!(read("0u"), Some(Duration::ZERO));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn what_is_not_of_the_grammar_is_no_time() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789n", " 1S", "1S ", "1 S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_no_more_and_little_less(nanos in any::<u64>()) {
            let left = Duration::from_nanos(nanos);
            let read = parse(format(left).as_bytes()).expect("written by us");
            prop_assert!(read <= left && left - read <= left / 10_000, "{left:?} became {read:?}");
        }
    }
}
