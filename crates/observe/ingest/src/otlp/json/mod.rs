//! OTLP's JSON, read as protobuf.
//!
//! OTLP/JSON is protobuf's JSON mapping with three differences: ids are hexadecimal, enumerations are numbers, and unknown
//! fields must be ignored (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>). The reader translates a
//! document to protobuf's wire format in one pass, led by [`schema`], and prost reads that. It takes what the mapping allows:
//! 64-bit numbers as numbers or strings, `"NaN"` and `"Infinity"`, names of enumerators, `null` for a default, base64 of either
//! alphabet.

mod schema;

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use crate::protobuf::{put_bytes, put_message, put_varint, zigzag};
use schema::{Field, Kind, Message};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Which request a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Traces,
    Logs,
    Metrics,
}

/// Translates the JSON document of a request to protobuf's wire format.
///
/// # Errors
/// When it is not JSON, or a field does not hold what its type allows; with line and column.
pub(super) fn to_protobuf(request: Request, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let message = match request {
        Request::Traces => &schema::TRACES,
        Request::Logs => &schema::LOGS,
        Request::Metrics => &schema::METRICS,
    };
    let mut out = Vec::with_capacity(json.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Fields { message, out: &mut out }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// Reads an object as the fields of a message.
struct Fields<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.message))? {
            match field {
                Some(field) => map.next_value_seed(Content { field, inner: false, out: &mut *self.out })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a key as the field that it names.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.json == name))
    }
}

/// Reads what a field holds: one value, a list of them, or `null` for none.
struct Content<'o> {
    field: &'static Field,
    /// Whether this is a value within a list already.
    inner: bool,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Content<'_> {
    fn varint(self, value: u64) {
        put_varint(self.out, u64::from(self.field.number << 3));
        put_varint(self.out, value);
    }

    fn fixed64(self, bits: u64) {
        put_varint(self.out, u64::from(self.field.number << 3 | 1));
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    fn fixed32(self, bits: u32) {
        put_varint(self.out, u64::from(self.field.number << 3 | 5));
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    fn out_of_range<E: Error>(&self, value: i128) -> E {
        E::custom(format_args!("{value} is out of range for field {}", self.field.json))
    }

    /// Whether a list must come here, not a value.
    fn wants_list(&self) -> bool {
        self.field.repeated && !self.inner
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        match self.field.kind {
            _ if self.wants_list() => return Err(E::invalid_type(Unexpected::Other("a number"), &self)),
            Kind::Double => self.fixed64((value as f64).to_bits()),
            Kind::Unsigned => match u64::try_from(value) {
                Ok(value) => self.varint(value),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::Signed => match i64::try_from(value) {
                Ok(value) => self.varint(value as u64),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::Enum(_) => match i32::try_from(value) {
                Ok(value) => self.varint(value as u64),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::Zigzag => match i32::try_from(value) {
                Ok(value) => self.varint(zigzag(i64::from(value))),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::Fixed32 => match u32::try_from(value) {
                Ok(value) => self.fixed32(value),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::Fixed64 => match u64::try_from(value) {
                Ok(value) => self.fixed64(value),
                Err(_) => return Err(self.out_of_range(value)),
            },
            Kind::SignedFixed64 => match i64::try_from(value) {
                Ok(value) => self.fixed64(value as u64),
                Err(_) => return Err(self.out_of_range(value)),
            },
            _ => return Err(E::invalid_type(Unexpected::Other("a number"), &self)),
        }
        Ok(())
    }

    fn number_text<E: Error>(self, text: &str) -> Result<(), E> {
        match text.parse::<i128>() {
            Ok(value) => self.integer(value),
            Err(_) => match text.parse::<f64>() {
                Ok(value) => self.visit_f64(value),
                Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
            },
        }
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if self.wants_list() => "a list",
            Kind::Message(_) => "an object",
            Kind::Text => "a string",
            Kind::Hex => "hexadecimal digits",
            Kind::Base64 => "base64",
            Kind::Bool => "true or false",
            Kind::Double => "a number",
            Kind::Enum(_) => "an enumerator",
            _ => "a whole number",
        };
        write!(f, "{what} in field {}", self.field.json)
    }

    /// `null` is the default, which a list does not hold.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.inner { Err(E::invalid_type(Unexpected::Unit, &self)) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.inner || !self.field.repeated {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let Self { field, out, .. } = self;
        while list.next_element_seed(Content { field, inner: true, out: &mut *out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        if self.wants_list() {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        let mut result = Ok(());
        put_message(self.out, self.field.number, |out| result = Fields { message, out }.visit_map(map));
        result
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                self.varint(u64::from(value));
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double if !self.wants_list() => {
                self.fixed64(value.to_bits());
                Ok(())
            }
            // A whole number may be written with a point or an exponent.
            _ if value.fract() == 0.0 && value.abs() < 1e19 => self.integer(value as i128),
            _ => Err(E::invalid_type(Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.wants_list() {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        match self.field.kind {
            Kind::Text => put_bytes(self.out, self.field.number, text.as_bytes()),
            Kind::Hex => match unhex(text) {
                Some(bytes) => put_bytes(self.out, self.field.number, &bytes),
                None => return Err(E::invalid_value(Unexpected::Str(text), &self)),
            },
            Kind::Base64 => match STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)) {
                Ok(bytes) => put_bytes(self.out, self.field.number, &bytes),
                Err(_) => return Err(E::invalid_value(Unexpected::Str(text), &self)),
            },
            Kind::Enum(names) => match names.iter().find(|(name, _)| *name == text) {
                Some((_, number)) => self.varint(*number as u64),
                None => return self.number_text(text),
            },
            Kind::Double => match text {
                "NaN" => self.fixed64(f64::NAN.to_bits()),
                "Infinity" => self.fixed64(f64::INFINITY.to_bits()),
                "-Infinity" => self.fixed64(f64::NEG_INFINITY.to_bits()),
                _ => return self.number_text(text),
            },
            Kind::Bool | Kind::Message(_) => return Err(E::invalid_type(Unexpected::Str(text), &self)),
            _ => return self.number_text(text),
        }
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}
