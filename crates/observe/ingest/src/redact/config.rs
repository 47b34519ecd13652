//! What to take out, as plain values.

/// Rules of redaction. Applied to keys first, then to the values that are left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Rules by attribute key. For each key the first rule that matches counts.
    pub keys: Vec<KeyRule>,
    /// Rules by what text contains, applied one after the other.
    pub values: Vec<ValueRule>,
    /// The secret that hashes are keyed with. Needed where a rule hashes: without one, anybody could find e-mail addresses or
    /// card numbers by trying.
    pub hash_secret: Vec<u8>,
    /// Whether the rules hold for labels of metrics too. Series that differ only in what is taken out then become one.
    pub metric_labels: bool,
}

/// A rule by attribute key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRule {
    /// Which keys.
    pub pattern: KeyPattern,
    /// What becomes of the attribute.
    pub action: KeyAction,
}

/// Which keys a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPattern {
    /// This key.
    Exact(String),
    /// Keys of this form, where `*` stands for any text and `?` for one character.
    Glob(String),
    /// Keys that match all of this regular expression.
    Regex(String),
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// It is left out.
    Drop,
    /// Its value becomes `***`.
    Mask,
    /// Its value becomes 32 hex digits that are the same for the same value, so that it can still be counted and joined.
    Hash,
}

/// A rule by what text contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    /// Which parts of a text.
    pub pattern: ValuePattern,
    /// What becomes of each.
    pub action: ValueAction,
}

/// Which parts of a text a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePattern {
    /// Every match of this regular expression.
    Regex(String),
    /// A kind of secret that is known.
    Known(Secret),
}

/// Kinds of secrets that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// E-mail addresses.
    Email,
    /// Payment card numbers: of a known issuer, with a valid check digit (Luhn).
    CreditCard,
    /// The token of a `Bearer` authorisation.
    BearerToken,
    /// AWS access key ids.
    AwsKey,
    /// IPv4 addresses.
    Ipv4,
}

impl Secret {
    /// The word that configuration has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::CreditCard => "credit_card",
            Self::BearerToken => "bearer_token",
            Self::AwsKey => "aws_key",
            Self::Ipv4 => "ipv4",
        }
    }
}

impl std::str::FromStr for Secret {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Email, Self::CreditCard, Self::BearerToken, Self::AwsKey, Self::Ipv4];
        all.into_iter().find(|secret| secret.as_str() == word).ok_or(())
    }
}

/// What becomes of a part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueAction {
    /// This stands in its place, as it is.
    Replace(String),
    /// 32 hex digits stand in its place, the same for the same text.
    Hash,
}

impl Default for ValueAction {
    fn default() -> Self {
        Self::Replace(MASK.to_owned())
    }
}

/// What stands in the place of what was taken out.
pub(super) const MASK: &str = "***";
