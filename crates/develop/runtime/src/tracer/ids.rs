//! Ids of traces and spans, and how they travel: W3C Trace Context, level 2.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id of these bytes; none if they are all zero.
    pub fn new(bytes: [u8; 16]) -> Option<TraceId> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// The id of these bytes; none if they are all zero.
    pub fn new(bytes: [u8; 8]) -> Option<SpanId> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// What one service tells the next of a span. As text, a `traceparent` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the caller keeps it.
    pub is_sampled: bool,
    /// Whether it came from another process.
    pub is_remote: bool,
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.is_sampled))
    }
}

/// A `traceparent` that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "traceparent {:?} is none; it is like 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, ids not all zero",
            self.0
        )
    }
}

impl std::error::Error for ParseError {}

impl FromStr for SpanContext {
    type Err = ParseError;

    /// Reads a `traceparent` header, of later versions too (section 3.2.4 of the recommendation).
    fn from_str(text: &str) -> Result<SpanContext, ParseError> {
        parse(text).ok_or_else(|| ParseError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut fields = text.trim().split('-');
    let [version, trace_id, span_id, flags] = std::array::from_fn(|_| fields.next().unwrap_or_default());
    let version = hex(version, 2)?;
    let has_more = fields.next().is_some();
    if version == 0xff || (version == 0 && has_more) {
        return None;
    }
    Some(SpanContext {
        trace_id: TraceId::new(hex(trace_id, 32)?.to_be_bytes())?,
        span_id: SpanId::new(u64::try_from(hex(span_id, 16)?).ok()?.to_be_bytes())?,
        is_sampled: hex(flags, 2)? & 1 == 1,
        is_remote: true,
    })
}

/// A number of so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Makes ids: a counter, scattered over all 64-bit numbers by SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014), which gives no number twice. A process begins at a random place, so processes meet by chance only.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    next: Arc<AtomicU64>,
    /// The upper half of trace ids has a sequence of its own.
    upper: u64,
}

impl Ids {
    pub(super) fn random() -> Ids {
        // The standard library's only source of randomness: the keys of its hash maps.
        Ids::from_parts(RandomState::new().hash_one(0), RandomState::new().hash_one(1))
    }

    pub(super) fn seeded(seed: u64) -> Ids {
        Ids::from_parts(seed, scattered(!seed))
    }

    fn from_parts(next: u64, upper: u64) -> Ids {
        Ids { next: Arc::new(AtomicU64::new(next)), upper }
    }

    fn next(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        self.next.fetch_add(GOLDEN, Ordering::Relaxed)
    }

    pub(super) fn trace_id(&self) -> TraceId {
        let place = self.next();
        let bytes = u128::from(scattered(place ^ self.upper)) << 64 | u128::from(scattered(place));
        TraceId::new(bytes.to_be_bytes()).unwrap_or_else(|| self.trace_id())
    }

    pub(super) fn span_id(&self) -> SpanId {
        let bytes = scattered(self.next()).to_be_bytes();
        SpanId::new(bytes).unwrap_or_else(|| self.span_id())
    }
}

fn scattered(place: u64) -> u64 {
    let place = (place ^ place >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let place = (place ^ place >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    place ^ place >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written_as_it_was() {
        let context: SpanContext = HEADER.parse().unwrap();
        assert!(context.is_sampled && context.is_remote);
        assert_eq!(context.to_string(), HEADER);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = HEADER.replacen("00", "cc", 1) + "-what-comes";
        assert_eq!(later.parse::<SpanContext>().unwrap().to_string(), HEADER);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let none = [
            String::new(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331".to_owned(),
            HEADER.replacen("00", "ff", 1),
            HEADER.to_owned() + "-more",
            HEADER.to_uppercase(),
            HEADER.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            HEADER.replace("b7ad6b7169203331", &"0".repeat(16)),
            HEADER.replace("-01", "-+1"),
            "é".repeat(40),
        ];
        for text in none {
            assert!(text.parse::<SpanContext>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_not_given_twice_and_a_seed_gives_the_same() {
        let ids = Ids::seeded(7);
        let given: HashSet<SpanId> = (0..10_000).map(|_| ids.span_id()).collect();
        assert_eq!(given.len(), 10_000);
        let (a, b) = (Ids::seeded(3), Ids::seeded(3));
        assert_eq!(a.trace_id(), b.trace_id());
        assert_ne!(a.trace_id(), a.trace_id());
    }
}
