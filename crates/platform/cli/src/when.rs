//! Times and distances in time as people type them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kandela_config::parse_duration;
use kandela_model::Timestamp;

/// Distances between points that read well, in seconds; past the last, whole days.
const STEPS: [u64; 18] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];

/// The clock's time, in whole seconds: nobody who types `now` means a fraction of one.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))
}

/// A time: `now`, `now-1h`, a date, RFC 3339, or seconds since 1970.
///
/// # Errors
/// With a sentence that says what to write.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    time_at(text, now())
}

/// A distance in time above zero: `15s`, `1h30m`, or seconds.
///
/// # Errors
/// With a sentence that says what to write.
pub(crate) fn parse_step(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => parse_duration(text)?,
    };
    if duration < Duration::from_millis(1) {
        Err("has to be a millisecond or more".to_owned())
    } else {
        Ok(duration)
    }
}

fn time_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(distance) = text.strip_prefix("now") {
        return relative(distance, now).map_err(|error| format!("{error}, as in now-1h"));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let micros = (seconds * 1e6).round();
        let fits = micros.is_finite() && micros.abs() < 9e18;
        return if fits { Ok(Timestamp::from_micros(micros as i64)) } else { Err("out of range".to_owned()) };
    }
    let instant = text.parse::<jiff::Timestamp>().or_else(|error| {
        let midnight =
            text.parse::<jiff::civil::Date>().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC));
        midnight.map(|midnight| midnight.timestamp()).map_err(|_| {
            format!("{error}; write now-1h, 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970")
        })
    })?;
    Ok(Timestamp::from_micros(instant.as_microsecond()))
}

/// `""`, `-1h` or `+5m` from `now`.
fn relative(distance: &str, now: Timestamp) -> Result<Timestamp, String> {
    let signed = |duration: &str, sign: i64| {
        let micros = i64::try_from(parse_duration(duration)?.as_micros()).unwrap_or(i64::MAX);
        Ok(now.plus_micros(sign.saturating_mul(micros)))
    };
    match distance.split_at_checked(1) {
        None => Ok(now),
        Some(("-", duration)) => signed(duration, -1),
        Some(("+", duration)) => signed(duration, 1),
        Some(_) => Err(format!("behind now, write a sign and a duration instead of {distance:?}")),
    }
}

/// The shortest distance that reads well and gives at most `points` points over `length`.
pub(crate) fn nice_step(length: Duration, points: u64) -> Duration {
    let least = length.as_secs_f64() / points.max(1) as f64;
    let step = STEPS.into_iter().find(|step| *step as f64 >= least);
    let days = || (least / 86_400.0).ceil() as u64 * 86_400;
    Duration::from_secs(step.unwrap_or_else(days))
}

/// A time as `2026-01-31 12:00:00`, in UTC, with what it has below a second.
pub(crate) fn time_text(millis: i64) -> String {
    let pattern = if millis.rem_euclid(1_000) == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    formatted(millis, pattern)
}

/// A time as RFC 3339, in UTC.
pub(crate) fn rfc3339(millis: i64) -> String {
    let pattern = if millis.rem_euclid(1_000) == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.3fZ" };
    formatted(millis, pattern)
}

/// A time by a pattern of `strftime`, in UTC; seconds since 1970 where the calendar does not reach.
pub(crate) fn formatted(millis: i64, pattern: &str) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(instant) => instant.to_zoned(jiff::tz::TimeZone::UTC).strftime(pattern).to_string(),
        Err(_) => format!("{}", millis as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        let wanted = Ok(Timestamp::from_millis(1_769_817_600_000));
        assert_eq!(parse_time("2026-01-31"), wanted);
        assert_eq!(parse_time("2026-01-31T00:00:00Z"), wanted);
        assert_eq!(parse_time("1769817600"), wanted);
        assert_eq!(parse_time("1769817600.5"), Ok(Timestamp::from_millis(1_769_817_600_500)));
        assert!(parse_time("yesterday").is_err());
        assert!(parse_time("1e300").is_err());
    }

    #[test]
    fn times_may_be_given_from_now() {
        assert_eq!(time_at("now", NOON), Ok(NOON));
        assert_eq!(time_at("now-1h30m", NOON), Ok(Timestamp::from_millis(1_769_855_400_000)));
        assert_eq!(time_at("now+1s", NOON), Ok(Timestamp::from_millis(1_769_860_801_000)));
        for text in ["now-", "now1h", "now-yesterday", "now- 1h"] {
            assert!(time_at(text, NOON).is_err(), "{text}");
        }
    }

    #[test]
    fn a_step_is_a_duration_or_seconds_above_zero() {
        assert_eq!(parse_step("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_step("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "0s", "x", "NaN"] {
            assert!(parse_step(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_step_that_is_chosen_reads_well_and_gives_no_more_points_than_asked_for() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        assert_eq!(nice_step(hours(1), 240), Duration::from_secs(15));
        assert_eq!(nice_step(hours(1), 130), Duration::from_secs(30));
        assert_eq!(nice_step(hours(24), 240), Duration::from_secs(600));
        assert_eq!(nice_step(hours(24 * 365), 100), Duration::from_secs(4 * 86_400));
        assert_eq!(nice_step(Duration::ZERO, 100), Duration::from_secs(1));
    }

    #[test]
    fn times_are_told_in_utc_with_milliseconds_only_where_there_are_some() {
        assert_eq!(time_text(1_769_817_600_000), "2026-01-31 00:00:00");
        assert_eq!(time_text(1_769_817_600_050), "2026-01-31 00:00:00.050");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }
}
