//! Typed attribute values, as OpenTelemetry has them.

/// A typed value (OTLP `AnyValue`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// Named values, in the order they came.
    Map(Vec<(String, Value)>),
    /// Present without a value.
    Empty,
}

/// Attributes in the order they came; a key stands once (the first wins, as the OTLP specification leaves it open).
pub type Attributes = Vec<(String, Value)>;

/// The instrumentation scope: which library made the telemetry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// The library's name.
    pub name: String,
    /// The library's version.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
}
