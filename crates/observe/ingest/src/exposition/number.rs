//! Numbers as exposition formats write them.

use std::fmt::Write as _;

use kandela_model::Timestamp;

/// The NaN that is a value (`value.NormalNaN` of Prometheus), as opposed to the one that ends a series.
pub(super) const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Reads `number` of the OpenMetrics grammar, which is also what Prometheus takes from Go's grammar: decimal, optional
/// exponent, infinities, NaN. No hexadecimal, no underscores, nothing that overflows a double.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    if let Some(whole) = parse_short_whole(text) {
        return Some(whole);
    }
    let signed = text.starts_with(['+', '-']);
    let unsigned = if signed { text.get(1..)? } else { text };
    if unsigned.eq_ignore_ascii_case("nan") {
        return (!signed).then_some(NORMAL_NAN);
    }
    let value: f64 = text.parse().ok()?;
    let says_infinity = unsigned.starts_with(['i', 'I']);
    (value.is_finite() || says_infinity).then_some(value)
}

/// Reads `realnumber` of the OpenMetrics grammar: a number that is finite.
pub(super) fn parse_real(text: &str) -> Option<f64> {
    parse_number(text).filter(|value| value.is_finite())
}

/// Most values of a page are short whole numbers, which a double holds exactly.
fn parse_short_whole(text: &str) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut whole = 0u64;
    for byte in text.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        whole = whole * 10 + u64::from(byte - b'0');
    }
    Some(whole as f64)
}

/// Reads seconds since the epoch, floored to microseconds; what lies beyond the range saturates. Decimal notation is read
/// exactly, so that `1520879607.789` keeps its millisecond.
pub(super) fn parse_seconds(text: &str) -> Option<Timestamp> {
    let seconds = parse_real(text)?;
    let decimal = Decimal::new(text);
    if decimal.exponent_part.is_some() {
        return Some(Timestamp::from_micros((seconds * 1e6).floor() as i64));
    }
    let digits = |from: &str, pad: usize| {
        from.bytes().chain(std::iter::repeat_n(b'0', pad)).try_fold(0i64, |sum, byte| {
            sum.checked_mul(10).and_then(|sum| sum.checked_add(i64::from(byte - b'0')))
        })
    };
    let kept = decimal.fraction.get(..6).unwrap_or(decimal.fraction);
    let micros = digits(kept, 6 - kept.len()).unwrap_or_default();
    let lost = decimal.fraction.get(6..).is_some_and(|rest| rest.bytes().any(|byte| byte != b'0'));
    let magnitude = digits(decimal.whole, 0)
        .and_then(|whole| whole.checked_mul(1_000_000))
        .and_then(|whole| whole.checked_add(micros));
    Some(match (magnitude, decimal.negative) {
        (Some(micros), false) => Timestamp::from_micros(micros),
        (Some(micros), true) => Timestamp::from_micros((-micros).saturating_sub(i64::from(lost))),
        (None, false) => Timestamp::MAX,
        (None, true) => Timestamp::MIN,
    })
}

/// Whether two finite numbers are the same, digit by digit: doubles that are equal may come from texts that are not.
pub(super) fn same_decimal(a: &str, b: &str) -> bool {
    let (a, b) = (Decimal::new(a), Decimal::new(b));
    let zero = |decimal: &Decimal<'_>| decimal.significant().next().is_none();
    if zero(&a) || zero(&b) {
        return zero(&a) && zero(&b);
    }
    a.negative == b.negative && a.magnitude() == b.magnitude() && a.significant().eq(b.significant())
}

/// A finite decimal number in its parts; the text has been checked before.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent_part: Option<&'a str>,
}

impl<'a> Decimal<'a> {
    fn new(text: &'a str) -> Self {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent_part) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        Self { negative, whole, fraction, exponent_part }
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// The digits between the first and the last that are not zero.
    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        let trailing = self.digits().rev().take_while(|byte| *byte == b'0').count();
        let kept = (self.whole.len() + self.fraction.len()).saturating_sub(trailing);
        self.digits().take(kept).skip_while(|byte| *byte == b'0')
    }

