//! The report as one page that needs nothing else: how the search went, and what each knob did.

use std::fmt::Write as _;

use kandela_tune::Outcome;

use super::{course, wire_text};
use crate::figures::short;
use crate::tune::record::{Part, Row};
use crate::tune::search::{Done, Plan, outcome};

/// A plot's width and height, and the room for its axes, in CSS pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const BELOW: f64 = 28.0;

const STYLE: &str = "
:root { --surface: #ffffff; --raised: #f6f7f9; --ink: #16191d; --muted: #5b6570; --accent: #2f5fd0; --bad: #c0392b; --grid: #d9dde2 }
@media (prefers-color-scheme: dark) {
  :root { --surface: #0f1216; --raised: #171b21; --ink: #e8ebef; --muted: #98a2ad; --accent: #7ba2ff; --bad: #ef7a6b; --grid: #2a3038 } }
body { background: var(--surface); color: var(--ink); font: 13px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; margin: 24px; max-width: 1320px }
h1 { font-size: 18px } h2 { font-size: 14px; margin-top: 24px }
pre { background: var(--raised); padding: 16px; overflow-x: auto }
.plots { display: flex; flex-wrap: wrap; gap: 16px } figure { margin: 0; background: var(--raised); padding: 8px }
figcaption { color: var(--muted) } svg text { fill: var(--muted); font: 11px system-ui, sans-serif }
.kept { fill: var(--accent); fill-opacity: .65 } .broken { fill: none; stroke: var(--bad) } .best { fill: none; stroke: var(--ink); stroke-width: 1.5 }
.axis { stroke: var(--grid) } .chosen { fill: none; stroke: var(--ink); stroke-width: 2 }
table { border-collapse: collapse } td, th { padding: 2px 12px 2px 0; text-align: right } th { color: var(--muted); font-weight: normal }
";

/// One mark of a plot.
struct Dot {
    x: f64,
    y: f64,
    kept: bool,
    chosen: bool,
    title: String,
}

/// The page; `answer` are the lines that the terminal shows.
pub(super) fn page(plan: &Plan, done: &Done, answer: &[String]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>kandela tune: {}</title><style>{STYLE}</style>\
         <h1>What are the better settings?</h1><pre>{}</pre>",
        escaped(&plan.command),
        escaped(&answer.join("\n"))
    );
    page += "<h2>How the search went</h2><div class=\"plots\">";
    page += &progress_plot(plan, done);
    page += "</div><h2>What each knob did</h2><p class=\"hint\">Each mark is a trial: filled, it kept every constraint; hollow, it did not; ringed, it is recommended.</p><div class=\"plots\">";
    for (axis, parameter) in (0..plan.space.axes().len()).map(|axis| (axis, plan.space.axis_parameter(axis)))
    {
        page += &knob_plot(plan, done, axis, &parameter.spec.name);
    }
    page += "</div><h2>Trials</h2>";
    page += &table(plan, done);
    page
}

fn progress_plot(plan: &Plan, done: &Done) -> String {
    let course = course(plan, done);
    let trials = course.len().max(2) as f64 - 1.0;
    let rows: Vec<&Row> = done.rows.iter().filter(|row| row.part == Part::Search).collect();
    let dots: Vec<Dot> = rows
        .iter()
        .zip(&course)
        .enumerate()
        .filter_map(|(index, (row, (value, _)))| Some(dot(plan, done, row, index as f64 / trials, (*value)?)))
        .collect();
    let best: Vec<(f64, f64)> = course
        .iter()
        .enumerate()
        .filter_map(|(index, (_, best))| Some((index as f64 / trials, (*best)?)))
        .collect();
    let ends = ["1".to_owned(), course.len().to_string()];
    plot("trial", &plan.objective, &dots, &best, &ends)
}

fn knob_plot(plan: &Plan, done: &Done, axis: usize, name: &str) -> String {
    let points = done.study.history().trials().iter();
    let rows = done.rows.iter().filter(|row| row.part == Part::Search);
    let dots: Vec<Dot> = points
        .zip(rows)
        .filter(|(_, row)| row.config.contains_key(name))
        .filter_map(|(trial, row)| {
            Some(dot(plan, done, row, *trial.point.get(axis)?, trial.measured()?.value))
        })
        .map(|dot| Dot { y: plan.as_printed(dot.y), ..dot })
        .collect();
    let end = |coordinate: f64| {
        let mut point = plan.space.start();
        if let Some(place) = point.get_mut(axis) {
            *place = coordinate;
        }
        let shown = super::shown(&plan.space.decode(&point));
        shown.get(name).map(wire_text).unwrap_or_default()
    };
    plot(name, &plan.objective, &dots, &[], &[end(0.0), end(1.0)])
}

fn dot(plan: &Plan, done: &Done, row: &Row, x: f64, y: f64) -> Dot {
    let kept = matches!(outcome(plan, row), Outcome::Measured(measured) if measured.feasible);
    let chosen = done.best.as_ref().is_some_and(|best| best.id == row.id);
    let settings: Vec<String> =
        row.config.iter().map(|(name, value)| format!("{name}={}", wire_text(value))).collect();
    Dot { x, y, kept, chosen, title: format!("trial {}: {}\n{}", row.id + 1, short(y), settings.join("\n")) }
}

/// Marks over a line, `x` from 0 to 1, on a logarithmic scale where values spread over more than two orders of magnitude.
fn plot(x_name: &str, y_name: &str, dots: &[Dot], line: &[(f64, f64)], ends: &[String; 2]) -> String {
    let values = || dots.iter().map(|dot| dot.y);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let log = low > 0.0 && high / low > 100.0;
    let scaled = |value: f64| if log { value.ln() } else { value };
    let span = if high > low { scaled(high) - scaled(low) } else { 1.0 };
    let across = |x: f64| LEFT + 8.0 + x.clamp(0.0, 1.0) * (WIDTH - LEFT - 24.0);
    let down =
        |y: f64| 12.0 + (1.0 - (scaled(y) - scaled(low)) / span).clamp(0.0, 1.0) * (HEIGHT - BELOW - 24.0);
    let mut svg = format!(
        "<figure><svg width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{} by {}\">\
         <path class=\"axis\" d=\"M{LEFT} 4V{b}H{WIDTH}\" fill=\"none\"/>",
        escaped(y_name),
        escaped(x_name),
        b = HEIGHT - BELOW
    );
    if dots.is_empty() {
        let _ = write!(svg, "<text x=\"{}\" y=\"{}\">no trial has a value</text>", LEFT + 12.0, HEIGHT / 2.0);
    } else {
        for value in [low, high] {
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                down(value) + 4.0,
                short(value)
            );
        }
    }
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{y}\">{}</text><text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
        LEFT + 4.0,
        escaped(&ends[0]),
        WIDTH - 8.0,
        escaped(&ends[1]),
        y = HEIGHT - BELOW + 16.0
    );
    if !line.is_empty() {
        let path: Vec<String> =
            line.iter().map(|(x, y)| format!("{:.1} {:.1}", across(*x), down(*y))).collect();
        let _ = write!(svg, "<path class=\"best\" d=\"M{}\"/>", path.join("L"));
    }
    for dot in dots {
        let class = if dot.kept { "kept" } else { "broken" };
        let (x, y) = (across(dot.x), down(dot.y));
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
            escaped(&dot.title)
        );
        if dot.chosen {
            let _ = write!(svg, "<circle class=\"chosen\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\"/>");
        }
    }
    let scale = if log { ", logarithmic" } else { "" };
    let _ = write!(
        svg,
        "</svg><figcaption>{} by {}{scale}</figcaption></figure>",
        escaped(y_name),
        escaped(x_name)
    );
    svg
}

