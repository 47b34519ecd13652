use super::*;

fn answered(data: &str) -> Told {
    let document = format!(r#"{{"status":"success","data":{data}}}"#);
    Told::new(200, serde_json::from_str(&document).unwrap())
}

fn vector(series: &[(&str, &str)]) -> Told {
    let series: Vec<String> = series
        .iter()
        .map(|(job, value)| format!(r#"{{"metric":{{"job":"{job}"}},"value":[60,"{value}"]}}"#))
        .collect();
    answered(&format!(r#"{{"resultType":"vector","result":[{}]}}"#, series.join(",")))
}

fn matrix(points: &[(i64, &str)]) -> Told {
    let points: Vec<String> = points.iter().map(|(at, value)| format!(r#"[{at},"{value}"]"#)).collect();
    let series = format!(r#"{{"metric":{{"job":"a"}},"values":[{}]}}"#, points.join(","));
    answered(&format!(r#"{{"resultType":"matrix","result":[{series}]}}"#))
}

fn histogram(count: &str, buckets: &str) -> Told {
    let histogram = format!(r#"{{"count":"{count}","sum":"1","buckets":[{buckets}]}}"#);
    answered(&format!(
        r#"{{"resultType":"vector","result":[{{"metric":{{}},"histogram":[60,{histogram}]}}]}}"#
    ))
}

fn failed(status: u16, kind: &str, message: &str) -> Told {
    let document = format!(r#"{{"status":"error","errorType":"{kind}","error":"{message}"}}"#);
    Told::new(status, serde_json::from_str(&document).unwrap())
}

fn told(here: &Told, there: &Told) -> Vec<String> {
    compare(here, there, Order::Free).iter().map(ToString::to_string).collect()
}

#[test]
fn series_are_compared_as_sets() {
    assert!(told(&vector(&[("a", "1"), ("b", "2")]), &vector(&[("b", "2"), ("a", "1")])).is_empty());
    let differences = told(&vector(&[("a", "1")]), &vector(&[("a", "1"), ("b", "2")]));
    assert_eq!(differences, [r#"{job="b"} is missing here, at 1970-01-01 00:01:00"#]);
    let differences = told(&vector(&[("a", "1"), ("c", "1")]), &vector(&[("a", "1")]));
    assert_eq!(differences, [r#"{job="c"} is missing there, at 1970-01-01 00:01:00"#]);
}

#[test]
fn values_may_differ_by_a_billionth() {
    let same = |here: &str, there: &str| told(&vector(&[("a", here)]), &vector(&[("a", there)])).is_empty();
    assert!(same("1", "1.0000000009"));
    assert!(!same("1", "1.0000000011"));
    assert!(!same("0", "1e-300"));
    assert!(same("NaN", "NaN") && same("+Inf", "+Inf") && same("0", "-0"));
    assert!(!same("+Inf", "-Inf") && !same("NaN", "1") && !same("1", "NaN") && !same("+Inf", "1e308"));
}

#[test]
fn points_that_one_lacks_are_told_in_runs() {
    let here = matrix(&[(1, "1"), (4, "1"), (6, "1")]);
    let there = matrix(&[(1, "1"), (2, "1"), (3, "1"), (4, "1"), (5, "1")]);
    assert_eq!(
        told(&here, &there),
        [
            r#"{job="a"} lacks 2 points here, from 1970-01-01 00:00:02 to 1970-01-01 00:00:03"#,
            r#"{job="a"} lacks a point here, at 1970-01-01 00:00:05"#,
            r#"{job="a"} lacks a point there, at 1970-01-01 00:00:06"#,
        ]
    );
}

#[test]
fn values_that_differ_are_counted_and_the_first_is_shown() {
    let differences =
        told(&matrix(&[(1, "1"), (2, "2"), (3, "3")]), &matrix(&[(1, "1"), (2, "5"), (3, "6")]));
    assert_eq!(
        differences,
        [r#"{job="a"} is 2 here and 5 there, at 1970-01-01 00:00:02; 2 of 3 points differ"#]
    );
}

#[test]
fn histograms_are_compared_bucket_by_bucket() {
    let of = |bucket: &str| histogram("3", bucket);
    assert!(told(&of(r#"[0,"1","2","3"]"#), &of(r#"[0,"1","2","3"]"#)).is_empty());
    for other in [
        r#"[0,"1","2","4"]"#,
        r#"[1,"1","2","3"]"#,
        r#"[0,"1","4","3"]"#,
        "",
        r#"[0,"1","2","3"],[0,"2","4","1"]"#,
    ] {
        assert_eq!(told(&of(r#"[0,"1","2","3"]"#), &of(other)).len(), 1, "{other}");
    }
    let counts = told(&histogram("3", ""), &histogram("4", ""));
    assert!(counts[0].contains("count 3 here and count 4 there"), "{counts:?}");
    let mixed = told(&vector(&[]), &histogram("1", ""));
    assert_eq!(mixed, ["{} is missing here, at 1970-01-01 00:01:00"]);
}

#[test]
fn errors_agree_when_their_type_and_status_do() {
    assert!(told(&failed(422, "execution", "a"), &failed(422, "execution", "b")).is_empty());
    assert_eq!(told(&failed(422, "execution", "a"), &failed(400, "execution", "a")).len(), 1);
    assert_eq!(told(&failed(422, "execution", "a"), &failed(422, "bad_data", "a")).len(), 1);
    assert_eq!(
        told(&vector(&[]), &failed(422, "execution", "many")),
        ["here an answer; there error 422 execution: many"]
    );
}

#[test]
fn answers_of_different_types_differ() {
    let scalar = answered(r#"{"resultType":"scalar","result":[60,"1"]}"#);
    assert_eq!(told(&scalar, &vector(&[("a", "1")])), ["a scalar here, a vector there"]);
}

#[test]
fn order_counts_only_where_it_says_something() {
    let (here, there) = (vector(&[("a", "1"), ("b", "2")]), vector(&[("b", "2"), ("a", "1")]));
    assert!(compare(&here, &there, Order::Free).is_empty());
    assert_eq!(compare(&here, &there, Order::Values).len(), 1);
    assert_eq!(compare(&here, &there, Order::Series).len(), 1);
    let (here, there) = (vector(&[("a", "1"), ("b", "1")]), vector(&[("b", "1"), ("a", "1")]));
    assert!(compare(&here, &there, Order::Values).is_empty(), "equal values have no order");
    assert_eq!(compare(&here, &there, Order::Series).len(), 1);
}

#[test]
fn a_label_set_that_stands_twice_is_told() {
    let differences = told(&vector(&[("a", "1"), ("a", "1")]), &vector(&[("a", "1")]));
    assert_eq!(differences, [r#"{job="a"} stands twice here"#]);
}

#[test]
fn notes_lose_their_places_and_nothing_else() {
    assert_eq!(without_place("PromQL info: x \"a\" (1:8)"), "PromQL info: x \"a\"");
    assert_eq!(without_place("x (see y)"), "x (see y)");
    assert_eq!(without_place("x (:)"), "x (:)");
    assert_eq!(
        without_place("PromQL warning: quantile value should be between 0 and 1, got 2"),
        "PromQL warning: quantile value should be between 0 and 1, got 2"
    );
}

#[test]
fn labels_that_are_ignored_do_not_tell_series_apart() {
    let here =
        answered(r#"{"resultType":"vector","result":[{"metric":{"job":"a","zone":"z"},"value":[60,"1"]}]}"#);
    assert_eq!(told(&here, &vector(&[("a", "1")])).len(), 2);
    assert!(told(&here.without(&["zone".to_owned()]), &vector(&[("a", "1")])).is_empty());
}
