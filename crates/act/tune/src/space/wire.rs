//! A space as JSON: an object whose keys are the parameters, in their order.
//!
//! `{"pool": {"type": "int", "min": 1, "max": 128, "log": true, "default": 8}, "policy": {"type": "enum", "values": ["a", "b"]}}`

use std::fmt;

use kandela_model::{ApplyCost, KnobSpec, KnobType, KnobValue, StepCap, WireValue};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Class, Condition, Parameter, Space};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<WireValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<WireValue>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    log: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<WireValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_cap: Option<Cap>,
    #[serde(default)]
    cost: Cost,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    #[serde(default)]
    class: Word,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Int,
    Float,
    Bool,
    Enum,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cap {
    Absolute(f64),
    Factor(f64),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cost {
    #[default]
    Live,
    Reload,
    Restart,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Free,
    Durability,
    Security,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    parameter: String,
    among: Vec<WireValue>,
}

impl Serialize for Space {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parameters.len()))?;
        for parameter in &self.parameters {
            map.serialize_entry(&parameter.spec.name, &show(parameter))?;
        }
        map.end()
    }
}

fn show(parameter: &Parameter) -> Shown {
    let spec = &parameter.spec;
    let (kind, min, max, log, values) = match &spec.kind {
        KnobType::Int { min, max, log } => {
            (Kind::Int, Some(WireValue::Int(*min)), Some(WireValue::Int(*max)), *log, None)
        }
        KnobType::Float { min, max, log } => {
            (Kind::Float, Some(WireValue::Float(*min)), Some(WireValue::Float(*max)), *log, None)
        }
        KnobType::Bool => (Kind::Bool, None, None, false, None),
        KnobType::Choice(values) => (Kind::Enum, None, None, false, Some(values.clone())),
    };
    Shown {
        kind,
        min,
        max,
        log,
        values,
        default: parameter.default.as_ref().map(WireValue::from),
        step_cap: match spec.step_cap {
            StepCap::Unlimited => None,
            StepCap::Absolute(most) => Some(Cap::Absolute(most)),
            StepCap::Factor(most) => Some(Cap::Factor(most)),
        },
        cost: match spec.cost {
            ApplyCost::Live => Cost::Live,
            ApplyCost::Reload => Cost::Reload,
            ApplyCost::Restart => Cost::Restart,
        },
        when: parameter.when.as_ref().map(|when| When {
            parameter: when.parameter.clone(),
            among: when.among.iter().map(WireValue::from).collect(),
        }),
        class: match parameter.class {
            Class::Free => Word::Free,
            Class::Durability => Word::Durability,
            Class::Security => Word::Security,
        },
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Space, D::Error> {
        deserializer.deserialize_map(Parameters)
    }
}

struct Parameters;

impl<'de> Visitor<'de> for Parameters {
    type Value = Space;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters by name, such as {\"pool\": {\"type\": \"int\", \"min\": 1, \"max\": 128}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Space, A::Error> {
        let mut parameters = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let shown: Shown =
                map.next_value().map_err(|error| A::Error::custom(format!("parameter {name}: {error}")))?;
            let parameter = read(&name, shown, &parameters)
                .map_err(|what| A::Error::custom(format!("parameter {name}: {what}")))?;
            parameters.push(parameter);
        }
        Space::new(parameters).map_err(A::Error::custom)
    }
}

fn read(name: &str, shown: Shown, before: &[Parameter]) -> Result<Parameter, String> {
    let kind = read_kind(&shown)?;
    let typed = |value: &WireValue| {
        value.typed(&kind).ok_or_else(|| format!("its default is of another type; it takes {kind}"))
    };
    let default = shown.default.as_ref().map(typed).transpose()?;
    let when = shown.when.map(|when| read_condition(&when, before)).transpose()?;
    let step_cap = match shown.step_cap {
        None => StepCap::Unlimited,
        Some(Cap::Absolute(most)) => StepCap::Absolute(most),
        Some(Cap::Factor(most)) => StepCap::Factor(most),
    };
    let cost = match shown.cost {
        Cost::Live => ApplyCost::Live,
        Cost::Reload => ApplyCost::Reload,
        Cost::Restart => ApplyCost::Restart,
    };
    let class = match shown.class {
        Word::Free => Class::Free,
        Word::Durability => Class::Durability,
        Word::Security => Class::Security,
    };
    let spec = KnobSpec { name: name.to_owned(), kind, step_cap, cost };
    Ok(Parameter { spec, default, when, class })
}

