//! Durations and sizes as Prometheus writes them.

use std::time::Duration;

use serde::Serializer;

/// Duration units from the longest to the shortest, in milliseconds. A year has 365 days.
const DURATIONS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Size units; each is 1,024 of the one before, with the `i` or without it.
const SIZES: [(&str, &str); 7] =
    [("B", "B"), ("KB", "KiB"), ("MB", "MiB"), ("GB", "GiB"), ("TB", "TiB"), ("PB", "PiB"), ("EB", "EiB")];

/// The longest duration: what Go's `time.Duration` holds, some 292 years.
const MAX_MILLIS: u64 = i64::MAX as u64 / 1_000_000;

/// Reads a duration such as `15s`, `1h30m`, `2w` or `0`: whole numbers with units from the longest to the shortest.
///
/// # Errors
/// With a sentence that says what to write.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a duration; write one as 15s, 1h30m or 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis = 0u64;
    let mut units = DURATIONS.as_slice();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let (_, scale) = units.get(at).ok_or_else(invalid)?;
        millis = number
            .checked_mul(*scale)
            .and_then(|part| millis.checked_add(part))
            .filter(|total| *total <= MAX_MILLIS)
            .ok_or_else(|| format!("{text:?} is longer than 292 years"))?;
        units = units.get(at + 1..).unwrap_or_default();
        rest = after;
    }
    if text.is_empty() { Err(invalid()) } else { Ok(Duration::from_millis(millis)) }
}

/// A duration as Prometheus prints it: `1h30m`, `15d`, `0s`; whole milliseconds.
pub fn duration_text(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in DURATIONS {
        let exact_only = matches!(unit, "y" | "w");
        if millis < scale || (exact_only && millis % scale != 0) {
            continue;
        }
        text.push_str(&format!("{}{unit}", millis / scale));
        millis %= scale;
    }
    text
}

/// Reads a size such as `512MB`, `2GiB`, `1.5GB` or `0`. As in Prometheus, 1KB and 1KiB are both 1,024 bytes.
///
/// # Errors
/// With a sentence that says what to write.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("{text:?} is not a size; write one as 512MB or 2GiB");
    if text == "0" {
        return Ok(0);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
    let (number, unit) = text.split_at(end);
    let power = SIZES
        .iter()
        .position(|(short, long)| *short == unit || *long == unit)
        .and_then(|power| i32::try_from(power).ok())
        .ok_or_else(invalid)?;
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let bytes = number * 1024f64.powi(power);
    if bytes >= i64::MAX as f64 {
        return Err(format!("{text:?} is more than a 64-bit count of bytes holds"));
    }
    Ok(bytes as u64)
}

/// A size in the largest unit that divides it: `512MiB`, `1536KiB`, `0B`.
pub fn size_text(bytes: u64) -> String {
    let power = if bytes == 0 { 0 } else { (bytes.trailing_zeros() / 10).min(6) };
    let unit = SIZES.get(power as usize).map_or("B", |(_, long)| long);
    format!("{}{unit}", bytes >> (10 * power))
}

pub(crate) fn serialize_duration<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&duration_text(*value))
}

pub(crate) fn serialize_size<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&size_text(*value))
}

pub(crate) fn serialize_size_or_none<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serialize_size(value, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_prometheus_reads_them() {
        let millis = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(millis("0"), Ok(0));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        for wrong in ["", "1", "1m1h", "5s5s", "1.5h", "-1s", "1min", "s", "ms", "300y", " 1s", "1h "] {
            assert!(millis(wrong).is_err(), "{wrong:?} was read as {:?}", millis(wrong));
        }
    }

    #[test]
    fn durations_print_as_prometheus_prints_them() {
        let text = |millis| duration_text(Duration::from_millis(millis));
        assert_eq!(text(0), "0s");
        assert_eq!(text(90 * 86_400_000), "90d");
        assert_eq!(text(14 * 86_400_000), "2w");
        assert_eq!(text(5_400_500), "1h30m500ms");
    }

    #[test]
    fn sizes_are_powers_of_1024_with_and_without_the_i() {
        assert_eq!(parse_size("512MB"), Ok(512 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("1.5KB"), Ok(1536));
        assert_eq!(parse_size("0"), Ok(0));
        for wrong in ["", "12", "MB", "1mb", "1e3MB", "-1MB", "9EB9", "16EB", "1.2.3MB", "1 MB"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?} was read as {:?}", parse_size(wrong));
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(millis in 0..MAX_MILLIS) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes in 0u64..1 << 52) {
            prop_assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,12}|[0-9]{0,25}[a-zA-Z]{0,3}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
