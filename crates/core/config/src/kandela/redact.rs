//! What is hidden before anything is stored.

use serde::Serialize;

use crate::re2;
use crate::read::Fields;

/// What stands in the place of what was hidden, unless a rule says otherwise.
const DEFAULT_REPLACEMENT: &str = "<redacted>";

/// One redaction rule. It has keys, a pattern or both: keys alone hide whole values of these attributes; a pattern alone
/// hides its matches in every attribute and in log bodies; both hide matches in these attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RedactRule {
    /// Attribute keys; `*` stands for any run of characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// A regular expression in RE2's syntax, which may match anywhere in a text; it compiles with [`re2::search`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What is written instead.
    pub replacement: String,
}

pub(super) fn rules(fields: &mut Fields<'_>) -> Vec<RedactRule> {
    fields.list("redact", |mut fields| {
        let keys = fields.texts("keys");
        let pattern = fields
            .get_set("pattern")
            .and_then(|item| item.parse(|text| re2::search(text).map(|_| text.to_owned())));
        let has_pattern = fields.peek("pattern").is_some_and(|item| !item.is_null());
        if keys.is_empty() && !has_pattern {
            fields.whole().invalid("a redaction rule needs keys, a pattern or both");
        }
        if keys.iter().any(String::is_empty) {
            fields.whole().invalid("an attribute's key is empty; write it, or remove the item");
        }
        let replacement = fields.text("replacement").unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned());
        fields.finish(&[]);
        RedactRule { keys, pattern, replacement }
    })
}
