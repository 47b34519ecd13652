//! The lake itself: what others call.

mod read;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::TryStreamExt;
use kandela_model::tables::{self, Table};
use kandela_model::{Event, LogRecord, Metadata, MetricBatch, Profile, Span, Timestamp};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Notify};
use url::Url;

use crate::accumulators;
use crate::config::LakeConfig;
use crate::error::{LakeError, Result};
use crate::flush::{FlushReport, flush_table};
use crate::head::{Appended, Appender, Memtable, Origin, RecordKind, Registry};
use crate::points::PointCache;
use crate::quarantine::Notices;
use crate::recover::{Rebuild, Recovery};
use crate::rows;
use crate::series::SeriesSets;
use crate::sql::{self, QueryLimits};
use crate::table::{self, CompactReport, Damages, LakeTable, RetentionReport, TableState};
use crate::tail::LakeTail;
use crate::view::View;
use crate::wal::{Wal, WalOptions};

/// How much longer than the out-of-order window a series stays in memory without a sample.
const IDLE_MICROS: i64 = 3_600_000_000;

/// A time range in microseconds, both ends inclusive.
pub type TimeRange = RangeInclusive<i64>;

/// Keeps telemetry and finds it again. Cloning it clones a handle.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    config: LakeConfig,
    appender: Appender,
    registry: Arc<Registry>,
    sets: Arc<SeriesSets>,
    points: Arc<PointCache>,
    view: ArcSwap<View>,
    /// One swap of the view at a time.
    swap: SyncMutex<()>,
    tables: Vec<LakeTable>,
    runtime: Arc<RuntimeEnv>,
    /// One flush at a time.
    flushing: Mutex<()>,
    /// One compaction or retention run at a time.
    tidying: Mutex<()>,
    /// The next sequence of each event stream, once known.
    streams: Mutex<HashMap<String, i64>>,
    /// What a failed flush had already committed: table and the last sequence of its generation.
    committed: SyncMutex<HashMap<&'static str, u64>>,
    flush_wanted: Notify,
    /// Records from this sequence on are still followed by somebody; `u64::MAX` where nobody does.
    followed_from: AtomicU64,
    /// The newest sample of all generations that were frozen, in microseconds.
    newest: AtomicI64,
    recovery: Recovery,
    /// What readers found damaged, until it is put aside.
    damages: Arc<Damages>,
    /// Puts aside one at a time.
    quarantining: Mutex<()>,
    /// How many files were put aside.
    put_aside: AtomicU64,
    quarantined: Notices,
    closed: AtomicBool,
}

/// Log that is kept for those who follow it, in bytes.
const MAX_FOLLOWED_BYTES: u64 = 4 << 30;

/// What the lake holds now.
#[derive(Clone, Debug, Default)]
pub struct LakeStats {
    /// Series that are alive.
    pub series: usize,
    /// Bytes that the living series take.
    pub series_bytes: usize,
    /// Bytes of generations in memory.
    pub head_bytes: usize,
    /// Samples and histograms in memory.
    pub head_samples: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
    /// The last log sequence.
    pub log_seq: u64,
    /// The newest sample in memory.
    pub newest: Option<Timestamp>,
    /// Rows, bytes and files of each table.
    pub tables: BTreeMap<&'static str, TableStats>,
}

