//! Two proposals that somebody slips in: one that helps and one that harms. Only the scenario knows which is which.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// Settings that somebody suggests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Idea {
    /// Who suggests it; whoever comes first has the same name, whatever the idea is worth.
    pub by: &'static str,
    /// What the one who suggests it would say.
    pub said: &'static str,
    pub good: bool,
    pub values: Value,
}

impl Idea {
    /// The values as far as one step leads from the `good` settings: whole numbers at most doubled or halved.
    pub(super) fn within_a_step(&self, good: &BTreeMap<String, String>) -> Value {
        let values = self.values.as_object().into_iter().flatten();
        let near = values.map(|(knob, value)| {
            let stands = good.get(knob).and_then(|stands| stands.parse::<i64>().ok());
            let near = match (value.as_i64(), stands) {
                (Some(value), Some(stands)) => json!(value.clamp(stands - stands / 2, 2 * stands)),
                _ => value.clone(),
            };
            (knob.clone(), near)
        });
        Value::Object(near.collect())
    }
}

/// Both, in an order that the seed decides.
pub(super) fn ideas(seed: u64) -> [Idea; 2] {
    let good = |by| Idea {
        by,
        said: "more connections where requests wait for one, and a second worker for orders",
        good: true,
        values: json!({
            "gateway.catalogue.pool.size": 10,
            "catalogue.stock.pool.size": 10,
            "stock.warehouse.pool.size": 10,
            "checkout.queue.workers": 2,
        }),
    };
    let bad = |by| Idea {
        by,
        said: "fewer connections, so that everybody has less to do at a time",
        good: false,
        values: json!({"gateway.catalogue.pool.size": 3, "catalogue.stock.pool.size": 3}),
    };
    // The lowest bit alone would alternate with the seed.
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63;
    if mixed == 0 { [good("ann"), bad("ben")] } else { [bad("ann"), good("ben")] }
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
        assert!((0..40).all(|seed| ideas(seed)[0].by == "ann" && ideas(seed)[1].by == "ben"));
    }

    #[test]
    fn what_is_suggested_again_is_within_a_step_of_what_is_in_force() {
        let bad = ideas(1).into_iter().find(|idea| !idea.good).unwrap();
        let good = |size: &str| BTreeMap::from([("gateway.catalogue.pool.size".to_owned(), size.to_owned())]);
        let asked = |size| bad.within_a_step(&good(size))["gateway.catalogue.pool.size"].clone();
        assert_eq!((asked("5"), asked("10"), asked("9")), (json!(3), json!(5), json!(5)));
        assert_eq!(bad.within_a_step(&good("10"))["catalogue.stock.pool.size"], json!(3));
    }
}
