//! Tables on disk: Parquet files that a Delta log lists.
//!
//! The file's name says what a reader needs before opening it: which log sequence it came from, whether it may hold rows
//! that stand elsewhere too, and the sum of its footer.

mod checked;
mod commits;
mod compact;
mod file;
mod retention;

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, Remove, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableBuilder};
use kandela_model::tables::{DATE, Table};
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Mutex;
use url::Url;

pub(crate) use checked::{CheckedStore, DamagedFile, Damages, Footer};
pub use compact::CompactReport;
pub(crate) use compact::{compact_once, jobs, largest};
pub(crate) use file::{Compression, Encoded, FileEncoder, FileStats, Layouts};
pub use retention::RetentionReport;
pub(crate) use retention::{enforce, expired, vacuum};

use crate::error::{LakeError, Result};
use crate::schema;

/// One Parquet file of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataFile {
    /// Its path below the table's folder.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// The UTC day of its rows, counted from the epoch.
    pub(crate) day: i32,
    /// The first log sequence that it holds rows of; of two rows with one key, the one of the lower sequence stays.
    pub(crate) seq: u64,
    /// Whether its rows may stand in earlier files too.
    pub(crate) late: bool,
    /// Whether a compaction wrote it.
    pub(crate) compacted: bool,
    /// The oldest time in it, in microseconds, rounded down to what its statistics tell; `i64::MIN` where they tell nothing.
    pub(crate) oldest: i64,
    /// The newest, rounded up; `i64::MIN` where they tell nothing.
    pub(crate) newest: i64,
}

impl DataFile {
    /// A new file's path.
    pub(crate) fn path_for(day: i32, seq: u64, late: bool, compacted: bool, footer: Footer) -> String {
        let kind = match (late, compacted) {
            (false, false) => 'f',
            (true, false) => 'l',
            (false, true) => 'c',
            (true, true) => 'm',
        };
        let (date, footer, unique) = (date_text(day), footer.name(), uuid::Uuid::new_v4().simple());
        format!("{DATE}={date}/{seq:016x}-{kind}-{footer}-{unique}.parquet")
    }

    fn from_listing(path: &str, size: u64, stats: &FileStats) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/')?;
        let day = day_of_folder(folder)?;
        let [seq, kind, ..] = parts_of(name)?;
        let seq = u64::from_str_radix(seq, 16).ok()?;
        Some(Self {
            path: path.to_owned(),
            size,
            rows: stats.rows,
            day,
            seq,
            late: matches!(kind, "l" | "m"),
            compacted: matches!(kind, "c" | "m"),
            oldest: stats.oldest,
            newest: stats.newest,
        })
    }

    /// Whether it may hold points of these times, in microseconds.
    pub(crate) fn may_hold(&self, from: i64, through: i64) -> bool {
        self.newest == i64::MIN || (self.oldest <= through && self.newest >= from)
    }

    /// Of two rows with one key, the one of the lower rank stays.
    pub(crate) fn rank(&self) -> i64 {
        i64::try_from(self.seq).unwrap_or(i64::MAX / 2).saturating_mul(2) + i64::from(self.late)
    }
}

/// The day whose files lie in the folder of this name.
pub(crate) fn day_of_folder(name: &str) -> Option<i32> {
    parse_date(name.strip_prefix(DATE)?.strip_prefix('=')?)
}

/// Log sequence, kind, the footer's length and sum, and what makes the name unique.
fn parts_of(name: &str) -> Option<[&str; 5]> {
    let mut parts = name.strip_suffix(".parquet")?.split('-');
    let all = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(all)
}

/// What a file's path says of its footer; `None` where the file is not the lake's.
fn footer_of(path: &str) -> Option<Footer> {
    let [_, _, length, sum, _] = parts_of(path.rsplit('/').next()?)?;
    Footer::from_name(length, sum)
}

/// A version of a table: which files it has.
#[derive(Clone, Debug)]
pub(crate) struct TableState {
    /// Delta's version number.
    pub(crate) version: i64,
    /// Its files, oldest sequence first.
    pub(crate) files: Vec<Arc<DataFile>>,
}

impl TableState {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Rows of all files, duplicates included.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// Bytes that a check of sums holds at once.
const READ_THROUGH: u64 = 4 << 20;

/// A file that was written and is not committed yet.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) day: i32,
    pub(crate) size: u64,
    pub(crate) stats: String,
}

