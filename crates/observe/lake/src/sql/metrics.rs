//! The `metrics` view: samples with the labels of their series.
//!
//! Labels come from the series index, not from a join: filters on `metric` and on `labels['name']` choose series first, and
//! only their samples are read.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use kandela_config::matcher::Matcher;
use kandela_model::METRIC_NAME;
use kandela_model::tables::{DATE, SAMPLES, SERIES};

use super::bounds::time_bounds;
use super::provider::{LakeProvider, physical};
use super::runs::Ask;
use super::scan::{plan, sql_schema};
use crate::index::SeriesIndex;
use crate::series::SeriesSets;

/// Up to this many series are looked for by id in the files; for more, a scan is cheaper than the list.
const MAX_LISTED_IDS: usize = 2_000;

/// The labels of every series that a query may meet.
pub(crate) type LabelsById = HashMap<i64, (Arc<SeriesIndex>, u32)>;

/// Samples with labels, as of one view.
#[derive(Debug)]
pub(crate) struct MetricsProvider {
    pub(crate) samples: LakeProvider,
    pub(crate) sets: Arc<SeriesSets>,
}

fn labels_field() -> FieldRef {
    let entry = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, false),
    ]);
    let entries = Arc::new(Field::new("key_value", DataType::Struct(entry), false));
    Arc::new(Field::new("labels", DataType::Map(entries, false), false))
}

/// The columns: those of `samples`, then `date`, `metric` and `labels`.
pub(crate) fn metrics_schema() -> SchemaRef {
    let mut fields: Vec<FieldRef> = sql_schema(&SAMPLES).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("metric", DataType::Utf8, false)));
    fields.push(labels_field());
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl TableProvider for MetricsProvider {
    fn schema(&self) -> SchemaRef {
        metrics_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
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
        let bounds = time_bounds(&SAMPLES, filters);
        let matchers: Vec<Matcher> = filters.iter().flat_map(matchers_of).collect();
        let days = bounds.days(SAMPLES.dated_by);
        self.samples.reads.lock().push((SERIES.name, days.clone()));
        let external = |e| DataFusionError::External(Box::new(e));
        let labels = self.sets.labels_by_id(&self.samples.view, days, &matchers).await.map_err(external)?;
        let ids: Option<Arc<HashSet<i64>>> =
            (!matchers.is_empty()).then(|| Arc::new(labels.keys().copied().collect()));
        let sources = self
            .samples
            .sources(bounds, &Ask { ids: ids.clone(), between: bounds.between(), columns: None })?;
        let samples = sql_schema(&SAMPLES);
        let mut pushed: Vec<Expr> = filters.iter().filter(|filter| over(filter, &samples)).cloned().collect();
        if let Some(ids) = ids.filter(|ids| ids.len() <= MAX_LISTED_IDS) {
            pushed.push(col("series_id").in_list(ids.iter().map(|id| lit(*id)).collect(), false));
        }
        let predicate = physical(state, &samples, &pushed)?;
        let schema = metrics_schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let width = samples.fields().len();
        let mut read: Vec<usize> = wanted.iter().copied().filter(|column| *column < width).collect();
        if !read.contains(&0) {
            read.push(0);
        }
        let input = plan(&sources, &read, predicate, false)?;
        let schema = Arc::new(schema.project(wanted)?);
        Ok(Arc::new(EnrichExec::new(input, schema, Arc::new(labels))))
    }
}

/// Whether `filter` speaks only of columns of `schema`.
fn over(filter: &Expr, schema: &Schema) -> bool {
    filter.column_refs().iter().all(|column| schema.index_of(&column.name).is_ok() && column.name != DATE)
}

/// The matchers that a filter amounts to: equalities on `metric` and on `labels['name']`.
fn matchers_of(filter: &Expr) -> Vec<Matcher> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return Vec::new() };
    match op {
        Operator::And => [matchers_of(left), matchers_of(right)].concat(),
        Operator::Eq => {
            let (label, value) = match (label_of(left), text(right)) {
                (Some(label), Some(value)) => (label, value),
                _ => match (label_of(right), text(left)) {
                    (Some(label), Some(value)) => (label, value),
                    _ => return Vec::new(),
                },
            };
            // An empty text can only be compared with: no label has it.
            if value.is_empty() { Vec::new() } else { vec![Matcher::equal(label, value)] }
        }
        _ => Vec::new(),
    }
}

