//! `otlp`: how metrics that arrive by OTLP are named and labelled.

use std::collections::HashSet;

use serde::Serialize;

use crate::named::{NameValidation, named};
use crate::read::Fields;

named! {
    /// How OTLP's names become Prometheus' names.
    pub enum Translation {
        /// Other characters become `_`; unit and type are appended.
        UnderscoreEscapingWithSuffixes = "UnderscoreEscapingWithSuffixes",
        /// Other characters become `_`.
        UnderscoreEscapingWithoutSuffixes = "UnderscoreEscapingWithoutSuffixes",
        /// Names stay; unit and type are appended.
        NoUtf8EscapingWithSuffixes = "NoUTF8EscapingWithSuffixes",
        /// Names stay.
        NoTranslation = "NoTranslation",
    }
}

/// How metrics that arrive by OTLP are named and labelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Otlp {
    /// How names are written.
    pub translation_strategy: Translation,
    /// Whether every resource attribute becomes a label, but those in `ignore_resource_attributes`.
    pub promote_all_resource_attributes: bool,
    /// Resource attributes that become labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub promote_resource_attributes: Vec<String>,
    /// Resource attributes that do not become labels where all others do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_resource_attributes: Vec<String>,
    /// Whether `service.name`, `service.namespace` and `service.instance.id` also stay on `target_info`.
    pub keep_identifying_resource_attributes: bool,
    /// Whether explicit-bucket histograms become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Whether the scope's name, version, schema and attributes become labels.
    pub promote_scope_metadata: bool,
    /// Whether a label that begins with one `_` is given the prefix `key`.
    pub label_name_underscore_sanitization: bool,
    /// Whether several `_` in a row stay in a label's name.
    pub label_name_preserve_multiple_underscores: bool,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            translation_strategy: Translation::UnderscoreEscapingWithSuffixes,
            promote_all_resource_attributes: false,
            promote_resource_attributes: Vec::new(),
            ignore_resource_attributes: Vec::new(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
        }
    }
}

impl Otlp {
    pub(crate) fn read(mut fields: Fields<'_>, names: NameValidation) -> Self {
        let default = Self::default();
        let otlp = Self {
            translation_strategy: fields
                .parse_word("translation_strategy", Translation::parse)
                .unwrap_or(default.translation_strategy),
            promote_all_resource_attributes: fields.boolean("promote_all_resource_attributes", false),
            promote_resource_attributes: attributes(&mut fields, "promote_resource_attributes"),
            ignore_resource_attributes: attributes(&mut fields, "ignore_resource_attributes"),
            keep_identifying_resource_attributes: fields
                .boolean("keep_identifying_resource_attributes", false),
            convert_histograms_to_nhcb: fields.boolean("convert_histograms_to_nhcb", false),
            promote_scope_metadata: fields.boolean("promote_scope_metadata", false),
            label_name_underscore_sanitization: fields.boolean("label_name_underscore_sanitization", true),
            label_name_preserve_multiple_underscores: fields
                .boolean("label_name_preserve_multiple_underscores", true),
        };
        let whole = fields.whole();
        let keeps_utf8 = matches!(
            otlp.translation_strategy,
            Translation::NoTranslation | Translation::NoUtf8EscapingWithSuffixes
        );
        if keeps_utf8 && names == NameValidation::Legacy {
            whole.invalid(format!(
                "translation_strategy {} needs global.metric_name_validation_scheme utf8; change one of them",
                otlp.translation_strategy
            ));
        }
        if otlp.promote_all_resource_attributes && !otlp.promote_resource_attributes.is_empty() {
            whole.invalid(
                "promote_all_resource_attributes and promote_resource_attributes exclude each other; keep one",
            );
        }
        if !otlp.promote_all_resource_attributes && !otlp.ignore_resource_attributes.is_empty() {
            whole.invalid("ignore_resource_attributes needs promote_all_resource_attributes: true");
        }
        fields.finish(&[]);
        otlp
    }
}

/// Attribute keys, trimmed; none may be empty or stand twice.
pub(crate) fn attributes(fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    let items = fields.get(key).map(|item| item.items()).unwrap_or_default();
    let mut attributes: Vec<String> = Vec::with_capacity(items.len());
    let mut seen = HashSet::new();
    for item in items {
        let Some(attribute) = item.text().map(str::trim) else { continue };
        if attribute.is_empty() {
            item.invalid("an attribute's key is empty; write it, or remove the item");
        } else if !seen.insert(attribute) {
            item.invalid(format!("attribute {attribute:?} stands twice; keep one"));
        } else {
            attributes.push(attribute.to_owned());
        }
    }
    attributes
}
