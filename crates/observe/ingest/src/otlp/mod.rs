//! OpenTelemetry's protocol.
