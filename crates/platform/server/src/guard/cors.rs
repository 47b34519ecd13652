//! Pages of other origins that may read answers: those that the config trusts, and nobody else.
//!
//! Prometheus lets every page read by default. Here a page that the user happens to look at would read what stands on the user's
//! own machine, so an origin must be named in `kandela.allowed_origins` (Fetch standard, "CORS protocol").

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The answer to whoever asks what may be sent, as browsers do before some requests and without credentials; without the
/// origin's name in it, a browser sends nothing.
pub(super) fn options() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    response
}

/// Lets the page of `origin` read the answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    let allowed_headers =
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin, X-Scope-OrgID");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