/// A table that this process writes.
#[derive(Debug)]
pub(crate) struct LakeTable {
    pub(crate) spec: &'static Table,
    log_store: LogStoreRef,
    store: Arc<dyn ObjectStore>,
    checked: Arc<CheckedStore>,
    node: String,
    state: Mutex<DeltaTableState>,
}

impl LakeTable {
    /// Opens the table below `root`, creating it when it is missing. Gives it with its state and the last log sequence that
    /// this node committed to it.
    pub(crate) async fn open(
        spec: &'static Table,
        root: &Url,
        node: &str,
        damages: &Arc<Damages>,
    ) -> Result<(Self, TableState, u64)> {
        let error = |e| LakeError::table(spec.name, e);
        let url = root.join(&format!("{}/", spec.name)).map_err(|e| LakeError::defect("table url", e))?;
        if let Ok(folder) = url.to_file_path() {
            std::fs::create_dir_all(&folder)
                .map_err(|e| LakeError::io(format!("create {}", folder.display()), e))?;
        }
        if let Ok(folder) = url.to_file_path() {
            commits::check(&folder.join("_delta_log"))?;
        }
        let mut table =
            DeltaTableBuilder::from_url(url.clone()).and_then(DeltaTableBuilder::build).map_err(error)?;
        if table.verify_deltatable_existence().await.map_err(error)? {
            table.load().await.map_err(error)?;
        } else {
            table = create(spec, &table).await.map_err(error)?;
        }
        let log_store = table.log_store();
        let state = table.snapshot().map_err(error)?.clone();
        let committed = state.snapshot().transaction_version(&*log_store, node).await.map_err(error)?;
        let listed = list(&state);
        let store = log_store.object_store(None);
        let opened = Self {
            spec,
            checked: Arc::new(CheckedStore::new(spec.name, store.clone(), damages.clone())),
            store,
            log_store,
            node: node.to_owned(),
            state: Mutex::new(state),
        };
        Ok((opened, listed, committed.and_then(|v| u64::try_from(v).ok()).unwrap_or(0)))
    }

    /// The store whose root is the table's folder; it checks what it reads.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.checked.clone()
    }

    /// The version that this process wrote last.
    pub(crate) async fn current(&self) -> TableState {
        list(&*self.state.lock().await)
    }

    /// Writes an encoded file; it is part of the table only once it is committed.
    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let place = object_store::path::Path::from(path);
        let put = self.store.put(&place, bytes.into()).await;
        put.map(|_| ()).map_err(|e| LakeError::store(format!("write {}/{path}", self.spec.name), e))
    }

    /// Reads a file to its end, as a check of its sums.
    pub(crate) async fn read_through(&self, file: &DataFile) -> Result<()> {
        let failed = |e| LakeError::store(format!("read {}/{}", self.spec.name, file.path), e);
        let mut at = 0;
        while at < file.size {
            let end = file.size.min(at + READ_THROUGH);
            self.checked
                .get_range(&object_store::path::Path::from(file.path.as_str()), at..end)
                .await
                .map_err(failed)?;
            at = end;
        }
        Ok(())
    }

    /// Writes an encoded file under the name that its content gives it.
    pub(crate) async fn put_encoded(
        &self,
        encoded: Encoded,
        day: i32,
        seq: u64,
        late: bool,
        compacted: bool,
    ) -> Result<NewFile> {
        let path = DataFile::path_for(day, seq, late, compacted, encoded.footer);
        let size = encoded.bytes.len() as u64;
        self.put(&path, encoded.bytes).await?;
        Ok(NewFile { path, day, size, stats: encoded.stats })
    }

    /// Adds files and, in the same commit, this node's progress.
    pub(crate) async fn commit_flush(&self, files: &[NewFile], last_seq: u64) -> Result<TableState> {
        let progress = Transaction::new(&self.node, i64::try_from(last_seq).unwrap_or(i64::MAX));
        self.commit(Some(progress), files, &[], true).await
    }

    /// Replaces files by others that hold the same rows.
    pub(crate) async fn commit_rewrite(
        &self,
        added: &[NewFile],
        removed: &[Arc<DataFile>],
    ) -> Result<TableState> {
        self.commit(None, added, removed, false).await
    }

    /// Removes files and their rows.
    pub(crate) async fn commit_removal(&self, removed: &[Arc<DataFile>]) -> Result<TableState> {
        self.commit(None, &[], removed, true).await
    }

    async fn commit(
        &self,
        progress: Option<Transaction>,
        added: &[NewFile],
        removed: &[Arc<DataFile>],
        data_change: bool,
    ) -> Result<TableState> {
        let error = |e| LakeError::table(self.spec.name, e);
        let mut state = self.state.lock().await;
        let now = now_millis();
        let removes = removed.iter().map(|file| Action::Remove(remove(file, now, data_change)));
        let adds = added.iter().map(|file| Action::Add(add(file, now, data_change)));
        let operation = if data_change && removed.is_empty() {
            DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![DATE.to_owned()]),
                predicate: None,
            }
        } else if data_change {
            DeltaOperation::Delete { predicate: None }
        } else {
            DeltaOperation::Optimize { predicate: None, target_size: 0 }
        };
        let actions: Vec<Action> = removes.chain(adds).collect();
        let all: Vec<Action> = actions.iter().cloned().chain(progress.clone().map(Action::Txn)).collect();
        let properties = CommitProperties::default()
            .with_metadata([commits::summed(&all)?])
            .with_application_transactions(progress.into_iter().collect());
        let finalized = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&*state), self.log_store.clone(), operation)
            .await
            .map_err(error)?;
        *state = finalized.snapshot();
        Ok(list(&state))
    }

    /// A handle for the library's own upkeep.
    pub(crate) async fn handle(&self) -> (LogStoreRef, DeltaTableState) {
        (self.log_store.clone(), self.state.lock().await.clone())
    }
}

