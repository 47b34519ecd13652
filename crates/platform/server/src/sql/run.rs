//! Running queries on threads of their own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use kandela_lake::{Lake, LakeError, QUERY_STACK, QueryLimits};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use super::encode::{RowEncoder, RowFormat};
use crate::telemetry::Telemetry;
use crate::telemetry::events::QueryFinished;
use crate::turns::Turns;

/// SQL queries that run at a time: each may take all of the memory that queries share.
const CONCURRENT: usize = 4;
/// Pieces of an answer that wait for a slow reader.
const WAITING: usize = 4;
/// How much longer than its timeout a query gets to end by itself.
const OVERTIME: Duration = Duration::from_millis(200);

/// Threads for queries and upkeep, apart from those that receive and answer.
pub(crate) struct Queries {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    threads: Handle,
    turns: Turns,
    limits: QueryLimits,
    telemetry: Telemetry,
}

/// An answer on its way. Dropping it ends the query.
pub(crate) struct Answer {
    /// What the answer lacks, once its first rows are there.
    pub(crate) begun: oneshot::Receiver<Result<Vec<String>, LakeError>>,
    /// Its bytes, an error as the last.
    pub(crate) pieces: mpsc::Receiver<Result<Bytes, LakeError>>,
}

impl Queries {
    /// Threads for queries that may each take as much as `limits` say.
    pub(crate) fn new(limits: QueryLimits, telemetry: Telemetry) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("kandela-query")
            .thread_stack_size(QUERY_STACK)
            .enable_all()
            .build()?;
        let turns = Turns::new(CONCURRENT, limits.timeout);
        let threads = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), threads, turns, limits, telemetry })
    }

    /// The threads, for upkeep that computes.
    pub(crate) fn handle(&self) -> Handle {
        self.threads.clone()
    }

    /// Starts a query. It waits for its turn within its timeout, and ends when nobody reads its answer any more.
    pub(crate) fn start(&self, lake: Lake, sql: String, format: RowFormat) -> Answer {
        let (sender, pieces) = mpsc::channel(WAITING);
        let (begins, begun) = oneshot::channel();
        let teller = Teller { begins: Arc::new(Mutex::new(Some(begins))), sender };
        let query = Query {
            lake,
            sql,
            format,
            teller: teller.clone(),
            turns: self.turns.clone(),
            limits: self.limits,
            rows: Arc::default(),
        };
        self.threads.spawn(watch(query, teller, self.telemetry.clone()));
        Answer { begun, pieces }
    }
}

impl Queries {
    /// Runs a query of the server's own on the queries' threads, within the limits of one query. It waits for its turn within its
    /// timeout, and ends when nobody waits for it any more. `language` names it in own metrics.
    ///
    /// # Errors
    /// As `work`; [`LakeError::QueryTimeout`] where its turn does not come in time.
    pub(crate) async fn run<T, F>(
        &self,
        language: &'static str,
        work: impl FnOnce(QueryLimits) -> F,
    ) -> Result<T, LakeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LakeError>> + Send + 'static,
    {
        let began = Instant::now();
        let turn = self.turns.take().await?;
        let left = self.limits.timeout.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        let work = work(QueryLimits { timeout: left, ..self.limits });
        let task = self.threads.spawn(async move {
            let _turn = turn;
            work.await
        });
        let ended =
            AbortOnDrop(task).await.unwrap_or_else(|panic| Err(LakeError::defect("run the query", panic)));
        let outcome = match &ended {
            Ok(_) => "ok",
            Err(LakeError::QueryTimeout { .. }) => "timeout",
            Err(_) => "error",
        };
        self.telemetry.emit(QueryFinished { language, outcome, rows: 0, took: began.elapsed() });
        ended
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Queries {
    /// A runtime must not be dropped where it would block.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Begins = oneshot::Sender<Result<Vec<String>, LakeError>>;

/// The way to whoever reads the answer.
#[derive(Clone)]
struct Teller {
    /// There until the answer has begun.
    begins: Arc<Mutex<Option<Begins>>>,
    sender: mpsc::Sender<Result<Bytes, LakeError>>,
}

impl Teller {
    fn begin(&self, warnings: Vec<String>) -> Result<(), LakeError> {
        match self.begins.lock().take() {
            Some(begins) => begins.send(Ok(warnings)).map_err(|_| LakeError::Closed),
            None => Ok(()),
        }
    }

    /// Nobody reads it any more where this fails.
    async fn fail(&self, error: LakeError) {
        let begins = self.begins.lock().take();
        match begins {
            Some(begins) => drop(begins.send(Err(error))),
            None => drop(self.sender.send(Err(error)).await),
        }
    }
}

/// Runs a query on a task of its own, so that its end is told in time even while it computes.
async fn watch(query: Query, teller: Teller, telemetry: Telemetry) {
    let began = Instant::now();
    let (rows, timeout) = (query.rows.clone(), query.limits.timeout);
    let mut work = tokio::spawn(async move { query.answer(began).await });
    let timed_out = LakeError::QueryTimeout { seconds: timeout.as_secs() };
    let ended = tokio::select! {
        ended = &mut work => Some(ended.unwrap_or_else(|panic| Err(LakeError::defect("run the query", panic)))),
        () = tokio::time::sleep(timeout + OVERTIME) => Some(Err(timed_out)),
        () = teller.sender.closed() => None,
    };
    work.abort();
    let outcome = match &ended {
        None => "cancelled",
        Some(Ok(())) => "ok",
        Some(Err(LakeError::QueryTimeout { .. })) => "timeout",
        Some(Err(_)) => "error",
    };
    let rows = rows.load(Ordering::Relaxed);
    telemetry.emit(QueryFinished { language: "sql", outcome, rows, took: began.elapsed() });
    if let Some(Err(error)) = ended {
        teller.fail(error).await;
    }
}

struct Query {
    lake: Lake,
    sql: String,
    format: RowFormat,
    teller: Teller,
    turns: Turns,
    limits: QueryLimits,
    /// How many it gave so far.
    rows: Arc<AtomicU64>,
}

impl Query {
    async fn answer(&self, began: Instant) -> Result<(), LakeError> {
        let timeout = self.limits.timeout;
        let timed_out = || LakeError::QueryTimeout { seconds: timeout.as_secs() };
        let _turn = self.turns.take().await?;
        let left = timeout.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        let named = |error| match error {
            LakeError::QueryTimeout { .. } => timed_out(),
            other => other,
        };
        let limits = QueryLimits { timeout: left, ..self.limits };
        let kandela_lake::Answer { rows: mut batches, warnings } =
            self.lake.sql(&self.sql, &limits).await.map_err(named)?;
        let unwritable = |error: arrow_schema::ArrowError| LakeError::BadQuery {
            message: format!("its rows cannot be written as {:?}: {error}", self.format),
        };
        let mut encoder = RowEncoder::new(self.format, &batches.schema(), &warnings).map_err(unwritable)?;
        self.teller.begin(warnings)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| named(kandela_lake::explain(&error)))?;
            self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            self.pass_on(encoder.push(&batch).map_err(unwritable)?).await?;
        }
        self.pass_on(encoder.finish().map_err(unwritable)?).await
    }

    async fn pass_on(&self, piece: Vec<u8>) -> Result<(), LakeError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.teller.sender.send(Ok(piece.into())).await.map_err(|_| LakeError::Closed)
    }
}
