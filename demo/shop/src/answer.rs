//! Good answers: JSON that is passed on as it came.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;

/// JSON in bytes.
pub(crate) struct Answer(pub(crate) Bytes);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
