//! Times as Go's layout `RFC3339Nano` has them.

use std::io::Write as _;

const DAY: i64 = 86_400;

/// Reads `2015-07-01T20:10:51.781Z` or with an offset such as `+02:00`; gives seconds since the epoch and nanoseconds.
pub(crate) fn parse_rfc3339(text: &str) -> Option<(i64, u32)> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = bytes.get(from..from + len)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        digits.iter().try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let (nanos, zone) = fraction(bytes.get(19..)?)?;
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(bytes.len() - 5, 2)?, number(bytes.len() - 2, 2)?);
            if hours > 24 || minutes >= 60 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3_600 + minute * 60 + second;
    Some((seconds - offset, nanos))
}

/// Nanoseconds of what follows the seconds, and the rest.
fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.' | b',', rest @ ..] = bytes else { return Some((0, bytes)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = rest.split_at(len);
    if digits.is_empty() {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some((padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')), zone))
}

/// Appends a time in UTC, without the zeros at its end: `2015-07-01T20:10:51.781Z`.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, micros: i64) {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    // Writing into a vector cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if micros > 0 {
        let digits = format!(".{micros:06}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
    out.push(b'Z');
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date of the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
/// algorithms"). Years begin in March there, so that the leap day is the last one.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(micros: i64) -> String {
        let mut out = Vec::new();
        push_rfc3339(&mut out, micros);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_read_with_fraction_and_offset() {
        assert_eq!(parse_rfc3339("2015-07-01T20:10:51.781Z"), Some((1_435_781_451, 781_000_000)));
        assert_eq!(parse_rfc3339("2015-07-01T22:10:51+02:00"), Some((1_435_781_451, 0)));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59,5Z"), Some((-1, 500_000_000)));
        assert_eq!(parse_rfc3339("2024-02-29T00:00:00-00:30"), Some((1_709_166_600, 0)));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for wrong in [
            "2015-07-01 20:10:51Z",
            "2015-07-01t20:10:51Z",
            "2015-07-01T20:10:51",
            "2015-07-01T20:10Z",
            "2015-02-29T20:10:51Z",
            "2015-13-01T20:10:51Z",
            "2015-07-01T24:10:51Z",
            "2015-07-01T20:10:60Z",
            "2015-07-01T20:10:51.Z",
            "2015-07-01T20:10:51+2:00",
            "2015-07-01T20:10:51Z ",
            "",
            "é015-07-01T20:10:51Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_written_without_zeros_at_its_end() {
        assert_eq!(text(1_435_781_451_781_000), "2015-07-01T20:10:51.781Z");
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let (seconds, nanos) = parse_rfc3339(&text(micros)).unwrap();
            prop_assert_eq!(seconds * 1_000_000 + i64::from(nanos / 1_000), micros);
        }
    }
}
