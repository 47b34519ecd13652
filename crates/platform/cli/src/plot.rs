//! Curves over time, drawn with braille dots: two a column across, four a row down.

use crate::figures::{aligned, distinct};
use crate::output::painted;
use crate::when::{formatted, nice_step};
use std::time::Duration;
use unicode_width::UnicodeWidthStr as _;

/// Colours of curves, as terminals number them.
const COLOURS: [u8; 8] = [94, 33, 32, 35, 36, 31, 93, 95];
/// The bit of each dot of a cell, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const BRAILLE: u32 = 0x2800;
/// Columns for marks at the curves' ends.
const MARKS: usize = 5;

/// One curve.
pub(crate) struct Curve {
    /// Times in milliseconds since the Unix epoch, ascending, and values.
    pub points: Vec<(i64, f64)>,
    /// What stands at its end.
    pub mark: char,
}

/// What is drawn into.
pub(crate) struct Frame {
    /// The first time, in milliseconds since the Unix epoch.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// Points farther apart than this are not joined.
    pub joined: i64,
    /// Columns, the axis and marks included.
    pub width: usize,
    /// Rows of the curves.
    pub height: usize,
}

/// The colour of curve `at`.
pub(crate) fn colour(at: usize) -> u8 {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or(39)
}

/// The curves with an axis of values on the left and one of times below. Values that are not finite are gaps.
pub(crate) fn draw(frame: &Frame, curves: &[Curve]) -> Vec<String> {
    let finite =
        || curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value).filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let axis = if low <= high { Axis::around(low, high) } else { Axis::around(0.0, 1.0) };
    let labels = axis.labels(frame.height);
    let left = labels.iter().flatten().map(|label| label.width()).max().unwrap_or(0);
    let columns = frame.width.saturating_sub(left + 2 + MARKS).max(10);
    let mut canvas = Canvas::new(columns, frame.height);
    let mut marks: Vec<Vec<usize>> = vec![Vec::new(); frame.height];
    let span = (frame.to - frame.from).max(1) as f64;
    let across = |at: i64| ((at - frame.from) as f64 / span * (columns * 2 - 1) as f64).round() as i64;
    let down = |value: f64| ((1.0 - axis.share(value)) * (frame.height * 4 - 1) as f64).round() as i64;
    for (number, curve) in curves.iter().enumerate() {
        let mut last: Option<(i64, i64, i64)> = None;
        for (at, value) in curve.points.iter().filter(|(_, value)| value.is_finite()) {
            let (x, y) = (across(*at), down(*value));
            match last {
                Some((before, from_x, from_y)) if at - before <= frame.joined => {
                    canvas.line((from_x, from_y), (x, y), number);
                }
                _ => canvas.dot(x, y, number),
            }
            last = Some((*at, x, y));
        }
        if let Some(row) = last.and_then(|(_, _, y)| marks.get_mut(usize::try_from(y / 4).unwrap_or(0))) {
            row.push(number);
        }
    }
    let mut lines = Vec::new();
    for (row, (label, marks)) in labels.iter().zip(&marks).enumerate() {
        let tick = if label.is_some() { '┤' } else { '│' };
        let mut text = format!("{:>left$} {tick}{}", label.as_deref().unwrap_or_default(), canvas.row(row));
        for number in marks.iter().take(MARKS) {
            let mark = curves.get(*number).map_or(' ', |curve| curve.mark);
            text.push_str(&painted(&mark.to_string(), colour(*number)));
        }
        lines.push(text.trim_end().to_owned());
    }
    lines.extend(time_axis(frame, left, columns));
    lines
}

/// The line below the curves and the times below it.
fn time_axis(frame: &Frame, left: usize, columns: usize) -> [String; 2] {
    let length = Duration::from_millis(frame.from.abs_diff(frame.to));
    let step = i64::try_from(nice_step(length, 5).as_millis()).unwrap_or(i64::MAX);
    let pattern = match (length.as_secs(), step) {
        (_, 86_400_000..) => "%m-%d",
        (86_401.., _) => "%m-%d %H:%M",
        (_, 60_000..) => "%H:%M",
        _ => "%H:%M:%S",
    };
    let mut ticks: Vec<char> = vec!['─'; columns];
    let mut texts: Vec<char> = vec![' '; left + 2 + columns + MARKS];
    let mut free = 0;
    let span = (frame.to - frame.from).max(1) as f64;
    let mut at = frame.from.div_euclid(step) * step;
    while at <= frame.to {
        if at >= frame.from {
            let column = ((at - frame.from) as f64 / span * (columns - 1) as f64).round() as usize;
            let text = formatted(at, pattern);
            let start = (left + 2 + column).saturating_sub(text.len() / 2);
            if start >= free && start + text.len() <= texts.len() {
                if let Some(tick) = ticks.get_mut(column) {
                    *tick = '┬';
                }
                for (place, character) in texts.iter_mut().skip(start).zip(text.chars()) {
                    *place = character;
                }
                free = start + text.len() + 2;
            }
        }
        at = at.saturating_add(step);
    }
    let ticks: String = ticks.into_iter().collect();
    let texts: String = texts.into_iter().collect();
    [format!("{:left$} └{ticks}", ""), texts.trim_end().to_owned()]
}

