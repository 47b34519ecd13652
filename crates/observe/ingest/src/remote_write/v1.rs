//! `prometheus.WriteRequest`, remote write 1.0.

use kandela_model::{Metadata, MetricKind};

use super::histogram;
use super::labels::LabelScratch;
use super::reject::Reason;
use super::series::{Fault, Sink, exemplar};
use crate::protobuf::{Malformed, Prefixed, Reader, Tag, Wire};

/// Tags of a label's two fields, both length-delimited.
const NAME_TAG: u8 = 1 << 3 | 2;
const VALUE_TAG: u8 = 2 << 3 | 2;

/// Reads the whole request into `sink`.
pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => read_series(reader.expect_message(tag)?, sink)?,
            3 => read_metadata(reader.expect_message(tag)?, sink)?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(())
}

/// Reads a `TimeSeries`, which remote read answers with too.
pub(super) fn read_series(mut reader: Reader<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let mut open = sink.begin();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => read_label(&mut reader, tag, sink.labels)?,
            2 => {
                let (ts, value) = read_sample(reader.expect_message(tag)?)?;
                sink.sample(&open, ts, value)?;
            }
            3 => {
                let exemplar = read_exemplar(reader.expect_message(tag)?)?;
                sink.exemplar(&mut open, exemplar)?;
            }
            4 => {
                let (ts, histogram) = histogram::read(reader.expect_message(tag)?)?;
                sink.histogram(&mut open, ts, histogram)?;
            }
            _ => reader.skip(tag)?,
        }
    }
    sink.end(open)?;
    Ok(())
}

/// Reads a `Label`: in the one form that senders write, or in any other that protobuf allows.
#[inline]
pub(super) fn read_label(
    reader: &mut Reader<'_>,
    tag: Tag,
    labels: &mut LabelScratch,
) -> Result<(), Malformed> {
    let mut message = reader.expect_message(tag)?;
    let (name, value) = match plain_label(message.rest()) {
        Some(label) => label,
        None => label(&mut message)?,
    };
    labels.push(name, value);
    Ok(())
}

/// Reads a label that is just a name and then a value, both shorter than 128 bytes.
#[inline]
fn plain_label(message: &[u8]) -> Option<(Prefixed<'_>, Prefixed<'_>)> {
    let (&[NAME_TAG, name_len], _) = message.split_first_chunk::<2>()? else { return None };
    let (name, after_name) = message.get(1..)?.split_at_checked(usize::from(name_len) + 1)?;
    let (&[VALUE_TAG, value_len], value) = after_name.split_first_chunk::<2>()? else { return None };
    let plain = name_len < 0x80 && value_len < 0x80 && value.len() == usize::from(value_len);
    plain.then(|| (Prefixed::from_short(name), Prefixed::from_short(after_name.get(1..).unwrap_or_default())))
}

#[inline]
fn label<'a>(message: &mut Reader<'a>) -> Result<(Prefixed<'a>, Prefixed<'a>), Malformed> {
    let (mut name, mut value) = (Prefixed::EMPTY, Prefixed::EMPTY);
    while let Some(tag) = message.tag()? {
        match tag.field {
            1 => {
                message.expect(tag, Wire::Bytes)?;
                name = message.prefixed_bytes()?;
            }
            2 => {
                message.expect(tag, Wire::Bytes)?;
                value = message.prefixed_bytes()?;
            }
            _ => message.skip(tag)?,
        }
    }
    Ok((name, value))
}

#[inline]
fn read_sample(mut reader: Reader<'_>) -> Result<(i64, f64), Malformed> {
    let (mut ts, mut value) = (0, 0.0);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => value = reader.expect_double(tag)?,
            2 => ts = reader.expect_varint(tag)? as i64,
            _ => reader.skip(tag)?,
        }
    }
    Ok((ts, value))
}

fn read_exemplar(mut reader: Reader<'_>) -> Result<Result<kandela_model::Exemplar, Reason>, Malformed> {
    let (mut ts, mut value) = (0, 0.0);
    let mut pairs = Vec::new();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                let (name, value) = label(&mut reader.expect_message(tag)?)?;
                pairs.push((name.value(), value.value()));
            }
            2 => value = reader.expect_double(tag)?,
            3 => ts = reader.expect_varint(tag)? as i64,
            _ => reader.skip(tag)?,
        }
    }
    Ok(exemplar(ts, value, &pairs))
}

fn read_metadata(mut reader: Reader<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let (mut kind, mut family, mut help, mut unit) = (0, &b""[..], &b""[..], &b""[..]);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => kind = reader.expect_varint(tag)? as i32,
            2 => family = reader.expect_bytes(tag)?,
            4 => help = reader.expect_bytes(tag)?,
            5 => unit = reader.expect_bytes(tag)?,
            _ => reader.skip(tag)?,
        }
    }
    match metadata(family, kind, unit, help) {
        Some(metadata) => {
            sink.budget.take(size_of::<Metadata>() + family.len() + help.len() + unit.len())?;
            sink.batch.metadata.push(metadata);
        }
        None => {
            let family = String::from_utf8_lossy(family).into_owned();
            sink.rejections.add(Reason::MetadataNotUtf8, || family);
        }
    }
    Ok(())
}

/// Metadata from what stands on the wire; `None` where that is not UTF-8.
pub(super) fn metadata(family: &[u8], kind: i32, unit: &[u8], help: &[u8]) -> Option<Metadata> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(Metadata { family: text(family)?, kind: kind_of(kind), unit: text(unit)?, help: text(help)? })
}

/// The kind that both versions give this number.
fn kind_of(number: i32) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

/// The number of `kind` in both versions.
pub(super) const fn number_of(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Unknown => 0,
        MetricKind::Counter => 1,
        MetricKind::Gauge => 2,
        MetricKind::Histogram => 3,
        MetricKind::GaugeHistogram => 4,
        MetricKind::Summary => 5,
        MetricKind::Info => 6,
        MetricKind::StateSet => 7,
    }
}
