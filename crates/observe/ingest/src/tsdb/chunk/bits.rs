//! Bits of a chunk, most significant first, and the variable-width integers among them.

use super::ChunkError;

/// Widths that follow a prefix of that many ones (`varbit_int` and `varbit_uint` of the chunk format).
const VARBIT_WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Reads a chunk bit by bit.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits are left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len().saturating_mul(8) - self.at
    }

    #[inline]
    pub(super) fn bit(&mut self) -> Result<bool, ChunkError> {
        let byte = self.bytes.get(self.at >> 3).ok_or(ChunkError::Truncated)?;
        let bit = byte >> (7 - (self.at & 7)) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// The next `width` bits as an unsigned number; at most 64.
    #[inline]
    pub(super) fn bits(&mut self, width: u32) -> Result<u64, ChunkError> {
        if width as usize > self.remaining() {
            return Err(ChunkError::Truncated);
        }
        if width == 0 {
            return Ok(0);
        }
        let (byte, skipped) = (self.at >> 3, (self.at & 7) as u32);
        let from_here = self.bytes.get(byte..).unwrap_or_default();
        let word = match from_here.first_chunk::<8>() {
            Some(word) => u64::from_be_bytes(*word),
            None => {
                let mut word = [0; 8];
                word.iter_mut().zip(from_here).for_each(|(to, from)| *to = *from);
                u64::from_be_bytes(word)
            }
        };
        self.at += width as usize;
        let in_word = 64 - skipped;
        if width <= in_word {
            return Ok((word << skipped) >> (64 - width));
        }
        let beyond = width - in_word;
        let next = from_here.get(8).copied().unwrap_or_default();
        Ok(((word << skipped) >> skipped) << beyond | u64::from(next >> (8 - beyond)))
    }

    /// A number of `width` bits whose range is −(2^(width−1) − 1) to 2^(width−1): Prometheus stores the one positive number
    /// more, not the negative one.
    #[inline]
    pub(super) fn signed(&mut self, width: u32) -> Result<i64, ChunkError> {
        let bits = self.bits(width)?;
        let wraps = width > 0 && width < 64 && bits > 1 << (width - 1);
        Ok(if wraps { bits.wrapping_sub(1 << width) as i64 } else { bits as i64 })
    }

    pub(super) fn float(&mut self) -> Result<f64, ChunkError> {
        self.bits(64).map(f64::from_bits)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ChunkError> {
        self.bits(8).map(|byte| byte as u8)
    }

    /// Go's `binary.Uvarint`, at any bit.
    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ChunkError::Malformed("a varint does not end"))
    }

    /// Go's `binary.Varint`, at any bit.
    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        self.uvarint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// How many ones come before a zero; at most `most`, after which no zero follows.
    #[inline]
    pub(super) fn ones(&mut self, most: u32) -> Result<u32, ChunkError> {
        for ones in 0..most {
            if !self.bit()? {
                return Ok(ones);
            }
        }
        Ok(most)
    }

    #[inline]
    pub(super) fn varbit_int(&mut self) -> Result<i64, ChunkError> {
        let width = self.varbit_width()?;
        self.signed(width)
    }

    #[inline]
    pub(super) fn varbit_uint(&mut self) -> Result<u64, ChunkError> {
        let width = self.varbit_width()?;
        self.bits(width)
    }

    fn varbit_width(&mut self) -> Result<u32, ChunkError> {
        let ones = self.ones(8)?;
        VARBIT_WIDTHS.get(ones as usize).copied().ok_or(ChunkError::Malformed("a prefix is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_most_significant_first_across_bytes() {
        let mut reader = BitReader::new(&[0b1010_0101, 0b1111_0000]);
        assert_eq!(reader.bits(4), Ok(0b1010));
        assert_eq!(reader.bits(6), Ok(0b01_0111));
        assert_eq!(reader.remaining(), 6);
        assert_eq!(reader.bits(7), Err(ChunkError::Truncated));
        assert_eq!(reader.bits(6), Ok(0b11_0000));
    }

    #[test]
    fn sixty_four_bits_may_begin_anywhere() {
        let bytes: Vec<u8> = (1..=10).collect();
        for skipped in 0..16 {
            let mut reader = BitReader::new(&bytes);
            reader.bits(skipped).unwrap();
            let whole = u128::from_be_bytes(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0)));
            assert_eq!(reader.bits(64), Ok((whole << skipped >> 64) as u64), "after {skipped} bits");
        }
    }

    #[test]
    fn a_signed_number_reaches_one_further_up_than_down() {
        assert_eq!(BitReader::new(&[0b1000_0000]).signed(3), Ok(4));
        assert_eq!(BitReader::new(&[0b1010_0000]).signed(3), Ok(-3));
        assert_eq!(BitReader::new(&[0xff; 8]).signed(64), Ok(-1));
    }
}
