//! Families in Prometheus' text format.

use kandela_model::Histogram;
use kandela_promql::Point;

use super::super::go::push_general_float;
use super::super::json::push_int;
use super::escape::{Escaping, is_legacy};
use super::{Kind, Newest};

pub(super) fn push_family(out: &mut Vec<u8>, family: &[Newest], escaping: Escaping) {
    let Some(first) = family.first() else { return };
    let name = escaping.escape(&first.metric);
    out.extend_from_slice(b"# TYPE ");
    if is_legacy(&name) {
        out.extend_from_slice(name.as_bytes());
    } else {
        push_quoted(out, &name);
    }
    out.extend_from_slice(match first.kind() {
        Kind::Untyped => b" untyped\n".as_slice(),
        Kind::Histogram | Kind::GaugeHistogram => b" histogram\n",
    });
    for newest in family {
        match &newest.point {
            Point::Float(value) => push_line(out, newest, &name, "", None, escaping, *value),
            Point::Histogram(histogram) => push_classic(out, newest, &name, escaping, histogram),
        }
    }
}

/// A histogram with custom bounds as its classic series.
fn push_classic(out: &mut Vec<u8>, newest: &Newest, name: &str, escaping: Escaping, histogram: &Histogram) {
    for (bound, count) in cumulative(histogram).chain([(f64::INFINITY, histogram.count)]) {
        push_line(out, newest, name, "_bucket", Some(bound), escaping, count);
    }
    push_line(out, newest, name, "_sum", None, escaping, histogram.sum);
    push_line(out, newest, name, "_count", None, escaping, histogram.count);
}

/// Upper bounds of listed buckets, and how much lies below each.
pub(super) fn cumulative(histogram: &Histogram) -> impl Iterator<Item = (f64, f64)> + '_ {
    let mut buckets = histogram.positive().peekable();
    let mut below = 0.0;
    (0..).zip(&histogram.custom_bounds).map(move |(at, bound)| {
        while let Some((_, count)) = buckets.next_if(|(index, _)| *index <= at) {
            below += count;
        }
        (*bound, below)
    })
}

fn push_line(
    out: &mut Vec<u8>,
    newest: &Newest,
    name: &str,
    suffix: &str,
    bound: Option<f64>,
    escaping: Escaping,
    value: f64,
) {
    let mut separator = b'{';
    let mut next = |out: &mut Vec<u8>| out.push(std::mem::replace(&mut separator, b','));
    if is_legacy(name) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
    } else {
        next(out);
        push_quoted(out, &format!("{name}{suffix}"));
    }
    for (label, value) in &newest.labels {
        next(out);
        let label = escaping.escape(label);
        if is_legacy(&label) {
            out.extend_from_slice(label.as_bytes());
        } else {
            push_quoted(out, &label);
        }
        out.push(b'=');
        push_quoted(out, value);
    }
    if let Some(bound) = bound {
        next(out);
        out.extend_from_slice(b"le=\"");
        push_general_float(out, bound);
        out.push(b'"');
    }
    if separator == b',' {
        out.push(b'}');
    }
    out.push(b' ');
    push_general_float(out, value);
    out.push(b' ');
    push_int(out, newest.millis);
    out.push(b'\n');
}

fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' => out.extend_from_slice(b"\\\""),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA};

    use super::*;

    fn written(metric: &str, labels: &[(&str, &str)], point: Point, escaping: Escaping) -> String {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let newest = Newest { metric: metric.to_owned(), labels, millis: 1_500, point };
        let mut out = Vec::new();
        push_family(&mut out, &[newest], escaping);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_stand_behind_names_labels_and_before_times() {
        let plain = written("up", &[("job", "a\"b\\\n")], Point::Float(1e6), Escaping::Underscores);
        assert_eq!(plain, "# TYPE up untyped\nup{job=\"a\\\"b\\\\\\n\"} 1e+06 1500\n");
        let bare = written("up", &[], Point::Float(f64::NAN), Escaping::Underscores);
        assert_eq!(bare, "# TYPE up untyped\nup NaN 1500\n");
        let quoted = written("http.up", &[("a.b", "c")], Point::Float(1.0), Escaping::AllowUtf8);
        assert_eq!(quoted, "# TYPE \"http.up\" untyped\n{\"http.up\",\"a.b\"=\"c\"} 1 1500\n");
    }

    #[test]
    fn custom_bounds_become_classic_buckets() {
        let histogram = Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            count: 6.0,
            sum: 4.5,
            positive_spans: vec![BucketSpan { offset: 1, length: 2 }],
            positive_buckets: vec![2.0, 4.0],
            custom_bounds: vec![0.5, 1.0],
            ..Histogram::default()
        };
        let page =
            written("t", &[("job", "a")], Point::Histogram(Arc::new(histogram)), Escaping::Underscores);
        let expected = "# TYPE t histogram\n\
                        t_bucket{job=\"a\",le=\"0.5\"} 0 1500\n\
                        t_bucket{job=\"a\",le=\"1\"} 2 1500\n\
                        t_bucket{job=\"a\",le=\"+Inf\"} 6 1500\n\
                        t_sum{job=\"a\"} 4.5 1500\n\
                        t_count{job=\"a\"} 6 1500\n";
        assert_eq!(page, expected);
    }
}
