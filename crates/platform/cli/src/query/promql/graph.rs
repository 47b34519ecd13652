//! Values over time as curves, with a legend.

use super::split::Split;
use super::values::{called, course};
use crate::figures::{aligned, figure};
use crate::output::{grouped, painted};
use crate::plot::{Curve, Frame, colour, draw};
use crate::prometheus::{Answer, Series, When};
use crate::table::fitted;
use crate::when::formatted;
use unicode_width::UnicodeWidthStr as _;

/// Curves that can still be told apart.
const CURVES: usize = 8;
/// Rows of the curves: so many where there is room, and at least so many.
const HEIGHT: usize = 15;
const LOWEST: usize = 4;
/// Rows below the curves: their axis, and what sets the legend apart.
const BELOW: usize = 3;
/// Rows that a shell takes after a command.
const PROMPT: usize = 1;

/// A plot in lines of at most `width` columns, and of so many that a terminal of `height` rows shows them all beside its
/// prompt, unless it is very low.
///
/// # Errors
/// When the answer is not over time.
pub(super) fn lines(
    answer: &Answer,
    when: When,
    width: usize,
    height: Option<usize>,
) -> anyhow::Result<Vec<String>> {
    let Answer::Matrix(series) = answer else {
        anyhow::bail!("--format plot draws values over time; say since when with --from, as now-1h");
    };
    if series.is_empty() {
        return Ok(vec!["no series".to_owned()]);
    }
    let split = Split::of(series.iter().map(|one| &one.metric));
    let mut highest: Vec<(&Series, Vec<(i64, f64)>)> = series.iter().map(|one| (one, course(one))).collect();
    let last = |points: &[(i64, f64)]| points.last().map_or(f64::NEG_INFINITY, |(_, value)| *value);
    highest.sort_by(|(_, a), (_, b)| last(b).partial_cmp(&last(a)).unwrap_or(std::cmp::Ordering::Equal));
    highest.truncate(CURVES);
    let curves: Vec<Curve> =
        highest.iter().zip('a'..).map(|((_, points), mark)| Curve { points: points.clone(), mark }).collect();
    let mut lines = split.common_lines(width);
    let mut frame = frame(&curves, when, width);
    let mut below = legend(&highest, &split, &curves, &frame);
    let left_out = series.len() - highest.len();
    let mut notes = Vec::new();
    if left_out > 0 {
        let left_out = grouped(left_out as u64);
        notes.push(format!("the {CURVES} with the highest last value; {left_out} more are left out"));
    }
    if highest.iter().any(|(one, _)| !one.histograms.is_empty()) {
        notes.push("of histograms, the counts; --format json gives their buckets".to_owned());
    }
    if let Some(height) = height {
        let room = height.saturating_sub(rows(&lines, width) + BELOW + PROMPT);
        let wanted = below.len() + rows(&notes, width);
        frame.height = room.saturating_sub(wanted).clamp(LOWEST, HEIGHT);
        if frame.height + wanted > room {
            notes.clear();
            cut(&mut below, room.saturating_sub(frame.height), left_out);
        }
    }
    lines.extend(draw(&frame, &curves));
    lines.push(String::new());
    lines.extend(below);
    lines.extend(notes);
    Ok(lines)
}

/// Rows that lines take on a terminal, which breaks long ones.
fn rows(lines: &[String], width: usize) -> usize {
    lines.iter().map(|line| line.width().div_ceil(width).max(1)).sum()
}

/// Leaves at most so many lines, but one, and tells in the last how many series there are besides, those that are left out
/// among them.
fn cut(legend: &mut Vec<String>, lines: usize, left_out: usize) {
    let title = usize::from(legend.len() > 1);
    if left_out == 0 && legend.len() <= lines.max(1) {
        return;
    }
    let kept = lines.saturating_sub(title + 1).min(legend.len() - title);
    let gone = legend.len() - title - kept + left_out;
    legend.truncate(if kept == 0 { 0 } else { title + kept });
    legend.push(format!("… and {} more", grouped(gone as u64)));
}

