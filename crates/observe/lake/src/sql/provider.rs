//! A table of the lake as DataFusion sees it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use kandela_model::tables::{DatedBy, SAMPLES, Table};

use parking_lot::Mutex;

use super::bounds::{Bounds, time_bounds};
use super::limits::QueryMemory;
use super::runs::{self, Ask};
use super::scan::{Sources, key_of, plan, sql_schema};
use crate::head::Registry;
use crate::quarantine::Reads;
use crate::view::View;

/// What a sample takes when it is laid out as a row: id, time, value, date and rank.
const SAMPLE_BYTES: usize = 36;

/// One table, as of one view.
#[derive(Debug)]
pub(crate) struct LakeProvider {
    pub(crate) table: &'static Table,
    pub(crate) view: Arc<View>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) reserved: Arc<QueryMemory>,
    pub(crate) reads: Arc<Mutex<Reads>>,
}

impl LakeProvider {
    /// The columns that are read: those wanted, and those by which rows are sorted, dated and told apart.
    fn columns(&self, schema: &SchemaRef, wanted: &[usize]) -> Vec<String> {
        let (DatedBy::Micros(dated_by) | DatedBy::Nanos(dated_by)) = self.table.dated_by;
        let wanted = wanted.iter().map(|column| schema.field(*column).name().as_str());
        let needed = key_of(self.table).iter().chain(self.table.sorted_by).copied().chain([dated_by]);
        let mut columns: Vec<String> = wanted.chain(needed).map(str::to_owned).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The sources that hold rows within `bounds`, of the series asked for.
    pub(crate) fn sources(&self, bounds: Bounds, ask: &Ask) -> Result<Sources> {
        let days = bounds.days(self.table.dated_by);
        self.reads.lock().push((self.table.name, days.clone()));
        let files: Vec<_> = self
            .view
            .tables
            .get(self.table.name)
            .map(|state| state.files.iter().filter(|file| days.contains(&file.day)).cloned().collect())
            .unwrap_or_default();
        let mut sources = Sources {
            table: self.table,
            may_repeat: matches!(self.table.name, "series" | "spans") || files.iter().any(|file| file.late),
            files,
            runs: Vec::new(),
        };
        let external = |e| DataFusionError::External(Box::new(e));
        if self.table.name == SAMPLES.name {
            let samples: u64 = self.view.generations().map(|generation| generation.samples()).sum();
            self.reserved.grow(samples as usize * SAMPLE_BYTES)?;
        } else {
            for generation in self.view.generations() {
                let rows = runs::projected(self.table, generation, ask).map_err(external)?;
                self.reserved.grow(rows.iter().map(RecordBatch::get_array_memory_size).sum())?;
            }
        }
        for generation in self.view.generations() {
            let runs = runs::of(self.table, generation, &self.registry, ask).map_err(external)?;
            sources.may_repeat |= runs.iter().any(|run| run.late);
            sources.runs.extend(runs);
        }
        Ok(sources)
    }
}

#[async_trait]
impl TableProvider for LakeProvider {
    fn schema(&self) -> SchemaRef {
        sql_schema(self.table)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = sql_schema(self.table);
        let bounds = time_bounds(self.table, filters);
        let between = match self.table.dated_by {
            DatedBy::Micros(_) => bounds.between(),
            DatedBy::Nanos(_) => None,
        };
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let columns = Some(self.columns(&schema, wanted));
        let sources = self.sources(bounds, &Ask { ids: None, between, columns })?;
        let predicate = physical(state, &schema, filters)?;
        plan(&sources, wanted, predicate, false)
    }
}

/// The filters as one physical expression over the file columns; `None` when there are none.
pub(crate) fn physical(
    state: &dyn Session,
    schema: &SchemaRef,
    filters: &[Expr],
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(filter) = conjunction(filters.to_vec()) else { return Ok(None) };
    let schema = DFSchema::try_from(Arc::clone(schema))?;
    state.create_physical_expr(filter, &schema).map(Some)
}
