//! Start timestamps, which the newer encodings may store behind each sample.

use super::ChunkError;
use super::bits::BitReader;

/// Follows the start timestamps of a chunk. Its header says whether the first sample has one, and from which sample on one
/// is stored; in between it stays what it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTimes {
    first_is_known: bool,
    stored_from: u16,
    /// From the start to the sample before.
    distance: i64,
    start: i64,
}

impl StartTimes {
    /// Of a chunk with this header; zero where the encoding has none.
    pub(super) fn new(header: u8) -> Self {
        Self {
            first_is_known: header & 0x80 != 0,
            stored_from: u16::from(header & 0x7f),
            distance: 0,
            start: 0,
        }
    }

    /// Reads what follows sample `index`, at `ts` after one at `before`. Gives the start in milliseconds, where known.
    pub(super) fn read(
        &mut self,
        reader: &mut BitReader<'_>,
        index: u16,
        ts: i64,
        before: i64,
    ) -> Result<Option<i64>, ChunkError> {
        if index == 0 && self.first_is_known {
            self.distance = reader.varint()?;
            self.start = ts.wrapping_sub(self.distance);
        } else if index > 0 && self.stored_from > 0 && index >= self.stored_from {
            let stored = reader.varbit_int()?;
            let first = index == self.stored_from;
            self.distance = if first { stored } else { self.distance.wrapping_add(stored) };
            self.start = before.wrapping_sub(self.distance);
        }
        Ok((self.start != 0).then_some(self.start))
    }
}
