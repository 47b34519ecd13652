//! Spans of distributed traces.

use std::sync::Arc;

use crate::{Attributes, Scope};

/// One operation of one service, part of a trace. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace_id: [u8; 16],
    /// This span.
    pub span_id: [u8; 8],
    /// The span that caused it; `None` at the root.
    pub parent_span_id: Option<[u8; 8]>,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// W3C trace flags and OTLP's span flags.
    pub flags: u32,
    /// `service.name` of the resource, else `unknown_service`.
    pub service: Arc<str>,
    /// The operation.
    pub name: String,
    /// Its role in the call.
    pub kind: SpanKind,
    /// When it began.
    pub start_unix_nano: i64,
    /// When it ended.
    pub end_unix_nano: i64,
    /// How it ended.
    pub status: SpanStatus,
    /// What made it: host, process, deployment.
    pub resource: Arc<Attributes>,
    /// What it did.
    pub attributes: Attributes,
    /// The library that made it.
    pub scope: Arc<Scope>,
    /// What happened within it.
    pub events: Vec<SpanEvent>,
    /// Spans it is related to without being their child.
    pub links: Vec<SpanLink>,
}

/// A span's role in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Not stated.
    #[default]
    Unspecified,
    /// Within one process.
    Internal,
    /// Serves a remote request.
    Server,
    /// Makes a remote request.
    Client,
    /// Puts a message into a queue.
    Producer,
    /// Takes a message from a queue.
    Consumer,
}

impl SpanKind {
    /// The word that tables and APIs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanStatus {
    /// The outcome.
    pub code: StatusCode,
    /// Why, where it failed.
    pub message: String,
}

/// A span's outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusCode {
    /// Not stated.
    #[default]
    Unset,
    /// Stated to be fine.
    Ok,
    /// Failed.
    Error,
}

impl StatusCode {
    /// The word that tables and APIs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// Something that happened at one moment of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When, in nanoseconds since the epoch.
    pub time_unix_nano: i64,
    /// What.
    pub name: String,
    /// Details.
    pub attributes: Attributes,
}

/// A reference to a related span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanLink {
    /// The other trace.
    pub trace_id: [u8; 16],
    /// The other span.
    pub span_id: [u8; 8],
    /// W3C `tracestate`.
    pub trace_state: String,
    /// Details.
    pub attributes: Attributes,
}
