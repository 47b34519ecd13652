//! Labels of several series: what all share is said once, and what differs stands beside each.

use std::collections::BTreeSet;

use unicode_width::UnicodeWidthStr as _;

use crate::prometheus::{LabelSet, label_text, series_parts};

/// The labels of several series.
pub(super) struct Split {
    /// The labels that all have with the same value.
    common: LabelSet,
    /// The names of the others.
    pub(super) differing: Vec<String>,
}

impl Split {
    pub(super) fn of<'a>(series: impl Iterator<Item = &'a LabelSet> + Clone) -> Self {
        let mut common = series.clone().next().cloned().unwrap_or_default();
        for labels in series.clone() {
            common.retain(|name, value| labels.get(name) == Some(value));
        }
        let names: BTreeSet<&String> = series.flat_map(LabelSet::keys).collect();
        let differing = names.into_iter().filter(|name| !common.contains_key(*name)).cloned().collect();
        Self { common, differing }
    }

    /// The values of the labels that differ; empty where a series lacks one.
    pub(super) fn cells(&self, labels: &LabelSet) -> Vec<String> {
        self.differing.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect()
    }

    /// What differs, for where there are no columns.
    pub(super) fn differing_text(&self, labels: &LabelSet) -> String {
        match self.differing.as_slice() {
            [only] => labels.get(only).cloned().unwrap_or_default(),
            several => {
                let pairs = several.iter().filter_map(|name| Some((name, labels.get(name)?)));
                let texts: Vec<String> = pairs.map(|(name, value)| label_text(name, value)).collect();
                texts.join(" ")
            }
        }
    }

    /// What all share, as PromQL reads it, in lines of `width` columns where labels are no longer; none where they share
    /// nothing.
    pub(super) fn common_lines(&self, width: usize) -> Vec<String> {
        if self.common.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![String::new()];
        for part in series_parts(&self.common) {
            match lines.last_mut() {
                Some(last) if last.is_empty() || last.width() + part.trim_end().width() <= width => {
                    last.push_str(&part);
                }
                _ => lines.push(part),
            }
        }
        lines.iter().map(|line| line.trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_all_share_is_apart_from_what_differs() {
        let series = [
            labels(&[("__name__", "up"), ("job", "a"), ("instance", "1")]),
            labels(&[("__name__", "up"), ("job", "a"), ("zone", "z")]),
        ];
        let split = Split::of(series.iter());
        assert_eq!(split.common_lines(80), ["up{job=\"a\"}"]);
        assert_eq!(split.differing, ["instance", "zone"]);
        assert_eq!(split.cells(&series[1]), ["", "z"]);
        assert_eq!(split.differing_text(&series[0]), "instance=\"1\"");
    }

    #[test]
    fn lines_break_between_labels_and_never_within_one() {
        let series = [labels(&[("__name__", "up"), ("job", "a  b c"), ("zone", "the other side")])];
        assert_eq!(
            Split::of(series.iter()).common_lines(24),
            ["up{job=\"a  b c\",", "zone=\"the other side\"}"]
        );
    }

    #[test]
    fn one_series_shares_all_its_labels_with_itself() {
        let series = [labels(&[("job", "a")])];
        let split = Split::of(series.iter());
        assert!(split.differing.is_empty());
        assert_eq!(split.common_lines(80), ["{job=\"a\"}"]);
    }

    #[test]
    fn no_series_and_no_labels_give_no_lines() {
        assert!(Split::of(std::iter::empty()).common_lines(80).is_empty());
        assert!(Split::of([LabelSet::new()].iter()).common_lines(80).is_empty());
    }
}