fn label_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(column) if column.name == "metric" => Some(METRIC_NAME.to_owned()),
        Expr::ScalarFunction(call) if matches!(call.name(), "get_field" | "map_extract" | "element_at") => {
            match call.args.as_slice() {
                [Expr::Column(column), name] if column.name == "labels" => text(name),
                _ => None,
            }
        }
        Expr::Cast(cast) => label_of(&cast.expr),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(value) | ScalarValue::Utf8View(value) | ScalarValue::LargeUtf8(value),
            _,
        ) => value.clone(),
        _ => None,
    }
}

/// Adds the labels of each sample's series, and drops samples of series that were not chosen.
#[derive(Debug)]
struct EnrichExec {
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    labels: Arc<LabelsById>,
    properties: Arc<PlanProperties>,
}

impl EnrichExec {
    fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, labels: Arc<LabelsById>) -> Self {
        let from = input.properties();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            // Expressions over input columns mean nothing in the output.
            Partitioning::UnknownPartitioning(from.output_partitioning().partition_count()),
            from.emission_type,
            from.boundedness,
        ));
        Self { input, schema, labels, properties }
    }
}

impl DisplayAs for EnrichExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrichExec: series={}", self.labels.len())
    }
}

impl ExecutionPlan for EnrichExec {
    fn name(&self) -> &'static str {
        "EnrichExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.schema.clone(), self.labels.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.schema.clone(), self.labels.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (schema, labels) = (self.schema.clone(), self.labels.clone());
        let enriched = input.map(move |batch| enrich(&batch?, &schema, &labels));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), enriched)))
    }
}

fn enrich(batch: &RecordBatch, schema: &SchemaRef, labels: &LabelsById) -> Result<RecordBatch> {
    let known = |batch: &RecordBatch| -> Result<BooleanArray> {
        let ids = series_ids(batch)?;
        Ok(ids.iter().map(|id| Some(labels.contains_key(id))).collect())
    };
    let batch = filter_record_batch(batch, &known(batch)?)?;
    let ids = series_ids(&batch)?;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "metric" => Ok(metric_column(ids, labels)),
        "labels" => labels_column(ids, labels),
        name => batch
            .column_by_name(name)
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("samples without the column {name}"))),
    });
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<Vec<_>>>()?, &options)?)
}

fn series_ids(batch: &RecordBatch) -> Result<&[i64]> {
    let column = batch.column_by_name("series_id").and_then(|column| column.as_primitive_opt::<Int64Type>());
    column
        .map(|ids| &ids.values()[..])
        .ok_or_else(|| DataFusionError::Internal("samples without series_id".to_owned()))
}

fn metric_column(ids: &[i64], labels: &LabelsById) -> ArrayRef {
    let mut names = StringBuilder::with_capacity(ids.len(), ids.len() * 16);
    for run in ids.chunk_by(|a, b| a == b) {
        let found = run.first().and_then(|id| labels.get(id));
        let name =
            found.and_then(|(index, number)| index.labels(*number).find(|(name, _)| *name == METRIC_NAME));
        run.iter().for_each(|_| names.append_value(name.map_or("", |(_, value)| value)));
    }
    Arc::new(names.finish())
}

fn labels_column(ids: &[i64], labels: &LabelsById) -> Result<ArrayRef> {
    let names =
        MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_values_field(Arc::new(Field::new("value", DataType::Utf8, false)));
    for run in ids.chunk_by(|a, b| a == b) {
        let found = run.first().and_then(|id| labels.get(id));
        let pairs: Vec<(&str, &str)> = found
            .map(|(index, number)| index.labels(*number).filter(|(name, _)| *name != METRIC_NAME).collect())
            .unwrap_or_default();
        for _ in run {
            for (name, value) in &pairs {
                maps.keys().append_value(name);
                maps.values().append_value(value);
            }
            maps.append(true)?;
        }
    }
    Ok(Arc::new(maps.finish()))
}
