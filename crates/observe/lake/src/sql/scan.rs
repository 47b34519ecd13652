//! One plan for one table: its files and its rows in memory as one.

use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, SortOptions};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use kandela_model::tables::{DATE, Table};

use super::dedup::DedupExec;
use crate::schema;
use crate::table::DataFile;

/// The column that orders rows of one key: the row of the lowest rank was acknowledged first.
const RANK: &str = "__rank";

/// Rows in memory, sorted as their table is.
#[derive(Clone, Debug)]
pub(crate) struct HeadRun {
    pub(crate) batch: RecordBatch,
    pub(crate) dates: Vec<i32>,
    pub(crate) rank: i64,
    /// Whether its rows may stand elsewhere too.
    pub(crate) late: bool,
}

/// What a table's rows come from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) table: &'static Table,
    pub(crate) files: Vec<Arc<DataFile>>,
    pub(crate) runs: Vec<HeadRun>,
    /// Whether one row may stand in two places.
    pub(crate) may_repeat: bool,
}

/// The columns that make two rows the same row; empty where every row counts.
pub(crate) fn key_of(table: &Table) -> &'static [&'static str] {
    match table.name {
        "series" => &["metric", "series_id", DATE],
        "samples" | "histograms" => &["series_id", "ts"],
        "spans" => &["trace_id", "start_unix_nano", "span_id", "kind"],
        _ => &[],
    }
}

/// The store under which the session knows the files of `table`.
pub(crate) fn store_url(table: &Table) -> String {
    format!("lake://{}/", table.name)
}

/// The schema that SQL sees: the columns of the files, then `date`.
pub(crate) fn sql_schema(table: &'static Table) -> SchemaRef {
    schema::arrow_schema_with_date(table)
}

/// A plan that gives the columns `projection` of [`sql_schema`], sorted by the table's key in one partition when
/// `sorted`, else in any number of partitions.
pub(crate) fn plan(
    sources: &Sources,
    projection: &[usize],
    predicate: Option<Arc<dyn PhysicalExpr>>,
    sorted: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let table = sources.table;
    let schema = sql_schema(table);
    let key = key_of(table);
    let dedupe = sources.may_repeat && !key.is_empty();
    if !dedupe && !sorted {
        return unordered(sources, projection, predicate);
    }
    let order = if dedupe { key } else { table.sorted_by };
    let mut columns = projection.to_vec();
    for name in order {
        let column = schema.index_of(name)?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for file in &sources.files {
        inputs.push(file_plan(
            table,
            vec![FileGroup::new(vec![partitioned(file)])],
            &columns,
            predicate.clone(),
            Some(order),
        )?);
    }
    for run in &sources.runs {
        inputs.push(run_plan(run, &schema, &columns)?);
    }
    let Some(input) = unite(inputs)? else { return empty(&schema, projection) };
    let ranked = input.schema();
    let by =
        order.iter().copied().chain([RANK]).map(|name| sort_by(name, &ranked)).collect::<Result<Vec<_>>>()?;
    let by = LexOrdering::new(by)
        .ok_or_else(|| DataFusionError::Internal("a sort order without columns".to_owned()))?;
    let merged = Arc::new(SortPreservingMergeExec::new(by.clone(), input));
    let deduped: Arc<dyn ExecutionPlan> = if dedupe {
        let key = key.iter().map(|name| Ok(ranked.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        Arc::new(DedupExec::new(merged, key, by))
    } else {
        merged
    };
    let wanted = (0..projection.len()).map(|at| {
        let name = ranked.field(at).name().clone();
        (Arc::new(Column::new(&name, at)) as Arc<dyn PhysicalExpr>, name)
    });
    Ok(Arc::new(ProjectionExec::try_new(wanted, deduped)?))
}

fn unordered(
    sources: &Sources,
    projection: &[usize],
    predicate: Option<Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = sql_schema(sources.table);
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    if !sources.files.is_empty() {
        // A few groups keep both cores busy; more would only cost memory.
        let groups = 4.min(sources.files.len());
        let mut grouped = vec![Vec::new(); groups];
        for (n, file) in sources.files.iter().enumerate() {
            if let Some(group) = grouped.get_mut(n % groups) {
                group.push(partitioned(file));
            }
        }
        let groups = grouped.into_iter().map(FileGroup::new).collect();
        inputs.push(file_plan(sources.table, groups, projection, predicate, None)?);
    }
    if !sources.runs.is_empty() {
        let wanted = Arc::new(schema.project(projection)?);
        let batches = sources.runs.iter().map(|run| dated(run, &wanted)).collect::<Result<Vec<_>>>()?;
        inputs.push(MemorySourceConfig::try_new_exec(&[batches], wanted, None)?);
    }
    match unite(inputs)? {
        Some(plan) => Ok(plan),
        None => empty(&schema, projection),
    }
}

fn unite(mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match inputs.len() {
        0 => Ok(None),
        1 => Ok(inputs.pop()),
        _ => UnionExec::try_new(inputs).map(Some),
    }
}

fn empty(schema: &SchemaRef, projection: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(projection)?))))
}