fn read_kind(shown: &Shown) -> Result<KnobType, String> {
    let numeric = matches!(shown.kind, Kind::Int | Kind::Float);
    if !numeric && (shown.min.is_some() || shown.max.is_some() || shown.log) {
        return Err("min, max and log are for int and float".to_owned());
    }
    if !matches!(shown.kind, Kind::Enum) && shown.values.is_some() {
        return Err("values are for enum".to_owned());
    }
    let whole = KnobType::Int { min: i64::MIN, max: i64::MAX, log: false };
    let real = KnobType::Float { min: f64::MIN, max: f64::MAX, log: false };
    let bound = |bound: &Option<WireValue>, end: &str, kind: &KnobType| {
        let given = bound.as_ref().ok_or_else(|| format!("it has no {end}"))?;
        given.typed(kind).ok_or_else(|| format!("its {end} is no number of its type"))
    };
    match shown.kind {
        Kind::Int => match (bound(&shown.min, "min", &whole)?, bound(&shown.max, "max", &whole)?) {
            (KnobValue::Int(min), KnobValue::Int(max)) => Ok(KnobType::Int { min, max, log: shown.log }),
            _ => Err("its ends are whole numbers".to_owned()),
        },
        Kind::Float => match (bound(&shown.min, "min", &real)?, bound(&shown.max, "max", &real)?) {
            (KnobValue::Float(min), KnobValue::Float(max)) => {
                Ok(KnobType::Float { min, max, log: shown.log })
            }
            _ => Err("its ends are numbers".to_owned()),
        },
        Kind::Bool => Ok(KnobType::Bool),
        Kind::Enum => {
            Ok(KnobType::Choice(shown.values.clone().ok_or_else(|| "an enum lists its values".to_owned())?))
        }
    }
}

fn read_condition(when: &When, before: &[Parameter]) -> Result<Condition, String> {
    let on = before.iter().find(|parameter| parameter.spec.name == when.parameter);
    let on = on.ok_or_else(|| format!("it depends on {}, which is not listed before it", when.parameter))?;
    let typed = |value: &WireValue| {
        let typed = value.typed(&on.spec.kind);
        typed.ok_or_else(|| format!("it depends on {} by a value of another type", when.parameter))
    };
    let among = when.among.iter().map(typed).collect::<Result<_, _>>()?;
    Ok(Condition { parameter: when.parameter.clone(), among })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{
        "x0": {"type": "float", "min": -5, "max": 5},
        "pool": {"type": "int", "min": 1, "max": 128, "log": true, "default": 8, "step_cap": {"factor": 2}, "cost": "reload"},
        "policy": {"type": "enum", "values": ["b", "a"]},
        "ways": {"type": "int", "min": 1, "max": 4, "when": {"parameter": "policy", "among": ["a"]}},
        "z": {"type": "bool"},
        "fsync": {"type": "bool", "class": "durability"}
    }"#;

    fn refusal(json: &str) -> String {
        serde_json::from_str::<Space>(json).expect_err(json).to_string()
    }

    #[test]
    fn a_space_keeps_the_order_of_its_parameters() {
        let space: Space = serde_json::from_str(EXAMPLE).expect("a space");
        let names: Vec<&str> = space.parameters().iter().map(|p| p.spec.name.as_str()).collect();
        assert_eq!(names, ["x0", "pool", "policy", "ways", "z", "fsync"]);
        assert_eq!(space.axes().len(), 5);
    }

    #[test]
    fn a_space_returns_from_its_json() {
        let space: Space = serde_json::from_str(EXAMPLE).expect("a space");
        let json = serde_json::to_string(&space).expect("serialises");
        assert_eq!(serde_json::from_str::<Space>(&json).expect("reads"), space);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_parameter() {
        assert!(refusal(r#"{"a": {"type": "int", "min": 1}}"#).starts_with("parameter a: it has no max"));
        assert!(
            refusal(r#"{"a": {"type": "int", "min": 1.5, "max": 3}}"#)
                .contains("its min is no number of its type")
        );
        assert!(
            refusal(r#"{"a": {"type": "bool", "min": 1}}"#)
                .contains("min, max and log are for int and float")
        );
        assert!(refusal(r#"{"a": {"type": "bol"}}"#).contains("parameter a: unknown variant `bol`"));
        assert!(
            refusal(r#"{"a": {"type": "bool"}, "a": {"type": "bool"}}"#)
                .contains("parameter a is there twice")
        );
        assert!(refusal(r#"{"a": {"type": "bool", "defualt": true}}"#).contains("unknown field `defualt`"));
        let late = r#"{"a": {"type": "bool", "when": {"parameter": "b", "among": [true]}}}"#;
        assert!(refusal(late).contains("it depends on b, which is not listed before it"));
        assert!(refusal("[]").contains("an object of parameters by name"));
    }
}