/// The axis of values: from where to where, and how far its labels are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// One that holds both values, with labels at round numbers, and 0 where it is not far.
    fn around(low: f64, high: f64) -> Self {
        let (low, high) = if low > 0.0 && low < high / 2.0 { (0.0, high) } else { (low, high) };
        let (low, high) = if high < 0.0 && high > low / 2.0 { (low, 0.0) } else { (low, high) };
        let flat = (high - low) <= high.abs().max(low.abs()) * 1e-9;
        let (low, high) = match flat {
            true if low == 0.0 => (0.0, 1.0),
            true if low > 0.0 => (0.0, high * 1.25),
            true => (low * 1.25, 0.0),
            false => (low, high),
        };
        let step = round_step((high - low) / 4.0);
        let bounds = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { low: bounds.0, high: bounds.1, step }
    }

    fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// What stands beside each of `rows` rows.
    fn labels(self, rows: usize) -> Vec<Option<String>> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        let values: Vec<f64> = (0..=count).map(|n| self.low + self.step * n as f64).collect();
        // What is left of 0.1 + 0.2 - 0.3 is no label.
        let clean = |value: &f64| if value.abs() < self.step * 1e-6 { 0.0 } else { *value };
        let mut texts = distinct(&values.iter().map(clean).collect::<Vec<_>>());
        aligned(&mut texts);
        let mut labels = vec![None; rows];
        for (value, text) in values.iter().zip(texts) {
            let row = ((1.0 - self.share(*value)) * rows.saturating_sub(1) as f64).round() as usize;
            if let Some(place) = labels.get_mut(row) {
                *place = Some(text);
            }
        }
        labels
    }
}

/// The next of 1, 2, 5, 10, … times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Cells of dots, each with the colour of the curve that was drawn last.
struct Canvas {
    columns: usize,
    cells: Vec<(u8, usize)>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { columns, cells: vec![(0, 0); columns * rows] }
    }

    fn dot(&mut self, x: i64, y: i64, curve: usize) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        let bit = DOTS.get(x % 2).and_then(|column| column.get(y % 4)).copied().unwrap_or(0);
        if x / 2 < self.columns
            && let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2)
        {
            *cell = (cell.0 | bit, curve);
        }
    }

    fn line(&mut self, from: (i64, i64), to: (i64, i64), curve: usize) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        for step in 0..=steps {
            let between = |a: i64, b: i64| a + ((b - a) as f64 * step as f64 / steps as f64).round() as i64;
            self.dot(between(from.0, to.0), between(from.1, to.1), curve);
        }
    }

    fn row(&self, row: usize) -> String {
        let cells = self.cells.iter().skip(row * self.columns).take(self.columns);
        let mut text = String::new();
        for (dots, curve) in cells {
            let shown = char::from_u32(BRAILLE + u32::from(*dots)).filter(|_| *dots != 0).unwrap_or(' ');
            match dots {
                0 => text.push(shown),
                _ => text.push_str(&painted(&shown.to_string(), colour(*curve))),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[(i64, f64)]) -> Vec<String> {
        let frame = Frame { from: 0, to: 60_000, joined: 15_000, width: 40, height: 5 };
        draw(&frame, &[Curve { points: points.to_vec(), mark: 'a' }])
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_mark_at_the_upper_right() {
        let points: Vec<(i64, f64)> = (0..=6).map(|n| (n * 10_000, n as f64)).collect();
        let lines = drawn(&points);
        assert!(lines.iter().all(|line| line.width() <= 40), "{lines:#?}");
        assert!(lines[0].starts_with("6 ┤") && lines[0].ends_with('a'), "{lines:#?}");
        assert!(lines[4].starts_with("0 ┤⣀") || lines[4].starts_with("0 ┤⡠"), "{lines:#?}");
        assert!(lines[6].contains("00:00:30"), "{lines:#?}");
    }

    #[test]
    fn a_gap_is_not_joined() {
        let lines = drawn(&[(0, 1.0), (60_000, 1.0)]);
        let dots = lines.iter().flat_map(|line| line.chars());
        assert_eq!(
            dots.filter(|c| (BRAILLE..BRAILLE + 256).contains(&u32::from(*c))).count(),
            2,
            "{lines:#?}"
        );
    }

    #[test]
    fn nothing_to_draw_leaves_an_empty_frame() {
        assert_eq!(drawn(&[]).len(), 7);
        assert_eq!(drawn(&[(0, f64::NAN), (10_000, f64::INFINITY)]).len(), 7);
    }

    #[test]
    fn labels_of_the_axis_differ_even_where_values_hardly_do() {
        let lines = drawn(&[(0, 1_795_859_000.0), (60_000, 1_795_859_120.0)]);
        assert!(lines[0].starts_with("1795859150 ┤") && lines[1].contains("1795859100 ┤"), "{lines:#?}");
    }

    #[test]
    fn an_axis_has_round_labels_and_zero_where_it_is_not_far() {
        let axis = |low, high| {
            let axis = Axis::around(low, high);
            (axis.low, axis.high)
        };
        assert_eq!(axis(0.3, 0.93), (0.0, 1.0));
        assert_eq!(axis(97.0, 103.0), (96.0, 104.0));
        assert_eq!(axis(5.0, 5.0), (0.0, 8.0));
        assert_eq!(axis(0.0, 0.0), (0.0, 1.0));
        assert_eq!(axis(-3.0, 1.0), (-3.0, 1.0));
    }
}
