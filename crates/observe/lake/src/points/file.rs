//! A file of points: which stripes it has, and how one is read.
//!
//! A stripe is what one page of the column of identities covers, so that a query of one series decodes little more than its
//! rows, and a query of a whole metric decodes each page once.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatchReader as _;
use arrow_select::concat::concat_batches;
use kandela_model::tables::{HISTOGRAMS, Table};
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::fetch::{Bounded, Fetched};
use super::stripe::{Floats, Histograms, Stripe};
use crate::error::{LakeError, Result};
use crate::table::{DamagedFile, DataFile};

/// A file whose footer was read.
#[derive(Debug)]
pub(super) struct PointsFile {
    table: &'static Table,
    /// Its path below the table's folder.
    pub(super) path: Arc<str>,
    reader: Bounded,
    metadata: ArrowReaderMetadata,
    /// In ascending order of identities.
    stripes: Vec<StripeAt>,
}

/// Where a stripe lies.
#[derive(Debug)]
struct StripeAt {
    row_group: usize,
    rows: Range<usize>,
    /// The lowest and highest identity in it.
    ids: (i64, i64),
}

impl PointsFile {
    /// Reads the footer.
    pub(super) fn open(table: &'static Table, store: Arc<dyn ObjectStore>, file: &DataFile) -> Result<Self> {
        let error = |e: ParquetError| failed(table, &file.path, &e);
        let reader = Bounded::open(store, &file.path, file.size).map_err(error)?;
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&reader)
            .map_err(error)?;
        let stripes = stripes_of(&metadata);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(error)?;
        Ok(Self { table, path: file.path.as_str().into(), reader, metadata, stripes })
    }

    /// The stripes that may hold rows of series `id`.
    pub(super) fn stripes_of(&self, id: i64) -> Range<usize> {
        let first = self.stripes.partition_point(|stripe| stripe.ids.1 < id);
        let past = self.stripes.partition_point(|stripe| stripe.ids.0 <= id);
        first..past.max(first)
    }

    /// Reads one stripe.
    pub(super) fn read(&self, stripe: usize) -> Result<Stripe> {
        let error = |e: ParquetError| failed(self.table, &self.path, &e);
        let Some(at) = self.stripes.get(stripe) else {
            return Err(LakeError::defect("read points", format!("there is no stripe {stripe}")));
        };
        let selection =
            RowSelection::from(vec![RowSelector::skip(at.rows.start), RowSelector::select(at.rows.len())]);
        let columns = match self.table.name {
            name if name == HISTOGRAMS.name => ProjectionMask::all(),
            _ => ProjectionMask::columns(self.metadata.parquet_schema(), ["series_id", "ts", "value"]),
        };
        let pages = self.pages(at, &columns).unwrap_or_default();
        let reader = Fetched::new(&self.reader, pages).map_err(error)?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_row_groups(vec![at.row_group])
            .with_row_selection(selection)
            .with_projection(columns)
            .with_batch_size(at.rows.len())
            .build()
            .map_err(error)?;
        let schema = batches.schema();
        let batches = batches.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| error(e.into()))?;
        let rows = match batches.as_slice() {
            [only] => only.clone(),
            several => concat_batches(&schema, several).map_err(|e| error(e.into()))?,
        };
        if self.table.name == HISTOGRAMS.name {
            return Histograms::new(&rows).map(Stripe::Histograms);
        }
        let floats = Floats::new(&rows);
        floats.map(Stripe::Floats).ok_or_else(|| LakeError::Damaged {
            what: "a file",
            place: format!("{}/{}", self.table.name, self.path),
            reason: "it has not the columns of its table".to_owned(),
        })
    }

    /// Where the pages of a stripe lie, dictionaries included; `None` where the file does not tell.
    fn pages(&self, at: &StripeAt, columns: &ProjectionMask) -> Option<Vec<Range<u64>>> {
        let metadata = self.metadata.metadata();
        let offsets = metadata.offset_index()?.get(at.row_group)?;
        let mut ranges = Vec::new();
        for (column, chunk) in metadata.row_groups().get(at.row_group)?.columns().iter().enumerate() {
            if !columns.leaf_included(column) {
                continue;
            }
            let pages = offsets.get(column)?.page_locations();
            let first_data = pages.first()?.offset as u64;
            let (chunk_start, _) = chunk.byte_range();
            if chunk_start < first_data {
                ranges.push(chunk_start..first_data);
            }
            let page_of = |row: usize| {
                let behind = pages.partition_point(|page| page.first_row_index as usize <= row);
                pages.get(behind.checked_sub(1)?)
            };
            let (from, last) = (page_of(at.rows.start)?, page_of(at.rows.end.checked_sub(1)?)?);
            ranges.push(from.offset as u64..last.offset as u64 + last.compressed_page_size as u64);
        }
        Some(ranges)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let whole = self.reader.heap_bytes();
        self.metadata.metadata().memory_size() + self.stripes.len() * size_of::<StripeAt>() + whole
    }
}

/// Identities come first in the tables of points.
const SERIES_ID: usize = 0;

fn stripes_of(metadata: &ParquetMetaData) -> Vec<StripeAt> {
    let mut stripes = Vec::new();
    for (row_group, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows() as usize;
        let pages = (|| {
            let locations = metadata.offset_index()?.get(row_group)?.get(SERIES_ID)?.page_locations();
            let ColumnIndexMetaData::INT64(index) =
                metadata.column_index()?.get(row_group)?.get(SERIES_ID)?
            else {
                return None;
            };
            let starts: Vec<usize> = locations.iter().map(|page| page.first_row_index as usize).collect();
            let ends = starts.iter().skip(1).copied().chain([rows]);
            let pages = starts.iter().copied().zip(ends).enumerate().map(|(page, (start, end))| {
                let ids = (*index.min_value(page)?, *index.max_value(page)?);
                Some(StripeAt { row_group, rows: start..end, ids })
            });
            pages.collect::<Option<Vec<_>>>()
        })();
        let everything = || vec![StripeAt { row_group, rows: 0..rows, ids: (i64::MIN, i64::MAX) }];
        stripes.extend(pages.unwrap_or_else(everything));
    }
    stripes
}

fn failed(table: &Table, path: &str, error: &ParquetError) -> LakeError {
    if let Some(file) = DamagedFile::behind(error) {
        return LakeError::from(file);
    }
    LakeError::Damaged { what: "a file", place: format!("{}/{path}", table.name), reason: error.to_string() }
}
