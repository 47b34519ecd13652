//! Whole bytes of a record or section, from the front.

/// The bytes end, or mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

const ENDS: Unreadable = Unreadable("it ends within a field");

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(ENDS)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(ENDS)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn be32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn be64(&mut self) -> Result<u64, Unreadable> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn float(&mut self) -> Result<f64, Unreadable> {
        self.be64().map(f64::from_bits)
    }

    /// Go's `binary.Uvarint`.
    #[inline]
    pub(super) fn uvarint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable("a number does not end"))
    }

    /// Go's `binary.Varint`.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<i64, Unreadable> {
        self.uvarint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of things that take at least `bytes_each`, so that no more can follow than there are bytes for.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Unreadable> {
        let count = usize::try_from(self.uvarint()?).ok();
        count
            .filter(|count| count.checked_mul(bytes_each).is_some_and(|bytes| bytes <= self.left()))
            .ok_or(Unreadable("a list is longer than what holds it"))
    }

    /// A string behind its length.
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8], Unreadable> {
        let len = self.count(1)?;
        self.bytes(len)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.prefixed()?).map_err(|_| Unreadable("a string is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_bytes_that_follow_is_refused() {
        assert_eq!(Cursor(&[3, 0, 0, 0]).count(1), Ok(3));
        assert!(Cursor(&[3, 0, 0]).count(1).is_err());
        assert!(Cursor(&[2, 0, 0, 0]).count(2).is_err());
        assert!(Cursor(&[0xff; 9]).count(8).is_err());
    }

    #[test]
    fn numbers_end_after_ten_bytes_at_most() {
        assert_eq!(Cursor(&[0xac, 0x02]).uvarint(), Ok(300));
        assert_eq!(Cursor(&[0x03]).varint(), Ok(-2));
        assert!(Cursor(&[0x80; 12]).uvarint().is_err());
        assert!(Cursor(&[0x80]).uvarint().is_err());
    }
}
