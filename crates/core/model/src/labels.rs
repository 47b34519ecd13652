//! Label sets in one canonical byte form.
//!
//! A label set is kept as the concatenation, in ascending byte order of names, of
//! `varint(len(name)) name varint(len(value)) value`. One allocation holds it, equality is a `memcmp`, and its hash is the
//! hash of the bytes. Names are unique; an empty value means the label is absent, as in Prometheus, and is never kept.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The bits of an identity that are of the whole set.
const SET_BITS: u64 = (1 << 48) - 1;

/// The label that carries the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Why a label set was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// A label stood twice in the set.
    Duplicate {
        /// The label's name.
        name: String,
    },
    /// A label had no name.
    EmptyName,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { name } => {
                write!(f, "label {name:?} appears twice in one label set; send each label once")
            }
            Self::EmptyName => write!(f, "a label has an empty name; every label needs a name"),
        }
    }
}

impl std::error::Error for LabelError {}

/// An owned label set.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Box<[u8]>);

/// A borrowed label set in canonical form; copying it copies a pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelsRef<'a>(&'a [u8]);

impl Labels {
    /// A label set from pairs in any order.
    ///
    /// # Errors
    /// When a name is empty or stands twice.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, LabelError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        // Room for nearly all label sets: to cut off what is left costs less than to grow.
        let mut bytes = Vec::with_capacity(256);
        encode_into(&mut bytes, pairs)?;
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// This set, borrowed.
    pub fn as_ref(&self) -> LabelsRef<'_> {
        LabelsRef(&self.0)
    }

    /// The value of `name`, if the label is present.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.as_ref().get(name)
    }

    /// The labels in ascending order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_ref().iter()
    }
}

impl<'a> LabelsRef<'a> {
    /// Reads bytes that [`LabelsRef::as_bytes`] gave, checking all that the other methods rely on; `None` where they
    /// are not a canonical label set.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut previous: Option<&[u8]> = None;
        while !rest.is_empty() {
            let (name, after_name) = take(rest)?;
            let (value, after_value) = take(after_name)?;
            let in_order = previous.is_none_or(|previous| previous < name);
            if name.is_empty() || value.is_empty() || !in_order {
                return None;
            }
            std::str::from_utf8(name).ok()?;
            std::str::from_utf8(value).ok()?;
            previous = Some(name);
            rest = after_value;
        }
        Some(Self(bytes))
    }

    /// Reads bytes that [`LabelsRef::as_bytes`] gave and that a checksum has guarded since. Bytes that are no label set
    /// give a set that reads as shorter, never a panic.
    pub fn from_trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The canonical bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// An owned copy.
    pub fn to_owned(self) -> Labels {
        Labels(self.0.into())
    }

    /// The labels in ascending order of names.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, after_name) = take(rest)?;
            let (value, after_value) = take(after_name)?;
            rest = after_value;
            Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
        })
    }

    /// The value of `name`, if the label is present.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let mut rest = self.0;
        loop {
            let (this, after_name) = take(rest)?;
            let (value, after_value) = take(after_name)?;
            match this.cmp(name.as_bytes()) {
                Ordering::Less => rest = after_value,
                Ordering::Equal => return std::str::from_utf8(value).ok(),
                Ordering::Greater => return None,
            }
        }
    }

    /// The metric's name, if the set has one.
    pub fn metric_name(self) -> Option<&'a str> {
        self.get(METRIC_NAME)
    }

    /// Appends the canonical bytes of those labels whose names `keep` says; they are a label set again.
    pub fn retain_into(self, bytes: &mut Vec<u8>, keep: impl Fn(&str) -> bool) {
        let mut rest = self.0;
        while let Some((name, after_name)) = take(rest)
            && let Some((_, after_value)) = take(after_name)
        {
            if std::str::from_utf8(name).is_ok_and(&keep) {
                bytes.extend_from_slice(rest.get(..rest.len() - after_value.len()).unwrap_or_default());
            }
            rest = after_value;
        }
    }

    /// How many labels the set has.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether the set has no label.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The identity that this set has in every table and on every node. Its upper 16 bits are of the metric's name, so that
    /// series of one metric lie side by side wherever rows are sorted by it; the lower 48 are of the canonical bytes, seeded
    /// with `salt`; both by XXH3-64. Salt 0 is tried first; a collision takes the next salt that is free.
    pub fn series_id(self, salt: u32) -> i64 {
        let metric = xxh3_64(self.metric_name().unwrap_or_default().as_bytes());
        let set = xxh3_64_with_seed(self.0, u64::from(salt));
        ((metric & !SET_BITS) | (set & SET_BITS)) as i64
    }
}

