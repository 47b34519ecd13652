//! Numbers as they are said back to whoever gave them.

/// `number` in plain digits, or with an exponent where it would have very many.
pub(crate) fn short(number: f64) -> String {
    let plain = number == 0.0 || !number.is_finite() || (1e-9..1e15).contains(&number.abs());
    if plain { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_very_many_digits_get_an_exponent() {
        assert_eq!([99.0, 1.5, -2.0, 0.0].map(short), ["99", "1.5", "-2", "0"]);
        assert_eq!([1e300, -1e300, 1e-300].map(short), ["1e300", "-1e300", "1e-300"]);
        assert_eq!(short(f64::INFINITY), "inf");
    }
}
