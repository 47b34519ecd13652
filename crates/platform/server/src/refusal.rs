//! How a request is refused, in the language that its sender reads.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message as _;
use serde_json::json;

/// A refused request: a status, a sentence that says what was wrong and what to do, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub message: String,
    /// Set where the same request may succeed later.
    pub retry_after: Option<Duration>,
}

/// What the clients of a listener or route speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Prometheus' error object in JSON.
    Api,
    /// `google.rpc.Status`, in the request's own encoding (OTLP/HTTP, section "Failures").
    Otlp,
    /// A gRPC status in headers.
    Grpc,
}

/// The encoding of an OTLP/HTTP request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtlpEncoding {
    Protobuf,
    Json,
}

impl OtlpEncoding {
    /// By `Content-Type`; `None` for what OTLP/HTTP does not know.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    pub(crate) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

/// `google.rpc.Status` (googleapis, `google/rpc/status.proto`).
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo` (googleapis, `google/rpc/error_details.proto`).
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<prost_types::Duration>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// A refusal that the client should repeat after `delay`.
    pub(crate) fn retry(status: StatusCode, message: impl Into<String>, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..Self::new(status, message) }
    }

    /// Prometheus' `errorType` for the status.
    pub(crate) fn error_type(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "unavailable",
            StatusCode::UNPROCESSABLE_ENTITY => "execution",
            status if status.is_server_error() => "internal",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "forbidden",
            _ => "bad_data",
        }
    }

    /// The gRPC code that stands for the HTTP status.
    pub(crate) fn grpc_code(&self) -> tonic::Code {
        match self.status {
            StatusCode::UNAUTHORIZED => tonic::Code::Unauthenticated,
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => tonic::Code::PermissionDenied,
            StatusCode::NOT_FOUND => tonic::Code::Unimplemented,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => tonic::Code::ResourceExhausted,
            StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => tonic::Code::DeadlineExceeded,
            status if status.is_server_error() => tonic::Code::Internal,
            _ => tonic::Code::InvalidArgument,
        }
    }

    fn rpc_status(&self) -> RpcStatus {
        let details = self.retry_after.map(|delay| {
            let retry_delay = prost_types::Duration {
                seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                nanos: delay.subsec_nanos() as i32,
            };
            prost_types::Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { retry_delay: Some(retry_delay) }.encode_to_vec(),
            }
        });
        RpcStatus {
            code: i32::from(self.grpc_code()),
            message: self.message.clone(),
            details: details.into_iter().collect(),
        }
    }

    /// The gRPC status, with `RetryInfo` where a retry makes sense (OTLP/gRPC, section "Failures").
    pub(crate) fn to_grpc(&self) -> tonic::Status {
        let details = self.rpc_status().encode_to_vec();
        tonic::Status::with_details(self.grpc_code(), self.message.clone(), details.into())
    }

    /// The answer for a client that speaks `dialect`; `request` are the headers that it sent.
    pub(crate) fn into_response_in(self, dialect: Dialect, request: &HeaderMap) -> Response {
        match dialect {
            Dialect::Api => self.into_response(),
            Dialect::Otlp => self.otlp_response(OtlpEncoding::of(request).unwrap_or(OtlpEncoding::Protobuf)),
            Dialect::Grpc => self.to_grpc().into_http(),
        }
    }

    /// The answer to an OTLP/HTTP request that came in `encoding`.
    pub(crate) fn otlp_response(&self, encoding: OtlpEncoding) -> Response {
        let status = self.rpc_status();
        let body = match encoding {
            OtlpEncoding::Protobuf => status.encode_to_vec(),
            OtlpEncoding::Json => {
                json!({ "code": status.code, "message": status.message }).to_string().into()
            }
        };
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
        self.add_headers(response.headers_mut());
        response
    }

    /// The message as a line of text.
    pub(crate) fn plain_response(&self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        self.add_headers(response.headers_mut());
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(delay) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"kandela\""));
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kandela\""));
        }
    }
}

impl IntoResponse for Refusal {
    /// Prometheus' error object.
    fn into_response(self) -> Response {
        let body = json!({ "status": "error", "errorType": self.error_type(), "error": self.message });
        let mut response = (self.status, axum::Json(body)).into_response();
        self.add_headers(response.headers_mut());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_repeated_carries_a_retry_delay() {
        let later =
            Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, "the disk is full", Duration::from_secs(7));
        let status = later.rpc_status();
        assert_eq!(status.code, i32::from(tonic::Code::Unavailable));
        let info = RetryInfo::decode(status.details[0].value.as_slice()).unwrap();
        assert_eq!(info.retry_delay.unwrap().seconds, 7);

        let never = Refusal::new(StatusCode::BAD_REQUEST, "not protobuf");
        assert!(never.rpc_status().details.is_empty());
        assert!(never.into_response().headers().get(RETRY_AFTER).is_none());
    }

    #[test]
    fn an_otlp_client_is_refused_in_its_own_encoding() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "no");
        let response = refusal.clone().into_response_in(Dialect::Otlp, &headers);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let response = refusal.into_response_in(Dialect::Otlp, &HeaderMap::new());
        assert_eq!(response.headers()[CONTENT_TYPE], "application/x-protobuf");
    }
}
