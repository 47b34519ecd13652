//! Reads that notice a flipped byte.
//!
//! Parquet's own page checksums are optional and the writer in use writes none, so the lake keeps its own: the data part of
//! a file is summed in blocks, the sums stand in the footer's key-value metadata, and the footer's sum stands in the file's
//! name. Any reader of Parquet ignores all of it; ours checks every block that it touches, each time.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::error::LakeError;

/// The key in a file's metadata under which the sums of its blocks stand: eight hexadecimal digits each, CRC-32C.
pub(crate) const SUMS_KEY: &str = "kandela.crc32c.65536";

/// Bytes that one sum covers: small enough that a read of one column wastes little, large enough that a file of half a
/// gigabyte has 64 KiB of sums.
const BLOCK: usize = 65_536;

/// What a file's name says of its footer, which begins where its data end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Bytes.
    pub(crate) length: u64,
    /// CRC-32C.
    pub(crate) sum: u32,
}

impl Footer {
    /// The footer of `file` whose data take the first `data` bytes.
    pub(crate) fn of(file: &[u8], data: usize) -> Self {
        let footer = file.get(data..).unwrap_or_default();
        Self { length: footer.len() as u64, sum: crc32c::crc32c(footer) }
    }

    /// As it stands in a name.
    pub(crate) fn name(self) -> String {
        format!("{:x}-{:08x}", self.length, self.sum)
    }

    /// Read back from the parts of a name.
    pub(crate) fn from_name(length: &str, sum: &str) -> Option<Self> {
        Some(Self { length: u64::from_str_radix(length, 16).ok()?, sum: u32::from_str_radix(sum, 16).ok()? })
    }
}

/// The sums of the blocks of `data`, as they stand in a file's metadata.
pub(crate) fn sums(data: &[u8]) -> String {
    data.chunks(BLOCK).map(|block| format!("{:08x}", crc32c::crc32c(block))).collect()
}

fn parse_sums(text: &str) -> Option<Vec<u32>> {
    let digits = text.as_bytes().chunks(8);
    digits.map(|sum| u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()).collect()
}

/// A file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table}/{path} is damaged: {reason}")]
pub(crate) struct DamagedFile {
    pub(crate) table: &'static str,
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl DamagedFile {
    /// The damaged file that `error` comes from.
    pub(crate) fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(file) = error.downcast_ref() {
                return Some(file);
            }
            next = error.source();
        }
        None
    }
}

impl From<&DamagedFile> for LakeError {
    fn from(file: &DamagedFile) -> Self {
        let place = format!("{}/{}", file.table, file.path);
        Self::Damaged { what: "a damaged file", place, reason: file.reason.clone() }
    }
}

/// Damaged files that were met and not dealt with yet.
#[derive(Debug, Default)]
pub(crate) struct Damages(Mutex<Vec<DamagedFile>>);

impl Damages {
    fn note(&self, file: &DamagedFile) {
        let mut met = self.0.lock();
        if !met.contains(file) {
            met.push(file.clone());
        }
    }

    /// The one met last.
    pub(crate) fn last(&self) -> Option<DamagedFile> {
        self.0.lock().last().cloned()
    }

    /// Takes all out.
    pub(crate) fn take(&self) -> Vec<DamagedFile> {
        std::mem::take(&mut self.0.lock())
    }
}

/// The sums of one file's data.
#[derive(Debug)]
struct Sums {
    data: u64,
    blocks: Vec<u32>,
}

/// A store of one table's files that checks what it reads.
#[derive(Debug)]
pub(crate) struct CheckedStore {
    table: &'static str,
    inner: Arc<dyn ObjectStore>,
    known: Mutex<HashMap<Path, Arc<Sums>>>,
    damages: Arc<Damages>,
}

/// Files whose sums are kept in memory.
const MAX_KNOWN: usize = 4_096;

impl CheckedStore {
    pub(crate) fn new(table: &'static str, inner: Arc<dyn ObjectStore>, damages: Arc<Damages>) -> Self {
        Self { table, inner, known: Mutex::default(), damages }
    }

    fn damaged(&self, location: &Path, reason: impl Into<String>) -> object_store::Error {
        let file = DamagedFile { table: self.table, path: location.to_string(), reason: reason.into() };
        self.damages.note(&file);
        object_store::Error::Generic { store: "kandela", source: Box::new(file) }
    }

