//! What stands in the log.

use kandela_model::{LabelsRef, Metadata, MetricKind};

/// The kind of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    /// Series definitions and float samples.
    Samples = 1,
    /// Definitions of series, the ids of those whose histograms are sums of increments, then rows of the table.
    Histograms = 2,
    /// Rows of a table: its number in [`kandela_model::tables::ALL`], then an Arrow batch.
    Rows = 3,
    /// What metric families are.
    Metadata = 4,
    /// As [`RecordKind::Samples`]; the values are sums of increments.
    Accumulated = 5,
    /// A process began to write: series numbers start anew.
    Began = 6,
    /// Segments are about to be removed: the last sequence of them, as eight bytes.
    Cut = 7,
}

impl RecordKind {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [
            Self::Samples,
            Self::Histograms,
            Self::Rows,
            Self::Metadata,
            Self::Accumulated,
            Self::Began,
            Self::Cut,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// A float sample as the log has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LoggedSample {
    /// The series' number within its segment.
    pub(crate) number: u32,
    pub(crate) ts: i64,
    pub(crate) value: f64,
}

/// A series definition as the log has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Definition<'a> {
    pub(crate) number: u32,
    pub(crate) id: i64,
    pub(crate) salt: u32,
    pub(crate) labels: LabelsRef<'a>,
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_signed(out: &mut Vec<u8>, n: i64) {
    put_varint(out, ((n << 1) ^ (n >> 63)) as u64);
}

pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let n = take_varint(bytes)?;
    Some((n >> 1) as i64 ^ -((n & 1) as i64))
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(front)
}

pub(crate) fn put_definitions<'a>(
    out: &mut Vec<u8>,
    definitions: impl ExactSizeIterator<Item = Definition<'a>>,
) {
    put_varint(out, definitions.len() as u64);
    for definition in definitions {
        put_varint(out, u64::from(definition.number));
        out.extend_from_slice(&definition.id.to_le_bytes());
        put_varint(out, u64::from(definition.salt));
        put_varint(out, definition.labels.as_bytes().len() as u64);
        out.extend_from_slice(definition.labels.as_bytes());
    }
}

/// Reads the definitions at the front of a payload.
pub(crate) fn take_definitions<'a>(bytes: &mut &'a [u8]) -> Option<Vec<Definition<'a>>> {
    let count = take_varint(bytes)? as usize;
    let mut definitions = Vec::with_capacity(count.min(bytes.len() / 10));
    for _ in 0..count {
        let number = u32::try_from(take_varint(bytes)?).ok()?;
        let id = i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?);
        let salt = u32::try_from(take_varint(bytes)?).ok()?;
        let len = usize::try_from(take_varint(bytes)?).ok()?;
        let labels = LabelsRef::from_bytes(take(bytes, len)?)?;
        definitions.push(Definition { number, id, salt, labels });
    }
    Some(definitions)
}

/// Writes samples: numbers and times as differences to the sample before, values as they are.
pub(crate) fn put_samples(out: &mut Vec<u8>, samples: impl ExactSizeIterator<Item = LoggedSample>) {
    put_varint(out, samples.len() as u64);
    let (mut number, mut ts) = (0i64, 0i64);
    for sample in samples {
        put_signed(out, i64::from(sample.number) - number);
        put_signed(out, sample.ts.wrapping_sub(ts));
        out.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        (number, ts) = (i64::from(sample.number), sample.ts);
    }
}

/// Reads what [`put_samples`] wrote; `None` when it is damaged.
pub(crate) fn decode_samples(mut bytes: &[u8], mut each: impl FnMut(LoggedSample)) -> Option<()> {
    let count = take_varint(&mut bytes)?;
    let (mut number, mut ts) = (0i64, 0i64);
    for _ in 0..count {
        number = number.wrapping_add(take_signed(&mut bytes)?);
        ts = ts.wrapping_add(take_signed(&mut bytes)?);
        let value = f64::from_bits(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?));
        each(LoggedSample { number: u32::try_from(number).ok()?, ts, value });
    }
    Some(())
}

pub(crate) fn put_metadata(out: &mut Vec<u8>, families: &[Metadata]) {
    put_varint(out, families.len() as u64);
    for family in families {
        for text in [&family.family, family.kind.as_str(), &family.unit, &family.help] {
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

pub(crate) fn decode_metadata(mut payload: &[u8]) -> Option<Vec<Metadata>> {
    let count = take_varint(&mut payload)?;
    let mut families = Vec::new();
    for _ in 0..count {
        let mut text = || {
            let len = usize::try_from(take_varint(&mut payload)?).ok()?;
            String::from_utf8(take(&mut payload, len)?.to_vec()).ok()
        };
        let (family, kind, unit, help) = (text()?, text()?, text()?, text()?);
        families.push(Metadata { family, kind: kind.parse().unwrap_or(MetricKind::Unknown), unit, help });
    }
    Some(families)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kandela_model::Labels;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn samples_come_back_bit_for_bit(rows in proptest::collection::vec((any::<u32>(), any::<i64>(), any::<u64>()), 0..100)) {
            let labels = Labels::new([("__name__", "up")]).unwrap();
            let definition = Definition { number: 7, id: -3, salt: 1, labels: labels.as_ref() };
            let mut out = Vec::new();
            put_definitions(&mut out, [definition].into_iter());
            put_samples(&mut out, rows.iter().map(|(number, ts, bits)| LoggedSample {
                number: *number, ts: *ts, value: f64::from_bits(*bits),
            }));
            let mut back = Vec::new();
            let mut payload = out.as_slice();
            prop_assert_eq!(take_definitions(&mut payload), Some(vec![definition]));
            let read = decode_samples(payload, |s| back.push((s.number, s.ts, s.value.to_bits())));
            prop_assert_eq!(read, Some(()));
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn arbitrary_payloads_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = take_definitions(&mut bytes.as_slice());
            let _ = decode_samples(&bytes, |_| {});
            let _ = decode_metadata(&bytes);
        }
    }

    #[test]
    fn metadata_come_back() {
        let families = vec![Metadata {
            family: "http_requests".into(),
            kind: MetricKind::Counter,
            unit: String::new(),
            help: "Requests.".into(),
        }];
        let mut out = Vec::new();
        put_metadata(&mut out, &families);
        assert_eq!(decode_metadata(&out), Some(families));
    }
}
