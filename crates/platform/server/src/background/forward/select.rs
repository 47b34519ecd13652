//! Which series a receiver gets, under which labels.

use std::collections::HashMap;
use std::sync::Arc;

use kandela_config::relabel::{Rule, apply};
use kandela_model::{Labels, LabelsRef};

/// Label sets whose outcome is remembered; then all are worked out anew.
const REMEMBERED: usize = 200_000;

/// Adds external labels, then applies `write_relabel_configs`, once for each series.
pub(super) struct Selection {
    external: Vec<(String, String)>,
    rules: Vec<Rule>,
    known: HashMap<Box<[u8]>, Option<Arc<Labels>>>,
}

impl Selection {
    /// External labels never replace a series' own.
    pub(super) fn new(external: impl IntoIterator<Item = (String, String)>, rules: Vec<Rule>) -> Self {
        Self { external: external.into_iter().collect(), rules, known: HashMap::new() }
    }

    /// The labels that the receiver gets; `None` where it does not get the series.
    pub(super) fn of(&mut self, labels: LabelsRef<'_>) -> Option<Arc<Labels>> {
        if let Some(known) = self.known.get(labels.as_bytes()) {
            return known.clone();
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let outcome = self.decide(labels).map(Arc::new);
        self.known.insert(labels.as_bytes().into(), outcome.clone());
        outcome
    }

    fn decide(&self, labels: LabelsRef<'_>) -> Option<Labels> {
        let missing = self.external.iter().filter(|(name, _)| labels.get(name).is_none());
        let pairs = labels.iter().chain(missing.map(|(name, value)| (name.as_str(), value.as_str())));
        apply(&self.rules, Labels::new(pairs).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn external_labels_come_first_and_rules_see_them() {
        let rules = "- {source_labels: [cluster, job], regex: 'eu;noise', action: drop}\n";
        let rules = kandela_config::relabel::parse(rules, "rules").unwrap();
        let mut selection = Selection::new([("cluster".to_owned(), "eu".to_owned())], rules);
        let shop = labels(&[("__name__", "up"), ("job", "shop")]);
        let sent = labels(&[("__name__", "up"), ("cluster", "eu"), ("job", "shop")]);
        assert_eq!(selection.of(shop.as_ref()), Some(Arc::new(sent)));
        assert_eq!(selection.of(labels(&[("__name__", "up"), ("job", "noise")]).as_ref()), None);
        let own = labels(&[("__name__", "up"), ("cluster", "us"), ("job", "noise")]);
        assert_eq!(selection.of(own.as_ref()), Some(Arc::new(own)));
    }
}
