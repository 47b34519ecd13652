//! What to take out, as plain values.

use kandela_config::kandela::RedactRule;

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
    /// Keys that this regular expression, in RE2's syntax, matches as a whole.
    Regex(String),
}

/// What becomes of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// It is left out.
    Drop,
    /// This stands in the place of its value.
    Replace(String),
    /// Its value becomes 32 hex digits that are the same for the same value, so that it can still be counted and joined.
    Hash,
}

/// A rule by what text contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    /// The attributes whose values the rule holds for, with all that is nested in them; none for all text there is.
    pub keys: Vec<KeyPattern>,
    /// Which parts of a text.
    pub pattern: ValuePattern,
    /// What becomes of each.
    pub action: ValueAction,
}

/// Which parts of a text a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePattern {
    /// Every match of this regular expression, in RE2's syntax.
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

/// The section `kandela.redact` of the configuration.
impl From<&[RedactRule]> for Config {
    fn from(rules: &[RedactRule]) -> Self {
        let mut config = Self::default();
        for rule in rules {
            let keys: Vec<KeyPattern> = rule.keys.iter().cloned().map(KeyPattern::Glob).collect();
            match &rule.pattern {
                Some(pattern) => config.values.push(ValueRule {
                    keys,
                    pattern: ValuePattern::Regex(pattern.clone()),
                    action: ValueAction::Replace(rule.replacement.clone()),
                }),
                None => config.keys.extend(keys.into_iter().map(|pattern| KeyRule {
                    pattern,
                    action: KeyAction::Replace(rule.replacement.clone()),
                })),
            }
        }
        config
    }
}
