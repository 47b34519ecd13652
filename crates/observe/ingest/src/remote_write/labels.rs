//! Turns labels as they stand on the wire into the canonical form, in a buffer that is used again for every series.

use kandela_model::{LabelsRef, METRIC_NAME};

use super::reject::Reason;
use crate::protobuf::{Prefixed, put_varint};

/// The longest label set that a refusal quotes.
const QUOTED_LEN: usize = 256;

/// The label set of the series that is being read.
#[derive(Debug, Default)]
pub(super) struct LabelScratch {
    bytes: Vec<u8>,
    sorted_bytes: Vec<u8>,
    /// Where in `bytes` the name of the last label lies.
    last_name: (usize, usize),
    /// The first byte of the last label's name.
    last_first: Option<u8>,
    has_metric_name: bool,
    /// Whether some name or value is longer than 127 bytes, so that its length takes several bytes.
    has_long: bool,
    out_of_order: bool,
    fault: Option<Reason>,
}

impl LabelScratch {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.last_name = (0, 0);
        self.last_first = None;
        self.has_metric_name = false;
        self.has_long = false;
        self.out_of_order = false;
        self.fault = None;
    }

    /// Adds a label. An empty value means that the label is absent.
    #[inline]
    pub(super) fn push(&mut self, name: Prefixed<'_>, value: Prefixed<'_>) {
        let (name_bytes, value_bytes) = (name.value(), value.value());
        if name_bytes.is_empty() {
            self.refuse(Reason::EmptyLabelName);
            return;
        }
        if value_bytes.is_empty() {
            return;
        }
        let first = name_bytes.first().copied();
        // Most neighbours differ in their first byte already.
        self.out_of_order |= self.last_first >= first && self.last_name() >= name_bytes;
        self.last_first = first;
        self.has_metric_name |= first == Some(b'_') && name_bytes == METRIC_NAME.as_bytes();
        let end = self.append(name);
        self.last_name = (end - name_bytes.len(), end);
        self.append(value);
    }

    fn last_name(&self) -> &[u8] {
        self.bytes.get(self.last_name.0..self.last_name.1).unwrap_or_default()
    }

    #[inline]
    fn append(&mut self, field: Prefixed<'_>) -> usize {
        match field.short() {
            Some(whole) => self.bytes.extend_from_slice(whole),
            None => self.append_long(field.value()),
        }
        self.bytes.len()
    }

    #[cold]
    fn append_long(&mut self, value: &[u8]) {
        self.has_long = true;
        put_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Notes why the series cannot be taken; the first reason stays.
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.fault.get_or_insert(reason);
    }

    /// The canonical label set.
    ///
    /// # Errors
    /// Why it is none.
    #[inline]
    pub(super) fn finish(&mut self) -> Result<LabelsRef<'_>, Reason> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if !self.is_utf8() {
            return Err(Reason::NotUtf8);
        }
        if self.out_of_order {
            self.sort()?;
        }
        if !self.has_metric_name {
            return Err(Reason::NoMetricName);
        }
        Ok(LabelsRef::from_trusted(&self.bytes))
    }

    /// Lengths below 128 are ASCII, and ASCII between strings keeps their sequences apart: then all are UTF-8 exactly when the
    /// whole is.
    #[inline]
    fn is_utf8(&self) -> bool {
        if !self.has_long {
            return simdutf8::basic::from_utf8(&self.bytes).is_ok();
        }
        pairs(&self.bytes)
            .all(|(name, value)| std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok())
    }

    /// The specification wants sorted labels of a sender; Prometheus, as a receiver, sorts them, and so do we.
    #[cold]
    fn sort(&mut self) -> Result<(), Reason> {
        let mut all: Vec<(&[u8], &[u8])> = pairs(&self.bytes).collect();
        all.sort_unstable();
        let twice = all.windows(2).find_map(|pair| match pair {
            [(first, _), (second, _)] if first == second => Some(*first),
            _ => None,
        });
        if let Some(name) = twice {
            return Err(Reason::DuplicateLabel { name: String::from_utf8_lossy(name).into_owned() });
        }
        self.sorted_bytes.clear();
        for (name, value) in all {
            put_varint(&mut self.sorted_bytes, name.len() as u64);
            self.sorted_bytes.extend_from_slice(name);
            put_varint(&mut self.sorted_bytes, value.len() as u64);
            self.sorted_bytes.extend_from_slice(value);
        }
        std::mem::swap(&mut self.bytes, &mut self.sorted_bytes);
        Ok(())
    }

    /// The labels as they came, for a person to find the series by.
    pub(super) fn quote(&self) -> String {
        let mut text = String::from("{");
        for (name, value) in pairs(&self.bytes) {
            let separator = if text.len() > 1 { ", " } else { "" };
            text +=
                &format!("{separator}{}={:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            if text.len() > QUOTED_LEN {
                text.truncate(text.floor_char_boundary(QUOTED_LEN));
                return text + "…}";
            }
        }
        text + "}"
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut reader = crate::protobuf::Reader::new(bytes);
    std::iter::from_fn(move || {
        if reader.at_end() { None } else { Some((reader.bytes().ok()?, reader.bytes().ok()?)) }
    })
}
