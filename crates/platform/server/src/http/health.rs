//! Whether the server lives, whether it may be sent requests, and reading its configuration again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::refusal::Refusal;

/// Alive; true as soon as the port is open.
pub(super) async fn healthy() -> &'static str {
    "Kandela is healthy.\n"
}

/// Ready to take in and answer; 503 while the lake recovers.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() {
        "Kandela is ready.\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Kandela is recovering what it had acknowledged.\n").into_response()
    }
}

/// Reads the configuration again and says whether it is in force.
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<String, Refusal> {
    match app.reload().await {
        Ok(waiting) if waiting.is_empty() => Ok("configuration reloaded\n".to_owned()),
        Ok(waiting) => Ok(format!("configuration reloaded; restart for {}\n", waiting.join(", "))),
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}
