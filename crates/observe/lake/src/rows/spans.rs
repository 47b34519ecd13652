//! Spans as rows.

use arrow_array::{Int64Array, RecordBatch, StringArray};
use kandela_model::tables::SPANS;
use kandela_model::{Scope, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCode};

use super::columns::{batch, fields_of, list_of, longs, optional_text, text};
use super::hex::hex;
use super::read::{Columns, Sharing, conform, damaged, range};
use super::values::{AttributeColumn, attributes};
use crate::error::Result;

/// Spans as rows of [`SPANS`].
///
/// # Errors
/// When one column would exceed 2 GiB.
pub fn spans(spans: &[Span]) -> Result<RecordBatch> {
    let events: Vec<&SpanEvent> = spans.iter().flat_map(|span| &span.events).collect();
    let links: Vec<&SpanLink> = spans.iter().flat_map(|span| &span.links).collect();
    let columns = vec![
        text(spans.iter().map(|span| hex(&span.trace_id)))?,
        text(spans.iter().map(|span| hex(&span.span_id)))?,
        optional_text(spans.iter().map(|span| span.parent_span_id.map(|id| hex(&id))))?,
        text(spans.iter().map(|span| &span.service))?,
        text(spans.iter().map(|span| &span.name))?,
        text(spans.iter().map(|span| span.kind.as_str()))?,
        longs(spans.iter().map(|span| span.start_unix_nano)),
        longs(spans.iter().map(|span| span.end_unix_nano)),
        text(spans.iter().map(|span| span.status.code.as_str()))?,
        text(spans.iter().map(|span| &span.status.message))?,
        attributes(spans.iter().map(|span| &*span.resource))?,
        attributes(spans.iter().map(|span| &span.attributes))?,
        text(spans.iter().map(|span| &span.scope.name))?,
        text(spans.iter().map(|span| &span.scope.version))?,
        attributes(spans.iter().map(|span| &span.scope.attributes))?,
        text(spans.iter().map(|span| &span.trace_state))?,
        longs(spans.iter().map(|span| i64::from(span.flags))),
        list_of(
            fields_of(SPANS.columns, "events")?,
            spans.iter().map(|span| span.events.len()),
            vec![
                longs(events.iter().map(|event| event.time_unix_nano)),
                text(events.iter().map(|event| &event.name))?,
                attributes(events.iter().map(|event| &event.attributes))?,
            ],
        )?,
        list_of(
            fields_of(SPANS.columns, "links")?,
            spans.iter().map(|span| span.links.len()),
            vec![
                text(links.iter().map(|link| hex(&link.trace_id)))?,
                text(links.iter().map(|link| hex(&link.span_id)))?,
                text(links.iter().map(|link| &link.trace_state))?,
                attributes(links.iter().map(|link| &link.attributes))?,
            ],
        )?,
    ];
    batch(&SPANS, columns)
}

/// The spans in rows of [`SPANS`]. Neighbours of one service, resource or scope share it.
///
/// # Errors
/// When a column is missing, an id is no hex, or a kind or status is not known.
pub fn spans_from(batch: &RecordBatch) -> Result<Vec<Span>> {
    let batch = conform(&SPANS, batch)?;
    let columns = Columns::new(&SPANS, &batch);
    let trace_id: &StringArray = columns.get("trace_id")?;
    let span_id: &StringArray = columns.get("span_id")?;
    let parent_span_id: &StringArray = columns.get("parent_span_id")?;
    let service: &StringArray = columns.get("service")?;
    let name: &StringArray = columns.get("name")?;
    let kind: &StringArray = columns.get("kind")?;
    let start: &Int64Array = columns.get("start_unix_nano")?;
    let end: &Int64Array = columns.get("end_unix_nano")?;
    let status: &StringArray = columns.get("status")?;
    let message: &StringArray = columns.get("status_message")?;
    let resource = AttributeColumn::new(columns, "resource_attributes")?;
    let attributes = AttributeColumn::new(columns, "attributes")?;
    let scope = ScopeColumns::new(columns)?;
    let trace_state: &StringArray = columns.get("trace_state")?;
    let flags: &Int64Array = columns.get("flags")?;
    let events = EventColumns::new(columns)?;
    let links = LinkColumns::new(columns)?;
    let (mut services, mut resources, mut scopes) = (Sharing::new(), Sharing::new(), Sharing::new());
    (0..batch.num_rows())
        .map(|row| {
            Ok(Span {
                trace_id: columns.required_id(trace_id, row)?,
                span_id: columns.required_id(span_id, row)?,
                parent_span_id: columns.id(parent_span_id, row)?,
                trace_state: trace_state.value(row).to_owned(),
                flags: flags.value(row) as u32,
                service: services.share(service.value(row)),
                name: name.value(row).to_owned(),
                kind: kind_of(kind.value(row))?,
                start_unix_nano: start.value(row),
                end_unix_nano: end.value(row),
                status: SpanStatus {
                    code: status_of(status.value(row))?,
                    message: message.value(row).to_owned(),
                },
                resource: resources.share(Box::new(resource.row(row))),
                attributes: attributes.row(row),
                scope: scopes.share(Box::new(scope.row(row))),
                events: range(events.offsets, row).map(|at| events.event(at)).collect(),
                links: range(links.offsets, row).map(|at| links.link(at)).collect::<Result<_>>()?,
            })
        })
        .collect()
}

