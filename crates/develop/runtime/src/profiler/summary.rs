//! What a profiler has measured, for people and programs.

use std::fmt;

use kandela_algebra::merge::{Approximate, Commutative, Merge, Sum};
use kandela_algebra::tree::Tree;
use serde_json::{Value, json};

use super::export;
use super::paths::OTHER;
use super::times::PathTimes;

/// The times of operations, by call path. Summaries merge: of processes, or of days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceSummary {
    tree: Tree<PathTimes>,
}

/// One line of a summary.
pub(super) struct Row<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) times: &'a PathTimes,
    /// Of each level, whether it is the last child there.
    is_last: Vec<bool>,
}

impl TraceSummary {
    pub(super) fn add(&mut self, path: &[&'static str], times: &PathTimes) {
        self.tree.add(path.iter().copied(), times);
    }

    /// The times of each path; those of the root are empty.
    pub fn tree(&self) -> &Tree<PathTimes> {
        &self.tree
    }

    /// The times of one path, if operations of it have ended.
    pub fn times<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&PathTimes> {
        self.tree.at(path).map(Tree::value).filter(|times| !times.is_empty())
    }

    /// How many operations the limits left no path of their own: they are counted as the path [`OTHER`].
    pub fn folded(&self) -> u64 {
        self.times([OTHER]).map_or(0, |times| times.count.0)
    }

    /// The nanoseconds in which threads were at each path itself: what flame graphs show. The difference of two is a
    /// differential profile.
    pub fn own_times(&self) -> Tree<Sum> {
        self.tree.map(|times| times.own)
    }

    /// Stacks for flame graphs, `a;b;c 123` a line, in nanoseconds of own time (the collapsed format of Brendan Gregg's
    /// FlameGraph, which `inferno`, speedscope and Pyroscope read). In names, `;` becomes `:`, and line breaks become spaces.
    pub fn collapsed(&self) -> String {
        export::collapsed::write(self)
    }

    /// A file for <https://www.speedscope.app>, called `name` there: a sampled profile whose weights are nanoseconds of own time.
    pub fn speedscope(&self, name: &str) -> String {
        export::speedscope::write(self, name)
    }

    /// Prometheus' text format 0.0.4: for each path a histogram `trace_operation_seconds` whose bounds are powers of two, and
    /// counters of own and idle time. Labels: `path`, as in [`collapsed`](TraceSummary::collapsed), and `operation`, its last name.
    /// The counts are exact: a bound is also one of the histogram that was recorded.
    pub fn prometheus(&self) -> String {
        export::prometheus::write(self)
    }

    /// Each path as a JSON object of a list: `path`, `count`; in nanoseconds `total`, `own`, `idle`; in seconds `p50`, `p90`,
    /// `p99`, `max`. Parents stand before their children.
    pub fn to_json(&self) -> Value {
        self.rows().iter().map(|row| row_json(row)).collect()
    }

    /// Every path, parents before their children, and of siblings the one that took most first.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        below(&self.tree, &mut Vec::new(), &mut Vec::new(), &mut rows);
        rows
    }
}

fn below<'t>(
    node: &'t Tree<PathTimes>,
    path: &mut Vec<&'t str>,
    is_last: &mut Vec<bool>,
    rows: &mut Vec<Row<'t>>,
) {
    let mut children: Vec<(&str, &Tree<PathTimes>)> = node.children().collect();
    children.sort_by_key(|(_, child)| std::cmp::Reverse(child.value().total.0));
    let last = children.len().saturating_sub(1);
    for (position, (name, child)) in children.into_iter().enumerate() {
        path.push(name);
        is_last.push(position == last);
        rows.push(Row { path: path.clone(), times: child.value(), is_last: is_last.clone() });
        below(child, path, is_last, rows);
        is_last.pop();
        path.pop();
    }
}

fn row_json(row: &Row<'_>) -> Value {
    let times = row.times;
    json!({
        "path": row.path,
        "count": times.count.0,
        "total": nanos(times.total),
        "own": nanos(times.own),
        "idle": nanos(times.idle),
        "p50": times.durations.quantile(0.5),
        "p90": times.durations.quantile(0.9),
        "p99": times.durations.quantile(0.99),
        "max": times.durations.max(),
    })
}

fn nanos(sum: Sum) -> u64 {
    u64::try_from(sum.0).unwrap_or(if sum.0 < 0 { 0 } else { u64::MAX })
}

impl Merge for TraceSummary {
    fn empty(&self) -> Self {
        TraceSummary::default()
    }
    fn merge_from(&mut self, other: &Self) {
        self.tree.merge_from(&other.tree);
    }
}
impl Commutative for TraceSummary {}
impl Approximate for TraceSummary {}

const COLUMNS: [&str; 9] = ["operation", "count", "total", "own", "idle", "p50", "p90", "p99", "max"];

/// A tree with its figures in columns.
impl fmt::Display for TraceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.rows().iter().map(columns));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
        for line in &lines {
            write!(f, "{:<1$}", line[0], widths[0])?;
            for (text, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {text:>width$}")?;
            }
            writeln!(f)?;
        }
        if self.folded() > 0 {
            writeln!(f, "{} operations were beyond the limits on paths and depth: {OTHER}", self.folded())?;
        }
        Ok(())
    }
}

fn columns(row: &Row<'_>) -> [String; 9] {
    let times = row.times;
    let quantile = |q: f64| times.durations.quantile(q).map_or_else(|| "–".to_owned(), duration);
    let sum = |sum: Sum| if sum.0 == 0 { "–".to_owned() } else { duration(sum.0 as f64 / 1e9) };
    [
        branch(row),
        times.count.0.to_string(),
        sum(times.total),
        sum(times.own),
        sum(times.idle),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        times.durations.max().map_or_else(|| "–".to_owned(), duration),
    ]
}

/// The name, with the lines that lead to it.
fn branch(row: &Row<'_>) -> String {
    let mut text = String::new();
    if let Some((is_last, above)) = row.is_last.split_last().filter(|(_, above)| !above.is_empty()) {
        above[1..].iter().for_each(|&is_last| text.push_str(if is_last { "   " } else { "│  " }));
        text.push_str(if *is_last { "└─ " } else { "├─ " });
    }
    let name = row.path.last().copied().unwrap_or_default();
    text.extend(name.chars().map(|c| if c.is_control() { ' ' } else { c }));
    text
}

/// Three digits and a unit.
fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let digits = match value {
        v if unit == "ns" || v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}
