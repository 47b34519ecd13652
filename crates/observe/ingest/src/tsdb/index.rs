//! The index of a block, format version 2: which series it has, and where their chunks lie.
//!
//! All series are read in the order of the series section, so the label indexes and postings are not needed. Format:
//! <https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/index.md>.

use std::path::Path;

use super::cursor::{Cursor, Unreadable};
use super::error::Fault;
use super::file::Window;

const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;
const TOC_BYTES: usize = 6 * 8 + 4;
/// Series begin at multiples of this, and are named by which.
const ALIGNMENT: u64 = 16;
/// The longest entry of a series that is believed: a million chunks of a month.
const MAX_SERIES_BYTES: u64 = 16 << 20;
/// The longest that is believed while looking for the next whole entry behind a damaged one; a checksum is computed for
/// every candidate.
const MAX_CANDIDATE_BYTES: u64 = 64 << 10;

/// All strings of a block's labels.
#[derive(Debug)]
pub(super) struct Symbols {
    bytes: Vec<u8>,
    /// Where each begins and how long it is.
    places: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) fn get(&self, number: u32) -> Result<&str, Unreadable> {
        let place = self.places.get(number as usize);
        let bytes = place.and_then(|(at, len)| self.bytes.get(*at as usize..(*at + *len) as usize));
        let bytes = bytes.ok_or(Unreadable("a label refers to a string that the index lacks"))?;
        std::str::from_utf8(bytes).map_err(|_| Unreadable("a label is not UTF-8"))
    }

    fn parse(content: &[u8]) -> Result<Self, Unreadable> {
        let mut cursor = Cursor(content);
        let count = cursor.be32()? as usize;
        if count > cursor.left() {
            return Err(Unreadable("the table of strings is longer than its section"));
        }
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let text = cursor.prefixed()?;
            let at = content.len() - cursor.left() - text.len();
            // A section has at most 2^32 bytes.
            places.push((at as u32, text.len() as u32));
        }
        Ok(Self { bytes: content.to_vec(), places })
    }
}

/// Where a chunk lies, and when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    /// Its file's number, less one.
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// A series of a block.
#[derive(Debug, Default)]
pub(super) struct SeriesEntry {
    /// What tombstones call it.
    pub(super) number: u64,
    /// Where in the index it stands.
    pub(super) offset: u64,
    /// Symbols of its labels' names and values.
    pub(super) labels: Vec<(u32, u32)>,
    pub(super) chunks: Vec<ChunkPlace>,
}

