//! What is read of rule files, and what is wrong with them: the checks of `promtool check rules`, each with its place.

use std::time::Duration;

use kandela_config::rules::{ExpressionError, RuleFile, RuleKind, read, read_checked, read_named};
use kandela_config::{Ignored, NameValidation, Place};

fn file(text: &str) -> RuleFile {
    let (file, warnings) = read(text, "rules.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(warnings, [], "{text}");
    file
}

fn errors(text: &str) -> String {
    read(text, "rules.yaml").expect_err(text).to_string()
}

/// A file with one group of one rule, whose keys these are.
fn rule(keys: &str) -> String {
    let indented: Vec<String> = keys.lines().map(|line| format!("    {line}")).collect();
    format!("groups:\n- name: g\n  rules:\n  -\n{}\n", indented.join("\n"))
}

#[test]
fn nothing_at_all_is_a_valid_file() {
    for text in ["", "# nothing yet\n", "groups:\n", "groups: []\n", "{}"] {
        assert_eq!(file(text), RuleFile::default(), "{text:?}");
    }
}

#[test]
fn groups_and_rules_are_read_with_all_their_keys() {
    let file = file(
        "
groups:
- name: first
  interval: 30s
  query_offset: 1m
  limit: 10
  labels: {team: shop}
  rules:
  - record: job:requests:rate5m
    expr: sum by (job) (rate(requests_total[5m]))
    labels: {kind: rate, number: 1}
  - alert: TooSlow
    expr: job:latency > 1
    for: 5m
    keep_firing_for: 0s
    labels: {severity: '{{ if gt $value 2.0 }}page{{ else }}ticket{{ end }}'}
    annotations:
      summary: '{{ $labels.job }} takes {{ $value | humanizeDuration }}'
- name: second
  rules: []
",
    );
    let [first, second] = &file.groups[..] else { panic!("{file:?}") };
    assert_eq!(
        (second.name.as_str(), second.interval, second.query_offset, second.limit),
        ("second", None, None, None)
    );
    assert_eq!(first.interval, Some(Duration::from_secs(30)));
    assert_eq!(first.query_offset, Some(Duration::from_secs(60)));
    assert_eq!((first.limit, first.labels["team"].as_str()), (Some(10), "shop"));
    let [record, alert] = &first.rules[..] else { panic!("{first:?}") };
    assert_eq!(record.kind, RuleKind::Record("job:requests:rate5m".to_owned()));
    assert_eq!(record.labels["number"], "1");
    assert_eq!(record.expr.text(), "sum by (job) (rate(requests_total[5m]))");
    assert_eq!(alert.name(), "TooSlow");
    let RuleKind::Alert(alert) = &alert.kind else { panic!("{alert:?}") };
    assert_eq!((alert.holds, alert.keep_firing_for), (Duration::from_secs(300), Duration::ZERO));
    assert_eq!(alert.annotations.len(), 1);
}

#[test]
fn places_in_an_expression_are_places_in_the_file() {
    let file = file(
        "
groups:
- name: g
  rules:
  - record: a
    expr: sum(x) / sum(y)
  - record: b
    expr: |-
      sum(x)
        / sum(y)
  - record: c
    expr: &anchored > # folded

      sum(x) /
      sum(y)
  - record: d
    expr: \"sum(x{a=\\\"b\\\"}) / sum(y)\"
",
    );
    let places: Vec<(usize, usize)> = file.groups[0]
        .rules
        .iter()
        .map(|rule| rule.expr.place(rule.expr.text().find('y').unwrap()))
        .map(|Place { line, column }| (line, column))
        .collect();
    assert_eq!(places, [(6, 24), (10, 15), (15, 11), (17, 34)]);
    let of_file: Vec<usize> = file.groups[0].rules.iter().map(|rule| rule.place.line).collect();
    assert_eq!(of_file, [5, 7, 11, 16]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    assert_eq!(
        errors("groups:\n- name: g\n  intervall: 5m\n"),
        r#"rules.yaml:3:3: groups[0]: unknown key "intervall"; did you mean "interval"?"#
    );
    assert_eq!(
        errors(&rule("alert: A\nexpr: up\nannotation: {a: b}")),
        r#"rules.yaml:7:5: groups[0].rules[0]: unknown key "annotation"; did you mean "annotations"?"#
    );
    assert!(errors("group: []\n").contains("did you mean \"groups\"?"));
}

#[test]
fn a_group_needs_a_name_that_no_other_has() {
    assert!(
        errors("groups:\n- rules: []\n")
            .starts_with("rules.yaml:2:3: groups[0]: a group's name must not be empty")
    );
    assert!(errors("groups:\n- name: ''\n").starts_with("rules.yaml:2:3: groups[0].name: a group's name"));
    assert_eq!(
        errors("groups:\n- name: a\n- name: b\n- name: a\n"),
        "rules.yaml:4:3: groups[2].name: group \"a\" already stands on line 2; rename one of the two"
    );
}

#[test]
fn a_rule_is_either_recording_or_alerting() {
    assert!(
        errors(&rule("record: a\nalert: b\nexpr: up"))
            .starts_with("rules.yaml:6:5: groups[0].rules[0].alert: a rule has either")
    );
    assert!(
        errors(&rule("expr: up"))
            .starts_with("rules.yaml:5:5: groups[0].rules[0]: a rule needs record or alert")
    );
}

#[test]
fn a_rule_needs_an_expression() {
    assert!(errors(&rule("record: a")).contains("key \"expr\" is missing"));
    assert!(
        errors(&rule("record: a\nexpr: ''"))
            .starts_with("rules.yaml:6:5: groups[0].rules[0].expr: expr is empty")
    );
}

#[test]
fn a_recording_rule_has_nothing_of_an_alert() {
    for keys in ["for: 5m", "keep_firing_for: 5m", "annotations: {a: b}"] {
        let key = keys.split(':').next().unwrap();
        let expected = format!(
            "rules.yaml:7:5: groups[0].rules[0].{key}: {key} has no meaning in a recording rule; remove it"
        );
        assert_eq!(errors(&rule(&format!("record: a\nexpr: up\n{keys}"))), expected);
    }
    file(&rule("record: a\nexpr: up\nfor: 0s\nannotations: {}"));
}

#[test]
fn names_may_be_utf8_unless_the_config_says_otherwise() {
    let text = rule("record: \"héllo wörld\"\nexpr: up\nlabels: {\"a.b\": c}");
    file(&text);
    let errors = read_named(&text, "rules.yaml", NameValidation::Legacy).unwrap_err().to_string();
    assert!(errors.contains("\"héllo wörld\" is not a valid metric name"), "{errors}");
    assert!(errors.contains("\"a.b\" is not a valid label name"), "{errors}");
}

#[test]
fn bad_names_of_series_labels_and_annotations_are_refused() {
    assert!(errors(&rule("record: 'up{job=\"a\"}'\nexpr: up")).contains("has braces"));
    assert!(
        errors(&rule("record: a\nexpr: up\nlabels: {__name__: b}")).contains("name the series with record")
    );
    assert!(errors(&rule("record: a\nexpr: up\nlabels: {'': b}")).contains("\"\" is not a valid label name"));
    assert!(
        errors(&rule("alert: a\nexpr: up\nannotations: {'': b}"))
            .contains("\"\" is not a valid annotation name")
    );
    assert!(errors("groups:\n- name: g\n  labels: {__name__: b}\n").contains("name the series with record"));
}

#[test]
fn bad_durations_and_limits_are_refused() {
    assert!(
        errors(&rule("alert: a\nexpr: up\nfor: 5"))
            .contains("rules.yaml:7:5: groups[0].rules[0].for: \"5\" is not a duration")
    );
    assert!(errors("groups:\n- name: g\n  interval: soon\n").contains("rules.yaml:3:3: groups[0].interval"));
    assert!(errors("groups:\n- name: g\n  limit: many\n").contains("whole number"));
}

#[test]
fn a_bad_template_is_shown_where_it_is_bad() {
    let text = rule(
        "alert: Down\nexpr: up\nannotations:\n  summary: >\n    first line\n    {{ $value | humanise }}",
    );
    assert_eq!(
        errors(&text),
        "rules.yaml:10:21: groups[0].rules[0].annotations.summary: the template is not valid in alert \"Down\": \
         function \"humanise\" not defined; did you mean \"humanize\"?"
    );
    assert!(
        errors(&rule("alert: a\nexpr: up\nlabels: {a: '{{ $x }}'}")).contains("undefined variable \"$x\"")
    );
    file(&rule("record: a\nexpr: up\nlabels: {a: '{{ recorded as it is'}"));
}

#[test]
fn rules_that_give_the_same_series_are_a_warning() {
    let text = "
groups:
- name: a
  labels: {team: x}
  rules:
  - {record: r, expr: up}
  - {record: r, expr: up, labels: {team: y}}
- name: b
  rules:
  - {record: r, expr: down, labels: {team: x}}
";
    let (_, warnings) = read(text, "rules.yaml").unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.place.line, &warning.reason), (10, &Ignored::DuplicateRule(6)));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "groups:\n- rules:\n  - record: a\n  - expr: up\n    form: 5m\n";
    assert_eq!(errors(text).lines().count(), 4, "{}", errors(text));
}

#[test]
fn what_a_check_has_against_an_expression_stands_among_the_errors_at_its_place() {
    let text = rule("record: 'bad{}'\nexpr: |\n  up +\n    oops");
    let check = |text: &str| match text.find("oops") {
        Some(offset) => Err(ExpressionError { offset, message: "no oops".to_owned() }),
        None => Ok(()),
    };
    let errors = read_checked(&text, "rules.yaml", NameValidation::Utf8, &check).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "rules.yaml:8:9: groups[0].rules[0].expr: no oops");
}
