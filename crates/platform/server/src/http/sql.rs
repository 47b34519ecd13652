//! `/api/sql`: a query in the body or the URL, its rows out as they come.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use crate::app::App;
use crate::net::body::{self, BodyLimits};
use crate::refusal::Refusal;
use crate::sql::{Answer, RowFormat, WARNING};
use crate::tenants::{Tenants, refusal_of};

/// Bytes that a query's text may have.
const MAX_QUERY: usize = 1 << 20;

#[derive(Deserialize)]
pub(super) struct Parameters {
    query: Option<String>,
    format: Option<String>,
}

#[derive(Deserialize)]
struct JsonBody {
    query: String,
    format: Option<String>,
}

pub(super) async fn sql(
    State(app): State<Arc<App>>,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Result<Response, Refusal> {
    let tenant = Tenants::named_by(request.headers())?;
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (query, word) = asked(&app, parameters, request).await?;
    let format = match word {
        None => RowFormat::accepted(accept.as_deref()),
        Some(word) => RowFormat::named(&word).ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("format {word:?} is not known; use json, csv or arrow"),
            )
        })?,
    };
    let lake = app.lake(&tenant).await?;
    let Answer { begun, mut pieces } = app.queries.start(lake, query, format);
    // Most errors come before the first row; they get a status of their own.
    let warnings = match begun.await {
        Ok(begun) => begun.map_err(|error| refusal_of(&error))?,
        Err(_) => {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the query ended without an answer"));
        }
    };
    // A later one breaks the answer off, so that nobody takes it for whole.
    let answer = futures::stream::poll_fn(move |context| pieces.poll_recv(context));
    let body = Body::from_stream(answer);
    let mut response = ([(CONTENT_TYPE, format.content_type())], body).into_response();
    for warning in warnings.iter().filter_map(|warning| HeaderValue::from_str(warning).ok()) {
        response.headers_mut().append(WARNING, warning);
    }
    Ok(response)
}

/// The query's text and the format that was asked for by name.
async fn asked(
    app: &App,
    parameters: Parameters,
    request: Request,
) -> Result<(String, Option<String>), Refusal> {
    let missing = || {
        let message = "the query is missing; send it as ?query=, as the body, or as {\"query\": …} in JSON";
        Refusal::new(StatusCode::BAD_REQUEST, message)
    };
    if request.method() == Method::GET || parameters.query.is_some() {
        return Ok((parameters.query.ok_or_else(missing)?, parameters.format));
    }
    let (head, body) = request.into_parts();
    let limits = BodyLimits { wire: MAX_QUERY, ..app.body_limits };
    let text = body::read(&head.headers, body, &limits, &mut app.admission.room()).await?;
    let text = std::str::from_utf8(&text)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the query is not UTF-8: {error}")))?;
    let (query, format) = if is_json(&head.headers) {
        let body: JsonBody = serde_json::from_str(text).map_err(|error| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("the body is not {{\"query\": …}} in JSON: {error}"),
            )
        })?;
        (body.query, body.format)
    } else {
        (text.to_owned(), None)
    };
    if query.trim().is_empty() {
        return Err(missing());
    }
    Ok((query, parameters.format.or(format)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        value.split(';').next().is_some_and(|essence| essence.trim() == "application/json")
    })
}
