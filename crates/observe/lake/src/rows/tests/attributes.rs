//! Typed values, and what JSON makes of them.

use super::*;

fn came_back(value: Value) -> Value {
    let mut span = arbitrary::plain_span();
    span.attributes = vec![("key".to_owned(), value)];
    let mut back = spans_from(&spans(&[span]).unwrap()).unwrap();
    back.pop().unwrap().attributes.pop().unwrap().1
}

#[test]
fn text_that_looks_like_json_stays_text() {
    assert_eq!(came_back(Value::Str("[1]".into())), Value::Str("[1]".into()));
}

#[test]
fn lists_and_maps_keep_types_and_order() {
    let value = Value::Map(vec![
        ("z".into(), Value::List(vec![Value::Int(1), Value::Double(1.0), Value::Empty, Value::Bool(true)])),
        ("a".into(), Value::Str("x".into())),
    ]);
    assert_eq!(body_text(&value), r#"{"z":[1,1.0,null,true],"a":"x"}"#);
    assert_eq!(came_back(value.clone()), value);
}

#[test]
fn what_json_does_not_know_becomes_text_within_lists() {
    let inner = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Value::Double);
    let list = Value::List(inner.into_iter().chain([Value::Bytes(vec![0xca, 0xfe])]).collect());
    assert_eq!(body_text(&list), r#"["NaN","Infinity","-Infinity","cafe"]"#);
    let texts = ["NaN", "Infinity", "-Infinity", "cafe"].map(|text| Value::Str(text.into()));
    assert_eq!(came_back(list), Value::List(texts.to_vec()));
}

#[test]
fn by_themselves_bytes_and_odd_numbers_are_kept() {
    assert_eq!(came_back(Value::Bytes(vec![0xca, 0xfe])), Value::Bytes(vec![0xca, 0xfe]));
    assert_eq!(came_back(Value::Double(f64::INFINITY)), Value::Double(f64::INFINITY));
    assert_eq!(came_back(Value::Empty), Value::Empty);
}

#[test]
fn bodies_that_are_no_text_become_json() {
    assert_eq!(body_text(&Value::Empty), "");
    assert_eq!(body_text(&Value::Int(5)), "5");
    assert_eq!(body_text(&Value::Str("as it is".into())), "as it is");
}
