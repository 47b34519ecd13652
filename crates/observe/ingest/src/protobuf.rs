//! A protobuf reader over one buffer that copies nothing and allocates nothing.
//!
//! Follows <https://protobuf.dev/programming-guides/encoding/>: fields in any order, unknown ones skipped, the last of a
//! repeated scalar wins, packed and unpacked lists read alike. Groups, long gone from proto3, are skipped.

/// Groups within groups that are skipped before the message counts as malformed.
const MAX_GROUP_DEPTH: u32 = 100;

/// Bytes that are no protobuf message of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct Malformed {
    /// Where, in bytes from the start of the decompressed body.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// How the value of a field is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// What comes before a field's value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) field: u32,
    pub(crate) wire: Wire,
}

/// Reads one message. A reader of an embedded message is a prefix of the same buffer, so offsets stay those of the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(buf: &'a [u8]) -> Self {
        Self { buf, at: 0 }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.buf.len()
    }

    /// What is left to read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { offset: self.at, what }
    }

    /// The next field's tag; `None` at the end of the message.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, Malformed> {
        if self.at_end() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            3 => Wire::StartGroup,
            4 => Wire::EndGroup,
            5 => Wire::Fixed32,
            _ => return Err(self.malformed("a field has an unknown wire type")),
        };
        match u32::try_from(key >> 3) {
            Ok(field) if field != 0 && key <= u64::from(u32::MAX) => Ok(Some(Tag { field, wire })),
            _ => Err(self.malformed("a field number is out of range")),
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest() {
            [byte, ..] if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            [low, high, ..] if *high < 0x80 => {
                self.at += 2;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (i, byte) in self.rest().iter().enumerate().take(10) {
            if i == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.malformed(if self.rest().len() < 10 {
            "the message ends within a number"
        } else {
            "a number is longer than 64 bits"
        }))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        match self.rest().first_chunk::<8>() {
            Some(bytes) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(self.malformed("the message ends within a 64-bit value")),
        }
    }

    #[inline]
    fn end_of_bytes(&mut self) -> Result<usize, Malformed> {
        let len = self.varint()?;
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end {
            Some(end) if end <= self.buf.len() => Ok(end),
            _ => Err(self.malformed("a length reaches past the end of its message")),
        }
    }

    /// A length-delimited value.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.end_of_bytes()?;
        let bytes = self.buf.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(bytes)
    }

    /// A length-delimited value together with the length that precedes it.
    #[inline]
    pub(crate) fn prefixed_bytes(&mut self) -> Result<Prefixed<'a>, Malformed> {
        let start = self.at;
        let end = self.end_of_bytes()?;
        let all = self.buf.get(start..end).unwrap_or_default();
        let prefix = self.at - start;
        self.at = end;
        Ok(Prefixed { all, prefix })
    }

    /// A reader of an embedded message.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Self, Malformed> {
        let end = self.end_of_bytes()?;
        let inner = Self { buf: self.buf.get(..end).unwrap_or_default(), at: self.at };
        self.at = end;
        Ok(inner)
    }

    /// The value of a varint field.
    #[inline]
    pub(crate) fn expect_varint(&mut self, tag: Tag) -> Result<u64, Malformed> {
        self.expect(tag, Wire::Varint)?;
        self.varint()
    }

    /// The value of a `double` field.
    #[inline]
    pub(crate) fn expect_double(&mut self, tag: Tag) -> Result<f64, Malformed> {
        self.expect(tag, Wire::Fixed64)?;
        self.fixed64().map(f64::from_bits)
    }

    /// The value of a `string` or `bytes` field, unchecked.
    #[inline]
    pub(crate) fn expect_bytes(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        self.expect(tag, Wire::Bytes)?;
        self.bytes()
    }

    /// A reader of the message that a field holds.
    #[inline]
    pub(crate) fn expect_message(&mut self, tag: Tag) -> Result<Self, Malformed> {
        self.expect(tag, Wire::Bytes)?;
        self.message()
    }

    #[inline]
    pub(crate) fn expect(&self, tag: Tag, wire: Wire) -> Result<(), Malformed> {
        if tag.wire == wire { Ok(()) } else { Err(self.malformed("a field has the wrong wire type")) }
    }

    /// The values of a repeated varint field, packed or single.
    #[inline]
    pub(crate) fn varints(&mut self, tag: Tag, mut each: impl FnMut(u64)) -> Result<(), Malformed> {
        if tag.wire == Wire::Varint {
            each(self.varint()?);
            return Ok(());
        }
        let mut packed = self.expect_message(tag)?;
        while !packed.at_end() {
            each(packed.varint()?);
        }
        Ok(())
    }

    /// The values of a repeated `double` field, packed or single.
    pub(crate) fn doubles(&mut self, tag: Tag, into: &mut Vec<f64>) -> Result<(), Malformed> {
        if tag.wire == Wire::Fixed64 {
            into.push(self.fixed64().map(f64::from_bits)?);
            return Ok(());
        }
        let mut packed = self.expect_message(tag)?;
        into.reserve(packed.rest().len() / 8);
        while !packed.at_end() {
            into.push(packed.fixed64().map(f64::from_bits)?);
        }
        Ok(())
    }

    /// Passes over the value of a field that nobody asks for.
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), Malformed> {
        let mut open_groups: Vec<u32> = Vec::new();
        let mut tag = tag;
        loop {
            match tag.wire {
                Wire::Varint => drop(self.varint()?),
                Wire::Fixed64 => drop(self.fixed64()?),
                Wire::Bytes => drop(self.bytes()?),
                Wire::Fixed32 => match self.rest().len() {
                    0..4 => return Err(self.malformed("the message ends within a 32-bit value")),
                    _ => self.at += 4,
                },
                Wire::StartGroup => {
                    if open_groups.len() as u32 >= MAX_GROUP_DEPTH {
                        return Err(self.malformed("groups are nested too deep"));
                    }
                    open_groups.push(tag.field);
                }
                Wire::EndGroup => {
                    if open_groups.pop() != Some(tag.field) {
                        return Err(self.malformed("a group ends that was not open"));
                    }
                }
            }
            if open_groups.is_empty() {
                return Ok(());
            }
            tag = self.tag()?.ok_or_else(|| self.malformed("the message ends within a group"))?;
        }
    }
}

