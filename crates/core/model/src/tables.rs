//! The tables that keep telemetry: one description that the lake, the docs and the UI share.
//!
//! Delta has no unsigned integers and no millisecond or nanosecond timestamps, so ids are `Long`, metric times are UTC
//! microseconds and span, log and profile times are `Long` nanoseconds. Every table is partitioned by the UTC `date` of its
//! rows; that column stands in the path, not in the files.

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Signed 64-bit number.
    Long,
    /// Signed 32-bit number.
    Int,
    /// Signed 8-bit number.
    Byte,
    /// 64-bit float.
    Double,
    /// Truth value.
    Bool,
    /// UTF-8 text.
    Text,
    /// Raw bytes.
    Binary,
    /// UTC microseconds.
    TimestampMicros,
    /// From text to this type.
    Map(&'static ColumnType),
    /// Many of this type.
    List(&'static ColumnType),
    /// Named fields.
    Struct(&'static [Column]),
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What it holds.
    pub doc: &'static str,
}

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, also the name of its folder.
    pub name: &'static str,
    /// Its columns besides `date`.
    pub columns: &'static [Column],
    /// Which columns its files are sorted by.
    pub sorted_by: &'static [&'static str],
    /// The column whose UTC date a row is filed under.
    pub dated_by: DatedBy,
    /// What one row is.
    pub doc: &'static str,
}

/// How a row gets its `date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatedBy {
    /// From a UTC-microsecond column.
    Micros(&'static str),
    /// From a nanosecond column.
    Nanos(&'static str),
}

/// The column by which every table is partitioned.
pub const DATE: &str = "date";

const fn required(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, doc }
}

const fn optional(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, doc }
}

/// A typed attribute value: exactly one field is set; lists and maps are JSON.
pub const VALUE: ColumnType = ColumnType::Struct(&[
    optional("str", ColumnType::Text, "a text value"),
    optional("int", ColumnType::Long, "a whole number"),
    optional("double", ColumnType::Double, "a floating-point number"),
    optional("bool", ColumnType::Bool, "a truth value"),
    optional("json", ColumnType::Text, "a list or map, as JSON"),
    optional("bytes", ColumnType::Binary, "raw bytes"),
]);

const ATTRIBUTES: ColumnType = ColumnType::Map(&VALUE);
const LABELS: ColumnType = ColumnType::Map(&ColumnType::Text);
const BUCKET_SPANS: ColumnType = ColumnType::List(&ColumnType::Struct(&[
    required("offset", ColumnType::Int, "buckets skipped since the span before"),
    required("length", ColumnType::Int, "neighbouring buckets"),
]));
const COUNTS: ColumnType = ColumnType::List(&ColumnType::Double);

/// Who is who: one row a series a day.
pub const SERIES: Table = Table {
    name: "series",
    columns: &[
        required("series_id", ColumnType::Long, "hash of the label set, seeded with salt"),
        required("metric", ColumnType::Text, "the metric's name"),
        required("labels", LABELS, "all labels but the name"),
        optional("kind", ColumnType::Text, "counter, gauge, histogram and so on"),
        optional("unit", ColumnType::Text, "as the source wrote it"),
        optional("help", ColumnType::Text, "as the source wrote it"),
        required("salt", ColumnType::Int, "0 unless hashes collided"),
        required("first_seen", ColumnType::TimestampMicros, "earliest sample known when the row was written"),
        required("last_seen", ColumnType::TimestampMicros, "latest sample known when the row was written"),
    ],
    sorted_by: &["metric", "series_id"],
    dated_by: DatedBy::Micros("last_seen"),
    doc: "one series on one day",
};

/// Float samples.
pub const SAMPLES: Table = Table {
    name: "samples",
    columns: &[
        required("series_id", ColumnType::Long, "whose"),
        required("ts", ColumnType::TimestampMicros, "when"),
        optional("value", ColumnType::Double, "what; NULL ends the series (Prometheus' staleness marker)"),
    ],
    sorted_by: &["series_id", "ts"],
    dated_by: DatedBy::Micros("ts"),
    doc: "one float sample",
};

