//! Two proposals that somebody slips in: one that helps and one that harms. Only the scenario knows which is which.

use serde::Serialize;
use serde_json::{Value, json};

/// Settings that somebody suggests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Idea {
    /// What the one who suggests it would say.
    pub said: &'static str,
    pub good: bool,
    pub values: Value,
}

/// Both, in an order that the seed decides.
pub(super) fn ideas(seed: u64) -> [Idea; 2] {
    let good = Idea {
        said: "more connections where requests wait for one, and a second worker for orders",
        good: true,
        values: json!({
            "gateway.catalogue.pool.size": 10,
            "catalogue.stock.pool.size": 10,
            "stock.warehouse.pool.size": 10,
            "checkout.queue.workers": 2,
        }),
    };
    let bad = Idea {
        said: "fewer connections, so that everybody has less to do at a time",
        good: false,
        values: json!({"gateway.catalogue.pool.size": 3, "catalogue.stock.pool.size": 3}),
    };
    // The lowest bit alone would alternate with the seed.
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63;
    if mixed == 0 { [good, bad] } else { [bad, good] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_may_come_first_and_there_is_one_of_each() {
        let first: Vec<bool> = (0..40).map(|seed| ideas(seed)[0].good).collect();
        let good = first.iter().filter(|good| **good).count();
        assert!((12..=28).contains(&good), "{good} of 40");
        assert!((0..40).all(|seed| ideas(seed)[0].good != ideas(seed)[1].good));
    }
}
