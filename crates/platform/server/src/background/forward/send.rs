//! One request to a receiver, repeated until it is taken or refused for good.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, StatusCode};
use kandela_config::{RemoteWrite, WriteMessage};
use kandela_ingest::remote_write::{Encoder, Message};
use kandela_ingest::scrape::client::Client;
use kandela_model::MetricBatch;

use crate::net::Shutdown;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{ForwardDropped, ForwardRetried, Forwarded};

/// Sends to one receiver.
#[derive(Clone)]
pub(super) struct Sender {
    pub receiver: Arc<RemoteWrite>,
    pub name: Arc<str>,
    url: url::Url,
    client: Arc<Client>,
    telemetry: Telemetry,
}

/// What came of one try.
enum Answer {
    Taken,
    Refused(String),
    Later { why: String, after: Option<Duration> },
}

impl Sender {
    /// A sender; `None` where the receiver's address is no URL.
    pub(super) fn new(receiver: RemoteWrite, name: &str, telemetry: Telemetry) -> Option<Self> {
        let url = url::Url::parse(receiver.url.expose()).ok()?;
        let agent = format!("Kandela/{}", env!("CARGO_PKG_VERSION"));
        let client = Client::new(receiver.client.clone(), agent, false);
        Some(Self { receiver: Arc::new(receiver), name: name.into(), url, client, telemetry })
    }

    pub(super) fn message(&self) -> Message {
        match self.receiver.protobuf_message {
            WriteMessage::V1 => Message::V1,
            WriteMessage::V2 => Message::V2,
        }
    }

    /// Sends a batch. Returns whether it is settled: taken, or refused for good and dropped. It is not where the server
    /// stops first.
    pub(super) async fn send(
        &self,
        encoder: &mut Encoder,
        batch: &MetricBatch,
        shutdown: &mut Shutdown,
    ) -> bool {
        let message = self.message();
        let body = bytes::Bytes::from(encoder.encode(message, batch));
        let queue = &self.receiver.queue_config;
        let mut backoff = queue.min_backoff;
        loop {
            let began = Instant::now();
            match self.try_once(message, body.clone()).await {
                Answer::Taken => {
                    let (samples, took) = (batch.points() as u64, began.elapsed());
                    let bytes = body.len() as u64;
                    self.telemetry.emit(Forwarded { receiver: &self.name, samples, bytes, took });
                    return true;
                }
                Answer::Refused(why) => {
                    let dropped = ForwardDropped {
                        receiver: &self.name,
                        reason: "refused",
                        samples: batch.points() as u64,
                        error: &why,
                    };
                    self.telemetry.emit(dropped);
                    return true;
                }
                Answer::Later { why, after } => {
                    self.telemetry.emit(ForwardRetried { receiver: &self.name, error: &why });
                    let wait = after.unwrap_or(backoff);
                    backoff = (backoff * 2).min(queue.max_backoff);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = shutdown.wait() => return false,
                    }
                }
            }
        }
    }

    async fn try_once(&self, message: Message, body: bytes::Bytes) -> Answer {
        let request = match self.client.request(Method::POST, self.url.clone()).await {
            Ok(request) => request,
            // A secret's file that cannot be read now may be there later.
            Err(error) => return Answer::Later { why: error.to_string(), after: None },
        };
        let mut request = request
            .timeout(self.receiver.remote_timeout)
            .header(CONTENT_TYPE, message.content_type())
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", message.version());
        for (name, value) in &self.receiver.headers {
            request = request.header(name, value.expose());
        }
        let answer = match request.body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Later { why: with_causes(&error.without_url()), after: None },
        };
        let status = answer.status();
        if status.is_success() {
            return Answer::Taken;
        }
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| delay(value.to_str().ok()?));
        let text = answer.text().await.unwrap_or_default();
        let first_line: String = text.lines().next().unwrap_or_default().chars().take(256).collect();
        let why = format!("{status}: {first_line}");
        let again = status.is_server_error()
            || (status == StatusCode::TOO_MANY_REQUESTS && self.receiver.queue_config.retry_on_http_429);
        if again { Answer::Later { why, after } } else { Answer::Refused(why) }
    }
}

/// `Retry-After` in seconds; dates are left to the backoff.
fn delay(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let texts: Vec<String> =
        std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect();
    texts.join(": ")
}

/// Whether a sample is past the age up to which the receiver wants it.
pub(super) fn is_too_old(ts: kandela_model::Timestamp, limit: Duration) -> bool {
    if limit.is_zero() {
        return false;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(limit).as_micros();
    ts.micros() < i64::try_from(oldest).unwrap_or(i64::MAX)
}
