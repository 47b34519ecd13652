//! `io.prometheus.write.v2.Request`, remote write 2.0: strings stand once in a table, and series refer to them.

use kandela_model::{Exemplar, METRIC_NAME, Metadata, MetricKind, SeriesIndex};

use super::histogram;
use super::reject::Reason;
use super::series::{Fault, Sink, exemplar};
use super::v1::metadata;
use crate::protobuf::{Malformed, Prefixed, Reader, Wire};

/// Buffers that are used again for every request.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    refs: Vec<u32>,
    /// For every symbol that names a metric, one more than the index of its metadata in the batch.
    described: Vec<u32>,
    /// For every entry of the batch's metadata, what on the wire it came from.
    sources: Vec<MetadataRefs>,
    /// Symbols of the last request, which the next is likely to resemble.
    symbols_expected: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MetadataRefs {
    kind: i32,
    help: u32,
    unit: u32,
}

/// Reads the whole request into `sink`.
pub(super) fn read(body: &[u8], scratch: &mut Scratch, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let symbols = read_symbols(body, scratch.symbols_expected, sink)?;
    scratch.symbols_expected = symbols.len();
    scratch.described.clear();
    scratch.sources.clear();
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            5 => read_series(reader.expect_message(tag)?, &symbols, scratch, sink)?,
            _ => reader.skip(tag)?,
        }
    }
    Ok(())
}

/// Symbols usually come first, but protobuf lets fields stand in any order, so they are gathered in a pass of their own.
fn read_symbols<'a>(
    body: &'a [u8],
    expected: usize,
    sink: &mut Sink<'_>,
) -> Result<Vec<Prefixed<'a>>, Fault> {
    let mut symbols = Vec::with_capacity(expected.min(body.len() / 2));
    let mut reader = Reader::new(body);
    while let Some(tag) = reader.tag()? {
        if tag.field != 4 {
            reader.skip(tag)?;
            continue;
        }
        reader.expect(tag, Wire::Bytes)?;
        let symbol = reader.prefixed_bytes()?;
        if symbols.is_empty() && !symbol.value().is_empty() {
            return Err(reader.malformed("the symbols table does not start with the empty string").into());
        }
        sink.budget.take(size_of::<Prefixed<'_>>())?;
        symbols.push(symbol);
    }
    Ok(symbols)
}

fn read_series(
    mut reader: Reader<'_>,
    symbols: &[Prefixed<'_>],
    scratch: &mut Scratch,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let mut open = sink.begin();
    let mut described = MetadataRefs::default();
    scratch.refs.clear();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => reader.varints(tag, |reference| scratch.refs.push(reference as u32))?,
            2 => {
                let (ts, value) = read_sample(reader.expect_message(tag)?)?;
                sink.sample(&open, ts, value)?;
            }
            3 => {
                let (ts, histogram) = histogram::read(reader.expect_message(tag)?)?;
                sink.histogram(&mut open, ts, histogram)?;
            }
            4 => {
                let exemplar = read_exemplar(reader.expect_message(tag)?, symbols)?;
                sink.exemplar(&mut open, exemplar)?;
            }
            5 => read_metadata(reader.expect_message(tag)?, &mut described)?,
            _ => reader.skip(tag)?,
        }
    }
    for pair in scratch.refs.chunks(2) {
        match look_up(pair, symbols) {
            Some((name, value)) => sink.labels.push(name, value),
            None => sink.labels.refuse(unresolved(pair, scratch.refs.len(), symbols)),
        }
    }
    let undescribed = described == MetadataRefs::default();
    if sink.mixes_kinds(&open) {
        sink.labels.refuse(Reason::MixedKinds);
    } else if undescribed && sink.is_empty(&open) {
        sink.labels.refuse(Reason::Empty);
    }
    match sink.end(open)? {
        Some(series) if !undescribed => describe(series, described, symbols, scratch, sink),
        _ => Ok(()),
    }
}

#[inline]
fn look_up<'a>(pair: &[u32], symbols: &[Prefixed<'a>]) -> Option<(Prefixed<'a>, Prefixed<'a>)> {
    match pair {
        [name, value] => Some((symbol(*name, symbols)?, symbol(*value, symbols)?)),
        _ => None,
    }
}

