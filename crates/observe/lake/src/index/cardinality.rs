//! Where labels are many: what a person looks at who wonders why there are so many series.

use kandela_model::METRIC_NAME;

use super::SeriesIndex;

/// Names with their counts, the largest first, then by name.
pub type Counts = Vec<(String, usize)>;

/// Counts over living series; each list has its largest only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// How many pairs of a label's name and value there are.
    pub pairs: usize,
    /// Series of each metric.
    pub series_by_metric: Counts,
    /// Values of each label.
    pub values_by_label: Counts,
    /// Bytes of each label's values, counted once a series.
    pub bytes_by_label: Counts,
    /// Series of each `name=value`.
    pub series_by_pair: Counts,
}

impl SeriesIndex {
    /// Counts of which each list has the `limit` largest. Costs a walk over all values.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut found = Cardinality::default();
        let mut pairs: Vec<(usize, &str, &str)> = Vec::new();
        for (name, values) in self.values_by_name() {
            let (mut count, mut bytes) = (0, 0);
            for (value, series) in values {
                count += 1;
                bytes += value.len() * series;
                pairs.push((series, name, value));
                if name == METRIC_NAME {
                    found.series_by_metric.push((value.to_owned(), series));
                }
            }
            found.pairs += count;
            found.values_by_label.push((name.to_owned(), count));
            found.bytes_by_label.push((name.to_owned(), bytes));
        }
        pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        let largest = pairs.into_iter().take(limit);
        found.series_by_pair =
            largest.map(|(series, name, value)| (format!("{name}={value}"), series)).collect();
        for counts in [&mut found.series_by_metric, &mut found.values_by_label, &mut found.bytes_by_label] {
            counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            counts.truncate(limit);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::Labels;

    use super::*;

    #[test]
    fn the_largest_come_first_and_the_rest_is_left_out() {
        let mut index = SeriesIndex::default();
        for labels in [
            vec![("__name__", "up"), ("job", "cart"), ("instance", "a")],
            vec![("__name__", "up"), ("job", "cart"), ("instance", "b")],
            vec![("__name__", "errors"), ("job", "cart")],
        ] {
            let labels = Labels::new(labels).unwrap();
            index.add(labels.as_ref().series_id(0), 0, labels.as_ref());
        }
        let found = index.cardinality(2);
        let counts =
            |list: &[(&str, usize)]| -> Counts { list.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect() };
        assert_eq!(found.pairs, 5);
        assert_eq!(found.series_by_metric, counts(&[("up", 2), ("errors", 1)]));
        assert_eq!(found.values_by_label, counts(&[("__name__", 2), ("instance", 2)]));
        assert_eq!(found.bytes_by_label, counts(&[("job", 12), ("__name__", 10)]));
        assert_eq!(found.series_by_pair, counts(&[("job=cart", 3), ("__name__=up", 2)]));
    }
}
