//! The ledger in the lake: a stream of the `events` table for each system.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use async_trait::async_trait;
use futures::TryStreamExt as _;
use kandela_autopilot::ledger::{Entry, Ledger, LedgerError};
use kandela_lake::{Lake, LakeError, QueryLimits};
use kandela_model::{Epoch, Event, EventKind, Timestamp};

/// The ledger of one system.
pub(crate) struct LakeLedger {
    lake: Lake,
    stream: String,
}

impl LakeLedger {
    pub(crate) fn new(lake: Lake, system: &str) -> LakeLedger {
        LakeLedger { lake, stream: format!("autopilot/{system}") }
    }

    async fn rows(&self, seq: u64) -> Result<Vec<Entry>, LakeError> {
        let query = format!(
            "SELECT ts, seq, epoch, subject, verdict, payload FROM events WHERE stream = '{}' AND seq >= {seq} ORDER BY seq",
            self.stream.replace('\'', "''")
        );
        let answer = self.lake.sql(&query, &QueryLimits::default()).await?;
        let batches: Vec<RecordBatch> =
            answer.rows.try_collect().await.map_err(|error| kandela_lake::explain(&error))?;
        Ok(batches.iter().flat_map(entries).collect())
    }
}

#[async_trait]
impl Ledger for LakeLedger {
    async fn read(&self, seq: u64) -> Result<Vec<Entry>, LedgerError> {
        // Most looks find nothing new, and a query costs a thousand times as much as asking for the stream's end.
        let end = self.lake.next_event(&self.stream).await.map_err(|error| unavailable(&error))?;
        if u64::try_from(end).is_ok_and(|end| end <= seq) {
            return Ok(Vec::new());
        }
        self.rows(seq).await.map_err(|error| unavailable(&error))
    }

    async fn append(&self, rows: &[Entry]) -> Result<(), LedgerError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let expected = i64::try_from(first.seq).unwrap_or(i64::MAX);
        let events: Vec<Event> = rows.iter().map(|row| self.event(row)).collect();
        match self.lake.append_events(&self.stream, expected, &events).await {
            Ok(_) => Ok(()),
            Err(LakeError::Conflict { actual, .. }) => Err(LedgerError::Conflict {
                expected: first.seq,
                next: u64::try_from(actual).unwrap_or_default(),
            }),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

impl LakeLedger {
    fn event(&self, row: &Entry) -> Event {
        Event {
            ts: row.at,
            stream: self.stream.clone(),
            seq: i64::try_from(row.seq).unwrap_or(i64::MAX),
            epoch: i64::try_from(row.epoch.0).unwrap_or(i64::MAX),
            kind: EventKind::Decision,
            subject: row.subject.clone(),
            verdict: row.verdict.map(str::to_owned),
            payload: row.payload.clone(),
        }
    }
}

fn unavailable(error: &LakeError) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}

fn entries(batch: &RecordBatch) -> Vec<Entry> {
    let columns = || {
        let ts = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
        let [seq, epoch] = [1, 2].map(|column| batch.column(column).as_primitive_opt::<Int64Type>());
        Some((ts, seq?, epoch?))
    };
    let Some((ts, seq, epoch)) = columns() else { return Vec::new() };
    let texts = [3, 4, 5].map(|column| texts(batch, column));
    let [subjects, verdicts, payloads] = texts;
    (0..batch.num_rows())
        .map(|row| Entry {
            at: Timestamp::from_micros(ts.value(row)),
            seq: u64::try_from(seq.value(row)).unwrap_or_default(),
            epoch: Epoch(u64::try_from(epoch.value(row)).unwrap_or_default()),
            subject: subjects.get(row).cloned().flatten().unwrap_or_default(),
            verdict: verdicts.get(row).and_then(|word| known(word.as_deref()?)),
            payload: payloads.get(row).cloned().flatten().unwrap_or_default(),
        })
        .collect()
}

fn known(word: &str) -> Option<&'static str> {
    ["holds", "violated", "unknown"].into_iter().find(|known| *known == word)
}

/// A column of text, however wide its offsets are.
fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<String>> {
    let column = batch.column(column);
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.iter().map(|text| text.map(str::to_owned)).collect();
    }
    if let Some(texts) = column.as_string_view_opt() {
        return texts.iter().map(|text| text.map(str::to_owned)).collect();
    }
    vec![None; column.len()]
}
