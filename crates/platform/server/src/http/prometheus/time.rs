//! Times, durations and limits of requests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::ApiError;
use super::form::Form;
use super::go::{parse_float, parse_int, parse_rfc3339, quote};

/// Prometheus' own ends of time, which its clients send to ask for everything.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// The clock, in microseconds since the epoch, cut to the milliseconds that Prometheus knows.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// Reads a time, RFC 3339 or seconds since the epoch: microseconds, cut to milliseconds.
///
/// # Errors
/// In Prometheus' words.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text).filter(|seconds| !seconds.is_nan()) {
        let (whole, fraction) = (seconds.trunc(), seconds.fract());
        let millis = (fraction * 1_000.0).round() as i64;
        return Ok((whole as i64).saturating_mul(1_000_000).saturating_add(millis * 1_000));
    }
    if let Some((seconds, nanos)) = parse_rfc3339(text) {
        let millis = i64::from(nanos / 1_000_000);
        return Ok(seconds.saturating_mul(1_000_000).saturating_add(millis * 1_000));
    }
    match text {
        EARLIEST => Ok(i64::MIN),
        LATEST => Ok(i64::MAX),
        _ => Err(format!("cannot parse {} to a valid timestamp", quote(text))),
    }
}

/// Reads a duration, `1h30m` or seconds, in nanoseconds.
///
/// # Errors
/// In Prometheus' words.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text).filter(|seconds| !seconds.is_nan()) {
        let nanos = seconds * 1e9;
        if nanos.abs() > i64::MAX as f64 {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", quote(text)));
        }
        return Ok(nanos as i64);
    }
    match kandela_config::parse_duration(text) {
        Ok(duration) => Ok(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        Err(_) => Err(format!("cannot parse {} to a valid duration", quote(text))),
    }
}

/// A time range of microseconds, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Range {
    /// What `start` and `end` say; all time where they say nothing.
    ///
    /// # Errors
    /// When one of them is no time.
    pub(super) fn of(form: &Form) -> Result<Self, ApiError> {
        let start = optional_time(form, "start")?.unwrap_or(i64::MIN);
        Ok(Self { start, end: optional_time(form, "end")?.unwrap_or(i64::MAX) })
    }

    /// As the lake has it; `None` where the end comes before the start, so that nothing can lie within.
    pub(super) fn lake(self) -> Option<kandela_lake::TimeRange> {
        (self.start <= self.end).then_some(self.start..=self.end)
    }
}

/// A time that may be missing.
///
/// # Errors
/// When it is no time.
pub(super) fn optional_time(form: &Form, name: &str) -> Result<Option<i64>, ApiError> {
    match form.get(name) {
        "" => Ok(None),
        text => parse_time(text)
            .map(Some)
            .map_err(|error| ApiError::invalid(name, format!("invalid time value for '{name}': {error}"))),
    }
}

/// A duration that may be missing, not below zero.
///
/// # Errors
/// When it is no duration.
pub(super) fn optional_duration(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "" => Ok(None),
        text => Ok(Some(Duration::from_nanos(u64::try_from(parse_duration(text)?).unwrap_or(0)))),
    }
}

/// How many items an answer may have; `None` for any number.
///
/// # Errors
/// When `limit` is no number, or below zero.
pub(super) fn limit_of(form: &Form) -> Result<Option<usize>, ApiError> {
    let text = form.get("limit");
    if text.is_empty() {
        return Ok(None);
    }
    let limit = parse_int(text).map_err(|error| ApiError::invalid("limit", error))?;
    let limit =
        usize::try_from(limit).map_err(|_| ApiError::invalid("limit", "limit must be non-negative"))?;
    Ok((limit > 0).then_some(limit))
}

/// What is said where an answer was cut.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_cut_to_milliseconds() {
        for (text, micros) in [
            ("1435781451.781", 1_435_781_451_781_000),
            ("1435781451.7814", 1_435_781_451_781_000),
            ("1435781451.7816", 1_435_781_451_782_000),
            ("-1.5", -1_500_000),
            ("1e3", 1_000_000_000),
            ("2015-07-01T20:10:51.7819Z", 1_435_781_451_781_000),
            ("1969-12-31T23:59:59.9999Z", -1_000),
            (EARLIEST, i64::MIN),
            (LATEST, i64::MAX),
        ] {
            assert_eq!(parse_time(text), Ok(micros), "{text}");
        }
        assert_eq!(parse_time("now").unwrap_err(), "cannot parse \"now\" to a valid timestamp");
        assert!(parse_time("NaN").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9a-zA-Z:.,]{0,40}|\\PC{0,40}") {
            let _ = (parse_time(&text), parse_duration(&text));
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(parse_duration("1.5"), Ok(1_500_000_000));
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000_000_000));
        assert_eq!(parse_duration("-1"), Ok(-1_000_000_000));
        assert_eq!(parse_duration("").unwrap_err(), "cannot parse \"\" to a valid duration");
        let overflow = "cannot parse \"1e20\" to a valid duration. It overflows int64";
        assert_eq!(parse_duration("1e20").unwrap_err(), overflow);
    }
}
