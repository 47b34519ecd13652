//! Chunks of floats: times as differences of differences, values by what changed of their bits (Gorilla, section 4.1).

use super::bits::{BitWriter, fits};

/// Leading zeros are stored in five bits.
const MOST_LEADING: u32 = 31;

/// Writes one value after the other, each as its difference to the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct XorWriter {
    last: u64,
    /// Leading and trailing zeros around the bits that were written last.
    window: Option<(u32, u32)>,
}

impl XorWriter {
    /// After `value`, which was written in full.
    pub(super) fn after(value: f64) -> Self {
        Self { last: value.to_bits(), window: None }
    }

    pub(super) fn write(&mut self, out: &mut BitWriter, value: f64) {
        let difference = value.to_bits() ^ self.last;
        self.last = value.to_bits();
        if difference == 0 {
            return out.bits(0, 1);
        }
        let (leading, trailing) = (difference.leading_zeros().min(MOST_LEADING), difference.trailing_zeros());
        if let Some((wide_leading, wide_trailing)) = self.window
            && leading >= wide_leading
            && trailing >= wide_trailing
        {
            out.bits(0b10, 2);
            return out.bits(difference >> wide_trailing, 64 - wide_leading - wide_trailing);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        out.bits(0b11, 2);
        out.bits(u64::from(leading), 5);
        // 64 does not fit and is written as 0.
        out.bits(u64::from(width), 6);
        out.bits(difference >> trailing, width);
    }
}

/// A chunk of samples, times in milliseconds.
pub(super) fn encode(samples: impl ExactSizeIterator<Item = (i64, f64)>) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.bits(samples.len() as u64, 16);
    let mut values = XorWriter::after(0.0);
    let (mut last, mut delta) = (0i64, 0i64);
    for (place, (at, value)) in samples.enumerate() {
        let step = at.wrapping_sub(last);
        if place == 0 {
            out.varint(at);
            out.float(value);
            values = XorWriter::after(value);
        } else {
            if place == 1 {
                out.uvarint(step as u64);
            } else {
                write_change(&mut out, step.wrapping_sub(delta));
            }
            delta = step;
            values.write(&mut out, value);
        }
        last = at;
    }
    out.into_bytes()
}

fn write_change(out: &mut BitWriter, change: i64) {
    if change == 0 {
        return out.bits(0, 1);
    }
    let (ones, width) = (1..).zip([14, 17, 20]).find(|(_, width)| fits(change, *width)).unwrap_or((4, 64));
    out.ones(ones, 4);
    out.bits(change as u64, width);
}
