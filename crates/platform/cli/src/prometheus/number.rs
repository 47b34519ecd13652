//! Numbers as Prometheus' API writes them: strings, with NaN and infinities.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// A sample's value; in JSON a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

/// A time in milliseconds since the Unix epoch; in JSON seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(|_| D::Error::custom(format!("{text:?} is no number")))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&number_text(self.0))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self((f64::deserialize(from)? * 1e3).round() as i64))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1_000 {
            0 => into.serialize_i64(self.0 / 1_000),
            _ => into.serialize_f64(self.0 as f64 / 1e3),
        }
    }
}

/// A value with all its digits, as Prometheus writes it: an exponent below 1e-6 and from 1e21 on.
pub(crate) fn number_text(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent_text(value)
    } else {
        format!("{value}")
    }
}

/// A finite value with all its digits and an exponent, as Prometheus writes one.
pub(crate) fn exponent_text(value: f64) -> String {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        let told = |value: f64, wanted: &str| assert_eq!(number_text(value), wanted);
        told(1.0, "1");
        told(-0.5, "-0.5");
        told(1e20, "100000000000000000000");
        told(1e21, "1e+21");
        told(1.5e-7, "1.5e-07");
        told(f64::NAN, "NaN");
        told(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn a_time_keeps_its_milliseconds() {
        let read: Millis = serde_json::from_str("1435781451.781").unwrap();
        assert_eq!(read, Millis(1_435_781_451_781));
        assert_eq!(serde_json::to_string(&read).unwrap(), "1435781451.781");
        assert_eq!(serde_json::to_string(&Millis(2_000)).unwrap(), "2");
    }

    #[test]
    fn infinities_are_read() {
        let read = |text: &str| serde_json::from_str::<Number>(text).unwrap().0;
        assert_eq!(read("\"+Inf\""), f64::INFINITY);
        assert_eq!(read("\"-Inf\""), f64::NEG_INFINITY);
        assert!(read("\"NaN\"").is_nan());
    }
}
