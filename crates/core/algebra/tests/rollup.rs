//! Roll-ups compose, keep totals, and commute with joins.

use std::collections::{BTreeMap, BTreeSet};

use kandela_algebra::merge::{Count, FloatSum, Max, Merge, Sum, Summary, merge_all};
use kandela_algebra::rollup::{Attributes, Hierarchy, ManyToMany, Rollup, ShareError, Shares};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

type Values = BTreeMap<u8, (Count, Max)>;

/// Few keys, so that some children share an owner, some have none, and some owners have none themselves.
fn hierarchy() -> impl Strategy<Value = Hierarchy<u8, u8>> {
    btree_map(0u8..20, 0u8..6, 0..16)
        .prop_map(|pairs| Hierarchy::new(pairs).expect("a map has one owner a child"))
}

fn values() -> impl Strategy<Value = Values> {
    btree_map(0u8..20, (any::<u64>().prop_map(Count), any::<f64>().prop_map(|v| Max(Some(v)))), 0..20)
}

fn total<S: Merge + Clone>(rollup: &Rollup<u8, S>, like: &S) -> S {
    merge_all(like, rollup.groups.values().chain(&rollup.unowned))
}

proptest! {
    #[test]
    fn two_steps_up_equal_one(service in hierarchy(), team in hierarchy(), values in values()) {
        prop_assert_eq!(service.rollup(&values).then(&team), service.then(&team).rollup(&values));
    }

    #[test]
    fn three_levels_compose_in_either_grouping(a in hierarchy(), b in hierarchy(), c in hierarchy()) {
        prop_assert_eq!(a.then(&b).then(&c), a.then(&b.then(&c)));
    }

    #[test]
    fn nothing_is_lost_or_counted_twice(service in hierarchy(), values in values()) {
        let like = (Count(0), Max(None));
        prop_assert_eq!(total(&service.rollup(&values), &like), merge_all(&like, values.values()));
    }

    #[test]
    fn joining_the_children_and_rolling_up_equals_rolling_up_and_joining_the_owners(
        service in hierarchy(),
        values in btree_map(0u8..20, (-1_000_000i128..1_000_000).prop_map(Sum), 0..20),
        prices in btree_map(0u8..6, -1000i128..1000, 0..6),
    ) {
        let prices = Attributes::new(prices);
        let price = |sum: &Sum, price: &i128| Some(Sum(sum.0 * price));
        let joined_below = service.rollup(&service.enrich(&prices).join(&values, price)).groups;
        prop_assert_eq!(joined_below, prices.join(&service.rollup(&values).groups, price));

        let cheap = |sum: &Sum, price: &i128| (*price < 0).then_some(*sum);
        let filtered_below = service.rollup(&service.enrich(&prices).join(&values, cheap)).groups;
        prop_assert_eq!(filtered_below, prices.join(&service.rollup(&values).groups, cheap));
    }

    #[test]
    fn attributes_reach_grandchildren_in_one_step_or_two(
        service in hierarchy(), team in hierarchy(), tiers in btree_map(0u8..6, any::<char>(), 0..6),
    ) {
        let tiers = Attributes::new(tiers);
        prop_assert_eq!(service.enrich(&team.enrich(&tiers)), service.then(&team).enrich(&tiers));
    }

    #[test]
    fn an_owner_is_complete_exactly_when_every_child_has_reported(service in hierarchy(), values in values()) {
        for (owner, members) in service.complete(&values) {
            let children: BTreeSet<u8> = (0..20).filter(|child| service.owner(child) == Some(&owner)).collect();
            prop_assert_eq!(members.is_complete(), children.iter().all(|child| values.contains_key(child)));
            prop_assert_eq!(members.reported + members.missing.len(), children.len());
        }
    }

    #[test]
    fn shares_keep_the_total(
        weights in btree_map(0u8..20, vec((0u8..6, 1u32..100), 1..4), 1..20),
        costs in btree_map(0u8..20, -1e6..1e6, 0..20),
    ) {
        let shares = weights.iter().flat_map(|(&child, owners)| {
            let whole: u32 = owners.iter().map(|&(_, weight)| weight).sum();
            owners.iter().map(move |&(owner, weight)| (child, owner, f64::from(weight) / f64::from(whole)))
        });
        let costs: BTreeMap<u8, FloatSum> =
            costs.into_iter().map(|(child, cost)| (child, FloatSum::default().lift(cost))).collect();
        let like = FloatSum::default();
        let rolled = Shares::new(shares).unwrap().rollup(&costs);
        let lost = total(&rolled, &like).value() - merge_all(&like, costs.values()).value();
        prop_assert!(lost.abs() < 1e-6);
    }

    #[test]
    fn whole_shares_are_a_hierarchy(service in hierarchy(), costs in btree_map(0u8..20, -1e6..1e6, 0..20)) {
        let costs: BTreeMap<u8, FloatSum> =
            costs.into_iter().map(|(child, cost)| (child, FloatSum::default().lift(cost))).collect();
        let shares = (0..20).filter_map(|child| Some((child, *service.owner(&child)?, 1.0)));
        prop_assert_eq!(Shares::new(shares).unwrap().rollup(&costs), service.rollup(&costs));
    }
}

#[test]
fn a_child_with_two_owners_is_refused() {
    let refused = Hierarchy::new([("pod", "cart"), ("pod", "cart"), ("pod", "pay")]).unwrap_err();
    assert_eq!(refused, ManyToMany { child: "pod", owners: ("cart", "pay") });
    assert_eq!(
        refused.to_string(),
        "\"pod\" belongs to both \"cart\" and \"pay\", so totals would count it twice; remove one, or give each a share"
    );
}

#[test]
fn shares_that_would_change_the_total_are_refused() {
    let refused = Shares::new([("db", "cart", 0.5), ("db", "pay", 0.4)]).unwrap_err();
    assert_eq!(refused, ShareError::Total { child: "db", total: 0.9 });
    for share in [-0.1, 1.5, f64::NAN] {
        assert!(matches!(Shares::new([("db", "cart", share)]), Err(ShareError::OutOfRange { .. })));
    }
}
