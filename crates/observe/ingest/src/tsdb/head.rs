//! The head: what is in no block yet. A Prometheus that was just stopped keeps its newest two to three hours only here.
//!
//! Series stand in the write-ahead log and its checkpoint, their points in the same log, in the chunks that were moved from
//! memory to `chunks_head`, and, where samples may come late, in the log `wbl`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use kandela_model::{Labels, LabelsRef, Metadata, SeriesExemplar, SeriesHistogram, Timestamp};

use super::batches::{Batches, Halt, Placed};
use super::block::MAX_CHUNK_BYTES;
use super::cursor::{Cursor, Unreadable};
use super::error::{Fault, TsdbError};
use super::file::Window;
use super::record::{self, Broken, Item, Pass};
use super::tombstones::{Tombstones, covers};
use super::wal::{Damages, Place, Segment, read_records};
use super::{numbered, numbered_after};
use crate::remote_write::{exemplar, family_of};

const CHUNKS_MAGIC: u32 = 0x0130_bc91;
/// Series, first and last time, encoding.
const CHUNK_HEADER: usize = 8 + 8 + 8 + 1;
/// Set in the encoding of a chunk of samples that came late.
const CAME_LATE: u8 = 0x80;

/// The files of the head.
#[derive(Debug)]
pub(super) struct HeadFiles {
    log: Vec<Segment>,
    late_log: Vec<Segment>,
    chunks: Vec<PathBuf>,
    /// Segments that should be there and are not.
    missing: Vec<PathBuf>,
    bytes: u64,
}