/// A length-delimited value and its length as it stood on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefixed<'a> {
    all: &'a [u8],
    prefix: usize,
}

impl<'a> Prefixed<'a> {
    /// A value of no bytes, which is proto3's default.
    pub(crate) const EMPTY: Self = Self { all: &[0], prefix: 1 };

    /// A value whose length takes one byte, from both in one piece.
    #[inline]
    pub(crate) fn from_short(all: &'a [u8]) -> Self {
        Self { all, prefix: 1 }
    }

    /// The value.
    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        self.all.get(self.prefix..).unwrap_or_default()
    }

    /// Length and value in one piece, where the length is one byte and so in the form that label sets keep.
    #[inline]
    pub(crate) fn short(self) -> Option<&'a [u8]> {
        (self.prefix == 1).then_some(self.all)
    }
}

/// The number that zigzag coding (`sint32`, `sint64`) stands for.
pub(crate) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// The `sint32` that a varint stands for.
pub(crate) fn unzigzag32(value: u64) -> i32 {
    unzigzag(u64::from(value as u32)) as i32
}

/// Appends `value` as a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field, unless it has proto3's default.
pub(crate) fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(field << 3));
        put_varint(out, value);
    }
}

/// Appends an `int64` field, unless it has proto3's default.
pub(crate) fn put_int(out: &mut Vec<u8>, field: u32, value: i64) {
    put_uint(out, field, value as u64);
}

/// Appends a `sint32` or `sint64` field, unless it has proto3's default.
pub(crate) fn put_sint(out: &mut Vec<u8>, field: u32, value: i64) {
    put_uint(out, field, zigzag(value));
}

/// The zigzag code of `value`.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends a `double` field, unless it has proto3's default, which is the bit pattern of positive zero.
pub(crate) fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_varint(out, u64::from(field << 3 | 1));
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// Appends a `string` or `bytes` field, also where it is empty.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(out, u64::from(field << 3 | 2));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends an embedded message (or a packed list) that `fill` writes.
pub(crate) fn put_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from(field << 3 | 2));
    let start = out.len();
    fill(out);
    let len = out.len() - start;
    put_varint(out, len as u64);
    let prefix = out.len() - start - len;
    if let Some(message) = out.get_mut(start..) {
        message.rotate_right(prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_past_the_end_is_named_with_its_place() {
        let mut reader = Reader::new(&[0x0a, 0x05, b'a']);
        let tag = reader.tag().unwrap().unwrap();
        let error = reader.expect_bytes(tag).unwrap_err();
        assert_eq!(error.to_string(), "byte 2: a length reaches past the end of its message");
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xff; 11];
        bytes[10] = 0;
        assert!(Reader::new(&bytes).varint().is_err());
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(Reader::new(&largest).varint(), Ok(u64::MAX));
    }

    #[test]
    fn unknown_groups_are_skipped_and_unbalanced_ones_refused() {
        // Field 7 as a group that holds field 1 = 5, then field 2 = 9.
        let balanced = [0x3b, 0x08, 0x05, 0x3c, 0x10, 0x09];
        let mut reader = Reader::new(&balanced);
        let group = reader.tag().unwrap().unwrap();
        reader.skip(group).unwrap();
        let after = reader.tag().unwrap().unwrap();
        assert_eq!((after.field, reader.expect_varint(after)), (2, Ok(9)));

        let mut open = Reader::new(&[0x3b, 0x08, 0x05]);
        let group = open.tag().unwrap().unwrap();
        assert!(open.skip(group).is_err());
    }

    proptest! {
        #[test]
        fn numbers_round_trip(unsigned: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, unsigned);
            put_varint(&mut out, zigzag(signed));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            prop_assert_eq!(reader.varint().map(unzigzag), Ok(signed));
            prop_assert!(reader.at_end());
        }

        #[test]
        fn embedded_messages_of_any_length_round_trip(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_message(&mut out, 3, |inner| put_bytes(inner, 1, &value));
            let mut reader = Reader::new(&out);
            let tag = reader.tag().unwrap().unwrap();
            let mut inner = reader.expect_message(tag).unwrap();
            let tag = inner.tag().unwrap().unwrap();
            prop_assert_eq!(inner.expect_bytes(tag), Ok(value.as_slice()));
            prop_assert!(inner.at_end() && reader.at_end());
        }
    }
}
