//! `/api/kandela/v1/autopilot`: where things stand, the story of a proposal, and a person's orders.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use kandela_autopilot::machine::{Mode, Order, Values};
use kandela_model::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::refusal::Refusal;

/// Which system; none where there is only one.
#[derive(Deserialize)]
pub(super) struct Which {
    system: Option<String>,
}

/// From which row of a ledger on.
#[derive(Deserialize)]
pub(super) struct From {
    system: Option<String>,
    #[serde(default)]
    from: u64,
}

/// What a person orders.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ordered {
    Pause {
        by: String,
        #[serde(default)]
        why: String,
    },
    Resume {
        by: String,
    },
    Approve {
        by: String,
        proposal: u64,
    },
    Decline {
        by: String,
        proposal: u64,
    },
    Suggest {
        by: String,
        values: Values,
    },
    RollBack {
        by: String,
        /// `null` for everything; what is left out by mistake is no such wish.
        #[serde(deserialize_with = "Option::deserialize")]
        proposal: Option<u64>,
    },
    SetMode {
        by: String,
        mode: Mode,
    },
}

/// A row of a ledger.
#[derive(Serialize)]
struct Row {
    seq: u64,
    at_micros: i64,
    epoch: u64,
    verdict: Option<&'static str>,
    payload: Value,
}

pub(super) async fn systems(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let lake = app.lake(&TenantId::default()).await?;
    // One whose manager hangs keeps nobody else waiting.
    let all = app.autopilot.all();
    let systems = futures::future::try_join_all(all.iter().map(|system| system.listed(&lake))).await?;
    Ok(Json(json!({ "systems": systems })).into_response())
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let system = app.autopilot.named(which.system.as_deref())?;
    let lake = app.lake(&TenantId::default()).await?;
    Ok(Json(system.listed(&lake).await?).into_response())
}

pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(proposal): Path<u64>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let system = app.autopilot.named(which.system.as_deref())?;
    let lake = app.lake(&TenantId::default()).await?;
    let story = system.story(&lake, proposal).await?;
    Ok(Json(json!({ "system": system.name(), "story": story, "text": story.to_string() })).into_response())
}

pub(super) async fn ledger(
    State(app): State<Arc<App>>,
    Query(from): Query<From>,
) -> Result<Response, Refusal> {
    let system = app.autopilot.named(from.system.as_deref())?;
    let lake = app.lake(&TenantId::default()).await?;
    let rows = system.rows(&lake, from.from).await?.into_iter().map(|row| Row {
        seq: row.seq,
        at_micros: row.at.micros(),
        epoch: row.epoch.0,
        verdict: row.verdict,
        payload: serde_json::from_str(&row.payload).unwrap_or(Value::String(row.payload)),
    });
    Ok(Json(json!({ "system": system.name(), "rows": rows.collect::<Vec<_>>() })).into_response())
}

pub(super) async fn order(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
    body: String,
) -> Result<Response, Refusal> {
    let ordered: Ordered = serde_json::from_str(&body).map_err(|error| {
        let message = format!(
            "an order is such as {{\"order\": \"pause\", \"by\": \"ann\", \"why\": \"release\"}}: {error}"
        );
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })?;
    if !ordered.texts().into_iter().all(is_plain) {
        let message = format!(
            "`by` and `why` are text of {LONGEST_TEXT} characters at most, without control characters"
        );
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let system = app.autopilot.named(which.system.as_deref())?;
    system.order(ordered.into()).await?;
    Ok(Json(json!({ "system": system.name(), "followed": true })).into_response())
}

/// Characters of what a person says with an order.
const LONGEST_TEXT: usize = 500;

/// Whether it can stand in a ledger that people read on a terminal.
fn is_plain(text: &str) -> bool {
    text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control)
}

impl Ordered {
    fn texts(&self) -> [&str; 2] {
        match self {
            Ordered::Pause { by, why } => [by, why],
            Ordered::Resume { by }
            | Ordered::Approve { by, .. }
            | Ordered::Decline { by, .. }
            | Ordered::Suggest { by, .. }
            | Ordered::RollBack { by, .. }
            | Ordered::SetMode { by, .. } => [by, ""],
        }
    }
}

impl std::convert::From<Ordered> for Order {
    fn from(ordered: Ordered) -> Order {
        match ordered {
            Ordered::Pause { by, why } => Order::Pause { by, why },
            Ordered::Resume { by } => Order::Resume { by },
            Ordered::Approve { by, proposal } => Order::Approve { proposal, by },
            Ordered::Decline { by, proposal } => Order::Decline { proposal, by },
            Ordered::Suggest { by, values: Values(values) } => Order::Suggest { values, by },
            Ordered::RollBack { by, proposal } => Order::RollBack { proposal, by },
            Ordered::SetMode { by, mode } => Order::SetMode { mode, by },
        }
    }
}