/// Native histograms.
pub const HISTOGRAMS: Table = Table {
    name: "histograms",
    columns: &[
        required("series_id", ColumnType::Long, "whose"),
        required("ts", ColumnType::TimestampMicros, "when"),
        required("schema", ColumnType::Byte, "resolution -4 to 8, or -53 for custom bounds"),
        required("count", ColumnType::Double, "observations"),
        optional("sum", ColumnType::Double, "their sum; NULL ends the series"),
        required("zero_threshold", ColumnType::Double, "magnitudes up to here count as zero"),
        required("zero_count", ColumnType::Double, "observations that count as zero"),
        required("positive_spans", BUCKET_SPANS, "where the positive buckets lie"),
        required("positive_buckets", COUNTS, "their counts"),
        required("negative_spans", BUCKET_SPANS, "where the negative buckets lie"),
        required("negative_buckets", COUNTS, "their counts"),
        required("custom_bounds", COUNTS, "upper bounds where the schema is -53"),
        required("is_float", ColumnType::Bool, "whether counts may be fractions"),
        required("reset_hint", ColumnType::Byte, "0 unknown, 1 reset, 2 not reset, 3 gauge"),
        optional("start", ColumnType::TimestampMicros, "since when it counts"),
    ],
    sorted_by: &["series_id", "ts"],
    dated_by: DatedBy::Micros("ts"),
    doc: "one native histogram sample",
};

/// Exemplars.
pub const EXEMPLARS: Table = Table {
    name: "exemplars",
    columns: &[
        required("series_id", ColumnType::Long, "whose"),
        required("ts", ColumnType::TimestampMicros, "when"),
        required("value", ColumnType::Double, "the measured value"),
        optional("trace_id", ColumnType::Text, "32 hex digits"),
        optional("span_id", ColumnType::Text, "16 hex digits"),
        required("labels", LABELS, "its other labels"),
    ],
    sorted_by: &["series_id", "ts"],
    dated_by: DatedBy::Micros("ts"),
    doc: "one measurement that a trace explains",
};

/// Spans of traces.
pub const SPANS: Table = Table {
    name: "spans",
    columns: &[
        required("trace_id", ColumnType::Text, "32 hex digits"),
        required("span_id", ColumnType::Text, "16 hex digits"),
        optional("parent_span_id", ColumnType::Text, "16 hex digits; NULL at the root"),
        required("service", ColumnType::Text, "service.name of the resource"),
        required("name", ColumnType::Text, "the operation"),
        required("kind", ColumnType::Text, "server, client, producer, consumer, internal"),
        required("start_unix_nano", ColumnType::Long, "when it began"),
        required("end_unix_nano", ColumnType::Long, "when it ended"),
        required("status", ColumnType::Text, "unset, ok, error"),
        required("status_message", ColumnType::Text, "why it failed"),
        required("resource_attributes", ATTRIBUTES, "what made it"),
        required("attributes", ATTRIBUTES, "what it did"),
        required("scope_name", ColumnType::Text, "the library that made it"),
        required("scope_version", ColumnType::Text, "the library's version"),
        required("scope_attributes", ATTRIBUTES, "the library's attributes"),
        required("trace_state", ColumnType::Text, "W3C tracestate"),
        required("flags", ColumnType::Long, "W3C trace flags"),
        required(
            "events",
            ColumnType::List(&ColumnType::Struct(&[
                required("time_unix_nano", ColumnType::Long, "when"),
                required("name", ColumnType::Text, "what"),
                required("attributes", ATTRIBUTES, "details"),
            ])),
            "what happened within it",
        ),
        required(
            "links",
            ColumnType::List(&ColumnType::Struct(&[
                required("trace_id", ColumnType::Text, "32 hex digits"),
                required("span_id", ColumnType::Text, "16 hex digits"),
                required("trace_state", ColumnType::Text, "W3C tracestate"),
                required("attributes", ATTRIBUTES, "details"),
            ])),
            "related spans",
        ),
    ],
    sorted_by: &["trace_id", "start_unix_nano", "span_id", "kind"],
    dated_by: DatedBy::Nanos("start_unix_nano"),
    doc: "one operation of one service",
};

