//! `/api/v1/write`: Prometheus remote write 1.0 and 2.0.
//!
//! A payload of which a part was rejected is answered 400 although the rest is kept: a 2xx would claim all of it, a 5xx
//! would have it sent again for ever.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use kandela_ingest::remote_write::{Decoder, Limits, Message, Rejections, WriteError, Written};
use kandela_lake::Lake;
use kandela_model::MetricBatch;
use parking_lot::Mutex;

use crate::app::App;
use crate::label_limits::{self, LeftOut};
use crate::net::{Peer, body};
use crate::receive::{self, Delivery};
use crate::refusal::Refusal;
use crate::telemetry::events::TelemetryReceived;

const PROTOCOL: &str = "remote_write";
/// The largest batch whose buffers are kept for the next request.
const KEPT_BYTES: usize = 8 << 20;

/// Decoders and their batches, kept from request to request.
pub(crate) struct Decoders {
    limits: Limits,
    idle: Mutex<Vec<(Decoder, MetricBatch)>>,
}

impl Decoders {
    /// Decoders that refuse bodies of more than `decompressed` bytes.
    pub(crate) fn new(decompressed: usize) -> Self {
        let limits = Limits { decompressed_bytes: decompressed, batch_bytes: decompressed.saturating_mul(2) };
        Self { limits, idle: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Decoder, &mut MetricBatch) -> T) -> T {
        let idle = self.idle.lock().pop();
        let (mut decoder, mut batch) =
            idle.unwrap_or_else(|| (Decoder::new(self.limits), MetricBatch::default()));
        let worked = work(&mut decoder, &mut batch);
        if batch.heap_bytes() <= KEPT_BYTES {
            self.idle.lock().push((decoder, batch));
        }
        worked
    }
}

/// What became of a payload that could be read.
struct Outcome {
    written: Written,
    received: TelemetryReceived,
    rejected: Vec<(&'static str, u64)>,
    /// Why part of it was rejected.
    problem: Option<String>,
}

pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let message = match message(request.headers()) {
        Ok(message) => message,
        Err(error) => return answer(None, Written::default(), Err(app.refused(PROTOCOL, refusal(&error)))),
    };
    match take(&app, peer, message, request).await {
        Ok((delivery, outcome)) => {
            app.received(&delivery, outcome.received);
            let problem = outcome.problem.unwrap_or_default();
            for (signal, count) in outcome.rejected {
                app.dropped(&delivery, signal, count, &problem);
            }
            let result =
                if problem.is_empty() { Ok(()) } else { Err(Refusal::new(StatusCode::BAD_REQUEST, problem)) };
            answer(Some(message), outcome.written, result)
        }
        Err(refusal) => answer(Some(message), Written::default(), Err(app.refused(PROTOCOL, refusal))),
    }
}

async fn take(
    app: &Arc<App>,
    peer: Peer,
    message: Message,
    request: Request,
) -> Result<(Delivery, Outcome), Refusal> {
    let (head, body) = request.into_parts();
    let mut delivery = Delivery::by_request(PROTOCOL, &head.headers, Some(peer.remote))?;
    let lake = app.lake_for(&delivery).await?;
    let mut room = app.admission.room();
    let body = body::read(&head.headers, body, &app.body_limits, &mut room).await?;
    delivery.bytes = body.len() as u64;
    let shared = app.clone();
    let work = move || {
        shared.decoders.with(|decoder, batch| {
            let rejections = decoder.decode(message, &body, batch).map_err(|error| refusal(&error))?;
            let settings = shared.settings.load();
            settings.redactor.metrics(batch);
            let left_out = label_limits::enforce(&settings.label_limits, batch);
            append(&lake, batch, &rejections, left_out)
        })
    };
    Ok((delivery, app.admission.decode(work).await?))
}

fn append(
    lake: &Lake,
    batch: &MetricBatch,
    rejections: &Rejections,
    left_out: LeftOut,
) -> Result<Outcome, Refusal> {
    let appended = receive::append(lake, batch)?;
    let too_late = appended.rejected_points() as u64;
    let written = if too_late == 0 {
        Written {
            samples: batch.samples.len() as u64,
            histograms: batch.histograms.len() as u64,
            exemplars: appended.exemplars as u64,
        }
    } else {
        // A duplicate is stored, by an earlier request.
        Written {
            samples: (appended.samples + appended.duplicates) as u64,
            histograms: appended.histograms as u64,
            exemplars: appended.exemplars as u64,
        }
    };
    let decoded = (!rejections.is_empty()).then(|| rejections.to_string());
    let problems: Vec<String> =
        decoded.into_iter().chain(left_out.problem).chain(receive::rejections(&appended)).collect();
    Ok(Outcome {
        written,
        received: receive::counted(&appended),
        rejected: vec![
            ("samples", rejections.samples + left_out.points + too_late),
            ("histograms", rejections.histograms),
            ("exemplars", rejections.exemplars + appended.untimely_exemplars as u64),
        ],
        problem: (!problems.is_empty()).then(|| problems.join("\n")),
    })
}

fn message(headers: &HeaderMap) -> Result<Message, WriteError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    Message::from_headers(text(CONTENT_TYPE), text(CONTENT_ENCODING))
}

fn refusal(error: &WriteError) -> Refusal {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    Refusal::new(status, error.to_string())
}

/// Plain text, since senders log the first line of it. 2.0 wants to hear what was written, whatever the status.
fn answer(message: Option<Message>, written: Written, result: Result<(), Refusal>) -> Response {
    let mut response = match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.plain_response(),
    };
    if message == Some(Message::V2) {
        for (name, count) in written.headers() {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                response.headers_mut().insert(name, HeaderValue::from(count));
            }
        }
    }
    response
}
