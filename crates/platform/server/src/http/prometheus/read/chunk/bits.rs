//! Writing bits, most significant first, and the variable-width integers among them.

/// Widths that follow a prefix of that many ones; a ninth is 64.
const VARBIT_WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Bits one after the other.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 where all are.
    used: u32,
}

impl BitWriter {
    /// The bytes so far; what is left of the last one is zeros.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lowest `width` bits of `value`.
    pub(super) fn bits(&mut self, value: u64, width: u32) {
        let mut left = width;
        while left > 0 {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let taken = left.min(8 - self.used);
            let bits = (value >> (left - taken)) as u8 & (0xff >> (8 - taken));
            if let Some(last) = self.bytes.last_mut() {
                *last |= bits << (8 - self.used - taken);
            }
            self.used = (self.used + taken) % 8;
            left -= taken;
        }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bits(u64::from(byte), 8);
    }

    pub(super) fn float(&mut self, value: f64) {
        self.bits(value.to_bits(), 64);
    }

    /// Go's `binary.PutUvarint`, at any bit.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Go's `binary.PutVarint`, at any bit.
    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63) as u64);
    }

    /// So many ones and, below `most` of them, a zero.
    pub(super) fn ones(&mut self, count: u32, most: u32) {
        self.bits(u64::MAX, count);
        if count < most {
            self.bits(0, 1);
        }
    }

    pub(super) fn varbit_int(&mut self, value: i64) {
        self.varbit(value as u64, |width| fits(value, width));
    }

    pub(super) fn varbit_uint(&mut self, value: u64) {
        self.varbit(value, |width| value >> width == 0);
    }

    fn varbit(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        if value == 0 {
            return self.bits(0, 1);
        }
        match (1..).zip(VARBIT_WIDTHS).find(|(_, width)| fits(*width)) {
            Some((ones, width)) => {
                self.ones(ones, 8);
                self.bits(value, width);
            }
            None => {
                self.ones(8, 8);
                self.bits(value, 64);
            }
        }
    }
}

/// Whether a number lies in −(2^(width−1) − 1) to 2^(width−1), which is how Prometheus cuts its ranges.
pub(super) const fn fits(value: i64, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    value > -half && value <= half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_most_significant_first_across_bytes() {
        let mut out = BitWriter::default();
        out.bits(0b101, 3);
        out.bits(0b1_0000_0001, 9);
        out.bits(u64::MAX, 5);
        assert_eq!(out.into_bytes(), [0b1011_0000, 0b0001_1111, 0b1000_0000]);
    }

    #[test]
    fn a_width_reaches_one_further_up_than_down() {
        assert!(fits(4, 3) && fits(-3, 3));
        assert!(!fits(5, 3) && !fits(-4, 3));
    }
}