/// An index that is being read from front to back.
#[derive(Debug)]
pub(super) struct Index {
    file: Window,
    next: u64,
    end: u64,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<(Self, Symbols), Fault> {
        let mut file = Window::open(path)?;
        let header = Cursor(file.need(0, 5, "its header")?);
        check_header(header).map_err(|Unreadable(what)| file.damage(0, what))?;
        let toc_at = file.len().saturating_sub(TOC_BYTES as u64);
        let toc = Toc::parse(file.need(toc_at, TOC_BYTES, "its table of contents")?);
        let toc = toc.map_err(|Unreadable(what)| file.damage(toc_at, what))?;
        let symbols = read_symbols(&mut file, toc.symbols)?;
        Ok((Self { next: toc.series, end: toc.series_end(toc_at), file }, symbols))
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many bytes of the file come before what is next.
    pub(super) fn position(&self) -> u64 {
        self.next.min(self.file.len())
    }

    /// Reads the next series into `entry`; `false` where there is none. After damage it goes on with the next series that is
    /// whole.
    pub(super) fn next(&mut self, entry: &mut SeriesEntry) -> Result<bool, Fault> {
        let first = self.next;
        let mut damaged = None;
        loop {
            self.next = self.next.next_multiple_of(ALIGNMENT);
            if self.next >= self.end {
                break;
            }
            let longest = if damaged.is_some() { MAX_CANDIDATE_BYTES } else { MAX_SERIES_BYTES };
            match self.read_entry(entry, longest)? {
                Ok(0) => self.next += ALIGNMENT,
                Ok(_) if damaged.is_some() => break,
                Ok(len) => {
                    self.next += len;
                    return Ok(true);
                }
                Err(Unreadable(what)) => {
                    damaged.get_or_insert(what);
                    self.next += ALIGNMENT;
                }
            }
        }
        match damaged {
            None => Ok(false),
            // What was found whole behind the damage is read again by the next call.
            Some(what) => {
                let first = first.next_multiple_of(ALIGNMENT);
                let len = self.next.min(self.end) - first;
                Err(self.file.damage(first, format!("{what}; {len} bytes of series were skipped")))
            }
        }
    }

    /// Reads what stands at `next`. Gives its length: nothing where there is padding.
    fn read_entry(
        &mut self,
        entry: &mut SeriesEntry,
        longest: u64,
    ) -> Result<Result<u64, Unreadable>, Fault> {
        let left = self.end - self.next;
        let front = self.file.up_to(self.next, left.min(10) as usize)?;
        let mut cursor = Cursor(front);
        let len = match cursor.uvarint() {
            Ok(0) => return Ok(Ok(0)),
            Ok(len) => len,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        let prefix = front.len() - cursor.left();
        let all = len.saturating_add(prefix as u64 + 4);
        if len > longest || all > left {
            return Ok(Err(Unreadable("the entry of a series is longer than the section")));
        }
        let number = self.next / ALIGNMENT;
        let offset = self.next;
        let bytes = self.file.need(offset, all as usize, "the entry of a series")?;
        let content = bytes.get(prefix..prefix + len as usize).unwrap_or_default();
        let checksum = bytes.get(prefix + len as usize..).and_then(<[u8]>::first_chunk::<4>);
        if checksum.map(|sum| u32::from_be_bytes(*sum)) != Some(crc32c::crc32c(content)) {
            return Ok(Err(Unreadable("the checksum of a series is wrong")));
        }
        (entry.number, entry.offset) = (number, offset);
        Ok(parse_entry(content, entry).map(|()| all))
    }
}

fn check_header(mut header: Cursor<'_>) -> Result<(), Unreadable> {
    if header.be32()? != MAGIC {
        return Err(Unreadable("it is no index of a block; the block was skipped"));
    }
    if header.byte()? != VERSION {
        return Err(Unreadable(
            "it is not of version 2; the block was skipped; Prometheus 2.3 or newer rewrites older blocks when it compacts them",
        ));
    }
    Ok(())
}

struct Toc {
    symbols: u64,
    series: u64,
    others: [u64; 4],
}

impl Toc {
    fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (places, checksum) = bytes.split_last_chunk::<4>().ok_or(Unreadable("it is too short"))?;
        if crc32c::crc32c(places) != u32::from_be_bytes(*checksum) {
            return Err(Unreadable("the checksum of the table of contents is wrong; the block was skipped"));
        }
        let mut cursor = Cursor(places);
        let mut next = || cursor.be64();
        Ok(Self { symbols: next()?, series: next()?, others: [next()?, next()?, next()?, next()?] })
    }

    /// Where the series section ends: where the next section that exists begins.
    fn series_end(&self, toc_at: u64) -> u64 {
        let behind = self.others.iter().copied().filter(|other| *other > self.series);
        behind.min().unwrap_or(toc_at).min(toc_at)
    }
}

fn read_symbols(file: &mut Window, at: u64) -> Result<Symbols, Fault> {
    let len = file.need(at, 4, "its table of strings")?;
    let len = Cursor(len).be32().unwrap_or_default() as usize;
    let section = file.need(at.saturating_add(4), len.saturating_add(4), "its table of strings")?;
    let (content, checksum) = section.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
    let intact = crc32c::crc32c(content) == u32::from_be_bytes(*checksum);
    let symbols = if intact { Symbols::parse(content) } else { Err(Unreadable("its checksum is wrong")) };
    symbols.map_err(|Unreadable(what)| {
        file.damage(at, format!("the table of strings cannot be read: {what}; the block was skipped"))
    })
}

fn parse_entry(content: &[u8], entry: &mut SeriesEntry) -> Result<(), Unreadable> {
    let number = |value: u64| u32::try_from(value).map_err(|_| Unreadable("a reference is out of range"));
    let mut cursor = Cursor(content);
    entry.labels.clear();
    entry.chunks.clear();
    for _ in 0..cursor.count(2)? {
        entry.labels.push((number(cursor.uvarint()?)?, number(cursor.uvarint()?)?));
    }
    let mut reference = 0u64;
    for index in 0..cursor.count(3)? {
        // First and last time come first; only the chunk itself tells which of its samples there are.
        if index == 0 {
            cursor.varint()?;
            cursor.uvarint()?;
            reference = cursor.uvarint()?;
        } else {
            cursor.uvarint()?;
            cursor.uvarint()?;
            reference = reference.wrapping_add(cursor.varint()? as u64);
        }
        entry.chunks.push(ChunkPlace { segment: (reference >> 32) as u32, offset: reference as u32 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Symbols::parse(&bytes);
            let _ = Toc::parse(&bytes);
            let _ = parse_entry(&bytes, &mut SeriesEntry::default());
        }
    }

    #[test]
    fn an_entry_names_its_labels_and_the_places_of_its_chunks() {
        // One label; two chunks: at byte 8 of the first file, then at byte 5 of the second.
        let mut content = vec![1, 3, 4, 2, 20, 10];
        put_uvarint(&mut content, 8);
        content.extend([1, 10]);
        put_uvarint(&mut content, ((1u64 << 32) + 5 - 8) << 1);
        let mut entry = SeriesEntry::default();
        parse_entry(&content, &mut entry).unwrap();
        assert_eq!(entry.labels, [(3, 4)]);
        let places = [(0, 8), (1, 5)].map(|(segment, offset)| ChunkPlace { segment, offset });
        assert_eq!(entry.chunks, places);
    }

    fn put_uvarint(bytes: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
}
