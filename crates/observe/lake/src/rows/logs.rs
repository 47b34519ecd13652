//! Log records as rows.

use arrow_array::{Int32Array, Int64Array, RecordBatch, StringArray};
use kandela_model::tables::LOGS;
use kandela_model::{LogRecord, Value};

use super::columns::{batch, ints, longs, optional_text, text};
use super::hex::hex;
use super::read::{Columns, Sharing, conform, damaged};
use super::spans::ScopeColumns;
use super::values::{AttributeColumn, attributes, body_text};
use crate::error::Result;

/// Log records as rows of [`LOGS`]. A body becomes what [`body_text`] makes of it.
///
/// # Errors
/// When one column would exceed 2 GiB.
pub fn logs(logs: &[LogRecord]) -> Result<RecordBatch> {
    let columns = vec![
        longs(logs.iter().map(|log| log.time_unix_nano)),
        longs(logs.iter().map(|log| log.observed_unix_nano)),
        text(logs.iter().map(|log| &log.service))?,
        ints(logs.iter().map(|log| i32::from(log.severity_number))),
        text(logs.iter().map(|log| &log.severity_text))?,
        text(logs.iter().map(|log| body_text(&log.body)))?,
        optional_text(logs.iter().map(|log| log.trace_id.map(|id| hex(&id))))?,
        optional_text(logs.iter().map(|log| log.span_id.map(|id| hex(&id))))?,
        longs(logs.iter().map(|log| i64::from(log.flags))),
        text(logs.iter().map(|log| &log.event_name))?,
        attributes(logs.iter().map(|log| &*log.resource))?,
        attributes(logs.iter().map(|log| &log.attributes))?,
        text(logs.iter().map(|log| &log.scope.name))?,
        text(logs.iter().map(|log| &log.scope.version))?,
        attributes(logs.iter().map(|log| &log.scope.attributes))?,
    ];
    batch(&LOGS, columns)
}

/// The log records in rows of [`LOGS`]. Their bodies are text.
///
/// # Errors
/// When a column is missing, an id is no hex, or a severity is no OTLP number.
pub fn logs_from(batch: &RecordBatch) -> Result<Vec<LogRecord>> {
    let batch = conform(&LOGS, batch)?;
    let columns = Columns::new(&LOGS, &batch);
    let time: &Int64Array = columns.get("time_unix_nano")?;
    let observed: &Int64Array = columns.get("observed_unix_nano")?;
    let service: &StringArray = columns.get("service")?;
    let severity_number: &Int32Array = columns.get("severity_number")?;
    let severity: &StringArray = columns.get("severity")?;
    let body: &StringArray = columns.get("body")?;
    let trace_id: &StringArray = columns.get("trace_id")?;
    let span_id: &StringArray = columns.get("span_id")?;
    let flags: &Int64Array = columns.get("flags")?;
    let event_name: &StringArray = columns.get("event_name")?;
    let resource = AttributeColumn::new(columns, "resource_attributes")?;
    let attributes = AttributeColumn::new(columns, "attributes")?;
    let scope = ScopeColumns::new(columns)?;
    let (mut services, mut resources, mut scopes) = (Sharing::new(), Sharing::new(), Sharing::new());
    (0..batch.num_rows())
        .map(|row| {
            let number = severity_number.value(row);
            let unknown = |_| damaged(LOGS.name, format!("severity number {number} is not within 0 to 255"));
            Ok(LogRecord {
                time_unix_nano: time.value(row),
                observed_unix_nano: observed.value(row),
                service: services.share(service.value(row)),
                severity_number: u8::try_from(number).map_err(unknown)?,
                severity_text: severity.value(row).to_owned(),
                body: Value::Str(body.value(row).to_owned()),
                trace_id: columns.id(trace_id, row)?,
                span_id: columns.id(span_id, row)?,
                flags: flags.value(row) as u32,
                event_name: event_name.value(row).to_owned(),
                resource: resources.share(Box::new(resource.row(row))),
                attributes: attributes.row(row),
                scope: scopes.share(Box::new(scope.row(row))),
            })
        })
        .collect()
}