impl HeadFiles {
    pub(super) fn look(root: &Path) -> Result<Self, TsdbError> {
        let wal = root.join("wal");
        let checkpoint = numbered_after(&wal, "checkpoint.")?.pop_last();
        let from = checkpoint.as_ref().map_or(0, |(number, _)| number + 1);
        let segments: BTreeMap<u64, PathBuf> = numbered(&wal)?.split_off(&from);
        let missing = gaps(&segments, checkpoint.is_some().then_some(from))
            .map(|number| wal.join(format!("{number:08}")))
            .collect();
        let mut log = match checkpoint {
            Some((_, folder)) => as_segments(numbered(&folder)?, false),
            None => Vec::new(),
        };
        log.extend(as_segments(segments, true));
        let late_log = as_segments(numbered(&root.join("wbl"))?, true);
        let chunks: Vec<_> = numbered(&root.join("chunks_head"))?.into_values().collect();
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let log_bytes: u64 = log.iter().map(|segment| size(&segment.path)).sum();
        let late_bytes: u64 = late_log.iter().map(|segment| size(&segment.path)).sum();
        let chunk_bytes: u64 = chunks.iter().map(|path| size(path)).sum();
        Ok(Self { log, late_log, chunks, missing, bytes: 2 * log_bytes + late_bytes + chunk_bytes })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all of it. Points before `in_blocks_until`, in milliseconds, that came in order are in blocks already.
    pub(super) fn read(&self, in_blocks_until: i64, batches: &mut Batches<'_>) -> Result<(), Halt> {
        for path in &self.missing {
            batches.damaged_at(path, 0, "this segment of the log is missing, and what stood in it")?;
        }
        let mut head = Head { in_blocks_until, ..Head::default() };
        read_records(&self.log, Damages::Named, batches, &mut |batches, record, place| {
            let read =
                record::read(record, Pass::Definitions, &mut |item| head.define(&item, batches, place));
            or_damage(read, batches, place)
        })?;
        head.hand_out_families(batches)?;
        for path in &self.chunks {
            head.read_chunks(path, batches)?;
        }
        // What lies in a damaged chunk or block may still stand in the log, so then all of the log is taken.
        if batches.report.damages > 0 {
            head.series.iter_mut().for_each(|series| series.in_chunks_through = None);
        }
        read_records(&self.log, Damages::Known, batches, &mut |batches, record, place| {
            let read = record::read(record, Pass::Points, &mut |item| {
                head.take(item, InOrder(true), batches, place)
            });
            or_damage(read, batches, place)
        })?;
        read_records(&self.late_log, Damages::Named, batches, &mut |batches, record, place| {
            let read = record::read(record, Pass::Points, &mut |item| {
                head.take(item, InOrder(false), batches, place)
            });
            or_damage(read, batches, place)
        })
    }
}

fn or_damage(
    read: Result<(), Broken<Halt>>,
    batches: &mut Batches<'_>,
    place: Place<'_>,
) -> Result<(), Halt> {
    match read {
        Ok(()) => Ok(()),
        Err(Broken::Visitor(halt)) => Err(halt),
        Err(Broken::Bytes(Unreadable(what))) => {
            batches.damaged_at(place.file, place.offset, format!("{what}; the rest of a record was skipped"))
        }
    }
}

fn as_segments(files: BTreeMap<u64, PathBuf>, newest: bool) -> Vec<Segment> {
    let count = files.len();
    let segment = |(index, path)| Segment { path, last: newest && index + 1 == count };
    files.into_values().enumerate().map(segment).collect()
}

/// Numbers that lack between the first, which should be `from` where that is known, and the last.
fn gaps(segments: &BTreeMap<u64, PathBuf>, from: Option<u64>) -> impl Iterator<Item = u64> {
    let mut next = from.or_else(|| segments.first_key_value().map(|(first, _)| *first)).unwrap_or(0);
    segments.keys().flat_map(move |number| {
        let missing = next..*number;
        next = number + 1;
        // One is enough to say that there is a gap.
        missing.take(1)
    })
}

/// Whether points came in the order of their times.
#[derive(Clone, Copy)]
struct InOrder(bool);

#[derive(Debug)]
struct HeadSeries {
    labels: Labels,
    /// Its points through this time came from `chunks_head` already.
    in_chunks_through: Option<i64>,
    placed: Placed,
}

#[derive(Debug, Default)]
struct Head {
    numbers: HashMap<u64, usize>,
    series: Vec<HeadSeries>,
    families: HashMap<String, Metadata>,
    deletions: Tombstones,
    in_blocks_until: i64,
}

impl Head {
    fn define(&mut self, item: &Item<'_>, batches: &mut Batches<'_>, place: Place<'_>) -> Result<(), Halt> {
        match item {
            Item::Series { series, labels } => match Labels::new(labels.iter().copied()) {
                Ok(labels) => {
                    let index = self.series.len();
                    // A checkpoint repeats series.
                    if *self.numbers.entry(*series).or_insert(index) == index {
                        batches.report.series += 1;
                        let placed = Placed::default();
                        self.series.push(HeadSeries { labels, in_chunks_through: None, placed });
                    }
                }
                Err(error) => {
                    batches.damaged_at(
                        place.file,
                        place.offset,
                        format!("{error}; the series was skipped"),
                    )?;
                }
            },
            Item::Metadata { series, kind, unit, help } => {
                if let Some(name) = self.labels(*series).and_then(LabelsRef::metric_name) {
                    let family = family_of(name, *kind).to_owned();
                    let (kind, unit, help) = (*kind, (*unit).to_owned(), (*help).to_owned());
                    self.families.insert(family.clone(), Metadata { family, kind, unit, help });
                }
            }
            Item::Deletion { series, from, through } => self.deletions.add(*series, *from, *through),
            Item::Sample { .. } | Item::Histogram { .. } | Item::Exemplar { .. } => {}
        }
        Ok(())
    }

    fn labels(&self, series: u64) -> Option<LabelsRef<'_>> {
        let index = self.numbers.get(&series)?;
        self.series.get(*index).map(|series| series.labels.as_ref())
    }

