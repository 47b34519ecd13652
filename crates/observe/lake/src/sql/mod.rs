//! SQL over the lake, by DataFusion.

mod begun;
mod bounds;
mod dedup;
mod guard;
mod limits;
mod metrics;
pub(crate) mod order;
mod pool;
mod provider;
pub(crate) mod runs;
pub(crate) mod scan;
mod yielding;

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use kandela_model::tables;
use parking_lot::Mutex;
use url::Url;

pub(crate) use begun::{begun, watched};
pub use guard::QUERY_STACK;
pub use limits::{QueryLimits, QueryMemory};
pub(crate) use metrics::LabelsById;

use crate::config::LakeConfig;
use crate::error::{LakeError, Result};
use crate::head::Registry;
use crate::quarantine::Reads;
use crate::series::SeriesSets;
use crate::table::{DamagedFile, LakeTable};
use crate::view::View;

/// What all queries share: the stores of the tables, the memory they may use and where they spill.
pub(crate) fn runtime(config: &LakeConfig, tables: &[LakeTable]) -> Result<Arc<RuntimeEnv>> {
    let spill = config.root.join("spill");
    std::fs::create_dir_all(&spill).map_err(|e| LakeError::io(format!("create {}", spill.display()), e))?;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(config.query_share())))
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill])),
        )
        .build_arc()
        .map_err(|e| LakeError::defect("set up the query runtime", e))?;
    for table in tables {
        let url = Url::parse(&scan::store_url(table.spec)).map_err(|e| LakeError::defect("store url", e))?;
        runtime.register_object_store(&url, table.store());
    }
    Ok(runtime)
}

/// A session that sees the tables as of one view.
pub(crate) struct Session {
    context: SessionContext,
    reserved: Arc<QueryMemory>,
    reads: Arc<Mutex<Reads>>,
}

/// Rows on their way, and what is not whole about them.
pub struct Answer {
    /// The rows.
    pub rows: SendableRecordBatchStream,
    /// A sentence for each table and day whose rows are missing since a file is damaged.
    pub warnings: Vec<String>,
}

/// Makes a session.
pub(crate) fn session(
    runtime: Arc<RuntimeEnv>,
    view: &Arc<View>,
    registry: &Arc<Registry>,
    sets: &Arc<SeriesSets>,
    limits: &QueryLimits,
) -> Result<Session> {
    let runtime = match limits.memory {
        None => runtime,
        Some(limit) => {
            let pool = pool::OwnLimit::new(runtime.memory_pool.clone(), limit);
            RuntimeEnvBuilder::from_runtime_env(&runtime)
                .with_memory_pool(Arc::new(pool))
                .build_arc()
                .map_err(|e| LakeError::defect("set up a query's memory", e))?
        }
    };
    let reserved = Arc::new(QueryMemory::new(&runtime.memory_pool, "rows of the head"));
    let reads = Arc::new(Mutex::new(Reads::new()));
    let config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(std::thread::available_parallelism().map_or(2, usize::from))
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_str("datafusion.execution.time_zone", "UTC");
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(yielding::YieldingJoins))
        .build();
    let context = SessionContext::new_with_state(state);
    guard::without_unbounded_functions(&context);
    let defect = |e| LakeError::defect("register a table", e);
    let provider = |table| provider::LakeProvider {
        table,
        view: view.clone(),
        registry: registry.clone(),
        reserved: reserved.clone(),
        reads: reads.clone(),
    };
    for table in tables::ALL {
        context.register_table(table.name, Arc::new(provider(table))).map_err(defect)?;
    }
    let metrics = metrics::MetricsProvider { samples: provider(&tables::SAMPLES), sets: sets.clone() };
    context.register_table("metrics", Arc::new(metrics)).map_err(defect)?;
    Ok(Session { context, reserved, reads })
}

/// Runs one read-only query; says what it reads.
pub(crate) async fn run(
    session: Session,
    query: &str,
    limits: &QueryLimits,
) -> Result<(SendableRecordBatchStream, Reads)> {
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    guard::check_length(query)?;
    let planning = async {
        let frame = session.context.sql_with_options(query, read_only).await?;
        frame.execute_stream().await
    };
    let stream = match tokio::time::timeout(limits.timeout, planning).await {
        Ok(planned) => planned.map_err(|e| explain(&e))?,
        Err(_) => return Err(LakeError::QueryTimeout { seconds: limits.timeout.as_secs() }),
    };
    let reads = std::mem::take(&mut *session.reads.lock());
    Ok((limits::limited(stream, limits, session.reserved), reads))
}

/// What an engine's error means to the one who asked.
pub fn explain(error: &DataFusionError) -> LakeError {
    let root = error.find_root();
    if let DataFusionError::External(inner) = root
        && let Some(limit) = inner.downcast_ref::<limits::LimitHit>()
    {
        return limit.explain();
    }
    if let Some(file) = DamagedFile::behind(error) {
        return LakeError::from(file);
    }
    let message = root.strip_backtrace();
    let message = unknown_table(&message).unwrap_or(message);
    // A pattern is compiled where rows are read, so its error comes wrapped in the reader's.
    if ["regex parse error", "CompiledTooBig", "Regular expression did not compile"]
        .iter()
        .any(|sign| message.contains(sign))
    {
        return LakeError::BadQuery { message };
    }
    match root {
        DataFusionError::ResourcesExhausted(_) => {
            let limits = "limits.query.memory, or a quarter of --memory-limit for all queries";
            LakeError::QueryLimit { limit: format!("query memory ({limits}): {message}") }
        }
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Execution(_)
        | DataFusionError::ArrowError(..) => LakeError::BadQuery { message },
        _ => LakeError::defect("run the query", message),
    }
}

/// The engine's word for a table that is not there, with those that are.
fn unknown_table(message: &str) -> Option<String> {
    let name = message
        .strip_prefix("Error during planning: ")?
        .strip_prefix("table 'datafusion.public.")?
        .strip_suffix("' not found")?;
    let mut known: Vec<&str> = tables::ALL.iter().map(|table| table.name).collect();
    known.push("metrics");
    known.sort_unstable();
    Some(format!("there is no table {name}; there are {}", known.join(", ")))
}
