//! When nothing may be tried: freeze windows, and how often something may.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use kandela_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Times in which nothing new is tried; a trial under way is ended when one begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Freeze {
    weekly: Vec<Weekly>,
    once: Vec<Once>,
}

/// A freeze window, as it is written in a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Window {
    /// On some days of every week, such as `{"days": ["fri"], "from": "16:00", "to": "09:00", "zone": "Europe/Paris"}`. Where `to`
    /// is not after `from`, the window ends on the day after.
    Weekly {
        /// Three letters each; the day on which the window begins.
        days: Vec<String>,
        /// When it begins.
        from: String,
        /// When it is over.
        to: String,
        /// The name of a time zone, such as `Europe/Paris`.
        zone: String,
    },
    /// Once, such as `{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z", "why": "Christmas"}`.
    Once {
        /// When it begins.
        from: String,
        /// When it is over.
        to: String,
        /// What for.
        why: String,
    },
}

/// A window that can't be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("freeze window {number}: {what}")]
pub struct WindowError {
    /// Which of the list, from 1.
    pub number: usize,
    /// What is wrong, and what to write.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Weekly {
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    zone: TimeZone,
    why: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Once {
    from: Timestamp,
    to: Timestamp,
    why: String,
}

impl Freeze {
    /// The windows of a configuration.
    ///
    /// # Errors
    /// [`WindowError`], for the first that can't be read.
    pub fn new(windows: &[Window]) -> Result<Freeze, WindowError> {
        let mut freeze = Freeze::default();
        for (number, window) in (1..).zip(windows) {
            let fault = |what: String| WindowError { number, what };
            match window {
                Window::Weekly { days, from, to, zone } => {
                    freeze.weekly.push(weekly(days, from, to, zone).map_err(fault)?);
                }
                Window::Once { from, to, why } => {
                    let (from, to) = (instant(from).map_err(fault)?, instant(to).map_err(fault)?);
                    if from >= to {
                        return Err(fault("it ends before it begins; swap `from` and `to`".to_owned()));
                    }
                    freeze.once.push(Once { from, to, why: why.clone() });
                }
            }
        }
        Ok(freeze)
    }

    /// Which window `at` lies in, in words.
    pub fn frozen(&self, at: Timestamp) -> Option<&str> {
        let once = self.once.iter().find(|window| (window.from..window.to).contains(&at));
        let weekly = || self.weekly.iter().find(|window| window.holds(at));
        once.map(|window| window.why.as_str()).or_else(|| weekly().map(|window| window.why.as_str()))
    }
}

impl Weekly {
    fn holds(&self, at: Timestamp) -> bool {
        let Ok(instant) = jiff::Timestamp::from_microsecond(at.micros()) else { return false };
        let now = instant.to_zoned(self.zone.clone());
        let yesterday = now.checked_sub(1.day()).ok();
        [Some(now.clone()), yesterday].into_iter().flatten().any(|day| {
            self.days.contains(&day.weekday())
                && self.on(&day).is_some_and(|(from, to)| from <= now && now < to)
        })
    }