    fn hand_out_families(&mut self, batches: &mut Batches<'_>) -> Result<(), Halt> {
        let mut families: Vec<_> = std::mem::take(&mut self.families).into_values().collect();
        families.sort_unstable_by(|a, b| a.family.cmp(&b.family));
        for family in families {
            batches.grew_by(family.family.len() + family.unit.len() + family.help.len());
            batches.batch().metadata.push(family);
            batches.settle()?;
        }
        Ok(())
    }

    /// Takes a point of a log.
    fn take(
        &mut self,
        item: Item<'_>,
        InOrder(in_order): InOrder,
        batches: &mut Batches<'_>,
        place: Place<'_>,
    ) -> Result<(), Halt> {
        let (number, ts) = match &item {
            Item::Sample { series, ts, .. }
            | Item::Histogram { series, ts, .. }
            | Item::Exemplar { series, ts, .. } => (*series, *ts),
            Item::Series { .. } | Item::Metadata { .. } | Item::Deletion { .. } => return Ok(()),
        };
        let Some(series) = self.numbers.get(&number).and_then(|index| self.series.get_mut(*index)) else {
            batches.report.undefined += 1;
            return Ok(());
        };
        let at = Timestamp::from_millis(ts);
        if let Item::Exemplar { value, labels, .. } = item {
            let pairs: Vec<_> =
                labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let exemplar = match exemplar(ts, value, &pairs) {
                Ok(exemplar) => exemplar,
                Err(why) => {
                    return batches.damaged_at(
                        place.file,
                        place.offset,
                        format!("{why}; an exemplar was skipped"),
                    );
                }
            };
            let series = batches.place(&mut series.placed, series.labels.as_ref());
            batches.grew_by(exemplar.labels.as_ref().as_bytes().len());
            batches.batch().exemplars.push(SeriesExemplar { series, exemplar });
            return batches.settle();
        }
        let in_chunks = series.in_chunks_through.is_some_and(|through| ts <= through);
        if in_order && (ts < self.in_blocks_until || in_chunks) {
            batches.report.repeated += 1;
            return Ok(());
        }
        if covers(self.deletions.of(number), ts) {
            batches.report.deleted += 1;
            return Ok(());
        }
        match item {
            Item::Sample { value, .. } => {
                let series = batches.place(&mut series.placed, series.labels.as_ref());
                batches.batch().add_sample(series, at, value);
            }
            Item::Histogram { histogram: Ok(histogram), .. } => {
                let series = batches.place(&mut series.placed, series.labels.as_ref());
                batches.grew_by(histogram.heap_bytes());
                batches.batch().histograms.push(SeriesHistogram { series, ts: at, histogram, delta: false });
            }
            Item::Histogram { histogram: Err(why), .. } => {
                batches.damaged_at(place.file, place.offset, format!("{why}; the histogram was skipped"))?;
            }
            _ => {}
        }
        batches.settle()
    }

    /// Reads a file of `chunks_head`.
    fn read_chunks(&mut self, path: &Path, batches: &mut Batches<'_>) -> Result<(), Halt> {
        let mut file = Window::open(path)?;
        let done = batches.done();
        let mut at = 8;
        let header = Cursor(file.up_to(0, 8)?);
        if let Err(Unreadable(what)) = check_header(header) {
            // Prometheus makes a file before it writes into it.
            if file.len() > 0 {
                batches.damaged_at(path, 0, what)?;
            }
            at = file.len();
        }
        while at < file.len() {
            match self.read_chunk(&mut file, at, batches) {
                Ok(Some(next)) => at = next,
                Ok(None) => break,
                Err((fault, next)) => {
                    batches.skip(fault)?;
                    let Some(next) = next else { break };
                    at = next;
                }
            }
            batches.settle()?;
            batches.advance_to(done + at);
        }
        batches.advance_to(done + file.len());
        Ok(())
    }

