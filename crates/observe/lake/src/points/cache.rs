//! Files and stripes that were read lately.

use std::sync::Arc;

use kandela_model::tables::{SAMPLES, Table};
use moka::sync::Cache;
use object_store::ObjectStore;

use super::file::PointsFile;
use super::stripe::Stripe;
use crate::error::{LakeError, Result};
use crate::table::{DataFile, LakeTable};

/// Stripes by file and place, bounded by their bytes, and footers. A file never changes, so what was read stays right; what is
/// asked for by several at a time is read once.
#[derive(Debug)]
pub(crate) struct PointCache {
    samples: Arc<dyn ObjectStore>,
    histograms: Arc<dyn ObjectStore>,
    files: Cache<Arc<str>, Arc<PointsFile>>,
    stripes: Cache<(Arc<str>, usize), Arc<Stripe>>,
}

/// The share of footers, one in so many bytes.
const FOOTERS: usize = 16;

impl PointCache {
    /// For the files of `tables`, in at most `bytes` of memory.
    pub(crate) fn new(tables: &[LakeTable], bytes: usize) -> Result<Self> {
        let store = |of: &Table| {
            let table = tables.iter().find(|table| table.spec.name == of.name);
            table
                .map(LakeTable::store)
                .ok_or_else(|| LakeError::defect("open tables", format!("no {}", of.name)))
        };
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Self {
            samples: store(&SAMPLES)?,
            histograms: store(&kandela_model::tables::HISTOGRAMS)?,
            files: Cache::builder()
                .weigher(move |_, file: &Arc<PointsFile>| weight(file.heap_bytes()))
                .max_capacity((bytes / FOOTERS) as u64)
                .build(),
            stripes: Cache::builder()
                .weigher(move |_, stripe: &Arc<Stripe>| weight(stripe.heap_bytes()))
                .max_capacity((bytes - bytes / FOOTERS) as u64)
                .build(),
        })
    }

    pub(super) fn file(&self, table: &'static Table, file: &DataFile) -> Result<Arc<PointsFile>> {
        let store = if table.name == SAMPLES.name { &self.samples } else { &self.histograms };
        let open = || PointsFile::open(table, store.clone(), file).map(Arc::new);
        self.files.try_get_with::<_, LakeError>(file.path.as_str().into(), open).map_err(|e| shared(&e))
    }

    pub(super) fn stripe(&self, file: &PointsFile, stripe: usize) -> Result<Arc<Stripe>> {
        let read = || file.read(stripe).map(Arc::new);
        let key = (file.path.clone(), stripe);
        self.stripes.try_get_with::<_, LakeError>(key, read).map_err(|e| shared(&e))
    }
}

/// An error that several were waiting for.
fn shared(error: &LakeError) -> LakeError {
    match error {
        LakeError::Damaged { what, place, reason } => {
            LakeError::Damaged { what, place: place.clone(), reason: reason.clone() }
        }
        other => LakeError::defect("read points", other),
    }
}