    /// The window that begins on `day`; times that a clock change skips are those after it.
    fn on(&self, day: &Zoned) -> Option<(Zoned, Zoned)> {
        let date = day.date();
        let last = if self.to > self.from { date } else { date.checked_add(1.day()).ok()? };
        let from = date.to_datetime(self.from).to_zoned(self.zone.clone()).ok()?;
        Some((from, last.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?))
    }
}

fn weekly(days: &[String], from: &str, to: &str, zone: &str) -> Result<Weekly, String> {
    let why = format!("{} {from} to {to} {zone}", days.join(", "));
    if days.is_empty() {
        return Err("it lists no days; give some of mon, tue, wed, thu, fri, sat, sun".to_owned());
    }
    let days = days.iter().map(|day| weekday(day)).collect::<Result<_, _>>()?;
    let time = |text: &str| {
        let time = Time::strptime("%H:%M", text);
        time.map_err(|_| format!("{text:?} is no time of day; write it like 09:30"))
    };
    let (from, to) = (time(from)?, time(to)?);
    let zone = TimeZone::get(zone).map_err(|error| {
        format!("{error}; give a name of the time zone database, such as Europe/Paris or UTC")
    })?;
    Ok(Weekly { days, from, to, zone, why })
}

fn weekday(day: &str) -> Result<Weekday, String> {
    const NAMES: [(&str, Weekday); 7] = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    let found = NAMES.into_iter().find(|(name, _)| *name == day);
    found
        .map(|(_, day)| day)
        .ok_or_else(|| format!("there is no day {day:?}; write mon, tue, wed, thu, fri, sat or sun"))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let read = text.parse::<jiff::Timestamp>();
    let read = read.map_err(|_| format!("{text:?} is no time; write it like 2026-12-24T00:00:00Z"))?;
    Ok(Timestamp::from_micros(read.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(json: &str) -> Freeze {
        Freeze::new(&serde_json::from_str::<Vec<Window>>(json).expect("windows")).expect("that can be read")
    }

    fn at(text: &str) -> Timestamp {
        instant(text).expect("a time")
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let freeze = freeze(r#"[{"days": ["fri"], "from": "16:00", "to": "09:00", "zone": "Europe/Paris"}]"#);
        // 2026-11-27 is a Friday; Paris is an hour ahead of UTC in winter.
        assert_eq!(freeze.frozen(at("2026-11-27T14:59:59Z")), None);
        assert!(freeze.frozen(at("2026-11-27T15:00:00Z")).is_some());
        assert!(freeze.frozen(at("2026-11-28T07:59:59Z")).is_some());
        assert_eq!(freeze.frozen(at("2026-11-28T08:00:00Z")), None);
        assert_eq!(freeze.frozen(at("2026-11-26T23:00:00Z")), None);
    }

    #[test]
    fn a_window_follows_the_clocks_of_its_zone() {
        let freeze = freeze(r#"[{"days": ["sun"], "from": "08:00", "to": "10:00", "zone": "Europe/Paris"}]"#);
        // Clocks go forward on 2026-03-29: 08:00 is 07:00 UTC the week before, and 06:00 UTC from then on.
        assert_eq!(freeze.frozen(at("2026-03-22T06:30:00Z")), None);
        assert!(freeze.frozen(at("2026-03-29T06:30:00Z")).is_some());
    }

    #[test]
    fn an_interval_says_what_it_is_for() {
        let freeze =
            freeze(r#"[{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z", "why": "holidays"}]"#);
        assert_eq!(freeze.frozen(at("2026-12-25T12:00:00Z")), Some("holidays"));
        assert_eq!(freeze.frozen(at("2026-12-27T00:00:00Z")), None);
    }

    #[test]
    fn what_can_not_be_read_is_named_with_what_to_write() {
        let windows = |json: &str| Freeze::new(&serde_json::from_str::<Vec<Window>>(json).expect("windows"));
        for (json, part) in [
            (
                r#"[{"days": ["friday"], "from": "1:00", "to": "2:00", "zone": "UTC"}]"#,
                "there is no day \"friday\"",
            ),
            (r#"[{"days": ["fri"], "from": "25:00", "to": "2:00", "zone": "UTC"}]"#, "no time of day"),
            (
                r#"[{"days": ["fri"], "from": "01:00", "to": "02:00", "zone": "Mars/Olympus"}]"#,
                "such as Europe/Paris",
            ),
            (r#"[{"days": [], "from": "01:00", "to": "02:00", "zone": "UTC"}]"#, "no days"),
            (r#"[{"from": "2026-12-24T00:00:00Z", "to": "2026-12-23T00:00:00Z", "why": ""}]"#, "swap"),
            (r#"[{"from": "soon", "to": "2026-12-23T00:00:00Z", "why": ""}]"#, "no time"),
        ] {
            let error = windows(json).expect_err("no window").to_string();
            assert!(error.starts_with("freeze window 1: ") && error.contains(part), "{error}");
        }
    }
}
