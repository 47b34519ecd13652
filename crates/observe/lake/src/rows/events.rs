//! Events as rows.

use arrow_array::{Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use kandela_model::tables::EVENTS;
use kandela_model::{Event, EventKind, Timestamp};

use super::columns::{batch, longs, micros, optional_text, text};
use super::read::{Columns, conform, damaged};
use crate::error::Result;

/// Events as rows of [`EVENTS`].
///
/// # Errors
/// When one column would exceed 2 GiB.
pub fn events(events: &[Event]) -> Result<RecordBatch> {
    let columns = vec![
        micros(events.iter().map(|event| event.ts)),
        text(events.iter().map(|event| &event.stream))?,
        longs(events.iter().map(|event| event.seq)),
        longs(events.iter().map(|event| event.epoch)),
        text(events.iter().map(|event| event.kind.as_str()))?,
        text(events.iter().map(|event| &event.subject))?,
        optional_text(events.iter().map(|event| event.verdict.as_ref()))?,
        text(events.iter().map(|event| &event.payload))?,
    ];
    batch(&EVENTS, columns)
}

/// The events in rows of [`EVENTS`].
///
/// # Errors
/// When a column is missing or a kind is not known.
pub fn events_from(batch: &RecordBatch) -> Result<Vec<Event>> {
    let batch = conform(&EVENTS, batch)?;
    let columns = Columns::new(&EVENTS, &batch);
    let ts: &TimestampMicrosecondArray = columns.get("ts")?;
    let stream: &StringArray = columns.get("stream")?;
    let seq: &Int64Array = columns.get("seq")?;
    let epoch: &Int64Array = columns.get("epoch")?;
    let kind: &StringArray = columns.get("kind")?;
    let subject: &StringArray = columns.get("subject")?;
    let verdict: &StringArray = columns.get("verdict")?;
    let payload: &StringArray = columns.get("payload")?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(Event {
                ts: Timestamp::from_micros(ts.value(row)),
                stream: stream.value(row).to_owned(),
                seq: seq.value(row),
                epoch: epoch.value(row),
                kind: kind_of(kind.value(row))?,
                subject: subject.value(row).to_owned(),
                verdict: verdict.is_valid(row).then(|| verdict.value(row).to_owned()),
                payload: payload.value(row).to_owned(),
            })
        })
        .collect()
}

fn kind_of(word: &str) -> Result<EventKind> {
    use EventKind::{Alert, Anomaly, Chaos, Config, Decision, Deploy, Forecast};
    [Anomaly, Alert, Deploy, Forecast, Decision, Chaos, Config]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| damaged(EVENTS.name, format!("event kind {word:?} is not known")))
}
