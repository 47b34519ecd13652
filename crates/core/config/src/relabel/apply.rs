//! What each action does to a label set.

use kandela_model::Labels;
use md5::{Digest, Md5};

use super::{Action, LabelBuilder, Rule};

/// `labels` after every rule in turn; nothing when a rule drops the set.
pub fn apply(rules: &[Rule], labels: Labels) -> Option<Labels> {
    if rules.is_empty() {
        return Some(labels);
    }
    let mut builder = LabelBuilder::from(labels.as_ref());
    // No rule writes an empty name, and the set had none, so building can't fail.
    if apply_to(rules, &mut builder) { builder.build().ok() } else { None }
}

/// Rewrites `labels` by every rule in turn; false when a rule drops the set, which is then as that rule found it.
pub fn apply_to(rules: &[Rule], labels: &mut LabelBuilder<'_>) -> bool {
    rules.iter().all(|rule| apply_one(rule, labels))
}

fn apply_one(rule: &Rule, labels: &mut LabelBuilder<'_>) -> bool {
    let target = rule.target_label.as_str();
    match rule.action {
        Action::Keep => return rule.regex.is_match(&value(rule, labels)),
        Action::Drop => return !rule.regex.is_match(&value(rule, labels)),
        Action::KeepEqual => return labels.get(target) == value(rule, labels),
        Action::DropEqual => return labels.get(target) != value(rule, labels),
        Action::Replace => replace(rule, labels),
        Action::HashMod => {
            let hash = hash_mod(&value(rule, labels), rule.modulus);
            labels.set(target.to_owned(), hash.to_string());
        }
        Action::Lowercase => {
            let lower = value(rule, labels).to_lowercase();
            labels.set(target.to_owned(), lower);
        }
        Action::Uppercase => {
            let upper = value(rule, labels).to_uppercase();
            labels.set(target.to_owned(), upper);
        }
        Action::LabelMap => label_map(rule, labels),
        Action::LabelDrop => labels.retain(|name, _| !rule.regex.is_match(name)),
        Action::LabelKeep => labels.retain(|name, _| rule.regex.is_match(name)),
    }
    true
}

fn value(rule: &Rule, labels: &LabelBuilder<'_>) -> String {
    let mut value = String::new();
    for (i, name) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            value.push_str(&rule.separator);
        }
        value.push_str(labels.get(name));
    }
    value
}

fn replace(rule: &Rule, labels: &mut LabelBuilder<'_>) {
    let value = value(rule, labels);
    let Some(captures) = rule.regex.regex.captures(&value) else { return };
    let target = rule.target_label.expand(&captures);
    if rule.name_validation.is_label_name(&target) {
        labels.set(target, rule.replacement.expand(&captures));
    }
}

/// The last eight bytes of the value's MD5, big-endian, modulo `modulus`: the shards that Prometheus gives.
fn hash_mod(value: &str, modulus: u64) -> u64 {
    let digest = Md5::digest(value.as_bytes());
    let last = digest.iter().skip(8).fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
    last.checked_rem(modulus).unwrap_or(0)
}

