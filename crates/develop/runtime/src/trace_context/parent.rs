//! The `traceparent` header: `00-<trace id>-<span id>-<flags>`, in lower-case hexadecimal.

use std::fmt;

use super::{SpanId, TraceId};

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// Length of version 00, and of the part of later versions that is understood.
const LENGTH: usize = 55;
const DASHES: [usize; 3] = [2, 35, 52];

/// The flags that are known: sampled, and random from Level 2 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u8);

impl TraceFlags {
    const SAMPLED: u8 = 1;
    const RANDOM: u8 = 2;

    /// Whether the caller may have recorded the trace, and whether the last seven bytes of the trace's id are random.
    pub const fn new(sampled: bool, random: bool) -> TraceFlags {
        TraceFlags(sampled as u8 * Self::SAMPLED + random as u8 * Self::RANDOM)
    }

    /// Whether the caller may have recorded the trace.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }

    /// Whether the last seven bytes of the trace's id are random.
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM != 0
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that sent the request; the parent of what is done for it.
    pub span_id: SpanId,
    /// Flags; those that nobody has defined yet are zero, as the specification asks of whoever sends them on.
    pub flags: TraceFlags,
}

impl TraceParent {
    /// Reads a header's value, white space around it aside.
    ///
    /// Of a version after 00 the fields that 00 has are read, and what follows them after a dash is passed over. Of its flags
    /// only *sampled* is known to mean the same.
    ///
    /// # Errors
    /// [`TraceParentError`]: the trace has to be started anew.
    pub fn parse(value: &[u8]) -> Result<TraceParent, TraceParentError> {
        let value = value.trim_ascii();
        let length = TraceParentError::Length { given: value.len() };
        let (fields, rest) = value.split_first_chunk::<LENGTH>().ok_or(length.clone())?;
        if let Some(at) = DASHES.into_iter().find(|at| fields[*at] != b'-') {
            return Err(TraceParentError::Character { at });
        }
        let [version] = hex(fields, 0)?;
        match (version, rest) {
            (0xff, _) => return Err(TraceParentError::Version),
            (0, [_, ..]) => return Err(length),
            (_, [] | [b'-', ..]) => {}
            (_, _) => return Err(TraceParentError::Character { at: LENGTH }),
        }
        let trace_id = TraceId::from_bytes(hex(fields, 3)?).ok_or(TraceParentError::ZeroTraceId)?;
        let span_id = SpanId::from_bytes(hex(fields, 36)?).ok_or(TraceParentError::ZeroSpanId)?;
        let [flags] = hex(fields, 53)?;
        let known = if version == 0 { TraceFlags::SAMPLED | TraceFlags::RANDOM } else { TraceFlags::SAMPLED };
        Ok(TraceParent { trace_id, span_id, flags: TraceFlags(flags & known) })
    }

    /// The header's value, in version 00.
    pub fn header(&self) -> [u8; LENGTH] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut value[3..35], &self.trace_id.to_bytes());
        write_hex(&mut value[36..52], &self.span_id.to_bytes());
        write_hex(&mut value[53..55], &[self.flags.bits()]);
        value
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags.bits())
    }
}

/// The `N` bytes written from `start` on.
fn hex<const N: usize>(fields: &[u8; LENGTH], start: usize) -> Result<[u8; N], TraceParentError> {
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let at = start + 2 * index;
        *byte = (digit(fields, at)? << 4) | digit(fields, at + 1)?;
    }
    Ok(bytes)
}

/// Capitals are no digits here.
fn digit(fields: &[u8; LENGTH], at: usize) -> Result<u8, TraceParentError> {
    match fields[at] {
        digit @ b'0'..=b'9' => Ok(digit - b'0'),
        digit @ b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(TraceParentError::Character { at }),
    }
}

fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (out, byte) in out.chunks_exact_mut(2).zip(bytes) {
        out[0] = DIGITS[usize::from(byte >> 4)];
        out[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Why a `traceparent` was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceParentError {
    /// It has another length than its version has.
    Length {
        /// The length, in bytes.
        given: usize,
    },
    /// It claims version ff, which there is not.
    Version,
    /// A character is not what the format has at this position.
    Character {
        /// The position in bytes, from zero.
        at: usize,
    },
    /// The trace's id is zero.
    ZeroTraceId,
    /// The span's id is zero.
    ZeroSpanId,
}

impl fmt::Display for TraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceParentError::Length { given } => {
                write!(f, "traceparent has {given} bytes; version 00 has {LENGTH}")
            }
            TraceParentError::Version => {
                write!(f, "traceparent claims version ff, which is forbidden; send 00")
            }
            TraceParentError::Character { at } => write!(
                f,
                "traceparent has a character at byte {at} that does not belong there; send 00-TRACEID-SPANID-FLAGS in \
                 lower-case hexadecimal"
            ),
            TraceParentError::ZeroTraceId => {
                write!(f, "traceparent has a trace id of zeros; send a random one")
            }
            TraceParentError::ZeroSpanId => {
                write!(f, "traceparent has a span id of zeros; send a random one")
            }
        }
    }
}

