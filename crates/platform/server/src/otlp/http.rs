//! OTLP over HTTP: protobuf and JSON, answered in the encoding that was asked in.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::{Logs, Metrics, Signal, Traces, export, refused};
use crate::app::App;
use crate::net::Peer;
use crate::net::body::{self, Encoding};
use crate::receive::Delivery;
use crate::refusal::{OtlpEncoding, Refusal};

const PROTOCOL: &str = "otlp_http";

/// `/v1/metrics`.
pub(crate) async fn metrics(app: State<Arc<App>>, peer: Extension<Peer>, request: Request) -> Response {
    receive::<Metrics>(app.0, peer.0, request).await
}

/// `/v1/traces`.
pub(crate) async fn traces(app: State<Arc<App>>, peer: Extension<Peer>, request: Request) -> Response {
    receive::<Traces>(app.0, peer.0, request).await
}

/// `/v1/logs`.
pub(crate) async fn logs(app: State<Arc<App>>, peer: Extension<Peer>, request: Request) -> Response {
    receive::<Logs>(app.0, peer.0, request).await
}

async fn receive<S: Signal>(app: Arc<App>, peer: Peer, request: Request) -> Response {
    let Some(encoding) = OtlpEncoding::of(request.headers()) else {
        let message = "the content type is neither application/x-protobuf nor application/json";
        let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        return app.refused(PROTOCOL, refusal).otlp_response(OtlpEncoding::Protobuf);
    };
    match take::<S>(&app, peer, encoding, request).await {
        Ok(response) => answer(encoding, &response),
        Err(refusal) => refusal.otlp_response(encoding),
    }
}

async fn take<S: Signal>(
    app: &Arc<App>,
    peer: Peer,
    encoding: OtlpEncoding,
    request: Request,
) -> Result<S::Response, Refusal> {
    let (head, body) = request.into_parts();
    let mut delivery = Delivery::by_request(PROTOCOL, &head.headers, Some(peer.remote))?;
    let taken = async {
        let compression = Encoding::of(&head.headers)?;
        let limits = app.body_limits;
        let mut room = app.admission.room();
        let body = body::read(&head.headers, body, &limits, &mut room).await?;
        delivery.bytes = body.len() as u64;
        let decode = move || {
            let bytes = body::decompress(compression, body, limits.decompressed)?;
            let request = match encoding {
                OtlpEncoding::Protobuf => S::from_protobuf(&bytes),
                OtlpEncoding::Json => S::from_json(&bytes),
            };
            request.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
        };
        export::<S>(app, &delivery, decode).await
    };
    let outcome = taken.await;
    outcome.map_err(|refusal| refused(app, &delivery, refusal))
}

fn answer<R: prost::Message + serde::Serialize>(encoding: OtlpEncoding, response: &R) -> Response {
    let body = match encoding {
        OtlpEncoding::Protobuf => response.encode_to_vec(),
        OtlpEncoding::Json => serde_json::to_vec(response).unwrap_or_else(|_| b"{}".to_vec()),
    };
    ([(CONTENT_TYPE, encoding.content_type())], body).into_response()
}
