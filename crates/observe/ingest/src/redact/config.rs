//! What to take out, as plain values.

use kandela_config::kandela::{Find, Kandela, RedactAction, SecretKind};

use super::RedactError;

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
    Known(SecretKind),
}

/// What becomes of a part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueAction {
    /// This stands in its place, as it is.
    Replace(String),
    /// 32 hex digits stand in its place, the same for the same text.
    Hash,
}

impl Config {
    /// What the section `kandela` of a configuration says; reads the file with the secret.
    ///
    /// # Errors
    /// When that file cannot be read.
    pub fn of(kandela: &Kandela) -> Result<Self, RedactError> {
        let secret = kandela.redact_hash_secret_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file);
            text.map_err(|e| RedactError::SecretFile { file: file.clone(), error: e.to_string() })
        });
        let secret = secret.transpose()?.unwrap_or_default();
        let mut config = Self {
            hash_secret: secret.trim().as_bytes().to_vec(),
            metric_labels: kandela.redact_metric_labels,
            ..Self::default()
        };
        for rule in &kandela.redact {
            let keys: Vec<KeyPattern> = rule.keys.iter().cloned().map(KeyPattern::Glob).collect();
            let replacement = || rule.replacement.clone();
            match &rule.find {
                Some(find) => config.values.push(ValueRule {
                    keys,
                    pattern: match find {
                        Find::Pattern(pattern) => ValuePattern::Regex(pattern.clone()),
                        Find::Kind(kind) => ValuePattern::Known(*kind),
                    },
                    action: match rule.action {
                        RedactAction::Hash => ValueAction::Hash,
                        RedactAction::Replace | RedactAction::Drop => ValueAction::Replace(replacement()),
                    },
                }),
                None => config.keys.extend(keys.into_iter().map(|pattern| KeyRule {
                    pattern,
                    action: match rule.action {
                        RedactAction::Drop => KeyAction::Drop,
                        RedactAction::Hash => KeyAction::Hash,
                        RedactAction::Replace => KeyAction::Replace(replacement()),
                    },
                })),
            }
        }
        Ok(config)
    }
}
