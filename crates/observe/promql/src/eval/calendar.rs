//! Parts of dates, in UTC.

pub(super) type Part = fn(f64) -> f64;

/// The part that a function gives of seconds since the Unix epoch.
pub(super) fn part(name: &str) -> Option<Part> {
    Some(match name {
        "minute" => |at| of(at, |seconds| seconds.rem_euclid(3_600) / 60),
        "hour" => |at| of(at, |seconds| seconds.rem_euclid(86_400) / 3_600),
        "day_of_week" => |at| of(at, |seconds| (seconds.div_euclid(86_400) + 4).rem_euclid(7)),
        "day_of_month" => |at| of(at, |seconds| civil(seconds).2),
        "day_of_year" => |at| {
            of(at, |seconds| {
                let (year, ..) = civil(seconds);
                seconds.div_euclid(86_400) - days_before(year, 1) + 1
            })
        },
        "days_in_month" => |at| {
            of(at, |seconds| {
                let (year, month, _) = civil(seconds);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                days_before(next.0, next.1) - days_before(year, month)
            })
        },
        "month" => |at| of(at, |seconds| civil(seconds).1),
        "year" => |at| of(at, |seconds| civil(seconds).0),
        _ => return None,
    })
}

fn of(at: f64, part: fn(i64) -> i64) -> f64 {
    if at.is_finite() { part(at as i64) as f64 } else { f64::NAN }
}

/// A time in microseconds as RFC 3339 writes it, in whole seconds.
pub(super) fn rfc3339(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let ((year, month, day), of_day) = (civil(seconds), seconds.rem_euclid(86_400));
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(seconds: i64) -> (i64, i64, i64) {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from the epoch to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
