//! How many labels a series may have, and how long they may be.

use kandela_model::LabelsRef;

/// Limits on the labels of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    /// Labels, the metric's name included.
    pub labels: u64,
    /// Bytes of a label's name.
    pub name_bytes: u64,
    /// Bytes of a label's value.
    pub value_bytes: u64,
}

/// What of a series is past its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// The number of its labels.
    Labels,
    /// The name of a label.
    Name,
    /// The value of a label.
    Value,
}

/// How far a series is past a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess<'a> {
    /// What of it.
    pub of: TooMuch,
    /// The label's name; empty where the number is meant.
    pub label: &'a str,
    /// Labels or bytes that there are.
    pub found: u64,
    /// Labels or bytes that there may be.
    pub allowed: u64,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { labels: 128, name_bytes: 1_024, value_bytes: 8_192 }
    }
}

impl LabelLimits {
    /// The first limit that `labels` is past.
    pub fn exceeded<'a>(&self, labels: LabelsRef<'a>) -> Option<Excess<'a>> {
        let Self { labels: count, name_bytes, value_bytes } = *self;
        // A label takes at least four bytes and none is longer than the set, so most sets are fine at a glance.
        let bytes = labels.as_bytes().len() as u64;
        if bytes <= name_bytes.min(value_bytes) && bytes / 4 <= count {
            return None;
        }
        let excess = |of, label, found: usize, allowed| {
            (found as u64 > allowed).then_some(Excess { of, label, found: found as u64, allowed })
        };
        excess(TooMuch::Labels, "", labels.len(), count).or_else(|| {
            labels.iter().find_map(|(name, value)| {
                excess(TooMuch::Name, name, name.len(), name_bytes)
                    .or_else(|| excess(TooMuch::Value, name, value.len(), value_bytes))
            })
        })
    }
}
