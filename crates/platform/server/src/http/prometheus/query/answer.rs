//! Values of queries as `{"resultType":…,"result":…}`.

use kandela_model::{Histogram, Labels};
use kandela_promql::histogram::buckets;
use kandela_promql::{Answer, Point};

use super::super::go::push_plain_float;
use super::super::json::{
    push_int, push_labels, push_number, push_text, push_timestamp, push_value, separate,
};
use super::super::stream::Pen;

/// Writes the data of an answer and leaves their object open. `at` is the query's time in microseconds.
pub(super) fn write(pen: &mut Pen, answer: &Answer, at: i64) {
    let kind = match answer {
        Answer::Scalar(_) => "scalar",
        Answer::String(_) => "string",
        Answer::Vector(_) => "vector",
        Answer::Matrix(_) => "matrix",
    };
    let out = pen.out();
    out.extend_from_slice(b"{\"resultType\":");
    push_text(out, kind);
    out.extend_from_slice(b",\"result\":");
    match answer {
        Answer::Scalar(value) => alone(out, at, |out| {
            out.push(b'"');
            push_plain_float(out, *value);
            out.push(b'"');
        }),
        Answer::String(text) => alone(out, at, |out| push_text(out, text)),
        Answer::Vector(vector) => {
            write_all(pen, vector, |out, (labels, point)| sample(out, labels, at, point));
        }
        Answer::Matrix(matrix) => write_all(pen, matrix, |out, (labels, points)| series(out, labels, points)),
    }
}

/// Writes a list, and stops where nobody reads it any more.
fn write_all<T>(pen: &mut Pen, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    pen.out().push(b'[');
    for (place, item) in items.iter().enumerate() {
        let out = pen.out();
        separate(out, place);
        push(out, item);
        if !pen.pass_on() {
            return;
        }
    }
    pen.out().push(b']');
}

fn single(out: &mut Vec<u8>, at: i64, push: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    push_timestamp(out, at);
    out.push(b',');
    push(out);
    out.push(b']');
}

/// As [`single`], of what is no series: there Prometheus writes the time as any number, without zeros at the end.
fn alone(out: &mut Vec<u8>, at: i64, push: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    push_number(out, at as f64 / 1e6);
    out.push(b',');
    push(out);
    out.push(b']');
}

fn sample(out: &mut Vec<u8>, labels: &Labels, at: i64, point: &Point) {
    open(out, labels);
    match point {
        Point::Float(value) => {
            out.extend_from_slice(b",\"value\":");
            single(out, at, |out| push_value(out, *value));
        }
        Point::Histogram(histogram) => {
            out.extend_from_slice(b",\"histogram\":");
            single(out, at, |out| push_histogram(out, histogram));
        }
    }
    out.push(b'}');
}

/// Floats and histograms of one series come as two lists.
fn series(out: &mut Vec<u8>, labels: &Labels, points: &[(i64, Point)]) {
    open(out, labels);
    let mut place = 0;
    for (at, point) in points {
        if let Point::Float(value) = point {
            out.extend_from_slice(if place == 0 { b",\"values\":[" } else { b"," });
            single(out, *at, |out| push_value(out, *value));
            place += 1;
        }
    }
    if place > 0 {
        out.push(b']');
    }
    if place < points.len() {
        place = 0;
        for (at, point) in points {
            if let Point::Histogram(histogram) = point {
                out.extend_from_slice(if place == 0 { b",\"histograms\":[" } else { b"," });
                single(out, *at, |out| push_histogram(out, histogram));
                place += 1;
            }
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn open(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b"{\"metric\":");
    push_labels(out, labels.as_ref());
}

/// `{"count":"42","sum":"34593.34","buckets":[[3,"-0.25","0.25","3"],…]}`, without empty buckets.
fn push_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    out.extend_from_slice(b"{\"count\":");
    push_value(out, histogram.count);
    out.extend_from_slice(b",\"sum\":");
    push_value(out, histogram.sum);
    let mut place = 0;
    for bucket in buckets(histogram).iter().filter(|bucket| bucket.count != 0.0) {
        out.extend_from_slice(if place == 0 { b",\"buckets\":[[" } else { b",[" });
        push_int(out, bucket.boundary_code());
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            push_value(out, value);
        }
        out.push(b']');
        place += 1;
    }
    if place > 0 {
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::to_bytes;
    use kandela_model::BucketSpan;

    use super::*;
    use crate::http::Spool;
    use crate::http::prometheus::packer::Encoding;
    use crate::http::prometheus::stream::stream;

    const AT: i64 = 1_435_781_451_781_000;

    async fn written(answer: Answer) -> String {
        let write = move |pen: &mut Pen| {
            write(pen, &answer, AT);
            Ok(())
        };
        let spool = Arc::new(Spool::new(std::env::temp_dir()));
        let response = stream(Encoding::Identity, &spool, write).await.unwrap();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn up() -> Labels {
        Labels::new([("__name__", "up"), ("job", "shop")]).unwrap()
    }

    fn histogram() -> Point {
        Point::Histogram(Arc::new(Histogram {
            count: 6.0,
            sum: 4.5,
            zero_threshold: 0.25,
            zero_count: 3.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 0.0, 2.0],
            ..Histogram::default()
        }))
    }

    #[tokio::test]
    async fn single_values_stand_beside_the_querys_time() {
        let scalar = r#"{"resultType":"scalar","result":[1435781451.781,"0.0000001"]"#;
        assert_eq!(written(Answer::Scalar(1e-7)).await, scalar);
        let string = r#"{"resultType":"string","result":[1435781451.781,"a\"b"]"#;
        assert_eq!(written(Answer::String("a\"b".to_owned())).await, string);
    }

    #[tokio::test]
    async fn a_vector_has_a_value_or_a_histogram_a_series() {
        let vector = vec![(up(), Point::Float(f64::INFINITY)), (Labels::default(), histogram())];
        let expected = concat!(
            r#"{"resultType":"vector","result":["#,
            r#"{"metric":{"__name__":"up","job":"shop"},"value":[1435781451.781,"+Inf"]},"#,
            r#"{"metric":{},"histogram":[1435781451.781,{"count":"6","sum":"4.5","buckets":["#,
            r#"[3,"-0.25","0.25","3"],[0,"0.5","1","1"],[0,"2","4","2"]]}]}]"#,
        );
        assert_eq!(written(Answer::Vector(vector)).await, expected);
        assert_eq!(written(Answer::Vector(Vec::new())).await, r#"{"resultType":"vector","result":[]"#);
    }

    #[tokio::test]
    async fn a_series_lists_floats_and_histograms_apart() {
        let points = vec![
            (AT, Point::Float(1.5)),
            (AT + 1_000_000, Point::Histogram(Arc::default())),
            (AT + 2_000_000, Point::Float(2.0)),
        ];
        let expected = concat!(
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"shop"},"#,
            r#""values":[[1435781451.781,"1.5"],[1435781453.781,"2"]],"#,
            r#""histograms":[[1435781452.781,{"count":"0","sum":"0"}]]}]"#,
        );
        assert_eq!(written(Answer::Matrix(vec![(up(), points)])).await, expected);
    }
}