/// What one table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows in files, duplicates included.
    pub rows: u64,
    /// Rows that are in memory and the log, and not in a file yet.
    pub in_memory: u64,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub files: usize,
    /// Delta's version.
    pub version: i64,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("root", &self.inner.config.root).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens the lake in `config.root`, creating it where there is none, and reads back from the log what no table has yet.
    ///
    /// # Errors
    /// When another process has it open, or disk or tables cannot be read.
    pub async fn open(config: LakeConfig) -> Result<Self> {
        let began = Instant::now();
        let root =
            std::path::absolute(&config.root).map_err(|e| LakeError::io("resolve the data folder", e))?;
        std::fs::create_dir_all(&root).map_err(|e| LakeError::io(format!("create {}", root.display()), e))?;
        let url = Url::from_directory_path(&root)
            .map_err(|()| LakeError::defect("data folder as URL", root.display()))?;
        let registry = Arc::new(Registry::new());
        let mut opened = Vec::new();
        let mut states = HashMap::new();
        let mut committed = HashMap::new();
        let damages = Arc::new(Damages::default());
        for spec in tables::ALL {
            let (table, state, seq) = LakeTable::open(spec, &url, &config.node, &damages).await?;
            opened.push(table);
            states.insert(spec.name, Arc::new(state));
            committed.insert(spec.name, seq);
        }
        let newest = newest_flushed(&states);
        registry.set_flushed_through(newest);
        let floor = committed.values().copied().max().unwrap_or(0);
        registry.set_covers_from(floor + 1);
        let options =
            WalOptions { durability: config.durability, sequence_floor: floor, ..WalOptions::default() };
        let log = root.join("wal");
        let share = config.head_share() / 2;
        let names = registry.clone();
        let replay = move || -> Result<_> {
            let known = accumulators::load(&root)?;
            let mut rebuild = Rebuild::new(names, known, &opened, committed, share);
            let (wal, report) = Wal::open(&log, options, 1, |record| rebuild.visit(record))?;
            let cut = rebuild.cut;
            rebuild.recovery.note(&report, cut);
            let Rebuild { memtable, accumulators, recovery, states, .. } = rebuild;
            Ok((wal, memtable, accumulators, recovery, states, opened))
        };
        let (wal, memtable, accumulators, mut recovery, newer, opened) = tokio::task::spawn_blocking(replay)
            .await
            .map_err(|e| LakeError::defect("replay the log", e))??;
        states.extend(newer.into_iter().map(|(name, state)| (name, Arc::new(state))));
        wal.append(RecordKind::Began as u8, &[])?;
        recovery.took = began.elapsed();
        let runtime = sql::runtime(&config, &opened)?;
        let series_store =
            opened.iter().find(|table| table.spec.name == tables::SERIES.name).map(LakeTable::store);
        let series_store = series_store.ok_or_else(|| LakeError::defect("open tables", "no series table"))?;
        let sets = SeriesSets::new(registry.clone(), series_store, config.compaction_share());
        let inner = Inner {
            appender: Appender::new(registry.clone(), accumulators, wal, &config),
            sets: Arc::new(sets),
            points: Arc::new(PointCache::new(&opened, config.cache_share())?),
            view: ArcSwap::from_pointee(View { tables: states, active: memtable, frozen: Vec::new() }),
            swap: SyncMutex::default(),
            tables: opened,
            runtime,
            flushing: Mutex::default(),
            tidying: Mutex::default(),
            streams: Mutex::default(),
            committed: SyncMutex::default(),
            flush_wanted: Notify::new(),
            followed_from: AtomicU64::new(u64::MAX),
            newest: AtomicI64::new(i64::MIN),
            recovery,
            damages,
            quarantining: Mutex::default(),
            put_aside: AtomicU64::new(0),
            quarantined: Notices::new(),
            closed: AtomicBool::new(false),
            registry,
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What was found at start.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// How it was set up.
    pub fn config(&self) -> &LakeConfig {
        &self.inner.config
    }

    /// Takes in metrics. When this returns, what it says was taken survives the death of the process, and with
    /// `durability: fsync` the loss of power; and every query from now on sees it. Blocks for the log's write.
    ///
    /// # Errors
    /// [`LakeError::LogRefused`] or [`LakeError::HeadFull`]; nothing was acknowledged then, and a retry loses and doubles
    /// nothing.
    pub fn append(&self, batch: &MetricBatch) -> Result<Appended> {
        self.append_from(batch, Origin::Client)
    }

    /// As [`Lake::append`], for history: samples of any age are taken.
    ///
    /// # Errors
    /// As [`Lake::append`].
    pub fn import(&self, batch: &MetricBatch) -> Result<Appended> {
        self.append_from(batch, Origin::Import)
    }

    fn append_from(&self, batch: &MetricBatch, origin: Origin) -> Result<Appended> {
        self.write(|appender, memtable| appender.append(memtable, batch, now(), origin))
    }

    /// Takes in spans; gives how many. A span sent twice is kept once.
    ///
    /// # Errors
    /// As [`Lake::append`].
    pub fn append_spans(&self, spans: &[Span]) -> Result<usize> {
        self.append_rows(&tables::SPANS, spans, rows::spans)
    }

    /// Takes in log records; gives how many.
    ///
    /// # Errors
    /// As [`Lake::append`].
    pub fn append_logs(&self, logs: &[LogRecord]) -> Result<usize> {
        self.append_rows(&tables::LOGS, logs, rows::logs)
    }

    /// Takes in profiles; gives how many.
    ///
    /// # Errors
    /// As [`Lake::append`].
    pub fn append_profiles(&self, profiles: &[Profile]) -> Result<usize> {
        self.append_rows(&tables::PROFILES, profiles, rows::profiles)
    }

    /// Appends to an event stream, if the stream stands where the caller thinks: the first event of a stream has sequence 0,
    /// and each of `events` takes the next, whatever its own `seq` says. Gives the sequence that comes next.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when another writer was first; else as [`Lake::append`].
    pub async fn append_events(&self, stream: &str, expected_seq: i64, events: &[Event]) -> Result<i64> {
        let mut streams = self.inner.streams.lock().await;
        let next = match streams.get(stream) {
            Some(next) => *next,
            None => self.next_seq_of(stream).await?,
        };
        streams.insert(stream.to_owned(), next);
        if next != expected_seq {
            return Err(LakeError::Conflict {
                stream: stream.to_owned(),
                expected: expected_seq,
                actual: next,
            });
        }
        let numbered: Vec<Event> = events
            .iter()
            .zip(next..)
            .map(|(event, seq)| Event { stream: stream.to_owned(), seq, ..event.clone() })
            .collect();
        let after = next + self.append_rows(&tables::EVENTS, &numbered, rows::events)? as i64;
        streams.insert(stream.to_owned(), after);
        Ok(after)
    }

    /// The sequence that the next event of a stream will have.
    ///
    /// # Errors
    /// When the stream's end is not known yet and can't be read.
    pub async fn next_event(&self, stream: &str) -> Result<i64> {
        let mut streams = self.inner.streams.lock().await;
        if let Some(next) = streams.get(stream) {
            return Ok(*next);
        }
        let next = self.next_seq_of(stream).await?;
        streams.insert(stream.to_owned(), next);
        Ok(next)
    }

    async fn next_seq_of(&self, stream: &str) -> Result<i64> {
        let query =
            format!("SELECT max(seq) AS seq FROM events WHERE stream = '{}'", stream.replace('\'', "''"));
        let rows: Vec<RecordBatch> = self
            .sql(&query, &QueryLimits::default())
            .await?
            .rows
            .try_collect()
            .await
            .map_err(|e| sql::explain(&e))?;
        let last = rows.iter().find_map(|batch| {
            let column = batch.column(0).as_primitive_opt::<Int64Type>()?;
            column.iter().next().flatten()
        });
        Ok(last.map_or(0, |last| last + 1))
    }

    /// Follows metrics as they come in, from log sequence `from_seq` on.
    pub fn tail(&self, from_seq: u64) -> LakeTail {
        LakeTail::new(&self.inner.appender.wal, from_seq)
    }

    /// Keeps the log from this sequence on even where all tables have it, since somebody still follows it; `None` where
    /// nobody does. At most four gigabytes are kept so; what goes then is told as [`crate::Tailed::Lost`].
    pub fn keep_log_from(&self, seq: Option<u64>) {
        self.inner.followed_from.store(seq.unwrap_or(u64::MAX), Ordering::Release);
    }

    fn append_rows<T>(
        &self,
        table: &'static Table,
        items: &[T],
        lay_out: impl FnOnce(&[T]) -> Result<RecordBatch>,
    ) -> Result<usize> {
        if items.is_empty() {
            return Ok(0);
        }
        let batch = lay_out(items)?;
        self.write(|appender, memtable| Ok(((), appender.append_rows(memtable, table, batch)?)))?;
        Ok(items.len())
    }

    fn write<T>(&self, append: impl FnOnce(&Appender, &Memtable) -> Result<(T, u64)>) -> Result<T> {
        let inner = &self.inner;
        if inner.closed.load(Ordering::Acquire) {
            return Err(LakeError::Closed);
        }
        let (report, seq, bytes) = {
            let _gate = inner.appender.gate.read();
            let view = inner.view.load();
            let (report, seq) =
                append(&inner.appender, &view.active).inspect_err(|_| inner.flush_wanted.notify_one())?;
            (report, seq, view.active.heap_bytes())
        };
        if bytes > inner.config.head_share() / 4 {
            inner.flush_wanted.notify_one();
        }
        inner.appender.wal.sync_through(seq).map_err(|e| self.log_refused(e))?;
        Ok(report)
    }

    fn log_refused(&self, source: crate::wal::WalError) -> LakeError {
        LakeError::LogRefused { folder: self.inner.config.root.join("wal"), source }
    }

    /// Resolves when memory asks for a flush before its interval is over.
    pub async fn flush_wanted(&self) {
        self.inner.flush_wanted.notified().await;
    }

    /// Writes what is in memory to the tables. What fails stays in memory and in the log, and the next flush takes it up.
    ///
    /// # Errors
    /// When a file or commit cannot be written.
    pub async fn flush(&self) -> Result<FlushReport> {
        let _only = self.inner.flushing.lock().await;
        self.freeze()?;
        let mut report = FlushReport::default();
        loop {
            let oldest = self.inner.view.load().frozen.first().cloned();
            match oldest {
                Some(generation) => self.flush_generation(&generation, &mut report).await?,
                None => break,
            }
        }
        self.forget_idle_series();
        Ok(report)
    }

    /// Begins a new generation and a new log segment.
    fn freeze(&self) -> Result<()> {
        let inner = &self.inner;
        let _gate = inner.appender.gate.write();
        let _swap = inner.swap.lock();
        let view = inner.view.load();
        if view.active.is_empty() {
            return Ok(());
        }
        let rotated = inner.appender.wal.rotate().map_err(|e| self.log_refused(e))?;
        let mut next = View::clone(&view);
        view.active.closed_segment(rotated);
        inner.appender.held_bytes.fetch_add(view.active.heap_bytes(), Ordering::Relaxed);
        inner.newest.fetch_max(view.active.max_ts(), Ordering::Relaxed);
        next.frozen.push(view.active.clone());
        next.active = Arc::new(Memtable::new(view.active.generation + 1));
        inner.view.store(Arc::new(next));
        Ok(())
    }

    async fn flush_generation(&self, generation: &Arc<Memtable>, report: &mut FlushReport) -> Result<()> {
        let inner = &self.inner;
        let last_seq = generation.last_seq();
        let mut states: Vec<(&'static str, TableState)> = Vec::new();
        for table in &inner.tables {
            let name = table.spec.name;
            // An earlier try may have come this far.
            if inner.committed.lock().get(name).is_some_and(|committed| *committed >= last_seq) {
                states.push((name, table.current().await));
                continue;
            }
            if let Some(state) = flush_table(table, generation, &inner.registry, report).await? {
                inner.committed.lock().insert(name, last_seq);
                states.push((name, state));
            }
        }
        accumulators::save(&inner.config.root, &inner.appender.accumulators.lock())?;
        {
            let _swap = inner.swap.lock();
            let mut next = View::clone(&inner.view.load());
            for (name, state) in states {
                next.tables.insert(name, Arc::new(state));
            }
            next.frozen.retain(|other| other.generation != generation.generation);
            inner.view.store(Arc::new(next));
        }
        inner.appender.held_bytes.fetch_sub(generation.heap_bytes(), Ordering::Relaxed);
        match generation.segment() {
            Some(rotated) => self.cut_log(rotated.closed),
            None => Ok(()),
        }
    }

    /// Removes segments that all tables have, up to `closed`, as far as nobody follows them or they are too many.
    fn cut_log(&self, closed: u64) -> Result<()> {
        let Inner { appender, followed_from, .. } = &*self.inner;
        let followed_from = followed_from.load(Ordering::Acquire);
        let segments = appender.wal.segments();
        let mut kept: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let gone = segments.iter().take_while(|segment| {
            let free = segment.last_seq < followed_from || kept > MAX_FOLLOWED_BYTES;
            kept -= segment.bytes;
            segment.number <= closed && free
        });
        let Some(last) = gone.last() else { return Ok(()) };
        appender.log(RecordKind::Cut, &last.last_seq.to_le_bytes())?;
        appender.wal.remove_through(last.number).map_err(|e| self.log_refused(e))?;
        Ok(())
    }

    /// Forgets series that have been idle for longer than the out-of-order window and an hour, once they are a quarter of
    /// all: their labels are in the series table. Appends wait meanwhile, about a microsecond a series.
    fn forget_idle_series(&self) {
        let inner = &self.inner;
        let window = i64::try_from(inner.config.out_of_order_window.as_micros()).unwrap_or(i64::MAX);
        let newest = inner.newest.load(Ordering::Relaxed);
        let cutoff = newest.saturating_sub(window).saturating_sub(IDLE_MICROS);
        if newest == i64::MIN || inner.registry.idle(cutoff) * 4 < inner.registry.len().max(1) {
            return;
        }
        let _gate = inner.appender.gate.write();
        let view = inner.view.load();
        // A generation that waits for its flush names series by number.
        if view.frozen.is_empty() {
            let before = inner.registry.heap_bytes();
            // A series imported with old samples since has its row in the active generation only.
            let unflushed = view.active.new_days().iter().map(|new| new.number).collect();
            view.active.renumber(&inner.registry.forget_idle(cutoff, &unflushed, view.active.generation));
            inner.registry.set_covers_from(inner.appender.wal.last_seq() + 1);
            let freed = before.saturating_sub(inner.registry.heap_bytes());
            inner.appender.held_bytes.fetch_sub(freed, Ordering::Relaxed);
        }
    }

    /// Merges files where a day has gathered enough of them.
    ///
    /// # Errors
    /// When a file cannot be read or written; the tables are then as they were.
    pub async fn compact(&self) -> Result<CompactReport> {
        let _only = self.inner.tidying.lock().await;
        let today = now().day();
        let config = &self.inner.config;
        let largest = table::largest(config.compaction_share());
        let mut report = CompactReport::default();
        for table in &self.inner.tables {
            loop {
                let state = self.inner.view.load().tables.get(table.spec.name).cloned();
                let jobs = state
                    .map(|state| table::jobs(&state, config.compact_at_files, today, largest))
                    .unwrap_or_default();
                let Some(job) = jobs.first() else { break };
                match table::compact_once(table, job, &self.inner.runtime).await {
                    Ok((state, done)) => {
                        self.publish(table.spec.name, state);
                        report.add(&done);
                    }
                    Err(error) if !self.put_damaged_aside().await? => return Err(error),
                    Err(_) => {}
                }
            }
        }
        Ok(report)
    }

    /// Removes what is past its retention, then deletes files that nothing lists any more.
    ///
    /// # Errors
    /// When a commit or deletion fails.
    pub async fn enforce_retention(&self, now: Timestamp) -> Result<RetentionReport> {
        let _only = self.inner.tidying.lock().await;
        let states: BTreeMap<&'static str, Arc<TableState>> =
            self.inner.view.load().tables.iter().map(|(name, state)| (*name, state.clone())).collect();
        let gone = table::expired(&states, &self.inner.config.retention, now.day());
        let mut report = RetentionReport::default();
        for table in &self.inner.tables {
            if let Some(files) = gone.get(table.spec.name) {
                let (state, removed) = table::enforce(table, files).await?;
                self.publish(table.spec.name, state);
                report.files += removed.files;
                report.bytes += removed.bytes;
                report.rows += removed.rows;
            }
            table::vacuum(table).await?;
        }
        Ok(report)
    }

    fn publish(&self, name: &'static str, state: TableState) {
        let _swap = self.inner.swap.lock();
        let next = self.inner.view.load().with_table(name, state);
        self.inner.view.store(Arc::new(next));
    }

    /// What metric families are, as their sources described them.
    pub fn metadata(&self) -> Vec<Metadata> {
        self.inner.registry.families()
    }

    /// Living series of each metric.
    pub fn series_per_metric(&self) -> Vec<(String, usize)> {
        self.inner
            .registry
            .with_index(|index| index.series_per_metric().map(|(m, n)| (m.to_owned(), n)).collect())
    }

    /// Living series that carry `name = value`.
    pub fn series_with(&self, name: &str, value: &str) -> usize {
        self.inner.registry.with_index(|index| index.count(name, value))
    }

    /// What the lake holds now.
    pub fn stats(&self) -> LakeStats {
        let view = self.pinned();
        let generations: Vec<_> = view.generations().collect();
        let newest =
            generations.iter().map(|generation| generation.max_ts()).max().filter(|ts| *ts != i64::MIN);
        let in_memory = |name: &str| {
            let table = tables::ALL.iter().find(|table| table.name == name);
            table.map_or(0, |table| generations.iter().map(|generation| generation.count(table)).sum())
        };
        let of = |name: &str, state: &TableState| TableStats {
            rows: state.rows(),
            in_memory: in_memory(name),
            bytes: state.bytes(),
            files: state.files.len(),
            version: state.version,
        };
        LakeStats {
            series: self.inner.registry.len(),
            series_bytes: self.inner.registry.heap_bytes(),
            head_bytes: generations.iter().map(|generation| generation.heap_bytes()).sum(),
            head_samples: generations.iter().map(|generation| generation.samples()).sum(),
            log_bytes: self.inner.appender.wal.segments().iter().map(|segment| segment.bytes).sum(),
            log_seq: self.inner.appender.wal.last_seq(),
            newest: newest.map(Timestamp::from_micros),
            tables: view.tables.iter().map(|(name, state)| (*name, of(name, state))).collect(),
        }
    }

    /// Flushes, and takes nothing more.
    ///
    /// # Errors
    /// When the flush fails; the log then still has everything.
    pub async fn close(&self) -> Result<FlushReport> {
        self.inner.closed.store(true, Ordering::Release);
        self.flush().await
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// An upper bound of the times that the tables of points hold.
fn newest_flushed(states: &HashMap<&'static str, Arc<TableState>>) -> i64 {
    let points = [tables::SAMPLES.name, tables::HISTOGRAMS.name];
    let files = points.iter().filter_map(|name| states.get(name)).flat_map(|state| &state.files);
    files.map(|file| file.newest).max().unwrap_or(i64::MIN)
}
