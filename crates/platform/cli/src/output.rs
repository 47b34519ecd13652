//! What every command has in common in what it prints and how it ends.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use clap::ValueEnum;

/// How a command that could be carried out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: what was checked is not as it should be.
    CheckFailed,
    /// Exit code 130, as shells have it: somebody stopped it before it was done.
    Interrupted,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text that fits 80 columns
    #[default]
    Table,
    /// JSON
    Json,
}

/// How something is: a shape and a word, so that nothing is only colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not known yet, or nothing is wanted of it.
    Open,
    Ok,
    Warn,
    Fail,
}

impl State {
    /// The shape and word, coloured on a terminal.
    pub(crate) fn marked(self) -> String {
        let word = match self {
            Self::Ok => "ok  ",
            Self::Open => "open",
            Self::Warn => "warn",
            Self::Fail => "fail",
        };
        format!("{} {word}", self.shape())
    }

    /// The shape.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Ok => "●",
            Self::Open => "○",
            Self::Warn => "▲",
            Self::Fail => "■",
        }
    }

    /// The shape, coloured on a terminal.
    pub(crate) fn shape(self) -> String {
        let colour = match self {
            Self::Ok => 32,
            Self::Open => 36,
            Self::Warn => 33,
            Self::Fail => 31,
        };
        painted(self.sign(), colour)
    }
}

/// Whether colours may be: on a terminal, unless its user wants none.
pub(crate) fn colourful() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Columns that output may take: a terminal's own, else 80.
pub(crate) fn width() -> usize {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    terminal.map_or(80, |(width, _)| usize::from(width.0).max(40))
}

/// Rows that a terminal shows at a time; nothing where output goes elsewhere.
pub(crate) fn height() -> Option<usize> {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    terminal.map(|(_, height)| usize::from(height.0))
}

/// Text in a colour, as terminals number them, where colours may be.
pub(crate) fn painted(text: &str, colour: u8) -> String {
    if colourful() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Whether a person reads what is printed, as far as one can know.
pub(crate) fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Why standard output took no more.
static BROKEN: OnceLock<io::Error> = OnceLock::new();

/// Prints a line. Whether that worked, [`finish`] says.
pub(crate) fn line(text: &str) {
    print(format!("{text}\n").as_bytes());
}

/// Prints bytes, and tells whether more would be taken. Whether that worked, [`finish`] says.
pub(crate) fn print(bytes: &[u8]) -> bool {
    if BROKEN.get().is_none()
        && let Err(error) = io::stdout().write_all(bytes)
    {
        let _ = BROKEN.set(error);
    }
    BROKEN.get().is_none()
}

/// Ends what was printed. A reader that has gone away has read what it wanted.
///
/// # Errors
/// When something could not be printed.
pub(crate) fn finish() -> anyhow::Result<()> {
    if let Err(error) = io::stdout().flush() {
        let _ = BROKEN.set(error);
    }
    match BROKEN.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            anyhow::bail!("writing to standard output: {error}")
        }
        _ => Ok(()),
    }
}

/// Breaks text into lines of at most `width` columns, between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Text whose lines are at most `most` characters long: of longer ones, the middle is left out.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let short = |line: &str| {
        let length = line.chars().count();
        if length <= most {
            return line.to_owned();
        }
        let behind = most / 2;
        let before: String = line.chars().take(most - behind - 1).collect();
        before + "…" + &line.chars().skip(length - behind).collect::<String>()
    };
    text.split('\n').map(short).collect::<Vec<_>>().join("\n")
}

/// A count with thousands apart: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    let texts: Vec<&str> = groups.into_iter().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    texts.join(",")
}

/// Bytes as people read them, three digits and a unit: `35.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = bytes.checked_ilog2().map_or(0, |bits| bits as usize / 10).min(UNITS.len() - 1);
    let unit = UNITS.get(power).copied().unwrap_or_default();
    let value = bytes as f64 / 1024_f64.powi(power as i32);
    match value {
        _ if power == 0 => format!("{bytes} B"),
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(2 << 30), "2.00 GiB");
        assert_eq!(size(37_800_000_000), "35.2 GiB");
        assert_eq!(size(u64::MAX), "16384 PiB");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn long_lines_keep_their_beginning_and_their_end() {
        assert_eq!(shortened("short\nline 3: ääääääää is no number", 20), "short\nline 3: ä… no number");
        assert_eq!(shortened("exactly 10", 10), "exactly 10");
    }

    #[test]
    fn wrapping_breaks_between_words_only() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensibilities are long", 5), ["incomprehensibilities", "are", "long"]);
    }
}