fn sort_by(name: &str, schema: &Schema) -> Result<PhysicalSortExpr> {
    let column = Column::new_with_schema(name, schema)?;
    Ok(PhysicalSortExpr::new(Arc::new(column), SortOptions { descending: false, nulls_first: true }))
}

fn partitioned(file: &DataFile) -> PartitionedFile {
    PartitionedFile::new(file.path.clone(), file.size).with_partition_values(vec![
        ScalarValue::Date32(Some(file.day)),
        ScalarValue::Int64(Some(file.rank())),
    ])
}

fn rank_field() -> Field {
    Field::new(RANK, DataType::Int64, false)
}

/// Reads files; with an order, their rank is given as the last column.
fn file_plan(
    table: &'static Table,
    groups: Vec<FileGroup>,
    columns: &[usize],
    predicate: Option<Arc<dyn PhysicalExpr>>,
    order: Option<&[&str]>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let file_schema = schema::arrow_schema(table);
    let rank_column = file_schema.fields().len() + 1;
    let partition_columns = vec![Arc::new(Field::new(DATE, DataType::Date32, false)), Arc::new(rank_field())];
    let table_schema = TableSchema::builder(file_schema).with_table_partition_cols(partition_columns).build();
    let mut source = ParquetSource::new(table_schema.clone()).with_enable_page_index(true);
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate).with_pushdown_filters(true);
    }
    let url = ObjectStoreUrl::parse(store_url(table))?;
    let mut config = FileScanConfigBuilder::new(url, Arc::new(source)).with_file_groups(groups);
    let mut columns = columns.to_vec();
    if let Some(order) = order {
        columns.push(rank_column);
        let schema = table_schema.table_schema();
        let by = order
            .iter()
            .copied()
            .chain([RANK])
            .map(|name| sort_by(name, schema))
            .collect::<Result<Vec<_>>>()?;
        config = config.with_output_ordering(LexOrdering::new(by).into_iter().collect());
    }
    Ok(DataSourceExec::from_data_source(config.with_projection_indices(Some(columns))?.build()))
}

/// The columns of `schema`, of which `date` is one that the run has beside its batch.
fn dated(run: &HeadRun, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        DATE => Ok(Arc::new(Date32Array::from(run.dates.clone())) as ArrayRef),
        name => run
            .batch
            .column_by_name(name)
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("rows in memory without {name}"))),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(run.batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_>>()?, &options)?)
}

fn run_plan(run: &HeadRun, schema: &SchemaRef, columns: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    let projected = dated(run, &Arc::new(schema.project(columns)?))?;
    let rank: ArrayRef = Arc::new(Int64Array::from_value(run.rank, projected.num_rows()));
    let mut fields: Vec<_> = projected.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(rank_field()));
    let mut values = projected.columns().to_vec();
    values.push(rank);
    let ranked = RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?;
    let schema = ranked.schema();
    Ok(MemorySourceConfig::try_new_exec(&[vec![ranked]], schema, None)?)
}
