//! Answers as text.

use super::split::Split;
use crate::figures::{SHORT, aligned, bars, figure, short, spark};
use crate::output::grouped;
use crate::prometheus::{Answer, Bucket, Histogram, Instant, LabelSet, Millis, Number, Series};
use crate::table::{Column, fits, natural_width, render};
use crate::when::time_text;
use unicode_width::UnicodeWidthStr as _;

/// Series, or times, that are shown; other formats give all.
const SHOWN: usize = 1_000;
/// Columns that a histogram's bars or a course take.
const SKETCH: usize = 12;
/// Columns that the bar of a bucket may take.
const BAR: usize = 40;
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
    let mut lines = split.common_lines(width);
    lines.extend(in_columns(width, |figure| vector_table(series, &split, figure)));
    if series.is_empty() {
        lines.clear();
    }
    lines.push(counted(series.len()));
    lines
}

/// How numbers are written.
type Figure = fn(f64) -> String;
/// Columns, and the cells of rows.
type Table = (Vec<Column>, Vec<Vec<String>>);

/// A table with all digits of its numbers, or with few where only these leave room for columns.
fn in_columns(width: usize, table: impl Fn(Figure) -> Table) -> Vec<String> {
    let has_room = |(columns, rows): &Table| fits(columns, rows, width);
    let (whole, rounded) = (table(figure), table(short));
    if has_room(&whole) || !has_room(&rounded) {
        return rendered(&whole, width);
    }
    let mut lines = rendered(&rounded, width);
    lines.extend([String::new(), rounding()]);
    lines
}

fn rendered((columns, rows): &Table, width: usize) -> Vec<String> {
    render(columns, rows, width).trim_end().lines().map(str::to_owned).collect()
}

fn rounding() -> String {
    format!("rounded to {SHORT} digits; --format csv gives all of them")
}

fn vector_table(series: &[Instant], split: &Split, figure: Figure) -> Table {
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
            row.extend(histogram(one).map_or([const { String::new() }; 3], |h| sketch(&h, figure)));
        }
    }
    (columns, rows)
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
            short(histogram.sum.0 / histogram.count.0)
        ));
        lines.extend(bucket_lines(histogram, width));
    }
    lines
}

/// A bar for each bucket, lowest first, with all digits where these leave room for it.
fn bucket_lines(histogram: &Histogram, width: usize) -> Vec<String> {
    let shown = histogram.buckets.get(..BUCKETS).unwrap_or(&histogram.buckets);
    let highest = histogram.buckets.iter().map(|bucket| bucket.3.0).fold(0.0, f64::max);
    let (whole, rounded) = (labelled(shown, figure), labelled(shown, short));
    let room = |labels: &[String]| {
        let widest = labels.iter().map(|label| label.width()).max().unwrap_or(0);
        width.saturating_sub(widest + "  ".len()).min(BAR)
    };
    let is_rounded = room(&whole) < SKETCH && rounded != whole;
    let labels = if is_rounded { rounded } else { whole };
    let room = room(&labels);
    let told = shown.iter().zip(labels).map(|(bucket, label)| {
        let share = if highest > 0.0 { (bucket.3.0 / highest).clamp(0.0, 1.0) } else { 0.0 };
        let bar = "█".repeat((share * room as f64).round() as usize);
        format!("{label}  {bar}").trim_end().to_owned()
    });
    let mut lines: Vec<String> = told.collect();
    let more = histogram.buckets.len() - shown.len();
    if more > 0 {
        lines.push(format!("  and {more} buckets more; --format json gives all"));
    }
    lines.extend(is_rounded.then(|| format!("  {}", rounding())));
    lines
}

/// The bounds of each bucket and what it holds, as wide for each.
fn labelled(buckets: &[Bucket], figure: Figure) -> Vec<String> {
    let mut counts: Vec<String> = buckets.iter().map(|bucket| figure(bucket.3.0)).collect();
    aligned(&mut counts);
    let intervals: Vec<String> = buckets.iter().map(|bucket| interval(bucket, figure)).collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text.width()).max().unwrap_or(0);
    let (longest, widest) = (widest(&intervals), widest(&counts));
    let label = |(interval, count): (&String, &String)| format!("  {interval:<longest$}  {count:>widest$}");
    intervals.iter().zip(&counts).map(label).collect()
}

