//! Answers as text.

use super::split::Split;
use crate::figures::{aligned, bars, figure, spark};
use crate::output::grouped;
use crate::prometheus::{Answer, Histogram, Instant, LabelSet, Millis, Number, Series};
use crate::table::{Column, render};
use crate::when::time_text;
use unicode_width::UnicodeWidthStr as _;

/// Series, or times, that are shown; other formats give all.
const SHOWN: usize = 1_000;
/// Columns that a histogram's bars or a course take.
const SKETCH: usize = 12;
/// Buckets of a histogram that stands alone.
const BUCKETS: usize = 40;

/// An answer in lines of at most `width` columns.
pub(super) fn lines(answer: &Answer, width: usize) -> Vec<String> {
    match answer {
        Answer::Scalar((_, Number(value))) => vec![figure(*value)],
        Answer::String((_, text)) => vec![text.clone()],
        Answer::Vector(series) => vector(series, width),
        Answer::Matrix(series) => matrix(series, width),
    }
}

fn vector(series: &[Instant], width: usize) -> Vec<String> {
    if let [only] = series {
        return one(only, width);
    }
    let split = Split::of(series.iter().map(|one| &one.metric));
    let shown = series.get(..SHOWN).unwrap_or(series);
    let mut columns: Vec<Column> = split.differing.iter().map(|name| text(name)).collect();
    let mut rows: Vec<Vec<String>> = shown.iter().map(|one| split.cells(&one.metric)).collect();
    let histogram = |one: &Instant| one.histogram.as_ref().map(|(_, histogram)| histogram.clone());
    if shown.iter().any(|one| one.value.is_some()) {
        let value = |one: &Instant| one.value.map(|(_, Number(value))| figure(value)).unwrap_or_default();
        add(&mut columns, &mut rows, "value", shown.iter().map(value).collect());
    }
    if shown.iter().any(|one| one.histogram.is_some()) {
        let cell = |of: fn(&Histogram) -> f64| {
            shown.iter().map(|one| histogram(one).map(|h| figure(of(&h))).unwrap_or_default()).collect()
        };
        add(&mut columns, &mut rows, "count", cell(|h| h.count.0));
        add(&mut columns, &mut rows, "sum", cell(|h| h.sum.0));
        columns.push(text("from"));
        columns.push(text("buckets"));
        columns.push(text("to"));
        for (row, one) in rows.iter_mut().zip(shown) {
            row.extend(histogram(one).map_or([const { String::new() }; 3], |h| sketch(&h)));
        }
    }
    let mut lines = split.common_lines(width);
    lines.extend(render(&columns, &rows, width).trim_end().lines().map(str::to_owned));
    if series.is_empty() {
        lines.clear();
    }
    lines.push(counted(series.len()));
    lines
}

/// A series that stands alone.
fn one(series: &Instant, width: usize) -> Vec<String> {
    let mut lines = Split::of(std::iter::once(&series.metric)).common_lines(width);
    if let Some((_, Number(value))) = series.value {
        lines.push(figure(value));
    }
    if let Some((_, histogram)) = &series.histogram {
        lines.push(format!(
            "count {}, sum {}, average {}",
            figure(histogram.count.0),
            figure(histogram.sum.0),
            figure(histogram.sum.0 / histogram.count.0)
        ));
        lines.extend(bucket_lines(histogram, width));
    }
    lines
}

/// A bar for each bucket, lowest first.
fn bucket_lines(histogram: &Histogram, width: usize) -> Vec<String> {
    let shown = histogram.buckets.get(..BUCKETS).unwrap_or(&histogram.buckets);
    let highest = histogram.buckets.iter().map(|bucket| bucket.3.0).fold(0.0, f64::max);
    let mut counts: Vec<String> = shown.iter().map(|bucket| figure(bucket.3.0)).collect();
    aligned(&mut counts);
    let longest = shown.iter().map(|bucket| interval(bucket).width()).max().unwrap_or(0);
    let widest = counts.iter().map(|count| count.width()).max().unwrap_or(0);
    let room = width.saturating_sub(longest + widest + 6).min(40);
    let told = shown.iter().zip(counts).map(|(bucket, count)| {
        let share = if highest > 0.0 { (bucket.3.0 / highest).clamp(0.0, 1.0) } else { 0.0 };
        let bar = "█".repeat((share * room as f64).round() as usize);
        format!("  {:<longest$}  {count:>widest$}  {bar}", interval(bucket)).trim_end().to_owned()
    });
    let mut lines: Vec<String> = told.collect();
    let more = histogram.buckets.len() - shown.len();
    if more > 0 {
        lines.push(format!("  and {more} buckets more; --format json gives all"));
    }
    lines
}

fn interval(bucket: &crate::prometheus::Bucket) -> String {
    let told = bucket.interval();
    let (open, close) = (told.chars().next().unwrap_or('('), told.chars().last().unwrap_or(']'));
    format!("{open}{}, {}{close}", figure(bucket.1.0), figure(bucket.2.0))
}

/// Where the buckets begin, what they hold as bars, and where they end.
fn sketch(histogram: &Histogram) -> [String; 3] {
    let (Some(first), Some(last)) = (histogram.buckets.first(), histogram.buckets.last()) else {
        return [const { String::new() }; 3];
    };
    let counts: Vec<f64> = histogram.buckets.iter().map(|bucket| bucket.3.0).collect();
    [figure(first.1.0), bars(&counts, SKETCH), figure(last.2.0)]
}

