//! What is hidden before anything is stored.

use serde::Serialize;

use crate::named::named;
use crate::re2;
use crate::read::Fields;

/// What stands in the place of what was hidden, unless a rule says otherwise.
const DEFAULT_REPLACEMENT: &str = "<redacted>";

/// One redaction rule. It has keys, a pattern or a kind: keys alone mean whole values of these attributes; a pattern or kind
/// alone means what it finds in every attribute and in log bodies; together they mean what is found in these attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RedactRule {
    /// Attribute keys; `*` stands for any run of characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What is found in a text.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// What becomes of it.
    pub action: RedactAction,
    /// What is written instead, with [`RedactAction::Replace`].
    pub replacement: String,
}

/// What a rule finds in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Find {
    /// A regular expression in RE2's syntax, which may match anywhere in a text; it compiles with [`re2::search`].
    Pattern(String),
    /// A kind of secret that is known.
    Kind(SecretKind),
}

named! {
    /// Kinds of secrets that are known.
    pub enum SecretKind {
        /// E-mail addresses.
        Email = "email",
        /// Payment card numbers: of a known issuer, with a valid check digit (Luhn).
        CreditCard = "credit_card",
        /// The token of a `Bearer` authorisation.
        BearerToken = "bearer_token",
        /// AWS access key ids.
        AwsKey = "aws_key",
        /// IPv4 addresses.
        Ipv4 = "ipv4",
    }
}

named! {
    /// What becomes of what a rule means.
    pub enum RedactAction {
        /// The replacement stands in its place.
        Replace = "replace",
        /// 32 hex digits stand in its place, the same for the same text.
        Hash = "hash",
        /// The attribute is left out.
        Drop = "drop",
    }
}

pub(super) fn rules(fields: &mut Fields<'_>) -> Vec<RedactRule> {
    fields.list("redact", |mut fields| {
        let keys = fields.texts("keys");
        let [has_pattern, has_kind, has_replacement] = ["pattern", "kind", "replacement"]
            .map(|key| fields.peek(key).is_some_and(|item| !item.is_null()));
        let pattern = fields
            .get_set("pattern")
            .and_then(|item| item.parse(|text| re2::search(text).map(|_| text.to_owned())));
        let kind = fields.get_set("kind").and_then(|item| item.parse(SecretKind::parse));
        let action = fields.parse("action", RedactAction::parse).unwrap_or(RedactAction::Replace);
        let replacement = fields.text("replacement").unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned());
        let whole = fields.whole();
        if keys.is_empty() && !has_pattern && !has_kind {
            whole.invalid("a redaction rule needs keys, a pattern or a kind");
        }
        if has_pattern && has_kind {
            whole.invalid("a redaction rule has a pattern or a kind; write two rules");
        }
        if keys.iter().any(String::is_empty) {
            whole.invalid("an attribute's key is empty; write it, or remove the item");
        }
        if action == RedactAction::Drop && (has_pattern || has_kind) {
            whole.invalid("action drop leaves out whole attributes and takes keys alone; use replace for parts of a text");
        }
        if action != RedactAction::Replace && has_replacement {
            whole.invalid("a replacement has no effect with this action; remove it");
        }
        fields.finish(&[]);
        let find = pattern.map(Find::Pattern).or(kind.map(Find::Kind));
        RedactRule { keys, find, action, replacement }
    })
}