impl std::error::Error for TraceParentError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "12345678901234567890123456789012";
    const SPAN: &str = "1234567890123456";

    fn parse(value: &str) -> Result<TraceParent, TraceParentError> {
        TraceParent::parse(value.as_bytes())
    }

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let sampled = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid");
        assert_eq!(sampled.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(sampled.span_id.to_string(), "00f067aa0ba902b7");
        assert!(sampled.flags.is_sampled() && !sampled.flags.is_random());
        let unsampled = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").expect("valid");
        assert!(!unsampled.flags.is_sampled());
    }

    /// The cases of W3C's test suite for implementations, `test/test.py` of w3c/trace-context.
    #[test]
    fn what_the_test_suite_of_the_specification_restarts_is_refused() {
        for value in [
            format!("00-{TRACE}-{SPAN}-01."),
            format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!(".0-{TRACE}-{SPAN}-01"),
            format!("0.-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("0000-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-00000000000000000000000000000000-{SPAN}-01"),
            format!("00-.2345678901234567890123456789012-{SPAN}-01"),
            format!("00-1234567890123456789012345678901.-{SPAN}-01"),
            format!("00-{TRACE}3-{SPAN}-01"),
            format!("00-1234567890123456789012345678901-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{TRACE}-.234567890123456-01"),
            format!("00-{TRACE}-123456789012345.-01"),
            format!("00-{TRACE}-{SPAN}7-01"),
            format!("00-{TRACE}-123456789012345-01"),
            format!("00-{TRACE}-{SPAN}-.0"),
            format!("00-{TRACE}-{SPAN}-0."),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{}-{SPAN}-01", "ABCDEF78901234567890123456789012"),
            String::new(),
        ] {
            assert!(parse(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_later_version_is_read_by_its_known_beginning() {
        for value in
            [format!("cc-{TRACE}-{SPAN}-03"), format!("cc-{TRACE}-{SPAN}-03-what-the-future-will-be-like")]
        {
            let parent = parse(&value).expect("a later version");
            assert_eq!(parent.to_string(), format!("00-{TRACE}-{SPAN}-01"));
        }
    }

    #[test]
    fn white_space_around_is_passed_over() {
        let value = format!("\t 00-{TRACE}-{SPAN}-01 \t");
        assert_eq!(parse(&value).expect("valid").trace_id.to_string(), TRACE);
    }

    #[test]
    fn flags_that_nobody_has_defined_are_not_sent_on() {
        let parent = parse(&format!("00-{TRACE}-{SPAN}-ff")).expect("valid");
        assert_eq!(parent.to_string(), format!("00-{TRACE}-{SPAN}-03"));
    }

    #[test]
    fn an_error_says_where() {
        let error = parse(&format!("00-{TRACE}+{SPAN}-01")).expect_err("a plus");
        assert!(error.to_string().contains("byte 35"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool, random: bool) {
            let parent = TraceParent {
                trace_id: TraceId::from_bytes(trace.to_be_bytes()).expect("not zero"),
                span_id: SpanId::from_bytes(span.to_be_bytes()).expect("not zero"),
                flags: TraceFlags::new(sampled, random),
            };
            let header = parent.header();
            prop_assert_eq!(TraceParent::parse(&header), Ok(parent));
            prop_assert_eq!(String::from_utf8_lossy(&header), parent.to_string());
        }

        #[test]
        fn one_wrong_byte_never_gives_the_same_trace_silently(at in 0_usize..55, byte: u8) {
            let mut value = format!("00-{TRACE}-{SPAN}-01").into_bytes();
            let good = TraceParent::parse(&value).expect("valid");
            prop_assume!(value[at] != byte && at < 53);
            value[at] = byte;
            if let Ok(parent) = TraceParent::parse(&value) {
                prop_assert!(parent != good || at < 2, "byte {at} became {byte}");
            }
        }
    }
}
