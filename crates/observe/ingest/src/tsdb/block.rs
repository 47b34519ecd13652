//! Persisted blocks: a stretch of time, usually two hours or a power of three times that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kandela_model::{SeriesIndex, Timestamp};

use super::batches::{Batches, Halt, Placed};
use super::cursor::{Cursor, Unreadable};
use super::error::{Damage, Fault, TsdbError};
use super::file::Window;
use super::index::{ChunkPlace, Index, SeriesEntry, Symbols};
use super::tombstones::{Tombstones, covers};

const CHUNKS_MAGIC: u32 = 0x85bd_40dd;
/// The largest chunk that is believed. Prometheus aims at 1 KiB; ten histograms of 10,000 buckets take less than one MiB.
pub(super) const MAX_CHUNK_BYTES: u64 = 4 << 20;
/// The longest label set that is believed.
const MAX_LABEL_BYTES: usize = 4 << 20;

/// What `meta.json` says of a block.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    version: u32,
    min_time: i64,
    max_time: i64,
    #[serde(default)]
    compaction: Compaction,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Compaction {
    #[serde(default)]
    hints: Vec<String>,
}

/// A block's folder.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    /// `None` where `meta.json` cannot be read.
    meta: Result<Meta, String>,
}

impl Block {
    /// Looks at a block; it is read later.
    pub(super) fn look(folder: &Path) -> Result<Self, TsdbError> {
        let meta_file = folder.join("meta.json");
        let text = std::fs::read(&meta_file).map_err(|source| TsdbError::io("read", &meta_file, source));
        let meta = match text {
            Ok(text) => serde_json::from_slice::<Meta>(&text).map_err(|error| error.to_string()),
            Err(TsdbError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err("it is not there".to_owned())
            }
            Err(error) => return Err(error),
        };
        let meta = meta.and_then(|meta| match meta.version {
            1 => Ok(meta),
            version => Err(format!("it is of version {version}, which is not known")),
        });
        let segments = chunk_files(folder)?;
        let files = segments.values().cloned().chain([folder.join("index")]);
        let bytes = files.map(|file| std::fs::metadata(file).map_or(0, |meta| meta.len())).sum();
        Ok(Self { folder: folder.to_owned(), bytes, meta })
    }

    /// When it begins, in milliseconds; blocks are read in this order.
    pub(super) fn begins(&self) -> (i64, &Path) {
        (self.meta.as_ref().map_or(i64::MIN, |meta| meta.min_time), &self.folder)
    }

    /// Until when, excluded, it holds everything that came in order; `None` where it holds what came late.
    pub(super) fn in_order_until(&self) -> Option<i64> {
        let meta = self.meta.as_ref().ok()?;
        let late = meta.compaction.hints.iter().any(|hint| hint == "from-out-of-order");
        (!late).then_some(meta.max_time)
    }

    /// Reads all of it. Gives whether there was no damage to it.
    pub(super) fn read(&self, batches: &mut Batches<'_>) -> Result<bool, Halt> {
        let (damages, done) = (batches.report.damages, batches.done());
        match self.read_parts(batches) {
            Ok(()) => batches.report.blocks += 1,
            Err(Stop::Fault(fault)) => batches.skip(fault)?,
            Err(Stop::Halt(halt)) => return Err(halt),
        }
        batches.advance_to(done + self.bytes);
        Ok(batches.report.damages == damages)
    }

    fn read_parts(&self, batches: &mut Batches<'_>) -> Result<(), Stop> {
        if let Err(what) = &self.meta {
            let file = self.folder.join("meta.json");
            return Err(Fault::Damage(Damage {
                file,
                offset: 0,
                what: format!("{what}; the block was skipped"),
            })
            .into());
        }
        let done = batches.done();
        let tombstones = Tombstones::read(&self.folder.join("tombstones"))?;
        let (mut index, symbols) = Index::open(&self.folder.join("index"))?;
        let mut chunks = Chunks::open(&self.folder)?;
        let mut entry = SeriesEntry::default();
        loop {
            match index.next(&mut entry) {
                Ok(true) => read_series(&entry, &index, &symbols, &tombstones, &mut chunks, batches)?,
                Ok(false) => return Ok(()),
                Err(fault) => batches.skip(fault)?,
            }
            batches.advance_to(done + index.position() + chunks.read);
        }
    }
}

