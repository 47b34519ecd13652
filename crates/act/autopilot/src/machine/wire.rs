//! How settings and verdicts are written in rows.

use kandela_tune::Config;
use serde::{Deserialize, Serialize};

/// Settings as JSON: a number is a whole one where it has no fraction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(#[serde(with = "config")] pub Config);

pub(super) mod config {
    use kandela_model::{KnobValue, WireValue};
    use kandela_tune::Config;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::machine) fn serialize<S: Serializer>(
        config: &Config,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(config.iter().map(|(name, value)| (name, WireValue::from(value))))
    }

    pub(in crate::machine) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Config, D::Error> {
        let values = std::collections::BTreeMap::<String, WireValue>::deserialize(deserializer)?;
        let value = |value: WireValue| match value {
            WireValue::Bool(value) => KnobValue::Bool(value),
            WireValue::Int(value) => KnobValue::Int(value),
            WireValue::Float(value) => KnobValue::Float(value),
            WireValue::Word(value) => KnobValue::Choice(value),
        };
        Ok(values.into_iter().map(|(name, written)| (name, value(written))).collect())
    }
}

pub(crate) mod verdict {
    use kandela_algebra::verdict::Verdict;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(verdict.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = [Verdict::Holds, Verdict::Violated, Verdict::Unknown];
        let found = known.into_iter().find(|verdict| verdict.as_str() == word);
        found.ok_or_else(|| D::Error::custom(format!("there is no verdict {word:?}")))
    }
}
