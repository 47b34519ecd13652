//! Chunks of floats: XOR, and XOR2, which may carry start timestamps too.

use kandela_model::STALE_NAN;

use super::ChunkError;
use super::bits::BitReader;
use super::start::StartTimes;

/// A float that is stored as the difference, by exclusive or, to the float before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XorValue {
    bits: u64,
    /// Leading and trailing zeros of the window that the last difference lay in.
    leading: u32,
    trailing: u32,
}

impl XorValue {
    pub(super) fn starting_at(value: f64) -> Self {
        Self { bits: value.to_bits(), ..Self::default() }
    }

    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// `varbit_xor`: nothing changed, or a difference in the window before, or one in a new window.
    #[inline]
    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        match reader.ones(2)? {
            0 => Ok(()),
            1 => self.read_in_window(reader),
            _ => self.read_in_new_window(reader),
        }
    }

    #[inline]
    fn read_in_window(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.bits ^= reader.bits(64 - self.leading - self.trailing)? << self.trailing;
        Ok(())
    }

    fn read_in_new_window(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        let leading = reader.bits(5)? as u32;
        // 64 does not fit into six bits, and none is never needed, so zero stands for 64.
        let width = match reader.bits(6)? as u32 {
            0 => 64,
            width => width,
        };
        self.trailing = (64 - leading)
            .checked_sub(width)
            .ok_or(ChunkError::Malformed("a value is wider than 64 bits"))?;
        self.leading = leading;
        self.read_in_window(reader)
    }
}

/// Reads XOR chunks: times as differences of differences, values by [`XorValue`].
pub(super) struct Xor<'a> {
    reader: BitReader<'a>,
    total: u16,
    read: u16,
    ts: i64,
    delta: i64,
    value: XorValue,
}

impl<'a> Xor<'a> {
    pub(super) fn new(data: &'a [u8]) -> Result<Self, ChunkError> {
        let (total, rest) = data.split_first_chunk::<2>().ok_or(ChunkError::Truncated)?;
        Ok(Self {
            reader: BitReader::new(rest),
            total: u16::from_be_bytes(*total),
            read: 0,
            ts: 0,
            delta: 0,
            value: XorValue::default(),
        })
    }

    /// The next time in milliseconds and value.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(i64, f64)>, ChunkError> {
        if self.read == self.total {
            return Ok(None);
        }
        let reader = &mut self.reader;
        if self.read == 0 {
            self.ts = reader.varint()?;
            self.value = XorValue::starting_at(reader.float()?);
        } else {
            if self.read == 1 {
                self.delta = reader.uvarint()? as i64;
            } else {
                let width = match reader.ones(4)? {
                    0 => 0,
                    1 => 14,
                    2 => 17,
                    3 => 20,
                    _ => 64,
                };
                self.delta = self.delta.wrapping_add(reader.signed(width)?);
            }
            self.ts = self.ts.wrapping_add(self.delta);
            self.value.read(reader)?;
        }
        self.read += 1;
        Ok(Some((self.ts, self.value.value())))
    }
}

/// Reads XOR2 chunks. Time and value share a prefix, and staleness markers have one of their own, so that the value after
/// a marker is stored as the difference to the value before it.
pub(super) struct Xor2<'a> {
    reader: BitReader<'a>,
    starts: StartTimes,
    total: u16,
    read: u16,
    ts: i64,
    delta: i64,
    value: XorValue,
}

impl<'a> Xor2<'a> {
    pub(super) fn new(data: &'a [u8]) -> Result<Self, ChunkError> {
        let ([high, low, starts], rest) = data.split_first_chunk::<3>().ok_or(ChunkError::Truncated)?;
        Ok(Self {
            reader: BitReader::new(rest),
            starts: StartTimes::new(*starts),
            total: u16::from_be_bytes([*high, *low]),
            read: 0,
            ts: 0,
            delta: 0,
            value: XorValue::default(),
        })
    }

    /// The next time in milliseconds and value.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(i64, f64)>, ChunkError> {
        if self.read == self.total {
            return Ok(None);
        }
        let before = self.ts;
        let value = match self.read {
            0 => self.first()?,
            1 => {
                self.delta = self.reader.uvarint()? as i64;
                self.changed_value()?
            }
            _ => self.joint()?,
        };
        if self.read > 0 {
            self.ts = self.ts.wrapping_add(self.delta);
        }
        self.starts.read(&mut self.reader, self.read, self.ts, before)?;
        self.read += 1;
        Ok(Some((self.ts, value)))
    }

    fn first(&mut self) -> Result<f64, ChunkError> {
        self.ts = self.reader.varint()?;
        let value = self.reader.float()?;
        if !kandela_model::is_stale(value) {
            self.value = XorValue::starting_at(value);
        }
        Ok(value)
    }

    fn joint(&mut self) -> Result<f64, ChunkError> {
        let width = match self.reader.ones(5)? {
            0 => return Ok(self.value.value()),
            1 => {
                if self.reader.bit()? {
                    self.value.read_in_new_window(&mut self.reader)?;
                } else {
                    self.value.read_in_window(&mut self.reader)?;
                }
                return Ok(self.value.value());
            }
            2 => 13,
            3 => 20,
            4 => 64,
            _ => return Ok(STALE_NAN),
        };
        // Unlike everywhere else, these are plain two's complement.
        let bits = self.reader.bits(width)?;
        let change = ((bits << (64 - width)) as i64) >> (64 - width);
        self.delta = self.delta.wrapping_add(change);
        self.changed_value()
    }

    fn changed_value(&mut self) -> Result<f64, ChunkError> {
        match self.reader.ones(3)? {
            0 => {}
            1 => self.value.read_in_window(&mut self.reader)?,
            2 => self.value.read_in_new_window(&mut self.reader)?,
            _ => return Ok(STALE_NAN),
        }
        Ok(self.value.value())
    }
}
