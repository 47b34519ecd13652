//! Rule files: groups of recording and alerting rules, as Prometheus reads and `promtool check rules` checks them.
//!
//! PromQL is not known here. An expression is its text, which knows where each of its bytes stands in the file; who parses
//! it can so tell its errors' places. Source: <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>.
//!
//! ```
//! let text = "
//! groups:
//! - name: shop
//!   rules:
//!   - alert: Slow
//!     expr: |
//!       histogram_quantile(0.9, sum by (le) (
//!         rate(request_seconds_bucket[5m]))) > 1
//!     for: 5m
//!     annotations: {summary: '{{ $labels.job }} takes {{ $value | humanizeDuration }}'}
//! ";
//! let (file, warnings) = kandela_config::rules::read(text, "shop.yaml")?;
//! let rule = &file.groups[0].rules[0];
//! assert_eq!(rule.name(), "Slow");
//! let offset = rule.expr.text().find("rate").unwrap();
//! assert_eq!(rule.expr.place(offset).line, 8);
//! assert!(warnings.is_empty());
//! # Ok::<(), kandela_config::ConfigErrors>(())
//! ```

mod template;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::discovery::labels;
use crate::error::{ConfigErrors, Ignored, Place, Warning};
use crate::named::NameValidation;
use crate::read::{self, Fields, Item};
use crate::source::{self, Runs};

/// The label that holds a metric's name.
const NAME: &str = kandela_model::METRIC_NAME;

/// What a rule file holds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RuleFile {
    /// Groups of rules; no two have the same name.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other, as of the same time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The group's name; not empty.
    pub name: String,
    /// Where the group stands in the file.
    pub place: Place,
    /// How often the rules are evaluated; nothing leaves it to `global.evaluation_interval`.
    pub interval: Option<Duration>,
    /// How far back the rules look; nothing leaves it to `global.rule_query_offset`.
    pub query_offset: Option<Duration>,
    /// The most alerts or series that a rule may give; nothing is no limit.
    pub limit: Option<u64>,
    /// Labels of all rules in the group, unless the rule has the label itself.
    pub labels: BTreeMap<String, String>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// Where the rule stands in the file.
    pub place: Place,
    /// What it does with the result of its expression.
    pub kind: RuleKind,
    /// The expression; not empty.
    pub expr: Expression,
    /// Labels that are set on what comes of it.
    pub labels: BTreeMap<String, String>,
}

/// What a rule does with the result of its expression.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Keeps it as series of this name.
    Record(String),
    /// Alerts of each series.
    Alert(Alert),
}

/// What an alerting rule says beside its expression.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// The alert's name.
    pub name: String,
    /// How long the expression must hold before the alert fires (`for`).
    pub holds: Duration,
    /// How long it fires on when the expression holds no more.
    pub keep_firing_for: Duration,
    /// Texts for people, which may be templates.
    pub annotations: BTreeMap<String, String>,
}

/// The text of an expression, which knows where it stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    runs: Runs,
}

impl Expression {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the byte `offset` of the text stands in the file: on its line also in block scalars, past quotes and escapes.
    /// An offset behind the end is just behind it.
    pub fn place(&self, offset: usize) -> Place {
        let start = self.runs.first().map_or(Place { line: 1, column: 1 }, |(_, place)| *place);
        source::place(&self.runs, &self.text, offset).unwrap_or(start)
    }
}

impl Rule {
    /// The name of what comes of the rule: a metric's or an alert's.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Record(name) => name,
            RuleKind::Alert(alert) => &alert.name,
        }
    }
}

/// Reads a rule file whose names may be any UTF-8. `file` names the text in messages. Two rules that give the same series
/// are a warning.
///
/// # Errors
/// With all that is wrong in the text, each with its place, key path and what to do.
pub fn read(text: &str, file: &str) -> Result<(RuleFile, Vec<Warning>), ConfigErrors> {
    read_named(text, file, NameValidation::Utf8)
}

/// [`read`], with the names allowed that `global.metric_name_validation_scheme` says.
///
/// # Errors
/// As [`read`].
pub fn read_named(
    text: &str,
    file: &str,
    names: NameValidation,
) -> Result<(RuleFile, Vec<Warning>), ConfigErrors> {
    read_checked(text, file, names, &|_| Ok(()))
}

/// [`read_named`], with expressions checked by `check`. What it has against one is an error of the file like any other.
///
/// # Errors
/// As [`read`], with what is wrong in expressions.
pub fn read_checked(
    text: &str,
    file: &str,
    names: NameValidation,
    check: &dyn Fn(&str) -> Result<(), ExpressionError>,
) -> Result<(RuleFile, Vec<Warning>), ConfigErrors> {
    read::document(file, text, |root| {
        let Some(mut fields) = root.fields() else { return RuleFile::default() };
        let mut seen = Seen { groups: HashMap::new(), rules: HashMap::new(), check };
        let groups = fields.list("groups", |fields| group(fields, names, &mut seen));
        fields.finish(&[]);
        RuleFile { groups }
    })
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// At which byte of the expression.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

/// Groups and rules so far, and their lines; and how expressions are checked.
struct Seen<'a> {
    groups: HashMap<String, usize>,
    rules: HashMap<(String, BTreeMap<String, String>), usize>,
    check: &'a dyn Fn(&str) -> Result<(), ExpressionError>,
}