fn matrix(series: &[Series], width: usize) -> Vec<String> {
    let split = Split::of(series.iter().map(|one| &one.metric));
    let mut lines = split.common_lines(width);
    match by_time(series, &split, width) {
        Some(table) => lines.extend(table),
        None => lines.extend(summary(series, &split, width)),
    }
    if series.iter().any(|one| !one.histograms.is_empty()) {
        lines.push("of histograms, the counts; --format json gives their buckets".to_owned());
    }
    if series.len() != 1 {
        lines.push(counted(series.len()));
    }
    lines
}

/// A row for each time and a column for each series, where they fit.
fn by_time(series: &[Series], split: &Split, width: usize) -> Option<Vec<String>> {
    let title = |one: &Series| match split.differing_text(&one.metric) {
        empty if empty.is_empty() => "value".to_owned(),
        told => told,
    };
    let courses: Vec<Vec<(i64, f64)>> = series.iter().map(course).collect();
    let mut times: Vec<i64> = courses.iter().flatten().map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.dedup();
    let shown = times.get(..SHOWN).unwrap_or(&times);
    let mut columns = vec![text("time (UTC)")];
    let mut rows: Vec<Vec<String>> = shown.iter().map(|at| vec![time_text(*at)]).collect();
    for (one, course) in series.iter().zip(&courses) {
        let mut at = course.iter().peekable();
        let cells = shown.iter().map(|time| match at.next_if(|(at, _)| at == time) {
            Some((_, value)) => figure(*value),
            None => String::new(),
        });
        add(&mut columns, &mut rows, &title(one), cells.collect());
    }
    let natural: usize = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max();
            widest.unwrap_or(0).max(column.title.width()) + 2
        })
        .sum();
    if series.is_empty() || natural > width + 2 {
        return None;
    }
    let mut lines: Vec<String> =
        render(&columns, &rows, width).trim_end().lines().map(str::to_owned).collect();
    if times.len() > SHOWN {
        let (all, some) = (grouped(times.len() as u64), grouped(SHOWN as u64));
        lines.push(format!("{all} times, the first {some} shown; --format csv gives all"));
    }
    Some(lines)
}

/// A row for each series: where it began and ended, between which values, and its course.
fn summary(series: &[Series], split: &Split, width: usize) -> Vec<String> {
    if series.is_empty() {
        return Vec::new();
    }
    let shown = series.get(..SHOWN).unwrap_or(series);
    let courses: Vec<Vec<(i64, f64)>> = shown.iter().map(course).collect();
    let mut columns: Vec<Column> = split.differing.iter().map(|name| text(name)).collect();
    let mut rows: Vec<Vec<String>> = shown.iter().map(|one| split.cells(&one.metric)).collect();
    let cells = |of: fn(&[f64]) -> f64| {
        let values = |course: &Vec<(i64, f64)>| course.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        courses.iter().map(|course| figure(of(&values(course)))).collect::<Vec<_>>()
    };
    add(&mut columns, &mut rows, "min", cells(|values| values.iter().copied().fold(f64::NAN, f64::min)));
    add(&mut columns, &mut rows, "max", cells(|values| values.iter().copied().fold(f64::NAN, f64::max)));
    add(&mut columns, &mut rows, "last", cells(|values| values.last().copied().unwrap_or(f64::NAN)));
    columns.push(text("course"));
    let mut times: Vec<i64> = courses.iter().flatten().map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.dedup();
    for (row, course) in rows.iter_mut().zip(&courses) {
        let mut at = course.iter().peekable();
        let values: Vec<Option<f64>> =
            times.iter().map(|time| at.next_if(|(at, _)| at == time).map(|(_, value)| *value)).collect();
        row.push(spark(&values, SKETCH));
    }
    let mut lines: Vec<String> =
        render(&columns, &rows, width).trim_end().lines().map(str::to_owned).collect();
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        lines.push(String::new());
        lines.push(format!(
            "from {} to {} UTC; --format csv gives every value",
            time_text(*first),
            time_text(*last)
        ));
    }
    lines
}

/// Times and values, ascending; of histograms the counts.
pub(super) fn course(series: &Series) -> Vec<(i64, f64)> {
    let floats = series.values.iter().map(|(Millis(at), Number(value))| (*at, *value));
    let counts = series.histograms.iter().map(|(Millis(at), histogram)| (*at, histogram.count.0));
    let mut all: Vec<(i64, f64)> = floats.chain(counts).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

/// What a series is called where only what differs counts.
pub(super) fn called(split: &Split, labels: &LabelSet) -> String {
    match split.differing_text(labels) {
        empty if empty.is_empty() => "{}".to_owned(),
        told => told,
    }
}

fn text(title: &str) -> Column {
    Column { title: title.to_owned(), numeric: false }
}

fn add(columns: &mut Vec<Column>, rows: &mut [Vec<String>], title: &str, mut cells: Vec<String>) {
    aligned(&mut cells);
    columns.push(Column { title: title.to_owned(), numeric: true });
    for (row, cell) in rows.iter_mut().zip(cells) {
        row.push(cell);
    }
}

fn counted(series: usize) -> String {
    match series {
        0 => "no series".to_owned(),
        1 => "1 series".to_owned(),
        many if many > SHOWN => {
            let (all, some) = (grouped(many as u64), grouped(SHOWN as u64));
            format!("\n{all} series, the first {some} shown; --format csv gives all")
        }
        many => format!("\n{} series", grouped(many as u64)),
    }
}
