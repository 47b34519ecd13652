//! Attribute values, as values of the model and as text.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kandela_model::{Attributes, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::{Fault, Limits};

/// Attributes up to this number are checked for repeated keys by comparing them all.
const FEW: usize = 16;

/// Attributes as the model has them: in order, a key once.
pub(super) fn attributes(list: Vec<KeyValue>, limits: &Limits) -> Result<Attributes, Fault> {
    check_count(&list, limits)?;
    let list = without_repeats(list);
    list.into_iter().map(|entry| Ok((entry.key, value(entry.value, limits)?))).collect()
}

pub(super) fn check_count(list: &[KeyValue], limits: &Limits) -> Result<(), Fault> {
    let (count, max) = (list.len(), limits.attributes_per_item);
    if count > max { Err(Fault::TooManyAttributes { count, max }) } else { Ok(()) }
}

fn without_repeats(list: Vec<KeyValue>) -> Vec<KeyValue> {
    let repeats = |list: &[KeyValue]| {
        let mut seen = HashSet::with_capacity(list.len());
        list.iter().map(|entry| !seen.insert(entry.key.as_str())).collect::<Vec<bool>>()
    };
    let clean = list.len() <= FEW
        && list.iter().enumerate().all(|(i, entry)| list.iter().take(i).all(|other| other.key != entry.key));
    if clean {
        return list;
    }
    let repeated = repeats(&list);
    list.into_iter().zip(repeated).filter(|(_, repeated)| !repeated).map(|(entry, _)| entry).collect()
}

/// A value as the model has it.
pub(super) fn value(any: Option<AnyValue>, limits: &Limits) -> Result<Value, Fault> {
    nested(any, limits.nesting, limits.nesting)
}

fn nested(any: Option<AnyValue>, levels_left: usize, max: usize) -> Result<Value, Fault> {
    let deeper = || levels_left.checked_sub(1).ok_or(Fault::TooDeep { max });
    Ok(match any.and_then(|any| any.value) {
        None | Some(Any::StringValueStrindex(_)) => Value::Empty,
        Some(Any::StringValue(text)) => Value::Str(text),
        Some(Any::BoolValue(value)) => Value::Bool(value),
        Some(Any::IntValue(value)) => Value::Int(value),
        Some(Any::DoubleValue(value)) => Value::Double(value),
        Some(Any::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(Any::ArrayValue(array)) => {
            let levels_left = deeper()?;
            let values = array.values.into_iter().map(|value| nested(Some(value), levels_left, max));
            Value::List(values.collect::<Result<_, _>>()?)
        }
        Some(Any::KvlistValue(map)) => {
            let levels_left = deeper()?;
            let entries = without_repeats(map.values).into_iter();
            let entries = entries.map(|entry| Ok((entry.key, nested(entry.value, levels_left, max)?)));
            Value::Map(entries.collect::<Result<_, _>>()?)
        }
    })
}

/// A value as the text of a label, as the collector and Prometheus write it: strings as they are, lists and maps as JSON.
pub(super) fn text<'a>(any: Option<&'a AnyValue>, limits: &Limits) -> Result<Cow<'a, str>, Fault> {
    Ok(match any.and_then(|any| any.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => Cow::Borrowed(""),
        Some(Any::StringValue(text)) => Cow::Borrowed(text),
        Some(Any::BoolValue(value)) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Some(Any::IntValue(value)) => Cow::Owned(value.to_string()),
        Some(Any::DoubleValue(value)) => Cow::Owned(double_text(*value)),
        Some(Any::BytesValue(bytes)) => Cow::Owned(BASE64_STANDARD.encode(bytes)),
        Some(Any::ArrayValue(_) | Any::KvlistValue(_)) => {
            Cow::Owned(json(any, limits.nesting, limits)?.to_string())
        }
    })
}

fn json(any: Option<&AnyValue>, levels_left: usize, limits: &Limits) -> Result<serde_json::Value, Fault> {
    let deeper = || levels_left.checked_sub(1).ok_or(Fault::TooDeep { max: limits.nesting });
    Ok(match any.and_then(|any| any.value.as_ref()) {
        None | Some(Any::StringValueStrindex(_)) => serde_json::Value::Null,
        Some(Any::StringValue(text)) => text.as_str().into(),
        Some(Any::BoolValue(value)) => (*value).into(),
        Some(Any::IntValue(value)) => (*value).into(),
        Some(Any::DoubleValue(value)) => (*value).into(),
        Some(Any::BytesValue(bytes)) => BASE64_STANDARD.encode(bytes).into(),
        Some(Any::ArrayValue(array)) => {
            let levels_left = deeper()?;
            let values = array.values.iter().map(|value| json(Some(value), levels_left, limits));
            serde_json::Value::Array(values.collect::<Result<_, _>>()?)
        }
        Some(Any::KvlistValue(map)) => {
            let levels_left = deeper()?;
            let entries = map.values.iter();
            let entries = entries
                .map(|entry| Ok((entry.key.clone(), json(entry.value.as_ref(), levels_left, limits)?)));
            serde_json::Value::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

/// Very large and very small numbers with an exponent, all others without.
fn double_text(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if magnitude != 0.0 && magnitude < 1e-6 {
        format!("{value:e}")
    } else if magnitude >= 1e21 {
        format!("{value:e}").replacen('e', "e+", 1)
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::ArrayValue;

    fn any(value: Any) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn entry(key: &str, value: Any) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
    }

    #[test]
    fn doubles_read_as_the_collector_writes_them() {
        let texts = [0.0, 5.0, -0.25, 1e-7, 1.5e21, f64::NAN, f64::NEG_INFINITY].map(double_text);
        assert_eq!(texts, ["0", "5", "-0.25", "1e-7", "1.5e+21", "NaN", "-Infinity"]);
    }

    #[test]
    fn lists_and_maps_read_as_json() {
        let list = any(Any::ArrayValue(ArrayValue {
            values: vec![
                any(Any::IntValue(1)),
                any(Any::StringValue("a\"b".into())),
                AnyValue { value: None },
            ],
        }));
        assert_eq!(text(Some(&list), &Limits::default()).unwrap(), r#"[1,"a\"b",null]"#);
    }

    #[test]
    fn the_first_of_a_repeated_key_stays() {
        for extra in [0, 40] {
            let mut list = vec![entry("k", Any::IntValue(1)), entry("k", Any::IntValue(2))];
            list.extend((0..extra).map(|i| entry(&i.to_string(), Any::BoolValue(true))));
            let read = attributes(list, &Limits::default()).unwrap();
            assert_eq!(read.len(), 1 + extra);
            assert_eq!(read[0], ("k".to_owned(), Value::Int(1)));
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let limits = Limits { nesting: 3, ..Limits::default() };
        let nest = |levels: usize| {
            (0..levels).fold(any(Any::IntValue(1)), |inner, _| {
                any(Any::ArrayValue(ArrayValue { values: vec![inner] }))
            })
        };
        assert!(value(Some(nest(3)), &limits).is_ok());
        assert_eq!(value(Some(nest(4)), &limits), Err(Fault::TooDeep { max: 3 }));
        assert_eq!(text(Some(&nest(4)), &limits), Err(Fault::TooDeep { max: 3 }));
    }
}
