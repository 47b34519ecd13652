//! Relabelling: rules that rewrite, keep and drop label sets.
//!
//! Source: Prometheus' documentation of `relabel_config`,
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>.
//!
//! ```
//! use kandela_config::relabel;
//! use kandela_model::Labels;
//!
//! let rules = relabel::parse("- {source_labels: [__address__], regex: '(.*):.*', target_label: host}", "rules.yml")?;
//! let target = Labels::new([("__address__", "db-1:9100")])?;
//! let relabelled = relabel::apply(&rules, target).expect("no rule drops it");
//! assert_eq!(relabelled.get("host"), Some("db-1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod builder;
mod template;

use regex::Regex;
use serde::{Serialize, Serializer};

pub use apply::{apply, apply_to};
pub use builder::LabelBuilder;
pub use template::Template;

use crate::error::ConfigErrors;
use crate::named::{NameValidation, named};
use crate::re2;
use crate::read::{self, Fields, Item};

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

named! {
    /// What a rule does. The *value* is the values of the source labels joined by the separator.
    pub enum Action {
        /// Where the regex matches the value, sets the target label to the replacement.
        Replace = "replace",
        /// Drops the label set unless the regex matches the value.
        Keep = "keep",
        /// Drops the label set if the regex matches the value.
        Drop = "drop",
        /// Drops the label set unless the value equals the target label's.
        KeepEqual = "keepequal",
        /// Drops the label set if the value equals the target label's.
        DropEqual = "dropequal",
        /// Sets the target label to the value's hash modulo `modulus`.
        HashMod = "hashmod",
        /// Copies each label whose name matches the regex to the name that the replacement gives.
        LabelMap = "labelmap",
        /// Removes each label whose name matches the regex.
        LabelDrop = "labeldrop",
        /// Removes each label whose name does not match the regex.
        LabelKeep = "labelkeep",
        /// Sets the target label to the value in lower case.
        Lowercase = "lowercase",
        /// Sets the target label to the value in upper case.
        Uppercase = "uppercase",
    }
}

/// One relabelling rule, checked and compiled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// The labels whose values, joined by the separator, make the value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_labels: Vec<String>,
    /// What joins the source labels' values.
    pub separator: String,
    /// What the value, or a label's name, is matched against.
    pub regex: Pattern,
    /// What the hash is taken modulo of; zero for other actions than `hashmod`.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label that is written or compared; may name groups of the regex when the action is `replace`.
    #[serde(skip_serializing_if = "Template::is_empty")]
    pub target_label: Template,
    /// What is written; may name groups of the regex as `$1` or `${name}`.
    pub replacement: Template,
    /// What the rule does.
    pub action: Action,
    /// Which label names `replace` may write.
    #[serde(skip)]
    pub name_validation: NameValidation,
}

/// A regular expression in RE2's syntax that matches whole texts only; equal when its source is.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

/// Reads a list of rules, as `relabel_configs` holds it.
///
/// # Errors
/// With all that is wrong in it; `file` names the text in messages.
pub fn parse(text: &str, file: &str) -> Result<Vec<Rule>, ConfigErrors> {
    let read = |root: Item<'_>| -> Vec<Rule> {
        let items = root.items();
        items.iter().filter_map(|item| rule(item.fields()?, NameValidation::Utf8)).collect()
    };
    read::document(file, text, read).map(|(rules, _)| rules)
}

/// Reads the list of rules under `key`.
pub(crate) fn rules(fields: &mut Fields<'_>, key: &'static str, names: NameValidation) -> Vec<Rule> {
    fields.list(key, |fields| rule(fields, names)).into_iter().flatten().collect()
}

fn rule(mut fields: Fields<'_>, names: NameValidation) -> Option<Rule> {
    let source_labels = fields.texts("source_labels");
    let separator = fields.text("separator").unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned());
    let source = fields.text("regex").unwrap_or_else(|| DEFAULT_REGEX.to_owned());
    let modulus = fields.count("modulus").unwrap_or(0);
    let target_label = fields.text("target_label").unwrap_or_default();
    let replacement = fields.text("replacement").unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned());
    let action = match fields.get("action") {
        Some(item) if item.is_null() => {
            item.invalid("action is empty; name one, or remove the key for replace");
            None
        }
        Some(item) => item.parse(|text| Action::parse(&text.to_ascii_lowercase())),
        None => Some(Action::Replace),
    };
    let whole = fields.whole().clone();
    fields.finish(&[]);

    let regex = re2::anchored(&source).map_err(|message| whole.invalid(message)).ok();
    let (action, regex) = (action?, regex?);
    let rule = Rule {
        source_labels,
        separator,
        target_label: Template::new(&target_label, &regex),
        replacement: Template::new(&replacement, &regex),
        regex: Pattern { source, regex },
        modulus,
        action,
        name_validation: names,
    };
    match check(&rule) {
        Ok(()) => Some(rule),
        Err(message) => {
            whole.invalid(message);
            None
        }
    }
}

