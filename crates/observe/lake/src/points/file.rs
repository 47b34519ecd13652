//! A file of points: which stripes it has, and how one is read.
//!
//! A stripe is what one page of the column of identities covers, so that a query of one series decodes little more than its
//! rows, and a query of a whole metric decodes each page once.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatchReader as _;
use arrow_select::concat::concat_batches;
use bytes::{Buf, Bytes};
use futures::executor::block_on;
use kandela_model::tables::{HISTOGRAMS, Table};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::stripe::{Floats, Histograms, Stripe};
use crate::error::{LakeError, Result};
use crate::table::{DamagedFile, DataFile};

/// Files of so many bytes are read whole: to fetch their pieces one by one takes longer.
const SMALL: u64 = 64 << 10;

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
        let mut reader =
            Bounded { store, path: Path::from(file.path.as_str()), size: file.size, whole: None };
        let error = |e: ParquetError| failed(table, &file.path, &e);
        if file.size <= SMALL {
            reader.whole = Some(reader.get_bytes(0, file.size as usize).map_err(error)?);
        }
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
        let batches =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.reader.clone(), self.metadata.clone())
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
            place: format!("{}/{}", self.table.name, self.reader.path),
            reason: "it has not the columns of its table".to_owned(),
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let whole = self.reader.whole.as_ref().map_or(0, Bytes::len);
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

/// One file of a store, read by whoever needs it, on its own thread.
#[derive(Clone, Debug)]
struct Bounded {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    /// All of it, if it is small.
    whole: Option<Bytes>,
}

impl Length for Bounded {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Bounded {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let rest = self.size.saturating_sub(start);
        Ok(self.get_bytes(start, rest as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let range = start..start + length as u64;
        if let Some(whole) = &self.whole {
            let part = whole.get(range.start as usize..range.end as usize);
            let past_end = || ParquetError::EOF(format!("bytes {range:?} of {}", whole.len()));
            return part.map(|part| whole.slice_ref(part)).ok_or_else(past_end);
        }
        block_on(self.store.get_range(&self.path, range)).map_err(|e| ParquetError::External(Box::new(e)))
    }
}
