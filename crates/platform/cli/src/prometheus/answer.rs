//! The values of queries.

use std::collections::BTreeMap;

use kandela_config::NameValidation;
use kandela_model::METRIC_NAME;
use kandela_promql::ast::{Expr, Kind, Span};
use serde::{Deserialize, Serialize};

use super::number::{Millis, Number, number_text};

/// Labels by name, `__name__` among them.
pub(crate) type LabelSet = BTreeMap<String, String>;

/// The value of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Answer {
    Scalar((Millis, Number)),
    String((Millis, String)),
    /// A value for each series, in the order that the engine gives.
    Vector(Vec<Instant>),
    /// Values over time for each series.
    Matrix(Vec<Series>),
}

/// A series at one time: either a float or a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instant {
    pub(crate) metric: LabelSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<(Millis, Number)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) histogram: Option<(Millis, Histogram)>,
}

/// A series over time; both lists ascend, and have no time in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) metric: LabelSet,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<(Millis, Number)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) histograms: Vec<(Millis, Histogram)>,
}

/// A native histogram; buckets that hold nothing are not among its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    pub(crate) count: Number,
    pub(crate) sum: Number,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) buckets: Vec<Bucket>,
}

/// Which of its bounds belong to a bucket (0 is `(]`, 1 is `[)`, 2 is `()`, 3 is `[]`), the bounds, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket(pub(crate) u8, pub(crate) Number, pub(crate) Number, pub(crate) Number);

impl Bucket {
    /// Its bounds as mathematicians write them: `(0.5,1]`.
    pub(crate) fn interval(&self) -> String {
        let Self(bounds, Number(lower), Number(upper), _) = *self;
        let (open, close) =
            (if bounds & 1 == 1 { '[' } else { '(' }, if matches!(bounds, 0 | 3) { ']' } else { ')' });
        format!("{open}{},{}{close}", number_text(lower), number_text(upper))
    }
}

/// A series as it is written in PromQL: `up{job="shop"}`, or `{"http.requests", job="shop"}`.
pub(crate) fn series_text(labels: &LabelSet) -> String {
    series_parts(labels).concat()
}

/// The text of a series in pieces between which a line may be broken: PromQL reads it still.
pub(crate) fn series_parts(labels: &LabelSet) -> Vec<String> {
    let name = labels.get(METRIC_NAME).map(String::as_str).unwrap_or_default();
    let (outside, within) = match NameValidation::Legacy.is_metric_name(name) || name.is_empty() {
        true => (name, None),
        false => ("", Some(quoted(name))),
    };
    let others = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    let conditions: Vec<String> =
        within.into_iter().chain(others.map(|(label, value)| label_text(label, value))).collect();
    let [before_last @ .., last] = conditions.as_slice() else {
        return vec![if name.is_empty() { "{}".to_owned() } else { name.to_owned() }];
    };
    let mut parts: Vec<String> = before_last.iter().map(|condition| format!("{condition}, ")).collect();
    parts.push(format!("{last}}}"));
    if let Some(first) = parts.first_mut() {
        first.insert_str(0, &format!("{outside}{{"));
    }
    parts
}

/// A label as PromQL reads it in braces.
pub(crate) fn label_text(name: &str, value: &str) -> String {
    let plain = NameValidation::Legacy.is_label_name(name);
    format!("{}={}", if plain { name.to_owned() } else { quoted(name) }, quoted(value))
}

/// A text in double quotes as PromQL reads it. Labels come from strangers; what moves the cursor is written as its code.
fn quoted(text: &str) -> String {
    Expr { kind: Kind::String(text.into()), span: Span::default() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn answers_are_written_as_they_are_read() {
        for text in [
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1,"1"]}]}"#,
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1.5,"NaN"],[2,"+Inf"]]}]}"#,
            r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}]}]}"#,
            r#"{"resultType":"string","result":[1,"x"]}"#,
        ] {
            let read: Answer = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }

    #[test]
    fn a_series_is_told_as_promql_reads_it() {
        assert_eq!(series_text(&labels(&[("__name__", "up")])), "up");
        assert_eq!(series_text(&labels(&[])), "{}");
        assert_eq!(series_text(&labels(&[("__name__", "up"), ("job", "a\"\x1b")])), "up{job=\"a\\\"\\x1b\"}");
    }

    #[test]
    fn names_beyond_the_legacy_character_set_stand_in_quotes() {
        let told = |pairs: &[(&str, &str)], wanted: &str| {
            let text = series_text(&labels(pairs));
            assert_eq!(text, wanted);
            kandela_promql::parse_selector(&text).unwrap();
        };
        told(
            &[("__name__", "ünï.code metric"), ("job", "a"), ("label.with dots", "a\"b")],
            r#"{"ünï.code metric", job="a", "label.with dots"="a\"b"}"#,
        );
        told(&[("__name__", "http.requests")], r#"{"http.requests"}"#);
        told(&[("__name__", "job:up"), ("a:b", "c")], r#"job:up{"a:b"="c"}"#);
    }

    #[test]
    fn a_bucket_says_which_bounds_belong_to_it() {
        let interval = |bounds| Bucket(bounds, Number(0.5), Number(1.0), Number(3.0)).interval();
        assert_eq!([0, 1, 2, 3].map(interval), ["(0.5,1]", "[0.5,1)", "(0.5,1)", "[0.5,1]"]);
    }
}
