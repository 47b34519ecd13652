//! TEMP
use crate::error::{LakeError, Result};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use kandela_model::tables::*;
use kandela_model::*;
pub fn dates(table: &Table, batch: &RecordBatch) -> Result<Vec<i32>> {
    Ok(match table.dated_by {
        DatedBy::Micros(n) => batch
            .column_by_name(n)
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .iter()
            .map(|t| Timestamp::from_micros(*t).day())
            .collect(),
        DatedBy::Nanos(n) => batch
            .column_by_name(n)
            .unwrap()
            .as_primitive::<Int64Type>()
            .values()
            .iter()
            .map(|t| Timestamp::from_nanos(*t).day())
            .collect(),
    })
}
pub fn split_by_date(table: &Table, batch: &RecordBatch) -> Result<Vec<(i32, RecordBatch)>> {
    let d = dates(table, batch)?;
    let set: std::collections::BTreeSet<i32> = d.iter().copied().collect();
    set.into_iter()
        .map(|day| {
            let mask: arrow_array::BooleanArray = d.iter().map(|x| Some(*x == day)).collect();
            Ok((
                day,
                arrow_select::filter::filter_record_batch(batch, &mask)
                    .map_err(|e| LakeError::defect("f", e))?,
            ))
        })
        .collect()
}
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut w = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema())
        .map_err(|e| LakeError::defect("f", e))?;
    w.write(batch).map_err(|e| LakeError::defect("f", e))?;
    w.into_inner().map_err(|e| LakeError::defect("f", e))
}
pub fn decode(_t: &Table, bytes: &[u8]) -> Result<RecordBatch> {
    arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None)
        .map_err(|e| LakeError::defect("f", e))?
        .next()
        .unwrap()
        .map_err(|e| LakeError::defect("f", e))
}
pub fn spans(_: &[Span]) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(crate::schema::arrow_schema(&SPANS)))
}
pub fn logs(_: &[LogRecord]) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(crate::schema::arrow_schema(&LOGS)))
}
pub fn profiles(_: &[Profile]) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(crate::schema::arrow_schema(&PROFILES)))
}
pub fn exemplars(_: &[(i64, &Exemplar)]) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(crate::schema::arrow_schema(&EXEMPLARS)))
}
pub fn histograms(_: &[(i64, Timestamp, &Histogram)]) -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(crate::schema::arrow_schema(&HISTOGRAMS)))
}
pub fn histograms_from(_: &RecordBatch) -> Result<Vec<(i64, Timestamp, Histogram)>> {
    Ok(vec![])
}