async fn create(
    spec: &'static Table,
    table: &DeltaTable,
) -> Result<DeltaTable, deltalake_core::DeltaTableError> {
    let properties = [
        ("delta.checkpointInterval", "50"),
        ("delta.logRetentionDuration", "interval 1 days"),
        ("delta.enableExpiredLogCleanup", "true"),
    ];
    deltalake_core::operations::create::CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_table_name(spec.name)
        .with_comment(spec.doc)
        .with_columns(schema::delta_fields(spec)?)
        .with_partition_columns([DATE])
        .with_configuration(properties.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))))
        .await
}

fn list(state: &DeltaTableState) -> TableState {
    let mut files: Vec<_> = state
        .log_data()
        .iter()
        .filter_map(|view| {
            let size = u64::try_from(view.size()).unwrap_or(0);
            let stats = FileStats::from_json(&view.stats().unwrap_or_default());
            DataFile::from_listing(&view.path(), size, &stats).map(Arc::new)
        })
        .collect();
    files.sort_by(|a, b| (a.rank(), &a.path).cmp(&(b.rank(), &b.path)));
    TableState { version: state.version().try_into().unwrap_or(i64::MAX), files }
}

fn add(file: &NewFile, now: i64, data_change: bool) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: partition(file.day),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: now,
        data_change,
        stats: Some(file.stats.clone()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

fn remove(file: &DataFile, now: i64, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(now),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(file.day)),
        size: i64::try_from(file.size).ok(),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}

fn partition(day: i32) -> HashMap<String, Option<String>> {
    HashMap::from([(DATE.to_owned(), Some(date_text(day)))])
}

fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The date of a day since the epoch, as `2026-11-23`.
pub(crate) fn date_text(day: i32) -> String {
    let date = arrow_array::types::Date32Type::to_naive_date_opt(day).unwrap_or_default();
    date.format("%Y-%m-%d").to_string()
}

fn parse_date(text: &str) -> Option<i32> {
    <arrow_array::types::Date32Type as arrow_cast::parse::Parser>::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_in_its_name_what_it_is() {
        let footer = Footer { length: 0x1234, sum: 0xab };
        let path = DataFile::path_for(20_780, 0x2a, true, false, footer);
        let file = DataFile::from_listing(&path, 10, &FileStats::default()).unwrap();
        assert_eq!((file.day, file.seq, file.late, file.compacted), (20_780, 0x2a, true, false));
        assert_eq!(footer_of(&path), Some(footer));
        assert!(file.rank() > DataFile { late: false, ..file.clone() }.rank());
    }

    #[test]
    fn a_foreign_file_is_not_taken_for_ours() {
        assert_eq!(DataFile::from_listing("date=2026-11-23/part-0.parquet", 1, &FileStats::default()), None);
        assert_eq!(DataFile::from_listing("readme.txt", 1, &FileStats::default()), None);
    }
}
