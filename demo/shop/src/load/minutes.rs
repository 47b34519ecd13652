//! Requests per minute: from a file, or a built-in day.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The most a source may unpack to.
const MOST_BYTES: usize = 256 << 20;

/// Reads a file with the header `minute,count`, packed by xz if its name ends so. Minutes that are missing are not made up.
pub(crate) fn read_minutes(path: &Path) -> Result<Vec<f64>> {
    let name = || path.display().to_string();
    let mut file = BufReader::new(File::open(path).with_context(name)?);
    let mut text = Bounded(Vec::new());
    if path.extension().is_some_and(|extension| extension == "xz") {
        let unpacked = lzma_rs::xz_decompress(&mut file, &mut text);
        unpacked.map_err(|error| anyhow::anyhow!("{error}")).with_context(name)?;
    } else {
        std::io::copy(&mut file, &mut text).with_context(name)?;
    }
    let text = String::from_utf8(text.0).with_context(name)?;
    parse(&text).with_context(name)
}

/// Takes no more than `MOST_BYTES`.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(std::io::Error::other(format!("it has more than {MOST_BYTES} bytes unpacked")));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<f64>> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, header)| header.trim()) != Some("minute,count") {
        bail!("line 1: the header is minute,count");
    }
    let mut minutes = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let count = line.rsplit_once(',').and_then(|(_, count)| count.trim().parse::<f64>().ok());
        match count {
            Some(count) if (0.0..=1e9).contains(&count) => minutes.push(count),
            _ => bail!("line {}: {line:?} has no count of requests after its comma", number + 1),
        }
    }
    if minutes.is_empty() {
        bail!("the file has no minutes");
    }
    Ok(minutes)
}

/// A day of a shop, minute by minute from midnight: 12 requests a second at night, 60 in the morning, 200 at half past twelve,
/// 100 in the evening, and at four in the afternoon eight minutes in which somebody shows the shop on television.
pub(crate) fn day() -> Vec<f64> {
    let bump = |hour: f64, at: f64, width: f64| (-((hour - at) / width).powi(2) / 2.0).exp();
    let minutes = (0..1440).map(|minute| {
        let hour = f64::from(minute) / 60.0;
        let curve =
            12.0 + 50.0 * bump(hour, 9.0, 1.0) + 188.0 * bump(hour, 12.5, 0.9) + 88.0 * bump(hour, 19.5, 1.3);
        let burst = if (960..968).contains(&minute) { 60.0 } else { 0.0 };
        60.0 * (curve + burst)
    });
    minutes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noon_is_the_days_peak() {
        let day = day();
        let peak = day.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(minute, _)| minute);
        assert!(peak.is_some_and(|minute| (740..760).contains(&minute)), "{peak:?}");
        assert!((700.0..800.0).contains(&day[180]));
    }

    #[test]
    fn the_day_is_frozen_as_the_defaults_are() {
        let requests: f64 = day().iter().sum();
        assert_eq!(requests.round(), 4_075_676.0, "figures from before and after can't be compared");
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error =
            parse("minute,count\n1995-07-01 00:00:00,42\n1995-07-01 00:01:00,many\n").expect_err("many");
        assert!(error.to_string().contains("line 3"), "{error}");
        assert!(parse("count\n1\n").is_err());
    }

    #[test]
    fn a_packed_file_is_unpacked() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/minutes.csv.xz");
        assert_eq!(read_minutes(&path).expect("packed by xz"), [42.0, 61.0]);
    }

    #[test]
    fn counts_stand_after_the_last_comma() {
        assert_eq!(parse("minute,count\n1995-07-01 00:00:00,42\n\n").expect("valid"), [42.0]);
    }
}
