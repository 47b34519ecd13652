//! The `tracestate` header: what each tracing system along the way keeps, the latest first.

use std::borrow::Cow;
use std::fmt;

/// The header's name.
pub const TRACESTATE: &str = "tracestate";
/// The most members of a list.
pub const MOST_MEMBERS: usize = 32;
/// The longest value that is sent on, in bytes.
pub const LONGEST_STATE: usize = 512;
/// Members longer than this go first where the whole is too long.
const LONG_MEMBER: usize = 128;

/// Members `key=value` with distinct keys, the one that changed last in front.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceState {
    /// The members, joined with commas.
    members: String,
}

impl TraceState {
    /// Reads the values of all `tracestate` headers of a request, in their order. Empty members are passed over.
    ///
    /// # Errors
    /// [`TraceStateError`]: the state has to be dropped, the trace goes on.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<TraceState, TraceStateError> {
        let mut members: Vec<(&str, &str)> = Vec::new();
        for member in values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let at = members.len();
            let member = without_surrounding_space(member);
            if member.is_empty() {
                continue;
            }
            if at == MOST_MEMBERS {
                return Err(TraceStateError::TooManyMembers);
            }
            let bad = TraceStateError::Member { at };
            let (key, value) = std::str::from_utf8(member)
                .ok()
                .and_then(|member| member.split_once('='))
                .ok_or(bad.clone())?;
            if !is_key(key) || !is_value(value) {
                return Err(bad);
            }
            if members.iter().any(|(known, _)| *known == key) {
                return Err(TraceStateError::Repeated { key: key.to_owned() });
            }
            members.push((key, value));
        }
        Ok(TraceState::of(members))
    }

    fn of<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> TraceState {
        let mut joined = String::new();
        for (key, value) in members {
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.extend([key, "=", value]);
        }
        TraceState { members: joined }
    }

    /// All members, joined with commas, however long; for the header see [`TraceState::header`].
    pub fn as_str(&self) -> &str {
        &self.members
    }

    /// Keys and values, in their order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.split(',').filter_map(|member| member.split_once('='))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// With `key` at `value`, in front. A 33rd member pushes out the last.
    ///
    /// # Errors
    /// [`TraceStateError::Member`] where key or value are not of the grammar.
    pub fn with(&self, key: &str, value: &str) -> Result<TraceState, TraceStateError> {
        if !is_key(key) || !is_value(value) {
            return Err(TraceStateError::Member { at: 0 });
        }
        let others = self.members().filter(|(known, _)| *known != key);
        Ok(TraceState::of(std::iter::once((key, value)).chain(others).take(MOST_MEMBERS)))
    }

    /// Whether there are no members; such a state is not sent.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The header's value, of [`LONGEST_STATE`] bytes at most: where it would be longer, whole members go, first those over 128
    /// bytes from the last on, then any from the last on.
    pub fn header(&self) -> Cow<'_, str> {
        if self.members.len() <= LONGEST_STATE {
            return Cow::Borrowed(&self.members);
        }
        let mut kept: Vec<&str> = self.members.split(',').collect();
        let mut length = self.members.len();
        while length > LONGEST_STATE {
            let long = kept.iter().rposition(|member| member.len() > LONG_MEMBER);
            let dropped = kept.remove(long.unwrap_or(kept.len() - 1));
            length -= dropped.len() + 1;
        }
        Cow::Owned(kept.join(","))
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.members)
    }
}

/// RFC 9110's optional white space: spaces and tabs, no other.
fn without_surrounding_space(member: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = member.iter().position(|byte| !is_space(byte)).unwrap_or(member.len());
    let end = member.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &member[start..end]
}

fn is_key(key: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_next = |byte: u8| is_first(byte) || b"_-*/@".contains(&byte);
    (1..=256).contains(&key.len()) && is_first(key.as_bytes()[0]) && key.bytes().all(is_next)
}

fn is_value(value: &str) -> bool {
    let is_character = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_character) && !value.ends_with(' ')
}

/// Why a `tracestate` was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceStateError {
    /// More members than there may be.
    TooManyMembers,
    /// A member is not `key=value` with a good key and a good value.
    Member {
        /// Which, from zero, empty ones aside.
        at: usize,
    },
    /// A key comes twice.
    Repeated {
        /// The key.
        key: String,
    },
}

impl fmt::Display for TraceStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceStateError::TooManyMembers => {
                write!(f, "tracestate has over {MOST_MEMBERS} members; send the latest {MOST_MEMBERS}")
            }
            TraceStateError::Member { at } => write!(
                f,
                "tracestate's member {at} is no key=value with a key of a-z, 0-9, _-*/@ and a value of printable ASCII \
                 without , and =; both have 1 to 256 characters"
            ),
            TraceStateError::Repeated { key } => {
                write!(f, "tracestate has {key} twice; send the latest only")
            }
        }
    }
}

