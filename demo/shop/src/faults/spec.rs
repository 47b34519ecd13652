//! What a fault is, and what is wrong with one that is none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figure::short;

/// A fault as it is asked for and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub(crate) kind: Kind,
    /// At which endpoint (`GET /items/{id}`); at all where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// In which share of requests.
    #[serde(default = "all")]
    pub(crate) share: f64,
    /// After how long it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_s: Option<f64>,
}

fn all() -> f64 {
    1.0
}

/// What goes wrong. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kind {
    /// An answer comes later: by `fixed_ms`, or by a log-normal time of this median and spread.
    Latency {
        #[serde(skip_serializing_if = "Option::is_none")]
        fixed_ms: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        median_ms: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sigma: Option<f64>,
    },
    /// A request is answered with `status`.
    Errors { status: u16 },
    /// A core computes for so long, for nothing.
    Cpu { burn_ms: f64 },
    /// A lock that all requests need is held for so long.
    Lock { hold_ms: f64 },
    /// The process's memory grows, up to a cap.
    Leak { mb_per_s: f64, cap_mb: f64 },
    /// The connection is closed without an answer.
    Drop,
}

const FIELDS: [(&str, &[&str]); 6] = [
    ("latency", &["fixed_ms", "median_ms", "sigma"]),
    ("errors", &["status"]),
    ("cpu", &["burn_ms"]),
    ("lock", &["hold_ms"]),
    ("leak", &["mb_per_s", "cap_mb"]),
    ("drop", &[]),
];
const COMMON: [&str; 4] = ["kind", "endpoint", "share", "duration_s"];

/// Reads one fault, or an array of them, for a service with these `endpoints`.
///
/// # Errors
/// Which fault is wrong, where, and what it may be.
pub(crate) fn parse(body: &[u8], endpoints: &[String]) -> Result<Vec<Fault>, String> {
    let json: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let items = match json {
        Value::Array(items) => items,
        one => vec![one],
    };
    if items.len() > 100 {
        return Err(format!("{} faults; at most 100 at a time", items.len()));
    }
    let parsed = items.into_iter().enumerate();
    parsed
        .map(|(number, item)| read(item, endpoints).map_err(|what| format!("fault {number}: {what}")))
        .collect()
}

fn read(item: Value, endpoints: &[String]) -> Result<Fault, String> {
    let Some(object) = item.as_object() else {
        return Err("a fault is a JSON object with a \"kind\"".to_owned());
    };
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some((_, fields)) = FIELDS.iter().find(|(name, _)| *name == kind) else {
        let kinds = FIELDS.map(|(name, _)| name).join(", ");
        return Err(format!("kind is {kind:?}; it may be {kinds}"));
    };
    if let Some(odd) =
        object.keys().find(|key| !fields.contains(&key.as_str()) && !COMMON.contains(&key.as_str()))
    {
        let known = [fields, &COMMON[1..]].concat().join(", ");
        return Err(format!("{kind} has no field {odd}; it has {known}"));
    }
    let fault: Fault = serde_json::from_value(item).map_err(|error| format!("{kind}: {error}"))?;
    check(&fault, endpoints)?;
    Ok(fault)
}

fn check(fault: &Fault, endpoints: &[String]) -> Result<(), String> {
    within("share", fault.share, 0.0, 1.0)?;
    if let Some(duration) = fault.duration_s {
        within("duration_s", duration, 0.001, 86_400.0)?;
    }
    if let Some(endpoint) = fault.endpoint.as_ref().filter(|endpoint| !endpoints.contains(endpoint)) {
        return Err(format!("endpoint is {endpoint:?}; this service has {}", endpoints.join(", ")));
    }
    match &fault.kind {
        Kind::Latency { fixed_ms: Some(fixed), median_ms: None, sigma: None } => {
            within("fixed_ms", *fixed, 0.0, 120_000.0)
        }
        Kind::Latency { fixed_ms: None, median_ms: Some(median), sigma } => {
            within("median_ms", *median, 0.0, 120_000.0)?;
            within("sigma", sigma.unwrap_or(0.0), 0.0, 3.0)
        }
        Kind::Latency { .. } => Err("latency: give fixed_ms, or median_ms and sigma".to_owned()),
        Kind::Errors { status } => within("status", f64::from(*status), 400.0, 599.0),
        Kind::Cpu { burn_ms } => within("burn_ms", *burn_ms, 0.0, 10_000.0),
        Kind::Lock { hold_ms } => within("hold_ms", *hold_ms, 0.0, 10_000.0),
        Kind::Leak { mb_per_s, cap_mb } => {
            within("mb_per_s", *mb_per_s, 0.001, 1024.0)?;
            within("cap_mb", *cap_mb, 1.0, 4096.0)?;
            if fault.endpoint.is_some() || fault.share < 1.0 {
                return Err(
                    "leak: a leak is of the whole process; it takes no endpoint and no share".to_owned()
                );
            }
            Ok(())
        }
        Kind::Drop => Ok(()),
    }
}

fn within(field: &str, given: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&given) {
        return Ok(());
    }
    Err(format!("{field} is {}; it may be {low} to {high}", short(given)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        parse(json.as_bytes(), &["GET /items/{id}".to_owned()]).expect_err(json)
    }

    #[test]
    fn a_fault_returns_as_it_was_asked_for() {
        let json = r#"{"kind":"latency","median_ms":200.0,"sigma":0.5,"endpoint":"GET /items/{id}","share":0.2,"duration_s":60.0}"#;
        let faults = parse(json.as_bytes(), &["GET /items/{id}".to_owned()]).expect("valid");
        assert_eq!(serde_json::to_string(&faults[0]).expect("serialises"), json);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (json, said) in [
            (r#"{"kind":"smoke"}"#, "fault 0: kind is \"smoke\"; it may be latency, errors"),
            (r#"[{"kind":"drop"},{"kind":"drop","share":1.5}]"#, "fault 1: share is 1.5; it may be 0 to 1"),
            (r#"{"kind":"errors","status":200}"#, "status is 200; it may be 400 to 599"),
            (r#"{"kind":"drop","duration_s":1e300}"#, "duration_s is 1e300; it may be 0.001 to 86400"),
            (r#"{"kind":"errors"}"#, "missing field `status`"),
            (
                r#"{"kind":"cpu","burn_ms":5,"hold_ms":5}"#,
                "cpu has no field hold_ms; it has burn_ms, endpoint",
            ),
            (r#"{"kind":"latency"}"#, "give fixed_ms, or median_ms and sigma"),
            (r#"{"kind":"drop","endpoint":"GET /x"}"#, "this service has GET /items/{id}"),
            (r#"{"kind":"leak","mb_per_s":1,"cap_mb":9,"share":0.5}"#, "takes no endpoint and no share"),
            ("[1]", "fault 0: a fault is a JSON object"),
            ("{", "the body is no JSON"),
        ] {
            let what = refused(json);
            assert!(what.contains(said), "{json}: {what}");
        }
    }
}