/// Appends the canonical bytes of `pairs` to `bytes`, sorting only when the pairs did not come sorted.
///
/// # Errors
/// When a name is empty or stands twice; `bytes` is then as it was.
pub(crate) fn encode_into<N, V>(
    bytes: &mut Vec<u8>,
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Result<(), LabelError>
where
    N: AsRef<str>,
    V: AsRef<str>,
{
    let start = bytes.len();
    let mut pairs = pairs.into_iter();
    let mut last_name: Option<(usize, usize)> = None;
    while let Some((name, value)) = pairs.next() {
        let (name, value) = (name.as_ref(), value.as_ref());
        if name.is_empty() {
            bytes.truncate(start);
            return Err(LabelError::EmptyName);
        }
        if value.is_empty() {
            continue;
        }
        let out_of_order = last_name
            .is_some_and(|(from, to)| bytes.get(from..to).is_some_and(|last| last >= name.as_bytes()));
        if out_of_order {
            let mut all: Vec<(String, String)> =
                LabelsRef(bytes.get(start..).unwrap_or_default()).iter().map(owned).collect();
            all.push(owned((name, value)));
            all.extend(pairs.map(|(n, v)| owned((n.as_ref(), v.as_ref()))));
            bytes.truncate(start);
            return encode_unsorted(bytes, all);
        }
        put_varint(bytes, name.len());
        last_name = Some((bytes.len(), bytes.len() + name.len()));
        bytes.extend_from_slice(name.as_bytes());
        put_varint(bytes, value.len());
        bytes.extend_from_slice(value.as_bytes());
    }
    Ok(())
}

fn encode_unsorted(bytes: &mut Vec<u8>, mut pairs: Vec<(String, String)>) -> Result<(), LabelError> {
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort_unstable();
    let repeated = pairs.windows(2).find_map(|pair| match pair {
        [(first, _), (second, _)] if first == second => Some(first.clone()),
        _ => None,
    });
    match repeated {
        Some(name) => Err(LabelError::Duplicate { name }),
        None => encode_into(bytes, pairs),
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn put_varint(bytes: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        bytes.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

/// The length-prefixed field at the front of `bytes`, and what follows it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0usize;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        len |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return bytes.get(i + 1..)?.split_at_checked(len);
        }
    }
    None
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric_name().unwrap_or_default())?;
        let mut open = false;
        for (name, value) in self.iter().filter(|(name, _)| *name != METRIC_NAME) {
            write!(f, "{}{name}={value:?}", if open { ", " } else { "{" })?;
            open = true;
        }
        if open { write!(f, "}}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_of_arrival_does_not_change_identity() {
        let sorted = Labels::new([("__name__", "up"), ("instance", "a"), ("job", "b")]).unwrap();
        let shuffled = Labels::new([("job", "b"), ("__name__", "up"), ("instance", "a")]).unwrap();
        assert_eq!(sorted, shuffled);
        assert_eq!(sorted.as_ref().series_id(0), shuffled.as_ref().series_id(0));
    }

    #[test]
    fn an_empty_value_is_an_absent_label() {
        let labels = Labels::new([("__name__", "up"), ("job", "")]).unwrap();
        assert_eq!(labels, Labels::new([("__name__", "up")]).unwrap());
    }

    #[test]
    fn a_label_that_stands_twice_is_refused_by_name() {
        let error = Labels::new([("job", "a"), ("job", "b")]).unwrap_err();
        assert_eq!(error, LabelError::Duplicate { name: "job".into() });
    }

    #[test]
    fn a_refused_set_leaves_the_buffer_as_it_was() {
        let mut bytes = vec![7];
        assert!(encode_into(&mut bytes, [("a", "1"), ("", "2")]).is_err());
        assert!(encode_into(&mut bytes, [("b", "1"), ("a", "2"), ("a", "3")]).is_err());
        assert_eq!(bytes, [7]);
    }

    #[test]
    fn series_of_one_metric_lie_side_by_side() {
        let id = |job: &str| Labels::new([("__name__", "up"), ("job", job)]).unwrap().as_ref().series_id(0);
        assert_ne!(id("a"), id("b"));
        assert_eq!(id("a") >> 48, id("b") >> 48);
    }

    #[test]
    fn salts_give_other_identities() {
        let labels = Labels::new([("__name__", "up")]).unwrap();
        assert_ne!(labels.as_ref().series_id(0), labels.as_ref().series_id(1));
    }

    #[test]
    fn it_prints_as_people_write_it() {
        let labels = Labels::new([("job", "shop"), ("__name__", "up")]).unwrap();
        assert_eq!(labels.to_string(), r#"up{job="shop"}"#);
    }

    proptest! {
        #[test]
        fn canonical_bytes_round_trip(pairs in proptest::collection::btree_map("[a-z_]{1,200}", ".{0,300}", 0..12)) {
            let labels = Labels::new(&pairs).unwrap();
            let kept: Vec<_> = pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(labels.iter().collect::<Vec<_>>(), kept);
            prop_assert_eq!(LabelsRef::from_bytes(labels.as_ref().as_bytes()), Some(labels.as_ref()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(labels) = LabelsRef::from_bytes(&bytes) {
                let rebuilt = Labels::new(labels.iter()).unwrap();
                prop_assert_eq!(rebuilt.iter().collect::<Vec<_>>(), labels.iter().collect::<Vec<_>>());
            }
        }
    }
}