/// Why a block is not read to its end.
enum Stop {
    Fault(Fault),
    Halt(Halt),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<TsdbError> for Stop {
    fn from(error: TsdbError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

fn read_series(
    entry: &SeriesEntry,
    index: &Index,
    symbols: &Symbols,
    tombstones: &Tombstones,
    chunks: &mut Chunks,
    batches: &mut Batches<'_>,
) -> Result<(), Halt> {
    let labels = match resolve(entry, symbols) {
        Ok(labels) => labels,
        Err(Unreadable(what)) => {
            return batches.damaged_at(index.path(), entry.offset, format!("{what}; the series was skipped"));
        }
    };
    let deleted = tombstones.of(entry.number);
    let mut placed = Placed::default();
    batches.report.series += 1;
    for place in &entry.chunks {
        let series = match batches.place_pairs(&mut placed, &labels) {
            Ok(series) => series,
            Err(error) => {
                return batches.damaged_at(
                    index.path(),
                    entry.offset,
                    format!("{error}; the series was skipped"),
                );
            }
        };
        if let Err(fault) = chunks.append(*place, deleted, series, batches) {
            batches.skip(fault)?;
        }
        batches.settle()?;
    }
    Ok(())
}

fn resolve<'a>(entry: &SeriesEntry, symbols: &'a Symbols) -> Result<Vec<(&'a str, &'a str)>, Unreadable> {
    let mut bytes = 0;
    let mut labels = Vec::with_capacity(entry.labels.len());
    for (name, value) in &entry.labels {
        let pair = (symbols.get(*name)?, symbols.get(*value)?);
        bytes += pair.0.len() + pair.1.len();
        if bytes > MAX_LABEL_BYTES {
            return Err(Unreadable("its labels are longer than 4 MiB"));
        }
        labels.push(pair);
    }
    Ok(labels)
}

/// The files of a block's chunks, by number.
struct Chunks {
    files: HashMap<u32, PathBuf>,
    open: HashMap<u32, Window>,
    folder: PathBuf,
    /// Bytes read so far.
    read: u64,
}

impl Chunks {
    fn open(folder: &Path) -> Result<Self, Fault> {
        let files = chunk_files(folder)?;
        Ok(Self { files, open: HashMap::new(), folder: folder.join("chunks"), read: 0 })
    }

    fn file(&mut self, segment: u32) -> Result<&mut Window, Fault> {
        // References count files from zero, names from one.
        let number = segment.wrapping_add(1);
        let Some(path) = self.files.get(&number) else {
            let file = self.folder.join(format!("{number:06}"));
            return Err(Fault::Damage(Damage {
                file,
                offset: 0,
                what: "it is not there, but the index refers to it; a chunk was skipped".to_owned(),
            }));
        };
        match self.open.entry(segment) {
            std::collections::hash_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let mut file = Window::open(path)?;
                let header = file.need(0, 8, "its header")?;
                let mut cursor = Cursor(header);
                if cursor.be32() != Ok(CHUNKS_MAGIC) || cursor.byte() != Ok(1) {
                    return Err(file.damage(0, "it is no file of chunks of version 1; a chunk was skipped"));
                }
                Ok(vacant.insert(file))
            }
        }
    }

    /// Adds the points of the chunk at `place`.
    fn append(
        &mut self,
        place: ChunkPlace,
        deleted: &[(i64, i64)],
        series: SeriesIndex,
        batches: &mut Batches<'_>,
    ) -> Result<(), Fault> {
        let offset = u64::from(place.offset);
        let (file, prefix, len) = self.locate(place)?;
        // Encoding, data and checksum follow the length.
        let all = prefix + 1 + len + 4;
        let bytes = file.need(offset, all, "a chunk")?;
        let (checked, checksum) = bytes.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
        let checked = checked.get(prefix..).unwrap_or_default();
        if crc32c::crc32c(checked) != u32::from_be_bytes(*checksum) {
            return Err(file.damage(offset, "the checksum of a chunk is wrong; the chunk was skipped"));
        }
        let (encoding, data) = checked.split_first().unwrap_or((&0, &[]));
        let keep = |ts: Timestamp| deleted.is_empty() || !covers(deleted, ts.millis());
        let points = batches.chunk(series, *encoding, data, keep);
        let points =
            points.map_err(|error| file.damage(offset, format!("{error}; the chunk was skipped")))?;
        let refusal = points.first_refusal.map(|why| {
            file.damage(offset, format!("{} histograms of the chunk were skipped: {why}", points.refused))
        });
        batches.report.deleted += points.left_out as u64;
        self.read += all as u64;
        refusal.map_or(Ok(()), Err)
    }

    /// The file of a chunk, and how long its length and its data are.
    fn locate(&mut self, place: ChunkPlace) -> Result<(&mut Window, usize, usize), Fault> {
        let offset = u64::from(place.offset);
        let file = self.file(place.segment)?;
        let mut cursor = Cursor(file.up_to(offset, 10)?);
        let before = cursor.left();
        let len = cursor.uvarint();
        let prefix = before - cursor.left();
        match len {
            Ok(len) if len <= MAX_CHUNK_BYTES => Ok((file, prefix, len as usize)),
            _ => Err(file.damage(offset, "the length of a chunk is absurd; the chunk was skipped")),
        }
    }
}

/// The numbered files of a block's `chunks`.
fn chunk_files(folder: &Path) -> Result<HashMap<u32, PathBuf>, TsdbError> {
    let chunks = folder.join("chunks");
    Ok(super::numbered(&chunks)?
        .into_iter()
        .filter_map(|(n, path)| Some((u32::try_from(n).ok()?, path)))
        .collect())
}