fn interval(bucket: &Bucket, figure: Figure) -> String {
    let told = bucket.interval();
    let (open, close) = (told.chars().next().unwrap_or('('), told.chars().last().unwrap_or(']'));
    format!("{open}{}, {}{close}", figure(bucket.1.0), figure(bucket.2.0))
}

/// Where the buckets begin, what they hold as bars, and where they end.
fn sketch(histogram: &Histogram, figure: Figure) -> [String; 3] {
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
    let table = |figure: Figure| {
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
        (columns, rows)
    };
    let has_room = |(columns, rows): &Table| !series.is_empty() && natural_width(columns, rows) <= width;
    let (whole, rounded) = (table(figure), table(short));
    let mut lines = match (has_room(&whole), has_room(&rounded)) {
        (true, _) => rendered(&whole, width),
        (false, true) => rendered(&rounded, width),
        (false, false) => return None,
    };
    if !has_room(&whole) {
        lines.extend([String::new(), rounding()]);
    }
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
    let mut times: Vec<i64> = courses.iter().flatten().map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.dedup();
    let mut lines = in_columns(width, |figure| summary_table(shown, &courses, &times, split, figure));
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        lines.push(String::new());
        lines.push(format!("from {} to {} UTC; --format csv gives all", time_text(*first), time_text(*last)));
    }
    lines
}

fn summary_table(
    series: &[Series],
    courses: &[Vec<(i64, f64)>],
    times: &[i64],
    split: &Split,
    figure: Figure,
) -> Table {
    let mut columns: Vec<Column> = split.differing.iter().map(|name| text(name)).collect();
    let mut rows: Vec<Vec<String>> = series.iter().map(|one| split.cells(&one.metric)).collect();
    let cells = |of: fn(&[f64]) -> f64| {
        let values = |course: &Vec<(i64, f64)>| course.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        courses.iter().map(|course| figure(of(&values(course)))).collect::<Vec<_>>()
    };
    add(&mut columns, &mut rows, "min", cells(|values| values.iter().copied().fold(f64::NAN, f64::min)));
    add(&mut columns, &mut rows, "max", cells(|values| values.iter().copied().fold(f64::NAN, f64::max)));
    add(&mut columns, &mut rows, "last", cells(|values| values.last().copied().unwrap_or(f64::NAN)));
    columns.push(text("course"));
    for (row, course) in rows.iter_mut().zip(courses) {
        let mut at = course.iter().peekable();
        let values: Vec<Option<f64>> =
            times.iter().map(|time| at.next_if(|(at, _)| at == time).map(|(_, value)| *value)).collect();
        row.push(spark(&values, SKETCH));
    }
    (columns, rows)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: &str, width: usize) -> Vec<String> {
        lines(&serde_json::from_str(result).unwrap(), width)
    }

    #[test]
    fn values_are_told_with_all_their_digits() {
        let alone = r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1,"1234567.891"]}]}"#;
        assert_eq!(told(alone, 80), [r#"{job="a"}"#, "1234567.891"]);
        let several = r#"{"resultType":"vector","result":[
            {"metric":{"job":"a"},"value":[1,"1795850123"]},{"metric":{"job":"b"},"value":[1,"0.1234567891"]}]}"#;
        assert_eq!(
            told(several, 80),
            ["job                  value", "a    1795850123", "b             0.1234567891", "\n2 series"]
        );
    }

    #[test]
    fn where_all_digits_have_no_room_it_says_so() {
        let course = |job: &str| {
            format!(
                r#"{{"metric":{{"job":"{job}"}},"values":[[1,"0.12345678912345"],[2,"0.22345678912345"]]}}"#
            )
        };
        let courses: Vec<String> = ["a", "b", "c", "d"].map(course).into();
        let answer = format!(r#"{{"resultType":"matrix","result":[{}]}}"#, courses.join(","));
        let (wide, narrow) = (told(&answer, 100), told(&answer, 70));
        assert!(wide[1].contains("0.12345678912345") && !wide.contains(&rounding()), "{wide:#?}");
        assert!(narrow[1].contains("  0.123457  ") && narrow.contains(&rounding()), "{narrow:#?}");
        assert!(narrow.iter().all(|line| line.width() <= 70), "{narrow:#?}");
    }
}
