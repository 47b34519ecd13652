//! Retention: whole days leave a table when they are old, or when all tables together are too large.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::DeltaTable;

use super::{DataFile, LakeTable, TableState};
use crate::config::Retention;
use crate::error::{LakeError, Result};

/// How long a removed file stays readable, for queries that began before.
const GRACE: Duration = Duration::from_secs(600);

/// What retention removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that went with them.
    pub rows: u64,
}

/// The files that go, by table. First what is too old; then, while all tables together are over the cap, the oldest day of
/// all. Today's files stay.
pub(crate) fn expired(
    states: &BTreeMap<&'static str, Arc<TableState>>,
    retention: &Retention,
    today: i32,
) -> BTreeMap<&'static str, Vec<Arc<DataFile>>> {
    let mut gone: BTreeMap<&'static str, Vec<Arc<DataFile>>> = BTreeMap::new();
    let mut kept: Vec<(i32, &'static str, Arc<DataFile>)> = Vec::new();
    for (table, state) in states {
        let oldest = retention.oldest_day(table, today);
        for file in &state.files {
            if file.day < oldest {
                gone.entry(table).or_default().push(file.clone());
            } else {
                kept.push((file.day, table, file.clone()));
            }
        }
    }
    let Some(cap) = retention.max_bytes else { return gone };
    kept.sort_by_key(|(day, table, _)| (*day, *table));
    let mut bytes: u64 = kept.iter().map(|(.., file)| file.size).sum();
    for day in kept.chunk_by(|a, b| a.0 == b.0) {
        let in_past = day.first().is_some_and(|(day, ..)| *day < today);
        if bytes <= cap || !in_past {
            break;
        }
        for (_, table, file) in day {
            bytes -= file.size;
            gone.entry(table).or_default().push(file.clone());
        }
    }
    gone
}

/// Commits the removal of `files`.
pub(crate) async fn enforce(
    table: &LakeTable,
    files: &[Arc<DataFile>],
) -> Result<(TableState, RetentionReport)> {
    let state = table.commit_removal(files).await?;
    let report = RetentionReport {
        files: files.len(),
        bytes: files.iter().map(|file| file.size).sum(),
        rows: files.iter().map(|file| file.rows).sum(),
    };
    Ok((state, report))
}

/// Deletes files that no version of the last minutes lists: removed ones, and those of flushes that were cut off.
pub(crate) async fn vacuum(table: &LakeTable) -> Result<()> {
    let (log_store, state) = table.handle().await;
    let grace = chrono::Duration::from_std(GRACE).unwrap_or_default();
    let mut handle = DeltaTable::new(log_store);
    handle.state = Some(state);
    handle
        .vacuum()
        .with_retention_period(grace)
        .with_enforce_retention_duration(false)
        .await
        .map(|_| ())
        .map_err(|e| LakeError::table(table.spec.name, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(files: &[(&'static str, i32, u64)]) -> BTreeMap<&'static str, Arc<TableState>> {
        let mut states: BTreeMap<&'static str, TableState> = BTreeMap::new();
        for (table, day, size) in files {
            let file = DataFile {
                path: format!("{table}/{day}"),
                size: *size,
                rows: 1,
                day: *day,
                seq: 1,
                late: false,
                compacted: false,
                oldest: i64::MIN,
                newest: 0,
            };
            states
                .entry(table)
                .or_insert_with(|| TableState { version: 0, files: vec![] })
                .files
                .push(Arc::new(file));
        }
        states.into_iter().map(|(table, state)| (table, Arc::new(state))).collect()
    }

    fn paths<'a>(gone: &'a BTreeMap<&'static str, Vec<Arc<DataFile>>>) -> Vec<&'a str> {
        gone.values().flatten().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn each_table_keeps_its_own_time() {
        let states = states(&[("samples", 80, 1), ("samples", 90, 1), ("spans", 90, 1), ("spans", 95, 1)]);
        assert_eq!(paths(&expired(&states, &Retention::default(), 100)), ["samples/80", "spans/90"]);
    }

    #[test]
    fn over_the_cap_the_oldest_day_goes_first_and_today_stays() {
        let states = states(&[("samples", 98, 10), ("logs", 99, 10), ("samples", 100, 100)]);
        let capped = Retention { max_bytes: Some(115), ..Retention::default() };
        assert_eq!(paths(&expired(&states, &capped, 100)), ["samples/98"]);
        let tight = Retention { max_bytes: Some(1), ..Retention::default() };
        assert_eq!(paths(&expired(&states, &tight, 100)), ["logs/99", "samples/98"]);
    }
}
