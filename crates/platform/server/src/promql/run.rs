//! Running queries: each waits for its turn, computes on threads apart from those that receive and answer, and ends when its
//! time is up or nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kandela_lake::{Lake, LakeError};
use kandela_promql::{
    Answer, Answered, Control, EvalError, Limits, Options, SourceCause, SourceError, When, prepare,
};
use tokio::runtime::Handle;

use super::source::{LakeMemory, LakeSource};
use crate::memory;
use crate::telemetry::Telemetry;
use crate::telemetry::events::QueryFinished;
use crate::turns::{Turn, Turns, Waits};

/// Queries that run at a time, as in Prometheus; more wait within their timeout. Many, so that short ones get their share of
/// the cores beside long ones.
const CONCURRENT: usize = 20;
/// How soon a query asks again for memory that others hold.
const AGAIN: Duration = Duration::from_millis(20);
/// Bytes that reading a byte of a query may take at most, about: regular expressions take many.
const READING: usize = 16 << 10;
/// How much longer than its timeout a query gets to end by itself.
const OVERTIME: Duration = Duration::from_millis(200);

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub query: String,
    pub when: When,
    /// How old the newest sample of a series may be; `None` for the configured time.
    pub lookback: Option<Duration>,
    /// How long the answer may take, at most as long as configured; `None` for that.
    pub timeout: Option<Duration>,
}

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PromQlLimits {
    pub timeout: Duration,
    pub limits: Limits,
}

/// An answer.
pub(crate) struct Given {
    pub answered: Answered,
    /// What it takes counts as held by queries until this is dropped.
    pub memory: Arc<Control>,
}

/// Runs queries.
pub(crate) struct PromQl {
    threads: Handle,
    turns: Turns,
    /// For memory that others hold.
    waiting: Turns,
    limits: PromQlLimits,
    options: Options,
    telemetry: Telemetry,
}

impl PromQl {
    /// Queries on `threads`, a runtime of several.
    pub(crate) fn new(threads: Handle, options: Options, limits: PromQlLimits, telemetry: Telemetry) -> Self {
        let turns = Turns::new(CONCURRENT, limits.timeout);
        let waiting = Turns::new(1, limits.timeout);
        Self { threads, turns, waiting, limits, options, telemetry }
    }

    /// A place among the queries that run at a time, for a reader of series that is no query.
    ///
    /// # Errors
    /// As [`Turns::take`].
    pub(crate) async fn turn(&self) -> Result<Turn, LakeError> {
        self.turns.take().await
    }

    /// The answer to a query. Dropping the future ends the query.
    ///
    /// # Errors
    /// As [`prepare`] and [`kandela_promql::Prepared::run`].
    pub(crate) async fn answer(&self, lake: Lake, asked: Asked) -> Result<Given, EvalError> {
        let began = Instant::now();
        let timeout = asked.timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
        let control = Control::new(Some(began + timeout), self.limits.limits);
        let control = Arc::new(control.sharing(LakeMemory(lake.query_memory())));
        let mut ending = Ending {
            control: control.clone(),
            telemetry: self.telemetry.clone(),
            began,
            outcome: "cancelled",
            rows: 0,
        };
        let options =
            Options { lookback: asked.lookback.map_or(self.options.lookback, micros), ..self.options };
        let asked_bytes = asked.query.len();
        let turns = (self.turns.clone(), self.waiting.clone());
        let work = self.threads.spawn(work(lake, asked, options, control.clone(), turns));
        let answer = tokio::select! {
            ended = work => ended.unwrap_or_else(|panic| Err(defect(&panic.to_string()))),
            () = tokio::time::sleep(timeout + OVERTIME) => Err(EvalError::Timeout),
        };
        ending.outcome = match &answer {
            Ok(_) => "ok",
            Err(EvalError::Timeout) => "timeout",
            Err(_) => "error",
        };
        if let Err(EvalError::Bad(_)) = &answer {
            memory::freed(asked_bytes.saturating_mul(READING));
        }
        ending.rows = answer.as_ref().map_or(0, rows);
        answer.map(|answered| Given { answered, memory: control })
    }
}

async fn work(
    lake: Lake,
    asked: Asked,
    options: Options,
    control: Arc<Control>,
    (turns, waiting): (Turns, Turns),
) -> Result<Answered, EvalError> {
    // Held by the computation, which may outlive whoever asked.
    let mut turn = Some(turns.take().await.map_err(|_| EvalError::Timeout)?);
    let source = LakeSource(lake.clone());
    let mut first_of_waiting = None;
    loop {
        let prepared = prepare(&source, &asked.query, asked.when, options, &control).await;
        let answer = prepared.and_then(|prepared| tokio::task::block_in_place(|| prepared.run()));
        match answer {
            // What others hold comes free when they end. Those that wait for it do so one after the other, and leave their
            // places to queries that need less.
            Err(EvalError::MemoryTaken) if !control.is_over() => {
                control.start_over();
                turn = None;
                let _waits = Waits::new();
                match first_of_waiting {
                    None => {
                        let first = waiting.take().await.map_err(|_| EvalError::MemoryTaken)?;
                        first_of_waiting = Some(first);
                    }
                    Some(_) => tokio::time::sleep(AGAIN).await,
                }
            }
            // A file that turned out to be damaged leaves its table, and the rest answers.
            Err(EvalError::Source(error)) => {
                if !matches!(lake.put_damaged_aside().await, Ok(true)) {
                    return Err(EvalError::Source(error));
                }
            }
            answer => {
                drop(turn);
                return answer;
            }
        }
    }
}

fn defect(message: &str) -> EvalError {
    let message = format!("the query ended without an answer: {message}; this is a defect, please report it");
    EvalError::Source(SourceError { message, cause: SourceCause::Internal })
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn rows(answered: &Answered) -> u64 {
    match &answered.answer {
        Answer::Scalar(_) | Answer::String(_) => 1,
        Answer::Vector(vector) => vector.len() as u64,
        Answer::Matrix(matrix) => matrix.len() as u64,
    }
}

/// Tells of a query's end, and ends its computation where that goes on.
struct Ending {
    control: Arc<Control>,
    telemetry: Telemetry,
    began: Instant,
    outcome: &'static str,
    rows: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.control.cancel();
        let Self { outcome, rows, began, .. } = *self;
        self.telemetry.emit(QueryFinished { language: "promql", outcome, rows, took: began.elapsed() });
    }
}