impl std::error::Error for TraceStateError {}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn parse(values: &[&str]) -> Result<TraceState, TraceStateError> {
        TraceState::parse(values.iter().map(|value| value.as_bytes()))
    }

    fn read(values: &[&str]) -> String {
        parse(values).expect("valid").to_string()
    }

    /// The cases of W3C's test suite for implementations, `test/test.py` of w3c/trace-context.
    #[test]
    fn what_the_test_suite_of_the_specification_inherits_is_read() {
        assert_eq!(read(&["foo=1,bar=2"]), "foo=1,bar=2");
        assert_eq!(read(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]), "foo=1,bar=2,rojo=1,congo=2,baz=3");
        assert_eq!(read(&[""]), "");
        assert_eq!(read(&["foo=1", ""]), "foo=1");
        assert_eq!(read(&["", "foo=1"]), "foo=1");
        assert_eq!(read(&["foo=1 \t , \t bar=2, \t baz=3"]), "foo=1,bar=2,baz=3");
        assert_eq!(read(&["\t foo=1 \t"]), "foo=1");
        let characters: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
        let all = format!("abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/={characters}");
        assert_eq!(read(&[&all]), all);
        let most: Vec<String> = (0..32).map(|n| format!("bar{n:02}={n:02}")).collect();
        assert_eq!(read(&[&most.join(",")]), most.join(","));
        let long = format!("{}={}", "a".repeat(256), "b".repeat(256));
        assert_eq!(read(&[&long]), long);
    }

    #[test]
    fn what_the_test_suite_of_the_specification_drops_is_refused() {
        let too_many: Vec<String> = (0..33).map(|n| format!("bar{n:02}={n:02}")).collect();
        for value in [
            "foo=1,foo=1",
            "foo=1,foo=2",
            "foo =1",
            "FOO=1",
            "foo.bar=1",
            "@foo=1,bar=2",
            "foo=bar=baz",
            "foo=,bar=3",
            "foo",
            "=1",
            "foo=\u{1},bar=1",
            "foo=é",
            &too_many.join(","),
            &format!("{}=1", "z".repeat(257)),
            &format!("z={}", "z".repeat(257)),
        ] {
            assert!(parse(&[value]).is_err(), "{value}");
        }
        assert_eq!(parse(&["foo=1", "foo=2"]), Err(TraceStateError::Repeated { key: "foo".to_owned() }));
    }

    #[test]
    fn spaces_in_front_of_a_value_belong_to_it() {
        assert_eq!(parse(&["foo=  1"]).expect("valid").get("foo"), Some("  1"));
    }

    #[test]
    fn a_member_that_changes_comes_to_the_front() {
        let state = parse(&["congo=1,rojo=2"]).expect("valid");
        assert_eq!(state.with("rojo", "3").expect("valid").to_string(), "rojo=3,congo=1");
        assert_eq!(state.with("new", "4").expect("valid").to_string(), "new=4,congo=1,rojo=2");
        assert!(state.with("Rojo", "3").is_err());
    }

    #[test]
    fn a_member_too_many_pushes_out_the_last() {
        let members: Vec<String> = (0..32).map(|n| format!("k{n}={n}")).collect();
        let state = parse(&[&members.join(",")]).expect("valid").with("new", "1").expect("valid");
        assert_eq!(state.members().count(), 32);
        assert_eq!((state.get("new"), state.get("k31"), state.get("k30")), (Some("1"), None, Some("30")));
    }

    #[test]
    fn a_state_that_is_too_long_loses_long_members_first_and_then_the_last() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..10).map(|n| format!("k{n}={}", "y".repeat(50))).collect();
        let state = parse(&[&long, &short.join(",")]).expect("valid");
        assert_eq!(state.header(), short[..9].join(","));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_never_too_long(
            members in btree_map("[a-z0-9][a-z0-9_*/@-]{0,40}", "[ -+\\--<>-~]{0,200}[!-+\\--<>-~]", 0..32),
        ) {
            let mut state = TraceState::default();
            for (key, value) in &members {
                state = state.with(key, value).expect("of the grammar");
            }
            let whole = state.to_string();
            prop_assert_eq!(parse(&[&whole]), Ok(state.clone()));
            let header = state.header().into_owned();
            prop_assert!(header.len() <= LONGEST_STATE);
            let sent = parse(&[&header]).expect("whole members only");
            for (key, value) in sent.members() {
                prop_assert_eq!(members.get(key).map(String::as_str), Some(value));
            }
        }

        #[test]
        fn whatever_bytes_come_what_is_read_can_be_written(values in vec(vec(any::<u8>(), 0..40), 0..4)) {
            if let Ok(state) = TraceState::parse(values.iter().map(Vec::as_slice)) {
                prop_assert_eq!(parse(&[&state.to_string()]), Ok(state));
            }
        }
    }
}