fn table(plan: &Plan, done: &Done) -> String {
    let names: Vec<&str> =
        plan.space.parameters().iter().map(|parameter| parameter.spec.name.as_str()).collect();
    let mut text = "<table><tr><th>trial".to_owned();
    names.iter().for_each(|name| text += &format!("<th>{}", escaped(name)));
    text += &format!("<th>{}<th>seconds<th>", escaped(&plan.objective));
    for row in &done.rows {
        let part = match row.part {
            Part::Search => (row.id + 1).to_string(),
            Part::Best => format!("round {}, best", row.id + 1),
            Part::Defaults => format!("round {}, defaults", row.id + 1),
            Part::Compared(at) => {
                let name = plan.compared.get(at).map_or("others", |compared| compared.name.as_str());
                format!("round {}, {name}", row.id + 1)
            }
        };
        text += &format!("<tr><td>{part}");
        for name in &names {
            text += &format!("<td>{}", escaped(&row.config.get(*name).map(wire_text).unwrap_or_default()));
        }
        let (value, note) = match outcome(plan, row) {
            Outcome::Measured(measured) => {
                let note = if measured.feasible { "" } else { "■ broke a constraint" };
                (short(plan.as_printed(measured.value)), note.to_owned())
            }
            Outcome::Failed => {
                (String::new(), format!("■ failed: {}", row.failed.as_deref().unwrap_or_default()))
            }
        };
        text += &format!("<td>{value}<td>{:.1}<td style=\"text-align:left\">{}", row.seconds, escaped(&note));
    }
    text + "</table>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_printed_is_no_markup() {
        let dots = [Dot { x: 0.5, y: 1.0, kept: true, chosen: true, title: "<script>".to_owned() }];
        let svg = plot("a<b", "value", &dots, &[], &["\"".to_owned(), String::new()]);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && svg.contains("a&lt;b"));
    }

    #[test]
    fn values_over_several_orders_of_magnitude_are_drawn_on_a_logarithmic_scale() {
        let dot = |y: f64| Dot { x: 0.5, y, kept: true, chosen: false, title: String::new() };
        let ends = [String::new(), String::new()];
        assert!(plot("x", "y", &[dot(1.0), dot(1000.0)], &[], &ends).contains("logarithmic"));
        assert!(!plot("x", "y", &[dot(-1.0), dot(1000.0)], &[], &ends).contains("logarithmic"));
    }
}