fn label_map(rule: &Rule, labels: &mut LabelBuilder<'_>) {
    let mut copies = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(captures) = rule.regex.regex.captures(name) {
            copies.push((rule.replacement.expand(&captures), value.to_owned()));
        }
    }
    for (name, value) in copies {
        if !name.is_empty() {
            labels.set(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::parse;
    use proptest::prelude::*;

    /// What `rules` make of `labels`, printed; `dropped` when they drop the set.
    fn relabelled(rules: &str, labels: &[(&str, &str)]) -> String {
        let rules = parse(rules, "rules.yml").unwrap();
        match apply(&rules, Labels::new(labels.iter().copied()).unwrap()) {
            Some(labels) => {
                labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
            None => "dropped".to_owned(),
        }
    }

    #[test]
    fn replace_joins_the_source_labels_and_writes_the_replacement() {
        let rule = "- {source_labels: [a, b], separator: '-', regex: '(f.*)-(.*)', target_label: c, replacement: '$2/$1'}";
        assert_eq!(relabelled(rule, &[("a", "foo"), ("b", "bar")]), "a=foo b=bar c=bar/foo");
    }

    #[test]
    fn replace_without_a_match_changes_nothing() {
        let rule = "- {source_labels: [a], regex: 'fo', target_label: c, replacement: x}";
        assert_eq!(relabelled(rule, &[("a", "foo"), ("c", "old")]), "a=foo c=old");
    }

    #[test]
    fn replace_with_nothing_removes_the_target() {
        let rule = "- {source_labels: [a], target_label: c, replacement: ''}";
        assert_eq!(relabelled(rule, &[("a", "foo"), ("c", "old")]), "a=foo");
        let rule = "- {source_labels: [missing], target_label: c}";
        assert_eq!(relabelled(rule, &[("c", "old")]), "");
    }

    #[test]
    fn replace_without_sources_sets_a_constant() {
        let rule = "- {target_label: env, replacement: prod}";
        assert_eq!(relabelled(rule, &[("a", "1")]), "a=1 env=prod");
    }

    #[test]
    fn replace_may_take_the_target_s_name_from_the_value() {
        let rule = "- {source_labels: [a], regex: '(.*)=(.*)', target_label: '${1}', replacement: '$2'}";
        assert_eq!(relabelled(rule, &[("a", "b=c")]), "a=b=c b=c");
        assert_eq!(relabelled(rule, &[("a", "=c")]), "a==c");
    }

    #[test]
    fn the_address_pattern_of_the_documentation_works() {
        let rule = r"- {source_labels: [__address__, port], regex: '([^:]+)(?::\d+)?;(\d+)', replacement: '$1:$2', target_label: __address__}";
        let labels = [("__address__", "10.0.0.1:80"), ("port", "9102")];
        assert_eq!(relabelled(rule, &labels), "__address__=10.0.0.1:9102 port=9102");
    }

    #[test]
    fn keep_and_drop_look_at_the_whole_value() {
        assert_eq!(relabelled("- {source_labels: [a], regex: fo, action: keep}", &[("a", "foo")]), "dropped");
        assert_eq!(relabelled("- {source_labels: [a], regex: fo, action: drop}", &[("a", "foo")]), "a=foo");
        assert_eq!(relabelled("- {source_labels: [a], regex: fo+, action: keep}", &[("a", "foo")]), "a=foo");
        assert_eq!(relabelled("- {source_labels: [b], regex: '', action: drop}", &[("a", "foo")]), "dropped");
    }

    #[test]
    fn keepequal_and_dropequal_compare_with_the_target() {
        let keep = "- {source_labels: [a], target_label: b, action: keepequal}";
        let drop = "- {source_labels: [a], target_label: b, action: dropequal}";
        assert_eq!(relabelled(keep, &[("a", "1"), ("b", "1")]), "a=1 b=1");
        assert_eq!(relabelled(keep, &[("a", "1"), ("b", "2")]), "dropped");
        assert_eq!(relabelled(drop, &[("a", "1"), ("b", "1")]), "dropped");
        assert_eq!(relabelled(drop, &[("a", "1")]), "a=1");
    }

    #[test]
    fn hashmod_takes_the_last_eight_bytes_of_md5() {
        // md5("foo") is acbd18db4cc2f85c edef654fccc4a4d8; 0xedef654fccc4a4d8 mod 1000 = 696.
        let rule = "- {source_labels: [a], action: hashmod, modulus: 1000, target_label: shard}";
        assert_eq!(relabelled(rule, &[("a", "foo")]), "a=foo shard=696");
    }

    #[test]
    fn labelmap_copies_and_keeps_the_original() {
        let rule = "- {action: labelmap, regex: '__meta_(.+)', replacement: 'k8s_$1'}";
        assert_eq!(
            relabelled(rule, &[("__meta_app", "shop"), ("x", "y")]),
            "__meta_app=shop k8s_app=shop x=y"
        );
    }

    #[test]
    fn labeldrop_and_labelkeep_look_at_whole_names() {
        let labels = [("a", "1"), ("ab", "2"), ("b", "3")];
        assert_eq!(relabelled("- {action: labeldrop, regex: a}", &labels), "ab=2 b=3");
        assert_eq!(relabelled("- {action: labelkeep, regex: 'a.*'}", &labels), "a=1 ab=2");
    }

    #[test]
    fn case_actions_rewrite_the_value_into_the_target() {
        let rules = "- {source_labels: [a], action: lowercase, target_label: lower}\n\
                     - {source_labels: [a], action: uppercase, target_label: upper}";
        assert_eq!(relabelled(rules, &[("a", "Foo")]), "a=Foo lower=foo upper=FOO");
    }

    #[test]
    fn rules_apply_in_order_and_a_drop_is_final() {
        let rules = "- {target_label: a, replacement: x}\n\
                     - {source_labels: [a], regex: x, action: drop}\n\
                     - {target_label: a, replacement: y}";
        assert_eq!(relabelled(rules, &[("a", "1")]), "dropped");
    }

    fn labels() -> impl Strategy<Value = Labels> {
        proptest::collection::btree_map("[ab]{1,2}", "[xy]{0,2}", 0..5)
            .prop_map(|pairs| Labels::new(pairs).unwrap())
    }

    fn rule() -> impl Strategy<Value = String> {
        prop_oneof![
            "- \\{source_labels: \\[[ab]{1,2}\\], regex: '[xy.]{0,2}', action: (keep|drop)\\}",
            "- \\{source_labels: \\[[ab], [ab]\\], target_label: [ab], action: (keepequal|dropequal|lowercase)\\}",
            "- \\{source_labels: \\[[ab]\\], regex: '\\(x\\)\\?\\(\\.\\*\\)', target_label: '[ab]', replacement: '\\$[12]'\\}",
            "- \\{action: (labeldrop|labelkeep), regex: '[ab.]{1,2}'\\}",
            "- \\{action: labelmap, regex: '\\(a\\)\\(\\.\\*\\)', replacement: 'b\\$2'\\}",
            "- \\{source_labels: \\[[ab]\\], action: hashmod, modulus: [1-9], target_label: b\\}",
        ]
    }

    proptest! {
        #[test]
        fn rules_compose(first in rule(), second in rule(), labels in labels()) {
            let parse = |text: &str| parse(text, "f").unwrap();
            let both = apply(&parse(&format!("{first}\n{second}")), labels.clone());
            let in_turn = apply(&parse(&first), labels).and_then(|labels| apply(&parse(&second), labels));
            prop_assert_eq!(both, in_turn);
        }

        #[test]
        fn keep_and_drop_split_every_set(regex in "[xy.]{0,3}", labels in labels()) {
            let rule = |action| parse(&format!("- {{source_labels: [a], regex: '{regex}', action: {action}}}"), "f").unwrap();
            let kept = apply(&rule("keep"), labels.clone());
            let dropped = apply(&rule("drop"), labels.clone());
            prop_assert!(kept.is_some() != dropped.is_some());
            prop_assert_eq!(kept.or(dropped), Some(labels));
        }

        #[test]
        fn a_label_equals_itself(labels in labels()) {
            let rules = parse("- {source_labels: [a], target_label: a, action: keepequal}", "f").unwrap();
            prop_assert_eq!(apply(&rules, labels.clone()), Some(labels));
        }

        #[test]
        fn hash_shards_cover_every_set_once(labels in labels(), modulus in 1u64..10) {
            let shards = (0..modulus).filter(|shard| {
                let text = format!(
                    "- {{source_labels: [a, b], action: hashmod, modulus: {modulus}, target_label: __shard}}\n\
                     - {{source_labels: [__shard], regex: '{shard}', action: keep}}"
                );
                apply(&parse(&text, "f").unwrap(), labels.clone()).is_some()
            });
            prop_assert_eq!(shards.count(), 1);
        }
    }
}
