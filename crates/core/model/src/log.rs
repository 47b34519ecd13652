//! Log records.

use std::sync::Arc;

use crate::{Attributes, Scope, Value};

/// One log record (OTLP `LogRecord`). Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened; the observed time where the source gave none.
    pub time_unix_nano: i64,
    /// When the collector saw it.
    pub observed_unix_nano: i64,
    /// `service.name` of the resource, else `unknown_service`.
    pub service: Arc<str>,
    /// OTLP severity number, 1 (trace) to 24 (fatal), 0 when not stated.
    pub severity_number: u8,
    /// The source's own word for the severity.
    pub severity_text: String,
    /// What it says.
    pub body: Value,
    /// The trace it belongs to.
    pub trace_id: Option<[u8; 16]>,
    /// The span it belongs to.
    pub span_id: Option<[u8; 8]>,
    /// W3C trace flags.
    pub flags: u32,
    /// The name of the event, where the record is one.
    pub event_name: String,
    /// What made it.
    pub resource: Arc<Attributes>,
    /// Details.
    pub attributes: Attributes,
    /// The library that made it.
    pub scope: Arc<Scope>,
}
