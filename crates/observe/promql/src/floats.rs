//! Floats as Go prints them.

/// Without an exponent, infinities with their sign: Go's `FormatFloat` with `'f'` and -1.
pub(crate) fn plain(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

/// With an exponent from a million on and below a ten-thousandth: Go's `%g` and `%v`.
pub(crate) fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return plain(value) };
    if let Ok(-4..6) = exponent.parse::<i32>() {
        return plain(value);
    }
    with_exponent(digits, exponent)
}

/// With two significant digits at most: Go's `%.2g`.
pub(crate) fn two_digits(value: f64) -> String {
    let text = format!("{value:.1e}");
    let Some((digits, exponent)) = text.split_once('e') else { return plain(value) };
    let digits = digits.trim_end_matches(".0");
    match exponent.parse::<i32>() {
        Ok(-4..2) => text.parse().map_or(text, plain),
        _ => with_exponent(digits, exponent),
    }
}

/// Go writes an exponent's sign and at least two digits.
fn with_exponent(digits: &str, exponent: &str) -> String {
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_floats_have_an_exponent_where_go_gives_them_one() {
        let shown = [0.0, -0.0, 1.5, 1e5, 1e6, 1_234_567.0, 1e30, 1e-4, 1.2e-5, -1e100].map(shortest);
        let expected =
            ["0", "-0", "1.5", "100000", "1e+06", "1.234567e+06", "1e+30", "0.0001", "1.2e-05", "-1e+100"];
        assert_eq!(shown, expected);
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(shortest), ["NaN", "+Inf", "-Inf"]);
    }

    #[test]
    fn two_digits_are_rounded_as_go_rounds_them() {
        let shown = [0.0, 5.0, 0.125, 9.96, 42.4, 123.0, 1e-5].map(two_digits);
        assert_eq!(shown, ["0", "5", "0.12", "10", "42", "1.2e+02", "1e-05"]);
    }
}
