//! `/metrics`: what the server tells about itself.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::app::App;
use crate::telemetry::exposition::{TextFormat, text};

pub(super) async fn expose(State(app): State<Arc<App>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = TextFormat::negotiate(accept);
    ([(CONTENT_TYPE, format.content_type())], text(&app.own_metrics(), format))
}
