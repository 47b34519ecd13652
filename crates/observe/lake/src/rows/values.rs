//! Typed attribute values.
//!
//! A value stands in the one of six columns that has its type. Lists and maps are JSON: keys in the order they came, bytes
//! within as hex text, numbers that JSON does not know as the text `NaN`, `Infinity` or `-Infinity`. Read back, the latter
//! two are text, and other numbers with a fraction may differ in their last bit. A value without content is NULL in all six.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, MapArray, StringArray, StructArray,
};
use kandela_model::tables::{ColumnType, VALUE};
use kandela_model::{Attributes, Labels, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::columns::{Text, check_room, map};
use super::hex::hex;
use super::read::{Columns, range};
use crate::error::{LakeError, Result};
use crate::schema::struct_fields;

/// A map column of typed attributes.
pub(super) fn attributes<'a>(rows: impl Iterator<Item = &'a Attributes>) -> Result<ArrayRef> {
    let mut lengths = Vec::new();
    let mut keys = Text::default();
    let mut values = ValueColumns::default();
    for row in rows {
        lengths.push(row.len());
        for (key, value) in row {
            keys.push(key)?;
            values.push(value)?;
        }
    }
    map(&VALUE, lengths.into_iter(), keys.finish(), values.finish()?)
}

/// A map column of labels.
pub(super) fn labels<'a>(rows: impl Iterator<Item = &'a Labels>) -> Result<ArrayRef> {
    let mut lengths = Vec::new();
    let mut keys = Text::default();
    let mut values = Text::default();
    for row in rows {
        let mut length = 0;
        for (name, value) in row.iter() {
            keys.push(name)?;
            values.push(value)?;
            length += 1;
        }
        lengths.push(length);
    }
    map(&ColumnType::Text, lengths.into_iter(), keys.finish(), values.finish())
}

/// The text of a log record's body: text as it is, nothing as nothing, all else as JSON.
pub fn body_text(body: &Value) -> String {
    match body {
        Value::Str(text) => text.clone(),
        Value::Empty => String::new(),
        other => json(other),
    }
}

#[derive(Default)]
struct ValueColumns {
    str: Text,
    int: Int64Builder,
    double: Float64Builder,
    bool: BooleanBuilder,
    json: Text,
    bytes: BinaryBuilder,
}

impl ValueColumns {
    fn push(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Str(text) => self.str.push(text)?,
            _ => self.str.push_null(),
        }
        self.int.append_option(if let Value::Int(int) = value { Some(*int) } else { None });
        self.double.append_option(if let Value::Double(double) = value { Some(*double) } else { None });
        self.bool.append_option(if let Value::Bool(bool) = value { Some(*bool) } else { None });
        match value {
            Value::List(_) | Value::Map(_) => self.json.push(&json(value))?,
            _ => self.json.push_null(),
        }
        match value {
            Value::Bytes(bytes) => {
                check_room(self.bytes.values_slice().len(), bytes.len())?;
                self.bytes.append_value(bytes);
            }
            _ => self.bytes.append_null(),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let fields = match VALUE {
            ColumnType::Struct(columns) => struct_fields(columns),
            _ => return Err(LakeError::defect("lay out attributes", "their value is no struct")),
        };
        let arrays: Vec<ArrayRef> = vec![
            self.str.finish(),
            Arc::new(self.int.finish()),
            Arc::new(self.double.finish()),
            Arc::new(self.bool.finish()),
            self.json.finish(),
            Arc::new(self.bytes.finish()),
        ];
        let values = StructArray::try_new(fields, arrays, None);
        Ok(Arc::new(values.map_err(|error| LakeError::defect("lay out attributes", error))?))
    }
}

/// Reads a map column of typed attributes.
pub(super) struct AttributeColumn<'a> {
    offsets: &'a [i32],
    keys: &'a StringArray,
    str: &'a StringArray,
    int: &'a Int64Array,
    double: &'a Float64Array,
    bool: &'a BooleanArray,
    json: &'a StringArray,
    bytes: &'a BinaryArray,
}

impl<'a> AttributeColumn<'a> {
    pub(super) fn new(columns: Columns<'a>, name: &str) -> Result<Self> {
        let map: &MapArray = columns.get(name)?;
        let entries = columns.within(map.entries());
        let values = columns.within(entries.get::<StructArray>("value")?);
        Ok(Self {
            offsets: map.value_offsets(),
            keys: entries.get("key")?,
            str: values.get("str")?,
            int: values.get("int")?,
            double: values.get("double")?,
            bool: values.get("bool")?,
            json: values.get("json")?,
            bytes: values.get("bytes")?,
        })
    }

    pub(super) fn row(&self, row: usize) -> Attributes {
        range(self.offsets, row).map(|at| (self.keys.value(at).to_owned(), self.value(at))).collect()
    }

    fn value(&self, at: usize) -> Value {
        if self.str.is_valid(at) {
            Value::Str(self.str.value(at).to_owned())
        } else if self.int.is_valid(at) {
            Value::Int(self.int.value(at))
        } else if self.double.is_valid(at) {
            Value::Double(self.double.value(at))
        } else if self.bool.is_valid(at) {
            Value::Bool(self.bool.value(at))
        } else if self.json.is_valid(at) {
            parse(self.json.value(at))
        } else if self.bytes.is_valid(at) {
            Value::Bytes(self.bytes.value(at).to_owned())
        } else {
            Value::Empty
        }
    }
}

/// `value` as JSON.
fn json(value: &Value) -> String {
    serde_json::to_string(&Json(value)).unwrap_or_default()
}

/// What JSON text says; the text itself where it says nothing.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).map_or_else(|_| Value::Str(text.to_owned()), |Parsed(value)| value)
}

struct Json<'a>(&'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Str(text) => serializer.serialize_str(text),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Double(double) if double.is_finite() => serializer.serialize_f64(*double),
            Value::Double(double) if double.is_nan() => serializer.serialize_str("NaN"),
            Value::Double(double) => {
                serializer.serialize_str(if *double > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Value::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
            Value::List(values) => serializer.collect_seq(values.iter().map(Json)),
            Value::Map(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (key, Json(value)))),
            Value::Empty => serializer.serialize_unit(),
        }
    }
}

struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParsedVisitor).map(Parsed)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.to_owned()))
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        Ok(i64::try_from(int).map_or(Value::Double(int as f64), Value::Int))
    }

    fn visit_f64<E>(self, double: f64) -> Result<Value, E> {
        Ok(Value::Double(double))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Parsed(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, Parsed(value))) = map.next_entry()? {
            pairs.push((key, value));
        }
        Ok(Value::Map(pairs))
    }
}
