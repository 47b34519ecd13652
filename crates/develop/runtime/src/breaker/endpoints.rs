//! A breaker for each endpoint, so that one that fails does not close the way to the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::settings::Settings;
use super::{Breaker, BreakerError};
use crate::range::within;
use crate::steward::Steward;

/// The name of the breaker that endpoints beyond the bound share.
const OTHERS: &str = "others";

/// Breakers by endpoint. Copies share one set. Their number is bounded: endpoints beyond it share one breaker. Name endpoints by their
/// route (`GET /carts/{id}`), not by their path.
#[derive(Clone)]
pub struct Endpoints {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    settings: Settings,
    most: usize,
    steward: Steward,
    by_endpoint: RwLock<HashMap<String, Breaker>>,
    others: Breaker,
}

impl Endpoints {
    /// At most `most` breakers, 1 to 10,000, called `NAME.ENDPOINT`, and `NAME.others`.
    ///
    /// # Errors
    /// [`BreakerError`] where a setting is out of its range.
    pub fn new(
        name: &str,
        settings: Settings,
        most: usize,
        steward: &Steward,
    ) -> Result<Endpoints, BreakerError> {
        within("breaker.endpoints", most, 1..=10_000).map_err(BreakerError::Setting)?;
        let others = Breaker::new(&format!("{name}.{OTHERS}"), settings.clone(), steward)?;
        let shared = Shared {
            name: name.to_owned(),
            settings,
            most,
            steward: steward.clone(),
            by_endpoint: RwLock::default(),
            others,
        };
        Ok(Endpoints { shared: Arc::new(shared) })
    }

    /// The breaker of `endpoint`.
    pub fn get(&self, endpoint: &str) -> Breaker {
        let shared = &self.shared;
        if let Some(breaker) = shared.by_endpoint.read().get(endpoint) {
            return breaker.clone();
        }
        let mut by_endpoint = shared.by_endpoint.write();
        if let Some(breaker) = by_endpoint.get(endpoint) {
            return breaker.clone();
        }
        if by_endpoint.len() >= shared.most {
            return shared.others.clone();
        }
        let name = format!("{}.{endpoint}", shared.name);
        // Settings that were checked once are good; a breaker for all is better than none.
        let Ok(breaker) = Breaker::new(&name, shared.settings.clone(), &shared.steward) else {
            return shared.others.clone();
        };
        by_endpoint.insert(endpoint.to_owned(), breaker.clone());
        breaker
    }

    /// The endpoints that have a breaker of their own, in order.
    pub fn known(&self) -> Vec<(String, Breaker)> {
        let by_endpoint = self.shared.by_endpoint.read();
        let mut known: Vec<_> =
            by_endpoint.iter().map(|(name, breaker)| (name.clone(), breaker.clone())).collect();
        known.sort_by(|a, b| a.0.cmp(&b.0));
        known
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn one_endpoint_that_fails_leaves_the_others_open() {
        let endpoints =
            Endpoints::new("breaker", Settings::default(), 8, &Steward::default()).expect("within range");
        for _ in 0..20 {
            endpoints.get("GET /bad").permit().expect("closed").failure();
        }
        assert_eq!(endpoints.get("GET /bad").state(), State::Open);
        assert_eq!(endpoints.get("GET /good").state(), State::Closed);
    }

    #[test]
    fn endpoints_beyond_the_bound_share_a_breaker() {
        let endpoints =
            Endpoints::new("breaker", Settings::default(), 2, &Steward::default()).expect("within range");
        for number in 0..22 {
            endpoints.get(&format!("GET /{number}")).permit().expect("closed").failure();
        }
        assert_eq!(endpoints.known().len(), 2);
        assert_eq!(endpoints.get("GET /77").state(), State::Open);
    }
}
