//! Floats as `strconv.AppendFloat(f, format, -1, 64)` writes them.

/// Whole numbers below this have at most 15 digits, so that they are exact and written as integers.
const SMALL_WHOLE: f64 = 1e15;

/// The shortest decimal digits that read back as one float: `digits` stand behind the point, times ten to `exponent`.
struct Decimal {
    digits: [u8; 17],
    len: usize,
    /// Where the point stands, counted from the first digit.
    point: i32,
}

/// Appends a float as Prometheus' HTTP API writes it: `1.5`, `+Inf`, `NaN`; below 1e-6 and from 1e21 on with an exponent,
/// `1e-07`, `1.5e+21`.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if value != 0.0 && value.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        push_sign(out, value);
        push_exponential(out, &shortest(magnitude));
    } else {
        push_plain_float(out, value);
    }
}

/// Appends a float with an exponent where its first digit stands behind the fourth decimal, or six digits or more before the
/// point (Go's format `g`): `0.0001`, `1e-05`, `100000`, `1e+06`.
pub(crate) fn push_general_float(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 || !value.is_finite() {
        return push_plain_float(out, value);
    }
    let decimal = shortest(value.abs());
    if (-3..=6).contains(&decimal.point) {
        push_plain_float(out, value);
    } else {
        push_sign(out, value);
        push_exponential(out, &decimal);
    }
}

/// Appends a float without an exponent, however long that gets (Go's format `f`).
pub(crate) fn push_plain_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    push_sign(out, value);
    let magnitude = value.abs();
    if magnitude < SMALL_WHOLE && magnitude.fract() == 0.0 {
        return out.extend_from_slice(itoa::Buffer::new().format(magnitude as u64).as_bytes());
    }
    let Decimal { digits, len, point } = shortest(magnitude);
    let digits = digits.get(..len).unwrap_or_default();
    let zeros = |out: &mut Vec<u8>, count: usize| out.resize(out.len() + count, b'0');
    match usize::try_from(point) {
        Ok(whole) if whole >= len => {
            out.extend_from_slice(digits);
            zeros(out, whole - len);
        }
        Ok(whole) if whole > 0 => {
            let (before, behind) = digits.split_at(whole);
            out.extend_from_slice(before);
            out.push(b'.');
            out.extend_from_slice(behind);
        }
        _ => {
            out.extend_from_slice(b"0.");
            zeros(out, point.unsigned_abs() as usize);
            out.extend_from_slice(digits);
        }
    }
}

/// Go's format `e`: at least two digits of exponent, always with a sign.
fn push_exponential(out: &mut Vec<u8>, Decimal { digits, len, point }: &Decimal) {
    let (first, rest) = digits.split_at(1);
    out.extend_from_slice(first);
    if *len > 1 {
        out.push(b'.');
        out.extend_from_slice(rest.get(..len - 1).unwrap_or_default());
    }
    let exponent = point - 1;
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
}

fn push_sign(out: &mut Vec<u8>, value: f64) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
}

/// The digits of a finite number above zero, without zeros around them.
fn shortest(magnitude: f64) -> Decimal {
    let mut buffer = ryu::Buffer::new();
    let written = buffer.format_finite(magnitude).as_bytes();
    let mut decimal = Decimal { digits: [b'0'; 17], len: 0, point: 0 };
    let mut seen_point = false;
    // Up to the last digit that is no zero.
    let mut len = 0;
    for (at, byte) in written.iter().enumerate() {
        match byte {
            b'.' => seen_point = true,
            b'e' => {
                let exponent = std::str::from_utf8(written.get(at + 1..).unwrap_or_default());
                decimal.point += exponent.ok().and_then(|text| text.parse::<i32>().ok()).unwrap_or_default();
                break;
            }
            b'0' if decimal.len == 0 => decimal.point -= i32::from(seen_point),
            digit => {
                if let Some(place) = decimal.digits.get_mut(decimal.len) {
                    *place = *digit;
                    decimal.len += 1;
                }
                decimal.point += i32::from(!seen_point);
                if *digit != b'0' {
                    len = decimal.len;
                }
            }
        }
    }
    decimal.len = len;
    decimal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, written) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (123_456_789.0, "123456789"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100.25, "100.25"),
            (0.000_001, "0.000001"),
            (0.000_001_25, "0.00000125"),
            (0.000_000_999, "9.99e-07"),
            (1e-7, "1e-07"),
            (-1.25e-10, "-1.25e-10"),
            (5e-324, "5e-324"),
            (1e15, "1000000000000000"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (1.5e21, "1.5e+21"),
            (-1e100, "-1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), written);
        }
    }

    #[test]
    fn the_plain_format_has_no_exponent() {
        let mut out = Vec::new();
        push_plain_float(&mut out, 1.5e22);
        push_plain_float(&mut out, -1.5e-9);
        assert_eq!(out, b"15000000000000000000000-0.0000000015");
    }

    #[test]
    fn the_general_format_turns_early_to_an_exponent() {
        for (value, written) in [
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (100_000.0, "100000"),
            (123_456.789, "123456.789"),
            (1_048_576.0, "1.048576e+06"),
            (-1e100, "-1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
            (-0.0, "-0"),
        ] {
            let mut out = Vec::new();
            push_general_float(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn the_plain_format_is_the_shortest_decimal(value in -1e21..1e21f64) {
            let mut out = Vec::new();
            push_plain_float(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
