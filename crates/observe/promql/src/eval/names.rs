//! When names that functions take away go.
//!
//! At once, as in Prometheus by default, or with the end of the query ([`super::Options::delayed_name_removal`]). A series of a
//! stream keeps its labels as they are either way, with a mark that its name is to go; who makes labels of it leaves the name out.

use std::collections::HashMap;

use kandela_model::Labels;

use super::labels;
use super::stream::Stream;
use super::value::Series;
use super::{Evaluated, Evaluator, failed};

impl Evaluator {
    /// The series of an operator as the next one sees them.
    pub(super) fn without_names(&self, series: Vec<Series>, count: usize) -> Evaluated<Vec<Series>> {
        let drops = !self.options.delayed_name_removal && series.iter().any(|one| one.drop_name);
        if drops { named(series, count) } else { Ok(series) }
    }
}

/// Whether series of a stream, which differ, may be the same without the names that are to go.
pub(super) fn may_become_one(stream: &dyn Stream) -> bool {
    let metadata = |index: usize| {
        let labels = stream.labels(index);
        labels::METADATA.map(|name| labels.get(name))
    };
    let mut dropping = (0..stream.len()).filter(|index| stream.drops_name(*index)).map(metadata);
    let first = dropping.next();
    dropping.any(|other| Some(other) != first)
}

/// The series without the names that are to go; series that are then one must not have values at one time.
pub(super) fn named(series: Vec<Series>, count: usize) -> Evaluated<Vec<Series>> {
    let mut named: Vec<Series> = Vec::with_capacity(series.len());
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for mut one in series {
        if one.is_empty() {
            continue;
        }
        if one.drop_name {
            one.labels = labels::without_metadata(&one.labels);
            one.drop_name = false;
        }
        match places.get(&one.labels).and_then(|at| named.get_mut(*at)) {
            None => {
                places.insert(one.labels.clone(), named.len());
                named.push(one);
            }
            Some(same) => {
                for n in 0..count {
                    let Some(point) = one.point(n) else { continue };
                    if same.has(n) {
                        return failed("vector cannot contain metrics with the same labelset");
                    }
                    same.set(n, point);
                }
            }
        }
    }
    Ok(named)
}