    /// As `read`, with a file that is gone told apart from a store that fails.
    fn missing(&self, location: &Path, error: object_store::Error) -> object_store::Error {
        match error {
            object_store::Error::NotFound { .. } => self.damaged(location, "it is missing"),
            other => other,
        }
    }

    async fn sums(&self, location: &Path, footer: Footer) -> object_store::Result<Arc<Sums>> {
        if let Some(sums) = self.known.lock().get(location) {
            return Ok(sums.clone());
        }
        let suffix = GetOptions { range: Some(GetRange::Suffix(footer.length)), ..GetOptions::default() };
        let read = self.inner.get_opts(location, suffix).await.map_err(|e| self.missing(location, e))?;
        let size = read.meta.size;
        let bytes = read.bytes().await?;
        if bytes.len() as u64 != footer.length || crc32c::crc32c(&bytes) != footer.sum {
            return Err(self.damaged(location, "its footer is not what was written"));
        }
        let data = size - footer.length;
        let blocks = footer_sums(&bytes).ok_or_else(|| self.damaged(location, "it has no sums"))?;
        if blocks.len() as u64 != data.div_ceil(BLOCK as u64) {
            return Err(self.damaged(location, format!("it has {size} bytes, which is not what was written")));
        }
        let sums = Arc::new(Sums { data, blocks });
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(location.clone(), sums.clone());
        Ok(sums)
    }

    async fn read(
        &self,
        location: &Path,
        footer: Footer,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let sums = self.sums(location, footer).await?;
        let size = sums.data + footer.length;
        let range = match &options.range {
            None => 0..size,
            Some(range) => range
                .as_range(size)
                .map_err(|e| object_store::Error::Generic { store: "kandela", source: e.into() })?,
        };
        let aligned = aligned(&range, sums.data, size);
        let whole = GetOptions { range: Some(GetRange::Bounded(aligned.clone())), ..options };
        let read = self.inner.get_opts(location, whole).await.map_err(|e| self.missing(location, e))?;
        let (meta, attributes) = (read.meta.clone(), read.attributes.clone());
        let bytes = read.bytes().await?;
        if bytes.len() as u64 != aligned.end - aligned.start {
            return Err(self.damaged(location, format!("it ends before byte {}", aligned.end)));
        }
        if let Err(at) = check(&bytes, aligned.start, &sums, footer) {
            return Err(self.damaged(location, format!("the bytes from {at} on are not what was written")));
        }
        let wanted = (range.start - aligned.start) as usize..(range.end - aligned.start) as usize;
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes.slice(wanted))]).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }
}

fn footer_sums(footer: &[u8]) -> Option<Vec<u32>> {
    let (rest, last) = footer.split_last_chunk::<8>()?;
    let length = u32::from_le_bytes(*last.first_chunk()?) as usize;
    let metadata = rest.get(rest.len().checked_sub(length)?..)?;
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).ok()?;
    let pairs = metadata.file_metadata().key_value_metadata()?;
    parse_sums(pairs.iter().find(|pair| pair.key == SUMS_KEY)?.value.as_deref()?)
}

/// The range widened to whole blocks, and to the whole footer where it touches it.
fn aligned(range: &Range<u64>, data: u64, size: u64) -> Range<u64> {
    let block = BLOCK as u64;
    let start = if range.start >= data { data } else { range.start / block * block };
    let end = if range.end > data { size } else { (range.end.div_ceil(block) * block).min(data) };
    start..end
}

/// Checks bytes that begin at `start`, which is a block's or the footer's first; gives where the first wrong part begins.
fn check(bytes: &[u8], start: u64, sums: &Sums, footer: Footer) -> Result<(), u64> {
    let (data, tail) = bytes.split_at(((sums.data - start) as usize).min(bytes.len()));
    let first = (start / BLOCK as u64) as usize;
    for (n, block) in data.chunks(BLOCK).enumerate() {
        if sums.blocks.get(first + n) != Some(&crc32c::crc32c(block)) {
            return Err(start + (n * BLOCK) as u64);
        }
    }
    if !tail.is_empty() && crc32c::crc32c(tail) != footer.sum {
        return Err(sums.data);
    }
    Ok(())
}

impl fmt::Display for CheckedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checked {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for CheckedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        match super::footer_of(location.as_ref()) {
            Some(footer) if !options.head => self.read(location, footer, options).await,
            _ => self.inner.get_opts(location, options).await,
        }
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
