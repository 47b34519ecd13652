//! Numbers and truth values as `strconv` reads them.

use super::quote;

/// Why a text is no number, in Go's words.
type NumberError = String;

/// `strconv.ParseFloat`: decimal, `Inf` and `NaN` in any case; what is too large is no number.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let named = text.bytes().any(|byte| matches!(byte, b'i' | b'I'));
    (value.is_finite() || value.is_nan() || named).then_some(value)
}

/// `strconv.Atoi`.
///
/// # Errors
/// What Go says.
pub(crate) fn parse_int(text: &str) -> Result<i64, NumberError> {
    parse_as("Atoi", text, i64::MIN, i64::MAX)
}

/// `strconv.ParseInt(text, 10, 32)`.
///
/// # Errors
/// What Go says.
pub(crate) fn parse_int32(text: &str) -> Result<i64, NumberError> {
    parse_as("ParseInt", text, i64::from(i32::MIN), i64::from(i32::MAX))
}

fn parse_as(function: &str, text: &str, least: i64, most: i64) -> Result<i64, NumberError> {
    let failed = |why| format!("strconv.{function}: parsing {}: {why}", quote(text));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let value: Option<i64> = text.parse().ok();
    value.filter(|value| (least..=most).contains(value)).ok_or_else(|| failed("value out of range"))
}

/// `strconv.ParseBool`.
///
/// # Errors
/// What Go says.
pub(crate) fn parse_bool(text: &str) -> Result<bool, NumberError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_refused_in_gos_words() {
        assert_eq!(parse_int("-12"), Ok(-12));
        assert_eq!(parse_int("+3"), Ok(3));
        assert_eq!(parse_int("1.5").unwrap_err(), r#"strconv.Atoi: parsing "1.5": invalid syntax"#);
        assert_eq!(parse_int("-").unwrap_err(), r#"strconv.Atoi: parsing "-": invalid syntax"#);
        let large = "9223372036854775808";
        assert_eq!(
            parse_int(large).unwrap_err(),
            format!("strconv.Atoi: parsing {large:?}: value out of range")
        );
        assert!(parse_int32("2147483648").is_err());
    }

    #[test]
    fn a_float_too_large_is_no_float_but_infinity_is_one() {
        assert_eq!(parse_float("1e3"), Some(1000.0));
        assert_eq!(parse_float("+Inf"), Some(f64::INFINITY));
        assert_eq!(parse_float("1e400"), None);
        assert_eq!(parse_float(" 1"), None);
        assert!(parse_float("nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn truth_has_six_spellings() {
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("0"), Ok(false));
        assert_eq!(parse_bool("yes").unwrap_err(), r#"strconv.ParseBool: parsing "yes": invalid syntax"#);
    }
}
