//! Functions that change labels, or sort by them.

use kandela_config::re2;
use kandela_config::relabel::Template;

use super::control::Control;
use super::labels;
use super::value::Series;
use super::{Evaluated, failed, named};

/// `label_replace(v, to, replacement, from, regex)`.
pub(super) fn replace(
    mut series: Vec<Series>,
    texts: &[String],
    count: usize,
    control: &Control,
) -> Evaluated<Vec<Series>> {
    let [to, replacement, from, pattern] = texts else { return failed("label_replace takes five arguments") };
    let Ok(regex) = re2::anchored(pattern) else {
        return failed(format!("invalid regular expression in label_replace(): {pattern}"));
    };
    if to.is_empty() {
        return failed(format!("invalid destination label name in label_replace(): {to}"));
    }
    let replacement = Template::new(replacement, &regex);
    for one in &mut series {
        let value = one.labels.get(from).unwrap_or_default().to_owned();
        if let Some(captures) = regex.captures(&value) {
            room_for(replacement.expanded_len(&captures), control)?;
            if to == kandela_model::METRIC_NAME {
                one.drop_name = false;
            }
            one.labels = labels::with(&one.labels, to, &replacement.expand(&captures));
        }
    }
    distinct(series, count)
}

/// `label_join(v, to, separator, from…)`.
pub(super) fn join(
    mut series: Vec<Series>,
    texts: &[String],
    count: usize,
    control: &Control,
) -> Evaluated<Vec<Series>> {
    let [to, separator, from @ ..] = texts else { return failed("label_join takes three arguments or more") };
    if from.iter().any(String::is_empty) {
        return failed("invalid source label name in label_join(): ");
    }
    if to.is_empty() {
        return failed(format!("invalid destination label name in label_join(): {to}"));
    }
    for one in &mut series {
        let values: Vec<&str> = from.iter().map(|name| one.labels.get(name).unwrap_or_default()).collect();
        let separators = separator.len() * values.len().saturating_sub(1);
        room_for(values.iter().map(|value| value.len()).sum::<usize>() + separators, control)?;
        let joined = values.join(separator);
        if to == kandela_model::METRIC_NAME {
            one.drop_name = false;
        }
        one.labels = labels::with(&one.labels, to, &joined);
    }
    distinct(series, count)
}

/// Bytes that a value of a label may have; Prometheus ends a query at sixteen times as many.
const LONGEST_VALUE: usize = 1 << 20;

/// Whether a value of so many bytes may be.
fn room_for(length: usize, control: &Control) -> Evaluated<()> {
    if length > LONGEST_VALUE {
        return failed(format!(
            "String too long to encode as label: {length} bytes, more than {LONGEST_VALUE}"
        ));
    }
    control.hold(0, length)
}

/// Series that became one must not have values at one time.
fn distinct(series: Vec<Series>, count: usize) -> Evaluated<Vec<Series>> {
    let (dropping, keeping): (Vec<Series>, Vec<Series>) = series.into_iter().partition(|one| one.drop_name);
    let mut all = named(keeping, count)?;
    all.extend(dropping);
    Ok(all)
}

/// By labels in natural order, then by all labels.
pub(super) fn sorted(mut series: Vec<Series>, by: &[String], descending: bool) -> Vec<Series> {
    series.sort_by(|a, b| {
        let by_labels = by.iter().map(|name| {
            let (a, b) = (a.labels.get(name).unwrap_or_default(), b.labels.get(name).unwrap_or_default());
            natural(a, b)
        });
        let order = by_labels.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
        let order = order.then_with(|| labels::compare(&a.labels, &b.labels));
        if descending { order.reverse() } else { order }
    });
    series
}

/// Runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let split = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let ((number_a, rest_a), (number_b, rest_b)) = (a.split_at(split(a)), b.split_at(split(b)));
            let (plain_a, plain_b) = (number_a.trim_start_matches('0'), number_b.trim_start_matches('0'));
            let order = plain_a.len().cmp(&plain_b.len()).then_with(|| plain_a.cmp(plain_b));
            let order = order.then(number_a.len().cmp(&number_b.len()));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x != y {
            return x.cmp(&y);
        } else {
            let width = x.len_utf8();
            (a, b) = (a.get(width..).unwrap_or_default(), b.get(width..).unwrap_or_default());
        }
    }
}
