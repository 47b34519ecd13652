//! An embedded database on disk, with a pool of connections. SQLite lets many read and one write, over all replicas of a service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kandela_model::KnobValue;
use kandela_runtime::knob::{LeasedKnob, Scalar};
use kandela_runtime::pool::Manage;
use opentelemetry::trace::{Status, TraceContextExt};
use rusqlite::Connection;

use crate::knobs::KnobMaker;
use crate::resilience::pool::Pool;
use crate::telemetry;

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// When a commit is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synchronous {
    /// When it returns.
    Full,
    /// At the next checkpoint; a power loss may take the last commits, and leaves the database whole.
    Normal,
}

impl Scalar for Synchronous {
    fn to_bits(self) -> u64 {
        u64::from(self == Synchronous::Full)
    }
    fn from_bits(bits: u64) -> Self {
        if bits == 0 { Synchronous::Normal } else { Synchronous::Full }
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Choice(if self == Synchronous::Full { "full" } else { "normal" }.to_owned())
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Choice(word) if word == "full" => Some(Synchronous::Full),
            KnobValue::Choice(word) if word == "normal" => Some(Synchronous::Normal),
            _ => None,
        }
    }
}

/// Makes connections to a database.
struct Connections {
    path: PathBuf,
}

impl Manage for Connections {
    type Resource = Connection;
    type Error = rusqlite::Error;

    async fn create(&self) -> rusqlite::Result<Connection> {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || connect(&path)).await;
        opened.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))
    }

    fn is_broken(&self, connection: &Connection) -> bool {
        // In the middle of a transaction that nobody will end.
        !connection.is_autocommit()
    }
}

/// The database of a service.
pub(crate) struct Database {
    pool: Pool<Connections>,
    synchronous: Arc<LeasedKnob<Synchronous>>,
}

impl Database {
    /// Opens `path`, with the knobs `db.pool.size` and `db.synchronous`, and has `prepare` make what is missing.
    pub(crate) fn open(
        knobs: &KnobMaker,
        path: PathBuf,
        prepare: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    ) -> Result<Database> {
        let prepared = connect(&path).and_then(|mut connection| prepare(&mut connection));
        prepared.with_context(|| format!("database {}", path.display()))?;
        let pool = Pool::new(knobs, "db", Connections { path })?;
        Ok(Database { pool, synchronous: knobs.choice("db.synchronous", &["full", "normal"])? })
    }

    /// Runs one operation (`SELECT`, say) on `table`, off the threads that serve requests.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        table: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        // Given back when the work is done, even if nobody waits for it any more.
        let mut connection = self.pool.get().await?;
        let span = telemetry::db_span(operation, table);
        let synchronous = self.synchronous.read();
        let since = Instant::now();
        let done = tokio::task::spawn_blocking(move || {
            connection.pragma_update(None, "synchronous", synchronous.to_bits() + 1)?;
            work(&mut connection)
        });
        let result = done.await.context("the database's thread panicked")?;
        telemetry::db_took(operation, table, since.elapsed());
        if let Err(error) = &result {
            span.span().set_status(Status::error(error.to_string()));
        }
        span.span().end();
        result.with_context(|| format!("{operation} {table}"))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(connection)
}
