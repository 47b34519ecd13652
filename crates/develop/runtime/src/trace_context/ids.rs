//! Ids of traces and spans.

use std::fmt;

use crate::random::SharedRandom;

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// None where all bytes are zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<TraceId> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// None where all bytes are zero.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<SpanId> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes ids. Threads share it without a lock.
///
/// A trace's id takes its halves from two generators of their own seeds, so that two processes give the same ids only if both
/// seeds agree. Not secret: whoever sees an id can tell the next ones.
#[derive(Debug)]
pub struct Ids {
    high: SharedRandom,
    low: SharedRandom,
}

impl Ids {
    /// The same ids for the same seeds.
    pub const fn seeded(high: u64, low: u64) -> Ids {
        Ids { high: SharedRandom::seeded(high), low: SharedRandom::seeded(low) }
    }

    /// Seeded by the operating system.
    pub fn from_system() -> Ids {
        Ids { high: SharedRandom::from_system(), low: SharedRandom::from_system() }
    }

    /// The id of a new trace.
    pub fn trace_id(&self) -> TraceId {
        loop {
            let bits = (u128::from(self.high.bits()) << 64) | u128::from(self.low.bits());
            if let Some(id) = TraceId::from_bytes(bits.to_be_bytes()) {
                return id;
            }
        }
    }

    /// The id of a new span.
    pub fn span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::from_bytes(self.low.bits().to_be_bytes()) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_not_given_twice_and_a_seed_gives_the_same() {
        let ids = Ids::seeded(6, 7);
        let given: HashSet<SpanId> = (0..10_000).map(|_| ids.span_id()).collect();
        assert_eq!(given.len(), 10_000);
        let (a, b) = (Ids::seeded(2, 3), Ids::seeded(2, 3));
        assert_eq!(a.trace_id(), b.trace_id());
        assert_ne!(a.trace_id(), a.trace_id());
    }
}
