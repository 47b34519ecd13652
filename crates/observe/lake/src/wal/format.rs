//! Bytes of a segment. All numbers are little-endian, all checksums CRC-32C.
//!
//! ```text
//! segment header   magic 8 · version u32 · number u64 · first sequence u64 · checksum of the former u32
//! record           marker 4 · payload length u32 · sequence u64 · kind u8 · payload's checksum u32
//!                  · checksum of the former u32 · payload
//! ```
//!
//! A record's header has a checksum of its own, so a length can be trusted before the payload is read: a record that was
//! cut short is told from one that was altered, and an altered payload costs its own record alone.

use crc32c::crc32c;

/// The format that is written here.
pub(super) const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 32;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 25;
/// What every record begins with. No byte occurs twice and none is ASCII, so text is never mistaken for it.
pub(super) const MARKER: [u8; 4] = [0xd7, 0x8b, 0xf4, 0x93];
/// What every segment begins with.
pub(super) const MAGIC: [u8; 8] = *b"KANDWAL\n";

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The format of what follows.
    pub(super) version: u32,
    /// The segment's number.
    pub(super) number: u64,
    /// The sequence that its first record has.
    pub(super) first_seq: u64,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        let mut out = Cursor(&mut bytes);
        out.put(&MAGIC);
        out.put(&self.version.to_le_bytes());
        out.put(&self.number.to_le_bytes());
        out.put(&self.first_seq.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Reads a header from the front of `bytes`; `None` where there is none that checks out.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = sealed(bytes, SEGMENT_HEADER)?.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first_seq, _) = rest.split_first_chunk()?;
        Some(Self {
            version: u32::from_le_bytes(*version),
            number: u64::from_le_bytes(*number),
            first_seq: u64::from_le_bytes(*first_seq),
        })
    }
}

/// The beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes of the payload.
    pub(super) length: u32,
    /// The record's number.
    pub(super) seq: u64,
    /// What the payload is.
    pub(super) kind: u8,
    /// The payload's checksum.
    pub(super) payload_crc: u32,
}

impl RecordHeader {
    pub(super) fn encode(self) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        let mut out = Cursor(&mut bytes);
        out.put(&MARKER);
        out.put(&self.length.to_le_bytes());
        out.put(&self.seq.to_le_bytes());
        out.put(&[self.kind]);
        out.put(&self.payload_crc.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Reads a header from the front of `bytes`; `None` where there is none that checks out.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&MARKER) {
            return None;
        }
        let rest = sealed(bytes, RECORD_HEADER)?.strip_prefix(&MARKER)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (&kind, rest) = rest.split_first()?;
        let (payload_crc, _) = rest.split_first_chunk()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            seq: u64::from_le_bytes(*seq),
            kind,
            payload_crc: u32::from_le_bytes(*payload_crc),
        })
    }

    /// Bytes of the whole record.
    pub(super) fn total(self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.length)
    }
}

/// Writes fields one behind the other.
struct Cursor<'a>(&'a mut [u8]);

impl Cursor<'_> {
    fn put(&mut self, field: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.0).split_at_mut(field.len());
        head.copy_from_slice(field);
        self.0 = rest;
    }
}

/// Puts the checksum of all before into the last four bytes.
fn seal(bytes: &mut [u8]) {
    if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32c(body).to_le_bytes();
    }
}

/// The first `length` bytes less their checksum, where it is right.
fn sealed(bytes: &[u8], length: usize) -> Option<&[u8]> {
    let (body, checksum) = bytes.get(..length)?.split_last_chunk::<4>()?;
    (crc32c(body).to_le_bytes() == *checksum).then_some(body)
}
