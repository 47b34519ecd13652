//! Why a request got no good answer, as its status and one line of JSON: `{"error": "…"}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// A bad answer.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    /// Something is full: come back later.
    pub(crate) fn busy(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(crate) fn bad_gateway(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_GATEWAY, message)
    }

    pub(crate) fn timed_out(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// What a downstream said; the first one who said it is named.
    pub(crate) fn passed_on(status: StatusCode, name: &str, body: &[u8]) -> Failure {
        let said = serde_json::from_slice::<serde_json::Value>(body).ok();
        let said = said.as_ref().and_then(|body| body.get("error")).and_then(|error| error.as_str());
        let message =
            said.map_or_else(|| format!("{name} answered {status}"), |said| format!("{name}: {said}"));
        let internal = status == StatusCode::INTERNAL_SERVER_ERROR;
        Failure::new(if internal { StatusCode::BAD_GATEWAY } else { status }, message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        tracing::warn!(error = %format!("{error:#}"), "a request failed");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.message }))).into_response()
    }
}