fn frame(curves: &[Curve], when: When, width: usize) -> Frame {
    let times = || curves.iter().flat_map(|curve| &curve.points).map(|(at, _)| *at);
    let (from, to) = match when {
        When::Range { from, to, .. } => (from, to),
        When::Instant(_) => (times().min().unwrap_or(0), times().max().unwrap_or(0)),
    };
    let joined = match when {
        When::Range { step, .. } => step,
        // Samples as they were taken in, which come nearly evenly.
        When::Instant(_) => {
            3 * (to - from) / curves.iter().map(|c| c.points.len() as i64).max().unwrap_or(1).max(1)
        }
    };
    Frame { from, to, joined, width, height: HEIGHT }
}

/// A line for each curve: its mark, what sets it apart, its last value, and when it ended if it did.
fn legend(
    series: &[(&Series, Vec<(i64, f64)>)],
    split: &Split,
    curves: &[Curve],
    frame: &Frame,
) -> Vec<String> {
    let last = |curve: &Curve| curve.points.last().copied();
    let newest = curves.iter().filter_map(last).map(|(at, _)| at).max().unwrap_or(frame.to);
    let mut values: Vec<String> =
        curves.iter().map(|curve| last(curve).map(|(_, value)| figure(value)).unwrap_or_default()).collect();
    aligned(&mut values);
    let ended = |curve: &Curve| match last(curve) {
        Some((at, _)) if newest - at > frame.joined => format!("  until {}", formatted(at, "%H:%M:%S")),
        _ => String::new(),
    };
    let ends: Vec<String> = curves.iter().map(ended).collect();
    if let ([value], [end]) = (values.as_slice(), ends.as_slice()) {
        return vec![format!("last {value}{end}")];
    }
    let widest = |texts: &[String]| texts.iter().map(|text| text.width()).max().unwrap_or(0);
    let title = match split.differing.as_slice() {
        [only] => only.as_str(),
        _ => "",
    };
    let names: Vec<String> = series.iter().map(|(one, _)| called(split, &one.metric)).collect();
    let value = widest(&values).max("last".len());
    let room = frame.width.saturating_sub("a  ".len() + "  ".len() + value + widest(&ends));
    let name = widest(&names).max(title.width()).min(room);
    let mut lines = vec![format!("   {}  {:>value$}", fitted(title, name, false), "last")];
    for (at, (((text, last), end), curve)) in names.iter().zip(&values).zip(&ends).zip(curves).enumerate() {
        let mark = painted(&curve.mark.to_string(), colour(at));
        let line = format!("{mark}  {}  {last:>value$}{end}", fitted(text, name, false));
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: When = When::Range { from: 0, to: 3_600_000, step: 60_000 };

    fn plotted(series: usize, width: usize, height: Option<usize>) -> Vec<String> {
        let one = |at: usize| {
            format!(
                r#"{{"metric":{{"__name__":"up","job":"shop","zone":"z{at}"}},"values":[[0,"1"],[60,"{at}"]]}}"#
            )
        };
        let series: Vec<String> = (0..series).map(one).collect();
        let answer = format!(r#"{{"resultType":"matrix","result":[{}]}}"#, series.join(","));
        lines(&serde_json::from_str(&answer).unwrap(), HOUR, width, height).unwrap()
    }

    #[test]
    fn curves_give_way_to_their_legend_in_a_terminal() {
        let lines = plotted(8, 80, Some(24));
        assert_eq!(lines.len(), 23, "{lines:#?}");
        assert_eq!(lines[0], r#"up{job="shop"}"#);
        assert!(lines[22].starts_with("h  z0"), "{lines:#?}");
    }

    #[test]
    fn a_low_terminal_shows_the_first_of_the_legend_and_how_many_there_are_besides() {
        let lines = plotted(8, 40, Some(12));
        assert_eq!(lines.len(), 11, "{lines:#?}");
        assert!(lines[9].starts_with("a  z7") && lines[10] == "… and 7 more", "{lines:#?}");
        let lower = plotted(8, 40, Some(10));
        assert_eq!((lower.len(), lower[8].as_str()), (9, "… and 8 more"), "{lower:#?}");
        let many = plotted(20, 40, Some(12));
        assert_eq!((many.len(), many[10].as_str()), (11, "… and 19 more"), "{many:#?}");
    }

    #[test]
    fn a_plot_that_goes_elsewhere_has_its_full_height() {
        assert_eq!(plotted(8, 80, None).len(), 1 + HEIGHT + BELOW + 1 + CURVES);
        assert_eq!(plotted(8, 80, None), plotted(8, 80, Some(60)));
    }
}
