//! Requests per minute: from a file, or a built-in day.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

/// The most a source may unpack to.
const MOST_BYTES: usize = 256 << 20;

/// Reads a file with the header `minute,count`, packed by xz if its name ends so, with its minutes in order. Minutes that are
/// missing are not made up.
///
/// # Errors
/// What is wrong with the file, which is named, and where.
pub(crate) fn read_minutes(path: &Path) -> Result<Vec<f64>> {
    read(path).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<Vec<f64>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut text = Bounded(Vec::new());
    if path.extension().is_some_and(|extension| extension == "xz") {
        let unpacked = lzma_rs::xz_decompress(&mut file, &mut text);
        unpacked.map_err(|error| {
            anyhow!(
                "it is no xz file, or not all of one ({error}); look at it with xz --test, or fetch it again"
            )
        })?;
    } else {
        std::io::copy(&mut file, &mut text)?;
    }
    let text = String::from_utf8(text.0).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        anyhow!("byte {place} is no text; give a CSV file, with a name that ends in .xz if it is packed")
    })?;
    parse(&text)
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
    let mut earlier: Option<&str> = None;
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let parts = line.rsplit_once(',');
        let read = parts.and_then(|(minute, count)| Some((minute.trim(), count.trim().parse::<f64>().ok()?)));
        let Some((minute, count)) = read.filter(|(_, count)| (0.0..=1e9).contains(count)) else {
            bail!("line {}: {line:?} has no count of requests after its comma", number + 1);
        };
        if let Some(earlier) = earlier.filter(|earlier| !is_after(minute, earlier)) {
            bail!("line {}: minute {minute} comes after {earlier}; sort the file by its minutes", number + 1);
        }
        earlier = Some(minute);
        minutes.push(count);
    }
    if minutes.is_empty() {
        bail!("the file has no minutes");
    }
    Ok(minutes)
}

/// Whether `minute` is later than `earlier`: of numbers the larger is, of dates that are written alike the one that sorts after the
/// other. Of anything else, times of a day that begins anew say, nobody knows: they are taken in the file's order.
fn is_after(minute: &str, earlier: &str) -> bool {
    if let (Ok(minute), Ok(earlier)) = (minute.parse::<f64>(), earlier.parse::<f64>()) {
        return minute > earlier;
    }
    let are_dates = |text: &str| text.get(..5).is_some_and(|year| year.ends_with('-'));
    if minute.len() == earlier.len() && are_dates(minute) && are_dates(earlier) {
        return minute.cmp(earlier) == Ordering::Greater;
    }
    true
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
    fn a_file_that_is_none_is_named_with_what_to_do() {
        let whole = include_bytes!("../../tests/fixtures/minutes.csv.xz");
        for (suffix, bytes, said) in [
            (".csv.xz", &whole[..50], "not all of one"),
            (".csv.xz", &b"minute,count\n"[..], "it is no xz file"),
            (".csv", &whole[..], "byte 0 is no text; give a CSV file"),
        ] {
            let file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a file");
            std::fs::write(file.path(), bytes).expect("writable");
            let error = format!("{:#}", read_minutes(file.path()).expect_err(said));
            assert!(error.contains(said) && error.contains(suffix), "{error}");
        }
    }

    #[test]
    fn minutes_out_of_order_are_refused() {
        for minutes in ["5,1\n3,1", "5,1\n5,1", "9,1\n10,1\n9,1", "1995-07-01 00:01,1\n1995-07-01 00:00,1"] {
            let error = parse(&format!("minute,count\n{minutes}")).expect_err(minutes).to_string();
            assert!(error.contains("sort the file by its minutes"), "{error}");
        }
        for minutes in
            ["9,1\n10,1", "5.0,1\n7,1", "1995-07-31 23:59,1\n1995-08-01 00:00,1", "23:59,1\n00:00,1"]
        {
            assert!(parse(&format!("minute,count\n{minutes}")).is_ok(), "{minutes}");
        }
    }

    #[test]
    fn counts_stand_after_the_last_comma() {
        assert_eq!(parse("minute,count\n1995-07-01 00:00:00,42\n\n").expect("valid"), [42.0]);
    }
}
