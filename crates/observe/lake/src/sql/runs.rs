//! The rows of a table that are still in memory, as sorted runs.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use kandela_model::tables::{self, Table};
use kandela_model::{METRIC_NAME, Timestamp, is_stale};

use super::order::in_order;
use super::scan::HeadRun;
use crate::error::{LakeError, Result};
use crate::head::{Memtable, Registry, SampleRows, Window};
use crate::{rows, schema};

/// Ranks above every file's: what is in memory came after what was flushed.
const HEAD_RANK: i64 = i64::MAX / 2 + 1;

/// Asks for part of the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// Only these series; `None` for all.
    pub(crate) ids: Option<Arc<HashSet<i64>>>,
    /// Bounds in microseconds, both inclusive.
    pub(crate) between: Option<(i64, i64)>,
    /// Only these columns, of tables whose rows lie in memory as they came; `None` for all.
    pub(crate) columns: Option<Vec<String>>,
}

/// The sorted runs of `table` in one generation.
pub(crate) fn of(
    table: &'static Table,
    memtable: &Memtable,
    registry: &Registry,
    ask: &Ask,
) -> Result<Vec<HeadRun>> {
    let mut runs = Vec::new();
    let mut add = |batch: RecordBatch, late: bool| -> Result<()> {
        if batch.num_rows() > 0 {
            let dates = rows::dates(table, &batch)?;
            let rank = HEAD_RANK + i64::from(memtable.generation) * 2 + i64::from(late);
            runs.push(HeadRun { batch, dates, rank, late });
        }
        Ok(())
    };
    match table.name {
        "samples" => {
            let (from, through) = ask.between.unwrap_or((i64::MIN, i64::MAX));
            let window = Window { ids: ask.ids.as_deref(), from, through };
            add(sample_batch(&memtable.samples_in(window))?, false)?;
            add(sample_batch(&memtable.late_samples_in(window))?, true)?;
        }
        "histograms" => {
            for late in [false, true] {
                let rows = memtable.histograms(late);
                let rows: Vec<_> = rows.iter().map(|(id, ts, histogram)| (*id, *ts, histogram)).collect();
                add(rows::histograms(&rows)?, late)?;
            }
        }
        "series" => {
            let batch = series_batch(memtable, registry)?;
            in_order(table, &[batch], usize::MAX, |batch| add(batch, false))?;
        }
        _ => {
            let batches = projected(table, memtable, ask)?;
            in_order(table, &batches, usize::MAX, |batch| add(batch, false))?;
        }
    }
    Ok(runs)
}

/// The rows of a table as they came, with the columns asked for.
pub(crate) fn projected(table: &Table, memtable: &Memtable, ask: &Ask) -> Result<Vec<RecordBatch>> {
    let batches = memtable.rows(table);
    let Some(columns) = &ask.columns else { return Ok(batches) };
    let project = |batch: RecordBatch| {
        let schema = batch.schema();
        let wanted: Vec<usize> = columns.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        batch.project(&wanted).map_err(|e| LakeError::defect("project rows", e))
    };
    batches.into_iter().map(project).collect()
}

/// Samples as rows of their table; a staleness marker is NULL.
pub(crate) fn sample_batch(rows: &SampleRows) -> Result<RecordBatch> {
    let ids: ArrayRef = Arc::new(Int64Array::from(rows.series_ids.clone()));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(rows.ts.clone()).with_timezone("UTC"));
    let values: Float64Array = if rows.values.iter().any(|value| is_stale(*value)) {
        rows.values.iter().map(|value| (!is_stale(*value)).then_some(*value)).collect()
    } else {
        rows.values.clone().into()
    };
    RecordBatch::try_new(schema::arrow_schema(&tables::SAMPLES), vec![ids, times, Arc::new(values)])
        .map_err(|e| LakeError::defect("lay out samples", e))
}

/// The series first heard of on a day in this generation, as rows of the series table.
pub(crate) fn series_batch(memtable: &Memtable, registry: &Registry) -> Result<RecordBatch> {
    let mut new_days = memtable.new_days();
    new_days.sort_by_key(|new| (new.number, Timestamp::from_micros(new.ts).day(), new.ts));
    new_days.dedup_by_key(|new| (new.number, Timestamp::from_micros(new.ts).day()));
    let spec = schema::arrow_schema(&tables::SERIES);
    let map_type = spec.field_with_name("labels").map(|field| field.data_type().clone());
    let names = match map_type {
        Ok(DataType::Map(entries, _)) => map_names(&entries),
        _ => None,
    };
    let mut ids = Vec::with_capacity(new_days.len());
    let mut times = Vec::with_capacity(new_days.len());
    let mut salts = Int32Builder::new();
    let mut metrics = StringBuilder::new();
    let mut labels = MapBuilder::new(names, StringBuilder::new(), StringBuilder::new());
    if let Some(values) = map_value_field(&spec) {
        labels = labels.with_values_field(values);
    }
    let [mut kinds, mut units, mut helps] =
        [StringBuilder::new(), StringBuilder::new(), StringBuilder::new()];
    let defect = |e| LakeError::defect("lay out series", e);
    for new in &new_days {
        let Some(series) = registry.with_index(|index| index.get(new.number)) else { continue };
        let metric = series.labels.get(METRIC_NAME).unwrap_or_default();
        ids.push(series.id);
        times.push(new.ts);
        salts.append_value(i32::try_from(series.salt).unwrap_or(i32::MAX));
        metrics.append_value(metric);
        for (name, value) in series.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            labels.keys().append_value(name);
            labels.values().append_value(value);
        }
        labels.append(true).map_err(defect)?;
        let family = registry.family_of(metric);
        let text = |of: fn(&kandela_model::Metadata) -> &str| {
            family.as_ref().map(of).filter(|text| !text.is_empty())
        };
        kinds.append_option(text(|family| family.kind.as_str()));
        units.append_option(text(|family| &family.unit));
        helps.append_option(text(|family| &family.help));
    }
    let time = |times: &[i64]| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(metrics.finish()),
        Arc::new(labels.finish()),
        Arc::new(kinds.finish()),
        Arc::new(units.finish()),
        Arc::new(helps.finish()),
        Arc::new(salts.finish()),
        time(&times),
        time(&times),
    ];
    RecordBatch::try_new(spec, columns).map_err(defect)
}

fn map_names(entries: &arrow_schema::FieldRef) -> Option<arrow_array::builder::MapFieldNames> {
    let DataType::Struct(fields) = entries.data_type() else { return None };
    let [key, value] = fields.iter().map(|field| field.name().clone()).collect::<Vec<_>>().try_into().ok()?;
    Some(arrow_array::builder::MapFieldNames { entry: entries.name().clone(), key, value })
}

fn map_value_field(schema: &arrow_schema::Schema) -> Option<arrow_schema::FieldRef> {
    let DataType::Map(entries, _) = schema.field_with_name("labels").ok()?.data_type() else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    fields.get(1).cloned()
}