    /// The power of ten of the first digit that is not zero.
    fn magnitude(&self) -> i64 {
        let exponent = self.exponent_part.and_then(|exponent| exponent.parse::<i64>().ok()).unwrap_or(0);
        let leading = self.digits().take_while(|byte| *byte == b'0').count();
        let signed = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        exponent.saturating_add(signed(self.whole.len())).saturating_sub(signed(leading))
    }
}

/// Appends `value` as OpenMetrics wants `le` and `quantile` to read ("Canonical Numbers"): Go's `%g`, with `.0` where
/// nothing else says that it is no whole number.
pub(super) fn write_canonical(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value == 0.0 {
        return out.push_str("0.0");
    }
    let start = out.len();
    // Writing to a string cannot fail.
    let _ = write!(out, "{value:e}");
    let scientific = out.get(start..).unwrap_or_default();
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) {
        out.truncate(start);
        let _ = write!(out, "{value:?}");
    } else {
        let mantissa_len = scientific.find('e').unwrap_or(scientific.len());
        out.truncate(start + mantissa_len);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_the_grammar_are_read() {
        for (text, value) in [
            ("0", 0.0),
            ("0042", 42.0),
            ("+1", 1.0),
            ("-1.5", -1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e5", 1e5),
            ("1.89E-7", 1.89e-7),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("1e-999", 0.0),
        ] {
            assert_eq!(parse_number(text), Some(value), "{text}");
        }
        assert_eq!(parse_number("nAn").map(f64::to_bits), Some(NORMAL_NAN.to_bits()));
    }

    #[test]
    fn what_other_languages_call_numbers_is_not_one() {
        for text in [
            "", "+", ".", "e5", "1e", "1_2", "0x1", "0x1p-3", "0b1", "0o1", "1d", "+NaN", "-nan", "1e999",
            "a", " 1",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
        for text in ["NaN", "Inf", "-Inf"] {
            assert_eq!(parse_real(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_keep_their_microseconds_and_floor_the_rest() {
        for (text, micros) in [
            ("0", 0),
            ("000", 0),
            ("1520879607.789", 1_520_879_607_789_000),
            ("1604676851.123456789", 1_604_676_851_123_456),
            ("-1.5", -1_500_000),
            ("-0.0000001", -1),
            ("1.5e3", 1_500_000_000),
            (".25", 250_000),
        ] {
            assert_eq!(parse_seconds(text), Some(Timestamp::from_micros(micros)), "{text}");
        }
        assert_eq!(parse_seconds("12345678901234567890.1"), Some(Timestamp::MAX));
        assert_eq!(parse_seconds("-12345678901234567890"), Some(Timestamp::MIN));
        assert_eq!(parse_seconds("1z"), None);
    }

    #[test]
    fn decimals_are_compared_beyond_what_a_double_holds() {
        assert!(same_decimal("1", "1.000"));
        assert!(same_decimal("100", "1e2"));
        assert!(same_decimal("0.001", "1e-3"));
        assert!(same_decimal("0", "-0.0"));
        assert!(!same_decimal("1604676851.1234567891", "1604676851.1234567892"));
        assert!(!same_decimal("1", "-1"));
        assert!(!same_decimal("0", "0.00001"));
    }

    #[test]
    fn canonical_numbers_read_as_in_the_specification() {
        for (value, text) in [
            (0.0, "0.0"),
            (1e-10, "1e-10"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (0.001, "0.001"),
            (0.95, "0.95"),
            (1.0, "1.0"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (2_500_000.0, "2.5e+06"),
            (1.1e23, "1.1e+23"),
            (1e100, "1e+100"),
            (-1.0, "-1.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::new();
            write_canonical(&mut out, value);
            assert_eq!(out, text);
        }
    }

    proptest! {
        #[test]
        fn a_canonical_number_reads_back(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            let mut out = String::new();
            write_canonical(&mut out, value);
            prop_assert_eq!(parse_number(&out), Some(value));
        }

        #[test]
        fn a_decimal_equals_itself_in_other_notation(value in proptest::num::f64::NORMAL) {
            let (plain, scientific) = (format!("{value}"), format!("{value:e}"));
            prop_assert!(same_decimal(&plain, &scientific));
        }

        #[test]
        fn short_whole_numbers_agree_with_the_long_way(whole in 0u64..1_000_000_000_000_000) {
            prop_assert_eq!(parse_number(&whole.to_string()), whole.to_string().parse().ok());
        }
    }
}
