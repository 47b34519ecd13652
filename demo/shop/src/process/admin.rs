//! How a process is looked into and steered: `/healthz`, `/knobs`, `/decisions`, `/faults`, `/split`. No fault and no limiter
//! stands before these.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use kandela_model::{Knob, KnobChange, KnobError, KnobState, WireValue};
use kandela_runtime::decision::{Effect, Entry};
use kandela_runtime::steward::Steward;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::Health;
use crate::failure::Failure;
use crate::faults::{self, Faults};
use crate::split::Split;

/// What there is to steer.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) steward: Steward,
    pub(super) faults: Faults,
    pub(super) endpoints: Vec<String>,
    pub(super) splits: BTreeMap<String, Arc<Split>>,
    /// Held while knobs are turned, so that of two requests each is carried out whole.
    pub(super) turning: Arc<Mutex<()>>,
}

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/knobs", get(knobs).put(turn))
        .route("/decisions", get(decisions))
        .route("/faults", get(show_faults).put(set_faults).delete(clear_faults))
        .route("/split", get(show_split).put(set_split))
        .with_state(admin)
}

async fn health() -> String {
    Health::own().to_string()
}

async fn knobs(State(admin): State<Admin>) -> Json<Vec<KnobState>> {
    Json(states(&admin))
}

fn states(admin: &Admin) -> Vec<KnobState> {
    admin.steward.knobs().all().iter().map(|knob| KnobState::of(knob.as_ref())).collect()
}

/// Carries out one change, or an array of them: all or none.
async fn turn(State(admin): State<Admin>, body: Bytes) -> Response {
    let changes = match read_changes(&body) {
        Ok(changes) => changes,
        Err(what) => return refusal(StatusCode::BAD_REQUEST, None, &what),
    };
    let _alone = admin.turning.lock();
    let mut planned: Vec<(Arc<dyn Knob>, KnobChange)> = Vec::new();
    for change in changes {
        let Some(knob) = admin.steward.knobs().get(&change.name) else {
            let what = format!("this service has no knob {}; GET /knobs lists its knobs", change.name);
            return refusal(StatusCode::NOT_FOUND, Some(&change.name), &what);
        };
        if planned.iter().any(|(_, earlier)| earlier.name == change.name) {
            let what = format!("knob {}: it is named twice; give one change for each knob", change.name);
            return refusal(StatusCode::BAD_REQUEST, Some(&change.name), &what);
        }
        if let Err(error) = change.check(knob.as_ref()) {
            return refusal(status_of(&error), Some(&change.name), &error.to_string());
        }
        planned.push((knob, change));
    }
    for (knob, change) in &planned {
        // Checked above; only a part's own controller can have come between, by a step of its own.
        if let Err(error) = change.apply(knob.as_ref()) {
            return refusal(status_of(&error), Some(&change.name), &error.to_string());
        }
        tracing::info!(knob = change.name, epoch = change.epoch.0, "knob turned from outside");
    }
    let turned: Vec<KnobState> = planned.iter().map(|(knob, _)| KnobState::of(knob.as_ref())).collect();
    Json(turned).into_response()
}

fn read_changes(body: &[u8]) -> Result<Vec<KnobChange>, String> {
    let json: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let read = |item: Value| KnobChange::deserialize(item);
    match json {
        Value::Array(items) => {
            let read = items
                .into_iter()
                .enumerate()
                .map(|(number, item)| read(item).map_err(|error| format!("change {number}: {error}")));
            read.collect()
        }
        one => read(one).map(|change| vec![change]).map_err(|error| error.to_string()),
    }
}

fn status_of(error: &KnobError) -> StatusCode {
    match error {
        KnobError::StaleEpoch { .. } | KnobError::Held { .. } => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn refusal(status: StatusCode, knob: Option<&str>, what: &str) -> Response {
    (status, Json(json!({ "error": what, "knob": knob }))).into_response()
}

async fn decisions(State(admin): State<Admin>) -> Json<Vec<Value>> {
    Json(admin.steward.log().entries().iter().map(entry_to_json).collect())
}

fn entry_to_json(entry: &Entry) -> Value {
    let evidence: BTreeMap<&str, f64> = entry.reason.evidence.iter().copied().collect();
    json!({
        "number": entry.number,
        "at_s": entry.at.as_secs_f64(),
        "knob": entry.knob,
        "from": WireValue::from(&entry.from),
        "to": WireValue::from(&entry.to),
        "why": entry.reason.why,
        "evidence": evidence,
        "expected": entry.reason.expected.as_ref().map(effect_to_json),
        "refused": entry.refused,
        "observed": entry.observed.as_ref().map(effect_to_json),
    })
}

fn effect_to_json(effect: &Effect) -> Value {
    json!({ "measure": effect.measure, "before": effect.before, "after": effect.after })
}

async fn show_faults(State(admin): State<Admin>) -> Response {
    Json(admin.faults.shown()).into_response()
}

async fn set_faults(State(admin): State<Admin>, body: Bytes) -> Result<Response, Failure> {
    let faults = faults::parse(&body, &admin.endpoints).map_err(Failure::bad_request)?;
    tracing::warn!(count = faults.len(), "faults set");
    admin.faults.set(faults);
    Ok(Json(admin.faults.shown()).into_response())
}

async fn clear_faults(State(admin): State<Admin>) -> StatusCode {
    admin.faults.set(Vec::new());
    StatusCode::NO_CONTENT
}

async fn show_split(State(admin): State<Admin>) -> Json<BTreeMap<String, BTreeMap<String, f64>>> {
    Json(admin.splits.iter().map(|(service, split)| (service.clone(), split.weights())).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSplit {
    service: String,
    weights: BTreeMap<String, f64>,
}

async fn set_split(State(admin): State<Admin>, body: Bytes) -> Result<Response, Failure> {
    let new: NewSplit = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(format!(
            "{error}; give {{\"service\": \"checkout\", \"weights\": {{\"127.0.0.1:7703\": 0.9, …}}}}"
        ))
    })?;
    let Some(split) = admin.splits.get(&new.service) else {
        let known: Vec<&str> = admin.splits.keys().map(String::as_str).collect();
        let what = format!("this service calls no {}; it calls {}", new.service, known.join(", "));
        return Err(Failure::new(StatusCode::NOT_FOUND, what));
    };
    split.set(&new.weights).map_err(Failure::bad_request)?;
    Ok(show_split(State(admin)).await.into_response())
}
