//! Native histograms as scripts write them: `{{schema:1 count:22 sum:3 buckets:[5 10 7]}}`.

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, ResetHint};

use super::cursor::Cursor;
use super::literal::{take_number, take_signed};

/// A histogram that a script wrote.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) histogram: Histogram,
    /// Whether its reset hint was written.
    pub(super) hint_given: bool,
}

/// Reads the histogram at the front.
pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Literal, String> {
    if !cursor.eat("{{") {
        return Err(format!("a histogram was expected at {}", cursor.here()));
    }
    let mut parts = Parts::default();
    loop {
        cursor.skip_blanks();
        if cursor.eat("}}") {
            return parts.literal();
        }
        let at = cursor.here();
        let key = cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_').to_ascii_lowercase();
        if !cursor.eat(":") {
            return Err(format!("a part of a histogram such as buckets:[5 10 7] was expected at {at}"));
        }
        parts.take(&key, cursor)?;
    }
}

#[derive(Default)]
struct Parts {
    schema: Option<i64>,
    sum: Option<f64>,
    count: Option<f64>,
    zero_count: Option<f64>,
    zero_threshold: Option<f64>,
    custom_bounds: Option<Vec<f64>>,
    buckets: Option<Vec<f64>>,
    offset: Option<i64>,
    negative_buckets: Option<Vec<f64>>,
    negative_offset: Option<i64>,
    reset_hint: Option<ResetHint>,
}

impl Parts {
    fn take(&mut self, key: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let is_new = match key {
            "schema" => self.schema.replace(take_integer(cursor)?).is_none(),
            "sum" => self.sum.replace(take_signed(cursor)?).is_none(),
            "count" => self.count.replace(take_signed(cursor)?).is_none(),
            "z_bucket" => self.zero_count.replace(take_signed(cursor)?).is_none(),
            "z_bucket_w" => self.zero_threshold.replace(take_number(cursor)?).is_none(),
            "custom_values" => self.custom_bounds.replace(take_list(cursor)?).is_none(),
            "buckets" => self.buckets.replace(take_list(cursor)?).is_none(),
            "offset" => self.offset.replace(take_integer(cursor)?).is_none(),
            "n_buckets" => self.negative_buckets.replace(take_list(cursor)?).is_none(),
            "n_offset" => self.negative_offset.replace(take_integer(cursor)?).is_none(),
            "counter_reset_hint" => self.reset_hint.replace(take_hint(cursor)?).is_none(),
            _ => return Err(format!("{key:?} is no part of a histogram")),
        };
        if is_new { Ok(()) } else { Err(format!("{key} stands twice in one histogram")) }
    }

    fn literal(self) -> Result<Literal, String> {
        let schema = self.schema.unwrap_or_default();
        let (positive_spans, positive_buckets) = side(self.buckets, self.offset)?;
        let (negative_spans, negative_buckets) = side(self.negative_buckets, self.negative_offset)?;
        let histogram = Histogram {
            schema: read_schema(schema)?,
            count: self.count.unwrap_or_default(),
            sum: self.sum.unwrap_or_default(),
            zero_threshold: self.zero_threshold.unwrap_or_default(),
            zero_count: self.zero_count.unwrap_or_default(),
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_bounds: self.custom_bounds.unwrap_or_default(),
            is_float: true,
            reset_hint: self.reset_hint.unwrap_or_default(),
            start: None,
        };
        Ok(Literal { histogram, hint_given: self.reset_hint.is_some() })
    }
}

/// Prometheus knows more schemas than it keeps.
fn read_schema(schema: i64) -> Result<i8, String> {
    match i8::try_from(schema) {
        Ok(known) if (-9..=52).contains(&known) || known == CUSTOM_BOUNDS_SCHEMA => Ok(known),
        _ => Err(format!("there is no schema {schema}")),
    }
}

fn side(buckets: Option<Vec<f64>>, offset: Option<i64>) -> Result<(Vec<BucketSpan>, Vec<f64>), String> {
    let buckets = buckets.unwrap_or_default();
    if buckets.is_empty() {
        return Ok((Vec::new(), buckets));
    }
    let offset = offset.unwrap_or_default();
    let offset = i32::try_from(offset).map_err(|_| format!("offset {offset} is too far"))?;
    let length = u32::try_from(buckets.len()).map_err(|_| "there are too many buckets".to_owned())?;
    Ok((vec![BucketSpan { offset, length }], buckets))
}

fn take_integer(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let start = *cursor;
    let sign = if cursor.eat("-") { -1 } else { 1 };
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let value: i64 =
        digits.parse().map_err(|_| format!("a whole number was expected at {}", start.here()))?;
    Ok(sign * value)
}

fn take_list(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, String> {
    if !cursor.eat("[") {
        return Err(format!("[ was expected at {}", cursor.here()));
    }
    let mut list = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.eat("]") {
            return Ok(list);
        }
        list.push(take_signed(cursor)?);
    }
}

fn take_hint(cursor: &mut Cursor<'_>) -> Result<ResetHint, String> {
    let word = cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_');
    match word.to_ascii_lowercase().as_str() {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NotReset),
        "gauge" => Ok(ResetHint::Gauge),
        _ => Err(format!("{word:?} is no reset hint; those are unknown, reset, not_reset and gauge")),
    }
}

/// `left` plus or minus `right`, at the resolution of `left`.
pub(super) fn combine(left: &Histogram, right: &Histogram, subtract: bool) -> Result<Histogram, String> {
    if left.schema > right.schema {
        return Err(format!(
            "a histogram of schema {} cannot be added to one of schema {}",
            right.schema, left.schema
        ));
    }
    let mut total = left.clone();
    let right = if subtract { negated(right) } else { right.clone() };
    total.add(&right).map_err(|error| error.to_string())?;
    total.reset_hint = match (left.reset_hint, right.reset_hint) {
        (a, b) if a == b => a,
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    };
    Ok(total)
}

fn negated(histogram: &Histogram) -> Histogram {
    let mut negated = histogram.clone();
    let counts = negated.positive_buckets.iter_mut().chain(&mut negated.negative_buckets);
    counts.for_each(|count| *count = -*count);
    negated.count = -negated.count;
    negated.sum = -negated.sum;
    negated.zero_count = -negated.zero_count;
    negated
}