    /// Reads the chunk at `at`. Gives where the next begins; `None` behind the last. A fault tells that too, where it is
    /// known.
    fn read_chunk(
        &mut self,
        file: &mut Window,
        at: u64,
        batches: &mut Batches<'_>,
    ) -> Result<Option<u64>, (Fault, Option<u64>)> {
        let front = file.up_to(at, CHUNK_HEADER + 10).map_err(|error| (error.into(), None))?;
        let header = match ChunkHeader::parse(front) {
            // Files are made larger than what is in them; series count from one.
            _ if front.iter().all(|byte| *byte == 0) => return Ok(None),
            Ok(header) if header.len <= MAX_CHUNK_BYTES => header,
            _ => {
                let what = "a chunk cannot be read; the rest of the file was skipped";
                return Err((file.damage(at, what), None));
            }
        };
        let len = header.prefix + header.len as usize;
        let next = at + len as u64 + 4;
        let bytes =
            file.need(at, len + 4, "a chunk; the chunk was skipped").map_err(|fault| (fault, None))?;
        let (checked, checksum) = bytes.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
        if crc32c::crc32c(checked) != u32::from_be_bytes(*checksum) {
            let what = "the checksum of a chunk is wrong; the chunk was skipped";
            return Err((file.damage(at, what), Some(next)));
        }
        let data = checked.get(header.prefix..).unwrap_or_default();
        let taken = self.take_chunk(&header, data, batches);
        taken.map_err(|what| (file.damage(at, what), Some(next)))?;
        Ok(Some(next))
    }

    fn take_chunk(
        &mut self,
        header: &ChunkHeader,
        data: &[u8],
        batches: &mut Batches<'_>,
    ) -> Result<(), String> {
        let deleted = self.deletions.of(header.series);
        let index = self.numbers.get(&header.series);
        let Some(series) = index.and_then(|index| self.series.get_mut(*index)) else {
            let samples = data.first_chunk::<2>().map_or(0, |count| u16::from_be_bytes(*count));
            batches.report.undefined += u64::from(samples);
            return Ok(());
        };
        let late = header.encoding & CAME_LATE != 0;
        let from = if late { i64::MIN } else { self.in_blocks_until };
        let left_out = std::cell::Cell::new((0u64, 0u64));
        let keep = |ts: Timestamp| {
            let ts = ts.millis();
            let (hidden, repeated) = left_out.get();
            if ts < from {
                left_out.set((hidden, repeated + 1));
            } else if covers(deleted, ts) {
                left_out.set((hidden + 1, repeated));
            } else {
                return true;
            }
            false
        };
        let placed = batches.place(&mut series.placed, series.labels.as_ref());
        let points = batches.chunk(placed, header.encoding & !CAME_LATE, data, keep);
        let points = points.map_err(|error| format!("{error}; the chunk was skipped"))?;
        let (hidden, repeated) = left_out.get();
        batches.report.deleted += hidden;
        batches.report.repeated += repeated;
        if !late {
            series.in_chunks_through = series.in_chunks_through.max(Some(header.through));
        }
        match points.first_refusal {
            Some(why) => Err(format!("{} histograms of the chunk were skipped: {why}", points.refused)),
            None => Ok(()),
        }
    }
}

fn check_header(mut header: Cursor<'_>) -> Result<(), Unreadable> {
    let not_chunks = Unreadable("it is no file of head chunks of version 1; the file was skipped");
    match (header.be32(), header.byte()) {
        (Ok(CHUNKS_MAGIC), Ok(1)) => Ok(()),
        _ => Err(not_chunks),
    }
}

/// What stands in front of a chunk of the head.
struct ChunkHeader {
    series: u64,
    /// Time of its last sample.
    through: i64,
    encoding: u8,
    len: u64,
    /// How long all of this is.
    prefix: usize,
}

impl ChunkHeader {
    fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut cursor = Cursor(bytes);
        let series = cursor.be64()?;
        let _first = cursor.be64()?;
        let through = cursor.be64()? as i64;
        let encoding = cursor.byte()?;
        let len = cursor.uvarint()?;
        Ok(Self { series, through, encoding, len, prefix: bytes.len() - cursor.left() })
    }
}
