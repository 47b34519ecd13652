//! Bytes of files of points, fetched by whoever reads them, on its own thread.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::executor::block_on;
use futures::future::try_join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Files of so many bytes are read whole: to fetch their pieces one by one takes longer.
const SMALL: u64 = 64 << 10;

/// One file of a store, read by whoever needs it, on its own thread.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    /// All of it, if it is small.
    whole: Option<Bytes>,
}

impl Bounded {
    pub(super) fn open(store: Arc<dyn ObjectStore>, path: &str, size: u64) -> parquet::errors::Result<Self> {
        let mut file = Self { store, path: Path::from(path), size, whole: None };
        if size <= SMALL {
            file.whole = Some(file.get_bytes(0, size as usize)?);
        }
        Ok(file)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.whole.as_ref().map_or(0, Bytes::len)
    }
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

/// A file of which some ranges were fetched, all at once: one after the other, each would be waited for.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    file: Bounded,
    /// With where they begin.
    ranges: Arc<[(u64, Bytes)]>,
}

impl Fetched {
    pub(super) fn new(file: &Bounded, ranges: Vec<Range<u64>>) -> parquet::errors::Result<Self> {
        let ranges = if file.whole.is_some() { Vec::new() } else { ranges };
        let fetch = async |range: Range<u64>| {
            let bytes = file.store.get_range(&file.path, range.clone()).await?;
            Ok::<_, object_store::Error>((range.start, bytes))
        };
        let fetched = block_on(try_join_all(ranges.into_iter().map(fetch)));
        let ranges = fetched.map_err(|e| ParquetError::External(Box::new(e)))?;
        Ok(Self { file: file.clone(), ranges: ranges.into() })
    }

    fn part(&self, start: u64, length: usize) -> Option<Bytes> {
        self.ranges.iter().find_map(|(from, bytes)| {
            let at = usize::try_from(start.checked_sub(*from)?).ok()?;
            bytes.get(at..at.checked_add(length)?).map(|part| bytes.slice_ref(part))
        })
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.part(start, length).map_or_else(|| self.file.get_bytes(start, length), Ok)
    }
}
