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
const HEIGHT: usize = 15;

/// A plot in lines of at most `width` columns.
///
/// # Errors
/// When the answer is not over time.
pub(super) fn lines(answer: &Answer, when: When, width: usize) -> anyhow::Result<Vec<String>> {
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
    let frame = frame(&curves, when, width);
    lines.extend(draw(&frame, &curves));
    lines.push(String::new());
    lines.extend(legend(&highest, &split, &curves, &frame));
    let more = series.len() - highest.len();
    if more > 0 {
        let text =
            format!("the {CURVES} with the highest last value; {} more are left out", grouped(more as u64));
        lines.push(text);
    }
    if highest.iter().any(|(one, _)| !one.histograms.is_empty()) {
        lines.push("of histograms, the counts; --format json gives their buckets".to_owned());
    }
    Ok(lines)
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