/// What Prometheus asks of a rule beyond its syntax.
fn check(rule: &Rule) -> Result<(), String> {
    let Rule { action, modulus, name_validation: names, .. } = rule;
    let target = rule.target_label.as_str();
    let replacement = rule.replacement.as_str();
    let default_replacement = replacement == DEFAULT_REPLACEMENT;
    let default_separator = rule.separator == DEFAULT_SEPARATOR;

    if rule.source_labels.iter().any(String::is_empty) {
        return Err("a source label has an empty name; write it, or remove the item".to_owned());
    }
    let needs_target = matches!(
        action,
        Action::Replace
            | Action::HashMod
            | Action::Lowercase
            | Action::Uppercase
            | Action::KeepEqual
            | Action::DropEqual
    );
    if needs_target && target.is_empty() {
        return Err(format!("action {action} needs a target_label; add it"));
    }
    let target_is_valid = match action {
        Action::Replace if rule.target_label.has_variables() => is_name_template(target, *names),
        _ => names.is_label_name(target),
    };
    if needs_target && !target_is_valid {
        return Err(format!("target_label {target:?} is not a valid label name"));
    }
    match action {
        Action::HashMod if *modulus == 0 => {
            Err("action hashmod needs a modulus above zero; add it".to_owned())
        }
        Action::Lowercase | Action::Uppercase if !default_replacement => {
            Err(format!("action {action} takes no replacement; remove it"))
        }
        Action::LabelMap if !is_name_template(replacement, *names) => {
            Err(format!("replacement {replacement:?} does not make a valid label name"))
        }
        Action::KeepEqual | Action::DropEqual
            if rule.regex.source != DEFAULT_REGEX
                || *modulus != 0
                || !default_separator
                || !default_replacement =>
        {
            Err(format!("action {action} takes source_labels and target_label only; remove the other keys"))
        }
        Action::LabelDrop | Action::LabelKeep
            if !rule.source_labels.is_empty()
                || !target.is_empty()
                || *modulus != 0
                || !default_separator
                || !default_replacement =>
        {
            Err(format!("action {action} takes regex only; remove the other keys"))
        }
        _ => Ok(()),
    }
}

/// Whether a template can give valid label names: with the legacy character set, everything outside its variables must be
/// of that set.
fn is_name_template(text: &str, names: NameValidation) -> bool {
    match names {
        NameValidation::Utf8 => !text.is_empty(),
        NameValidation::Legacy => {
            let first_is_digit = text.starts_with(|c: char| c.is_ascii_digit());
            !text.is_empty() && !first_is_digit && template::is_legacy_name_template(text)
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(rule: &str) -> String {
        parse(&format!("- {rule}"), "rules.yml").expect_err(rule).to_string()
    }

    #[test]
    fn an_empty_rule_has_prometheus_defaults_and_needs_a_target() {
        assert!(error("{source_labels: [a]}").contains("needs a target_label"));
        let rules = parse("- target_label: b", "rules.yml").unwrap();
        assert_eq!(rules[0].action, Action::Replace);
        assert_eq!(rules[0].separator, ";");
        assert_eq!(rules[0].regex.as_str(), "(.*)");
        assert_eq!(rules[0].replacement.as_str(), "$1");
    }

    #[test]
    fn actions_are_read_in_any_case_and_unknown_ones_are_refused() {
        assert_eq!(parse("- {action: LabelDrop, regex: a}", "f").unwrap()[0].action, Action::LabelDrop);
        assert!(error("{action: remove}").contains(r#""remove" is none of replace, keep"#));
    }

    #[test]
    fn all_that_is_wrong_with_a_rule_is_told_at_once() {
        let told = error("{action: remove, regex: '(', colour: red}");
        for wrong in ["\"remove\" is none of", "unclosed group", "colour"] {
            assert!(told.contains(wrong), "{wrong}: {told}");
        }
    }

    #[test]
    fn each_action_s_required_and_forbidden_keys_are_checked() {
        for (rule, message) in [
            ("{action: hashmod, target_label: a}", "needs a modulus"),
            ("{action: , target_label: a}", "action is empty"),
            ("{action: hashmod, modulus: 2}", "needs a target_label"),
            ("{action: lowercase}", "needs a target_label"),
            ("{action: uppercase, target_label: a, replacement: b}", "takes no replacement"),
            ("{action: keepequal, target_label: a, regex: b}", "takes source_labels and target_label only"),
            (
                "{action: dropequal, target_label: a, separator: b}",
                "takes source_labels and target_label only",
            ),
            ("{action: labeldrop, regex: a, source_labels: [b]}", "takes regex only"),
            ("{action: labelkeep, regex: a, target_label: b}", "takes regex only"),
            ("{action: labelmap, replacement: ''}", "does not make a valid label name"),
            ("{target_label: a, regex: '('}", "not valid: unclosed group"),
            ("{target_label: a, sourcelabels: [b]}", r#"did you mean "source_labels"?"#),
        ] {
            assert!(error(rule).contains(message), "{rule}: {}", error(rule));
        }
    }

    #[test]
    fn legacy_names_refuse_what_utf8_allows() {
        let valid = |target: &str, names| {
            let text = format!("- {{target_label: '{target}'}}");
            let read = |root: Item<'_>| rule(root.items()[0].fields().unwrap(), names).is_some();
            read::document("f", &text, read).is_ok()
        };
        for (target, legacy) in [
            ("a_b", true),
            ("a.b", false),
            ("${1}_x", true),
            ("a_$1", true),
            ("${1}.x", false),
            ("1_$1", false),
        ] {
            assert!(valid(target, NameValidation::Utf8), "{target}");
            assert_eq!(valid(target, NameValidation::Legacy), legacy, "{target}");
        }
    }
}