#[inline]
fn symbol<'a>(reference: u32, symbols: &[Prefixed<'a>]) -> Option<Prefixed<'a>> {
    symbols.get(reference as usize).copied()
}

/// Why references lead to no label.
#[cold]
fn unresolved(references: &[u32], all: usize, symbols: &[Prefixed<'_>]) -> Reason {
    match references.iter().find(|reference| symbol(**reference, symbols).is_none()) {
        Some(reference) => Reason::NoSuchSymbol { reference: *reference, symbols: symbols.len() },
        None => Reason::OddReferences { len: all },
    }
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

fn read_exemplar(
    mut reader: Reader<'_>,
    symbols: &[Prefixed<'_>],
) -> Result<Result<Exemplar, Reason>, Malformed> {
    let (mut ts, mut value) = (0, 0.0);
    let mut refs = Vec::new();
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => reader.varints(tag, |reference| refs.push(reference as u32))?,
            2 => value = reader.expect_double(tag)?,
            3 => ts = reader.expect_varint(tag)? as i64,
            _ => reader.skip(tag)?,
        }
    }
    let pairs: Result<Vec<_>, Reason> = refs
        .chunks(2)
        .map(|pair| match look_up(pair, symbols) {
            Some((name, value)) => Ok((name.value(), value.value())),
            None => Err(unresolved(pair, refs.len(), symbols)),
        })
        .collect();
    Ok(pairs.and_then(|pairs| exemplar(ts, value, &pairs)))
}

fn read_metadata(mut reader: Reader<'_>, into: &mut MetadataRefs) -> Result<(), Malformed> {
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => into.kind = reader.expect_varint(tag)? as i32,
            3 => into.help = reader.expect_varint(tag)? as u32,
            4 => into.unit = reader.expect_varint(tag)? as u32,
            _ => reader.skip(tag)?,
        }
    }
    Ok(())
}

/// Links `series` to its family's metadata. Every series of a family carries the same, so they are kept once.
fn describe(
    series: SeriesIndex,
    refs: MetadataRefs,
    symbols: &[Prefixed<'_>],
    scratch: &mut Scratch,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let name_ref = scratch.refs.chunks(2).find_map(|pair| match pair {
        [name, value]
            if symbol(*name, symbols).is_some_and(|name| name.value() == METRIC_NAME.as_bytes()) =>
        {
            Some(*value)
        }
        _ => None,
    });
    let Some(name_ref) = name_ref else { return Ok(()) };
    if scratch.described.is_empty() {
        sink.budget.take(symbols.len() * size_of::<u32>())?;
        scratch.described.resize(symbols.len(), 0);
    }
    let Some(slot) = scratch.described.get_mut(name_ref as usize) else { return Ok(()) };
    if let Some(known) = slot.checked_sub(1)
        && scratch.sources.get(known as usize) == Some(&refs)
    {
        sink.batch.describe(series, known);
        return Ok(());
    }
    let texts = symbol(name_ref, symbols).zip(symbol(refs.unit, symbols)).zip(symbol(refs.help, symbols));
    let found = match texts {
        Some(((name, unit), help)) => sized_metadata(name.value(), refs.kind, unit.value(), help.value()),
        None => Err(unresolved(&[name_ref, refs.unit, refs.help], scratch.refs.len(), symbols)),
    };
    match found {
        Ok((metadata, size)) => {
            sink.budget.take(size)?;
            let index = sink.batch.metadata.len() as u32;
            sink.batch.metadata.push(metadata);
            scratch.sources.push(refs);
            *slot = index + 1;
            sink.batch.describe(series, index);
        }
        Err(reason) => sink.rejections.add(reason, || sink.labels.quote()),
    }
    Ok(())
}

fn sized_metadata(name: &[u8], kind: i32, unit: &[u8], help: &[u8]) -> Result<(Metadata, usize), Reason> {
    let mut metadata = metadata(name, kind, unit, help).ok_or(Reason::MetadataNotUtf8)?;
    metadata.family.truncate(family_of(&metadata.family, metadata.kind).len());
    Ok((metadata, size_of::<Metadata>() + name.len() + unit.len() + help.len()))
}

/// The family that a series of this name and kind belongs to.
pub(crate) fn family_of(name: &str, kind: MetricKind) -> &str {
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => &["_bucket", "_count", "_sum"],
        MetricKind::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
