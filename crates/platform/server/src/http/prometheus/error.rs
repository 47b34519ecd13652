//! Errors as Prometheus' HTTP API tells them.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kandela_lake::LakeError;
use kandela_promql::{EvalError, SourceCause};

use super::json::{push_key, push_text};
use crate::refusal::Refusal;
use crate::tenants::refusal_of;

/// Nginx' number for a client that did not wait, which Prometheus uses too.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// Prometheus' word for the kind of error.
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// Set where the same request may succeed later.
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), retry_after: None }
    }

    /// The request is wrong.
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// One parameter is wrong.
    pub(super) fn invalid(parameter: &str, why: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{parameter}\": {why}"))
    }

    /// It could not be answered on these data.
    pub(super) fn execution(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message)
    }

    /// It took too long.
    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    /// What it asks for is not to be had now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A defect, or a broken disk.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    fn canceled(message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, "canceled", message)
    }
}

impl ApiError {
    /// The message as a line of text, for endpoints that answer no JSON.
    pub(super) fn plain_response(self) -> Response {
        let mut refusal = Refusal::new(self.status, self.message);
        refusal.retry_after = self.retry_after;
        refusal.plain_response()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let kind = refusal.error_type();
        Self { status: refusal.status, kind, message: refusal.message, retry_after: refusal.retry_after }
    }
}

impl From<LakeError> for ApiError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::QueryTimeout { .. } => Self::timeout(error.to_string()),
            error => refusal_of(&error).into(),
        }
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> Self {
        let message = error.to_string();
        match error {
            EvalError::Bad(why) => Self::invalid("query", why),
            EvalError::Timeout => Self::timeout(message),
            EvalError::Cancelled => Self::canceled(message),
            EvalError::MemoryTaken => Self::unavailable(message),
            EvalError::Source(source) => match source.cause {
                SourceCause::Limit => Self::execution(message),
                SourceCause::Unavailable => Self::unavailable(message),
                SourceCause::Internal => Self::internal(message),
            },
            EvalError::Execution(_) | EvalError::TooManySamples | EvalError::TooMuchMemory { .. } => {
                Self::execution(message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = b"{\"status\":\"error\",".to_vec();
        push_key(&mut body, "errorType");
        push_text(&mut body, self.kind);
        body.push(b',');
        push_key(&mut body, "error");
        push_text(&mut body, &self.message);
        body.push(b'}');
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        }
        response
    }
}
