//! What machine this is: kernel, distribution, clock.

use std::collections::HashMap;

use kandela_model::MetricKind::Gauge;

use super::page::Page;
use super::read::{attribute, entries, optional};
use super::{Found, HostError, HostPaths};

/// `uname`: what uname(2) says.
pub(super) fn uname(_: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let name = rustix::system::uname();
    page.family("node_uname_info", Gauge, "What the system call uname says.").add(
        &[
            #[cfg(any(target_os = "linux", target_os = "android"))]
            ("domainname", &name.domainname().to_string_lossy()),
            ("machine", &name.machine().to_string_lossy()),
            ("nodename", &name.nodename().to_string_lossy()),
            ("release", &name.release().to_string_lossy()),
            ("sysname", &name.sysname().to_string_lossy()),
            ("version", &name.version().to_string_lossy()),
        ],
        1.0,
    );
    Ok(Found::Something)
}

/// `os`: the distribution, from os-release(5).
pub(super) fn os(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let text = match optional(&paths.root.join("etc/os-release"))? {
        Some(text) => Some(text),
        None => optional(&paths.root.join("usr/lib/os-release"))?,
    };
    let Some(text) = text else { return Ok(Found::Nothing) };
    let fields: HashMap<&str, String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), unquote(value.trim())))
        .collect();
    let field = |key| fields.get(key).map(String::as_str).unwrap_or_default();
    page.family("node_os_info", Gauge, "The distribution as os-release states it.").add(
        &[
            ("build_id", field("BUILD_ID")),
            ("id", field("ID")),
            ("id_like", field("ID_LIKE")),
            ("image_id", field("IMAGE_ID")),
            ("image_version", field("IMAGE_VERSION")),
            ("name", field("NAME")),
            ("pretty_name", field("PRETTY_NAME")),
            ("variant", field("VARIANT")),
            ("variant_id", field("VARIANT_ID")),
            ("version", field("VERSION")),
            ("version_codename", field("VERSION_CODENAME")),
            ("version_id", field("VERSION_ID")),
        ],
        1.0,
    );
    if let Some(version) = major_and_minor(field("VERSION_ID")) {
        page.family("node_os_version", Gauge, "The distribution's major and minor version.")
            .add(&[("id", field("ID")), ("id_like", field("ID_LIKE")), ("name", field("NAME"))], version);
    }
    Ok(Found::Something)
}

/// A value of os-release without its shell quoting.
fn unquote(value: &str) -> String {
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match (quoted('"'), quoted('\'')) {
        (Some(inner), _) => {
            let mut plain = String::with_capacity(inner.len());
            let mut characters = inner.chars();
            while let Some(character) = characters.next() {
                plain.extend(if character == '\\' { characters.next() } else { Some(character) });
            }
            plain
        }
        (None, Some(inner)) => inner.to_owned(),
        (None, None) => value.to_owned(),
    }
}

/// The leading `MAJOR[.MINOR]` of a version as a number.
fn major_and_minor(version: &str) -> Option<f64> {
    let end = version
        .char_indices()
        .scan(0, |dots, (at, character)| {
            *dots += u8::from(character == '.');
            (character.is_ascii_digit() || (character == '.' && *dots == 1))
                .then_some(at + character.len_utf8())
        })
        .last()?;
    version.get(..end)?.trim_end_matches('.').parse().ok()
}

/// `time`: the clock, its zone and its source.
pub(super) fn time(paths: &HostPaths, page: &mut Page<'_>) -> Result<Found, HostError> {
    let micros = page.now().micros();
    page.gauge("node_time_seconds", "The machine's time since the Unix epoch.", micros as f64 / 1e6);
    if let Ok(now) = jiff::Timestamp::from_microsecond(micros) {
        let zone = jiff::tz::TimeZone::system();
        let info = zone.to_offset_info(now);
        page.family("node_time_zone_offset_seconds", Gauge, "Offset of the machine's time zone from UTC.")
            .add(&[("time_zone", info.abbreviation())], f64::from(info.offset().seconds()));
    }
    for (name, folder) in entries(&paths.sys.join("devices/system/clocksource"))? {
        let Some(device) = name.strip_prefix("clocksource") else { continue };
        for source in
            attribute(&folder.join("available_clocksource")).unwrap_or_default().split_ascii_whitespace()
        {
            page.family("node_time_clocksource_available_info", Gauge, "A clock that the kernel could use.")
                .add(&[("clocksource", source), ("device", device)], 1.0);
        }
        if let Some(source) = attribute(&folder.join("current_clocksource")) {
            page.family("node_time_clocksource_current_info", Gauge, "The clock that the kernel uses.")
                .add(&[("clocksource", &source), ("device", device)], 1.0);
        }
    }
    Ok(Found::Something)
}

#[cfg(test)]
mod tests {
    use super::{major_and_minor, unquote};

    #[test]
    fn quotes_of_both_kinds_are_taken_off() {
        assert_eq!(unquote(r#""Debian GNU/Linux""#), "Debian GNU/Linux");
        assert_eq!(unquote(r#""a \"b\" \\""#), r#"a "b" \"#);
        assert_eq!(unquote("'x'"), "x");
        assert_eq!(unquote("debian"), "debian");
        assert_eq!(unquote("\""), "\"");
    }

    #[test]
    fn only_major_and_minor_count_as_the_version() {
        assert_eq!(major_and_minor("12"), Some(12.0));
        assert_eq!(major_and_minor("22.04"), Some(22.04));
        assert_eq!(major_and_minor("3.20.1"), Some(3.20));
        assert_eq!(major_and_minor("rolling"), None);
        assert_eq!(major_and_minor(""), None);
    }
}