fn kind_of(word: &str) -> Result<SpanKind> {
    use SpanKind::{Client, Consumer, Internal, Producer, Server, Unspecified};
    [Unspecified, Internal, Server, Client, Producer, Consumer]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| damaged(SPANS.name, format!("span kind {word:?} is not known")))
}

fn status_of(word: &str) -> Result<StatusCode> {
    [StatusCode::Unset, StatusCode::Ok, StatusCode::Error]
        .into_iter()
        .find(|code| code.as_str() == word)
        .ok_or_else(|| damaged(SPANS.name, format!("span status {word:?} is not known")))
}

/// The columns of the library that made a span or log record.
pub(super) struct ScopeColumns<'a> {
    name: &'a StringArray,
    version: &'a StringArray,
    attributes: AttributeColumn<'a>,
}

impl<'a> ScopeColumns<'a> {
    pub(super) fn new(columns: Columns<'a>) -> Result<Self> {
        Ok(Self {
            name: columns.get("scope_name")?,
            version: columns.get("scope_version")?,
            attributes: AttributeColumn::new(columns, "scope_attributes")?,
        })
    }

    pub(super) fn row(&self, row: usize) -> Scope {
        Scope {
            name: self.name.value(row).to_owned(),
            version: self.version.value(row).to_owned(),
            attributes: self.attributes.row(row),
        }
    }
}

struct EventColumns<'a> {
    offsets: &'a [i32],
    time: &'a Int64Array,
    name: &'a StringArray,
    attributes: AttributeColumn<'a>,
}

impl<'a> EventColumns<'a> {
    fn new(columns: Columns<'a>) -> Result<Self> {
        let (offsets, events) = columns.list("events")?;
        Ok(Self {
            offsets,
            time: events.get("time_unix_nano")?,
            name: events.get("name")?,
            attributes: AttributeColumn::new(events, "attributes")?,
        })
    }

    fn event(&self, at: usize) -> SpanEvent {
        SpanEvent {
            time_unix_nano: self.time.value(at),
            name: self.name.value(at).to_owned(),
            attributes: self.attributes.row(at),
        }
    }
}

struct LinkColumns<'a> {
    offsets: &'a [i32],
    columns: Columns<'a>,
    trace_id: &'a StringArray,
    span_id: &'a StringArray,
    trace_state: &'a StringArray,
    attributes: AttributeColumn<'a>,
}

impl<'a> LinkColumns<'a> {
    fn new(columns: Columns<'a>) -> Result<Self> {
        let (offsets, links) = columns.list("links")?;
        Ok(Self {
            offsets,
            columns: links,
            trace_id: links.get("trace_id")?,
            span_id: links.get("span_id")?,
            trace_state: links.get("trace_state")?,
            attributes: AttributeColumn::new(links, "attributes")?,
        })
    }

    fn link(&self, at: usize) -> Result<SpanLink> {
        Ok(SpanLink {
            trace_id: self.columns.required_id(self.trace_id, at)?,
            span_id: self.columns.required_id(self.span_id, at)?,
            trace_state: self.trace_state.value(at).to_owned(),
            attributes: self.attributes.row(at),
        })
    }
}
