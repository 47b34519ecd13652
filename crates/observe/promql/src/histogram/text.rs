//! Histograms in words.

use kandela_model::{Histogram, ResetHint};

use crate::floats::shortest;

use super::bucket::{Bucket, is_custom, negative_buckets, positive_buckets, zero_bucket};

/// The histogram as Prometheus prints it, which is also the value that `count_values` gives it:
/// `{count:6, sum:4.5, [-1,-0.5):2, [-0.001,0.001]:1, (0.5,1]:3}`. Empty buckets are left out.
pub fn text(histogram: &Histogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", shortest(histogram.count), shortest(histogram.sum));
    let mut negative = negative_buckets(histogram);
    negative.reverse();
    let all = negative.into_iter().chain([zero_bucket(histogram)]).chain(positive_buckets(histogram));
    for bucket in all.filter(|bucket| bucket.count != 0.0) {
        out.push_str(", ");
        push_bucket(&mut out, &bucket);
    }
    out.push('}');
    out
}

fn push_bucket(out: &mut String, bucket: &Bucket) {
    out.push(if bucket.lower_inclusive { '[' } else { '(' });
    out.push_str(&shortest(bucket.lower));
    out.push(',');
    out.push_str(&shortest(bucket.upper));
    out.push(if bucket.upper_inclusive { ']' } else { ')' });
    out.push(':');
    out.push_str(&shortest(bucket.count));
}

/// The histogram in the notation of Prometheus' tests and of `promtool test rules`:
/// `{{schema:1 count:6 sum:4.5 offset:1 buckets:[2 0 4]}}`. What is zero is left out
/// (`FloatHistogram.TestExpression` of Prometheus).
pub fn test_notation(histogram: &Histogram) -> String {
    let mut parts = Vec::new();
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    let numbers = [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ];
    for (key, value) in numbers {
        if value != 0.0 {
            parts.push(format!("{key}:{}", shortest(value)));
        }
    }
    if is_custom(histogram) {
        parts.push(format!("custom_values:{}", list(&histogram.custom_bounds)));
    }
    match histogram.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    push_side(&mut parts, ["offset", "buckets"], histogram.positive());
    push_side(&mut parts, ["n_offset", "n_buckets"], histogram.negative());
    format!("{{{{{}}}}}", parts.join(" "))
}

/// Writes one side as a single run of buckets, gaps filled with zeros.
fn push_side(parts: &mut Vec<String>, [offset, buckets]: [&str; 2], side: impl Iterator<Item = (i64, f64)>) {
    let populated: Vec<(i64, f64)> = side.filter(|(_, count)| *count != 0.0).collect();
    let Some(&(first, _)) = populated.first() else { return };
    if first != 0 {
        parts.push(format!("{offset}:{first}"));
    }
    let mut run = Vec::new();
    let mut next = first;
    for (index, count) in populated {
        run.extend((next..index).map(|_| 0.0));
        run.push(count);
        next = index + 1;
    }
    parts.push(format!("{buckets}:{}", list(&run)));
}

fn list(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| shortest(*value)).collect();
    format!("[{}]", values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::equal;
    use crate::histogram::testing::{custom, exponential, histogram};
    use proptest::prelude::*;

    #[test]
    fn buckets_are_written_in_order() {
        let both = histogram(
            "{{schema:0 count:11 sum:-4.5 z_bucket:1 z_bucket_w:0.001 buckets:[2 0 3] n_buckets:[4 1]}}",
        );
        assert_eq!(
            text(&both),
            "{count:11, sum:-4.5, [-2,-1):1, [-1,-0.5):4, [-0.001,0.001]:1, (0.5,1]:2, (2,4]:3}"
        );
    }

    #[test]
    fn custom_bounds_are_written_with_their_infinities() {
        let custom = histogram("{{schema:-53 count:6 sum:1 custom_values:[5 10] buckets:[1 2 3]}}");
        assert_eq!(text(&custom), "{count:6, sum:1, [-Inf,5]:1, (5,10]:2, (10,+Inf]:3}");
    }

    #[test]
    fn nothing_is_written_short() {
        assert_eq!(text(&Histogram::default()), "{count:0, sum:0}");
        assert_eq!(test_notation(&Histogram::default()), "{{}}");
    }

    #[test]
    fn the_test_notation_fills_gaps() {
        let written = "{{schema:1 count:7 sum:4.5 z_bucket:1 z_bucket_w:0.001 counter_reset_hint:gauge \
                       offset:-1 buckets:[2 0 3] n_offset:4 n_buckets:[1]}}";
        assert_eq!(test_notation(&histogram(written)), written);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, written) in [
            (0.0, "0"),
            (100_000.0, "100000"),
            (1_048_576.0, "1.048576e+06"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(shortest(value), written);
        }
    }

    proptest! {
        #[test]
        fn the_test_notation_reads_back(made in prop_oneof![exponential(), custom()]) {
            let read = histogram(&test_notation(&made));
            let mut compacted = made;
            crate::histogram::compact(&mut compacted);
            // Reading fills gaps with empty buckets, which are dropped again.
            prop_assert!(equal(&read, &compacted));
        }
    }
}