/// Log records.
pub const LOGS: Table = Table {
    name: "logs",
    columns: &[
        required("time_unix_nano", ColumnType::Long, "when it happened"),
        required("observed_unix_nano", ColumnType::Long, "when it was collected"),
        required("service", ColumnType::Text, "service.name of the resource"),
        required("severity_number", ColumnType::Int, "1 trace to 24 fatal; 0 not stated"),
        required("severity", ColumnType::Text, "the source's own word"),
        required("body", ColumnType::Text, "what it says; JSON where it is no text"),
        optional("trace_id", ColumnType::Text, "32 hex digits"),
        optional("span_id", ColumnType::Text, "16 hex digits"),
        required("flags", ColumnType::Long, "W3C trace flags"),
        required("event_name", ColumnType::Text, "the event's name, where it is one"),
        required("resource_attributes", ATTRIBUTES, "what made it"),
        required("attributes", ATTRIBUTES, "details"),
        required("scope_name", ColumnType::Text, "the library that made it"),
        required("scope_version", ColumnType::Text, "the library's version"),
        required("scope_attributes", ATTRIBUTES, "the library's attributes"),
    ],
    sorted_by: &["service", "time_unix_nano"],
    dated_by: DatedBy::Nanos("time_unix_nano"),
    doc: "one log record",
};

/// Profiles.
pub const PROFILES: Table = Table {
    name: "profiles",
    columns: &[
        required("time_unix_nano", ColumnType::Long, "when it began"),
        required("duration_nano", ColumnType::Long, "how long it lasted"),
        required("service", ColumnType::Text, "the profiled service"),
        required("kind", ColumnType::Text, "what is counted: cpu, alloc_space"),
        required("unit", ColumnType::Text, "of values"),
        required(
            "samples",
            ColumnType::List(&ColumnType::Struct(&[
                required(
                    "stack",
                    ColumnType::List(&ColumnType::Struct(&[
                        required("function", ColumnType::Text, "or module+offset"),
                        required("file", ColumnType::Text, "or empty"),
                        required("line", ColumnType::Int, "or 0"),
                    ])),
                    "innermost first",
                ),
                required("value", ColumnType::Long, "in unit"),
                optional("trace_id", ColumnType::Text, "32 hex digits"),
                optional("span_id", ColumnType::Text, "16 hex digits"),
            ])),
            "stacks and what they used",
        ),
        required("resource_attributes", ATTRIBUTES, "what was profiled"),
    ],
    sorted_by: &["service", "time_unix_nano"],
    dated_by: DatedBy::Nanos("time_unix_nano"),
    doc: "one profile",
};

/// What Kandela concluded or was told.
pub const EVENTS: Table = Table {
    name: "events",
    columns: &[
        required("ts", ColumnType::TimestampMicros, "when"),
        required("stream", ColumnType::Text, "the ordered stream it belongs to"),
        required("seq", ColumnType::Long, "its place in the stream, from 0 without a gap"),
        required("epoch", ColumnType::Long, "the writer's term of office"),
        required("kind", ColumnType::Text, "anomaly, alert, deploy, forecast, decision, chaos, config"),
        required("subject", ColumnType::Text, "what it is about"),
        optional("verdict", ColumnType::Text, "holds, violated, unknown"),
        required("payload", ColumnType::Text, "everything else, as JSON"),
    ],
    sorted_by: &["stream", "seq"],
    dated_by: DatedBy::Micros("ts"),
    doc: "one conclusion, decision or happening",
};

/// All tables, in the order in which a flush commits them: `series` before the data that refer to it.
pub const ALL: [&Table; 8] = [&SERIES, &SAMPLES, &HISTOGRAMS, &EXEMPLARS, &SPANS, &LOGS, &PROFILES, &EVENTS];

impl Table {
    /// The column named `name`.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_sorts_and_dates_by_columns_it_has() {
        for table in ALL {
            let (DatedBy::Micros(dated_by) | DatedBy::Nanos(dated_by)) = table.dated_by;
            for name in table.sorted_by.iter().chain([&dated_by]) {
                assert!(table.column(name).is_some(), "{} has no column {name}", table.name);
            }
            assert!(table.column(DATE).is_none(), "{} stores its partition column", table.name);
        }
    }

    #[test]
    fn series_commit_first() {
        assert_eq!(ALL.first().map(|table| table.name), Some("series"));
    }
}