fn group(mut fields: Fields<'_>, names: NameValidation, seen: &mut Seen<'_>) -> Group {
    let place = fields.whole().place();
    let name = fields.word("name").unwrap_or_default();
    let of_name = fields.peek("name").unwrap_or_else(|| fields.whole().clone());
    if name.is_empty() {
        of_name.invalid("a group's name must not be empty; give it one that no other group of the file has");
    } else if let Some(first) = seen.groups.get(&name) {
        of_name.invalid(format!("group {name:?} already stands on line {first}; rename one of the two"));
    } else {
        seen.groups.insert(name.clone(), of_name.place().line);
    }
    let labels = set_labels(&mut fields, names);
    let group = Group {
        name,
        place,
        interval: fields.period("interval"),
        query_offset: fields.duration("query_offset"),
        limit: fields.limit("limit"),
        rules: fields
            .list("rules", |fields| rule(fields, names, &labels, seen))
            .into_iter()
            .flatten()
            .collect(),
        labels,
    };
    fields.finish(&[]);
    group
}

fn rule(
    mut fields: Fields<'_>,
    names: NameValidation,
    of_group: &BTreeMap<String, String>,
    seen: &mut Seen<'_>,
) -> Option<Rule> {
    let place = fields.whole().place();
    let record = fields.word("record");
    let alert = fields.word("alert");
    let expr = expression(&mut fields, seen.check);
    let labels = set_labels(&mut fields, names);
    let holds = fields.duration("for").unwrap_or_default();
    let keep_firing_for = fields.duration("keep_firing_for").unwrap_or_default();
    let annotations = annotations(&mut fields, names);
    let kind = match (record, alert) {
        (Some(_), Some(_)) => {
            let message = "a rule has either record or alert, not both; make two rules of it";
            fields.peek("alert")?.invalid(message);
            None
        }
        (None, None) => {
            fields.whole().invalid("a rule needs record or alert, with a name; add one of the two");
            None
        }
        (Some(name), None) => {
            check_recording(&fields, &name, names);
            Some(RuleKind::Record(name))
        }
        (None, Some(name)) => {
            check_templates(&fields, &name);
            Some(RuleKind::Alert(Alert { name, holds, keep_firing_for, annotations }))
        }
    };
    let whole = fields.whole().clone();
    fields.finish(&[]);
    let rule = Rule { place, kind: kind?, expr: expr?, labels };
    let mut all_labels = of_group.clone();
    all_labels.extend(rule.labels.clone());
    match seen.rules.get(&(rule.name().to_owned(), all_labels.clone())) {
        Some(first) => whole.warn(Ignored::DuplicateRule(*first)),
        None => drop(seen.rules.insert((rule.name().to_owned(), all_labels), place.line)),
    }
    Some(rule)
}

/// The expression; reports where there is none.
fn expression(
    fields: &mut Fields<'_>,
    check: &dyn Fn(&str) -> Result<(), ExpressionError>,
) -> Option<Expression> {
    let Some(item) = fields.get("expr") else {
        fields.missing("expr");
        return None;
    };
    let text = item.text()?.to_owned();
    if text.is_empty() {
        item.invalid("expr is empty; write the expression of the rule");
        return None;
    }
    let expression = Expression { runs: item.runs(), text };
    if let Err(ExpressionError { offset, message }) = check(&expression.text) {
        item.at(expression.place(offset)).invalid(message);
    }
    Some(expression)
}

/// Labels that a rule sets, of which none is the metric's name.
fn set_labels(fields: &mut Fields<'_>, names: NameValidation) -> BTreeMap<String, String> {
    let Some(item) = fields.get("labels") else { return BTreeMap::new() };
    for (_, named) in item.entries().into_iter().filter(|(name, _)| *name == NAME) {
        named.invalid(format!("{NAME:?} is not set as a label; name the series with record"));
    }
    labels(&item, names)
}

fn annotations(fields: &mut Fields<'_>, names: NameValidation) -> BTreeMap<String, String> {
    let Some(item) = fields.get("annotations") else { return BTreeMap::new() };
    let mut annotations = BTreeMap::new();
    for (name, item) in item.entries() {
        if !names.is_label_name(name) {
            item.invalid(format!("{name:?} is not a valid annotation name"));
        }
        if let Some(text) = item.text() {
            annotations.insert(name.to_owned(), text.to_owned());
        }
    }
    annotations
}

fn check_recording(fields: &Fields<'_>, name: &str, names: NameValidation) {
    for key in ["for", "keep_firing_for", "annotations"] {
        let nothing = |item: &Item<'_>| {
            item.is_null() || key == "annotations" && item.entries().is_empty() || is_zero(item)
        };
        if let Some(item) = fields.peek(key).filter(|item| !nothing(item)) {
            item.invalid(format!("{key} has no meaning in a recording rule; remove it"));
        }
    }
    let Some(item) = fields.peek("record") else { return };
    if !names.is_metric_name(name) {
        item.invalid(format!("{name:?} is not a valid metric name"));
    }
    if name.contains(['{', '}']) {
        item.invalid(format!(
            "{name:?} has braces, which no series is recorded with; is it meant as the expr?"
        ));
    }
}

fn is_zero(item: &Item<'_>) -> bool {
    item.scalar().is_some_and(|text| crate::units::parse_duration(text) == Ok(Duration::ZERO))
}

/// Labels and annotations of alerts are templates.
fn check_templates(fields: &Fields<'_>, alert: &str) {
    for key in ["labels", "annotations"] {
        let Some(item) = fields.peek(key) else { continue };
        for (_, item) in item.entries() {
            let Some(text) = item.scalar() else { continue };
            if let Err(template::Fault { offset, message }) = template::check(text) {
                let place = source::place(&item.runs(), text, offset).unwrap_or(item.place());
                item.at(place).invalid(format!("the template is not valid in alert {alert:?}: {message}"));
            }
        }
    }
}
