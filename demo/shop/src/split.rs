//! Which replica of a service gets a call: one at random, by weights that may be changed at run time.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::figure::short;

/// The replicas of one service, as a caller sees them.
pub(crate) struct Split {
    /// All there are, whether or not they get calls.
    known: Vec<String>,
    /// Those that are named in the split, by weight.
    replicas: RwLock<Vec<(String, f64)>>,
}

impl Split {
    /// All replicas alike.
    pub(crate) fn even(addresses: Vec<String>) -> Split {
        let replicas = addresses.iter().map(|address| (address.clone(), 1.0)).collect();
        Split { known: addresses, replicas: RwLock::new(replicas) }
    }

    /// Address and weight of each replica.
    pub(crate) fn weights(&self) -> BTreeMap<String, f64> {
        self.replicas.read().iter().cloned().collect()
    }

    /// Sets the weights; a replica that `weights` does not name gets no calls.
    ///
    /// # Errors
    /// What is wrong with `weights`; the old ones then hold.
    pub(crate) fn set(&self, weights: &BTreeMap<String, f64>) -> Result<(), String> {
        for (address, weight) in weights {
            if !self.known.contains(address) {
                return Err(format!("no replica listens at {address}; there are {}", self.known.join(", ")));
            }
            if !(0.0..=1e6).contains(weight) {
                return Err(format!("the weight of {address} is {}; it may be 0 to 1000000", short(*weight)));
            }
        }
        if weights.values().sum::<f64>() <= 0.0 {
            return Err("all weights are 0; leave one above".to_owned());
        }
        *self.replicas.write() = weights.iter().map(|(address, weight)| (address.clone(), *weight)).collect();
        Ok(())
    }

    /// A replica that is `wanted`, by weight; `at` is uniform in [0, 1). None where none with a weight is wanted.
    pub(crate) fn pick(&self, at: f64, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let replicas = self.replicas.read();
        let open: Vec<&(String, f64)> =
            replicas.iter().filter(|(address, weight)| *weight > 0.0 && wanted(address)).collect();
        let total: f64 = open.iter().map(|(_, weight)| weight).sum();
        let mut left = at * total;
        for (address, weight) in &open {
            left -= weight;
            if left < 0.0 {
                return Some(address.clone());
            }
        }
        open.last().map(|(address, _)| address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        let split = Split::even(vec!["a:1".to_owned(), "b:2".to_owned()]);
        split.set(&BTreeMap::from([("a:1".to_owned(), 9.0), ("b:2".to_owned(), 1.0)])).expect("valid");
        split
    }

    #[test]
    fn a_canary_gets_its_share_of_the_calls() {
        let split = split();
        let to_canary = (0..1000)
            .filter(|n| split.pick(f64::from(*n) / 1000.0, |_| true).as_deref() == Some("b:2"))
            .count();
        assert_eq!(to_canary, 100);
    }

    #[test]
    fn a_replica_that_is_not_wanted_gets_no_calls() {
        assert_eq!(split().pick(0.1, |address| address == "b:2").as_deref(), Some("b:2"));
        assert_eq!(split().pick(0.1, |_| false), None);
    }

    #[test]
    fn an_address_that_no_replica_has_is_refused_with_those_that_there_are() {
        let split = split();
        let error = split.set(&BTreeMap::from([("c:3".to_owned(), 1.0)])).expect_err("no replica");
        assert_eq!(error, "no replica listens at c:3; there are a:1, b:2");
        assert_eq!(split.weights()["a:1"], 9.0, "the old weights hold");
    }

    #[test]
    fn a_replica_that_was_left_out_may_come_back() {
        let split = split();
        split.set(&BTreeMap::from([("a:1".to_owned(), 1.0)])).expect("valid");
        split.set(&BTreeMap::from([("b:2".to_owned(), 1.0)])).expect("b:2 is still there");
        assert_eq!(split.pick(0.0, |_| true).as_deref(), Some("b:2"));
    }

    #[test]
    fn weights_that_leave_no_replica_are_refused() {
        let error = split().set(&BTreeMap::from([("a:1".to_owned(), 0.0)])).expect_err("no replica is left");
        assert!(error.contains("all weights are 0"), "{error}");
    }
}
