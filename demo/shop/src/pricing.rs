//! What a basket costs at most cleverly: which promotions to use together so that it costs least.
//!
//! Promotions exclude each other by group and take effect one after the other, so the cheapest set is not the set of the
//! cheapest ones. All sets are tried, which is exact; there are few promotions for one basket.

use serde::{Deserialize, Serialize};

/// So many items of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) item: u32,
    pub(crate) category: u32,
    pub(crate) cents: u64,
    pub(crate) quantity: u64,
}

/// A basket with its price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Priced {
    pub(crate) lines: Vec<Line>,
    pub(crate) full_cents: u64,
    pub(crate) cents: u64,
    /// The numbers of the promotions used.
    pub(crate) promotions: Vec<u32>,
}

/// Something that makes a basket cheaper.
#[derive(Clone, Debug)]
struct Promotion {
    number: u32,
    /// Of each group, one may be used.
    group: u32,
    effect: Effect,
}

#[derive(Clone, Debug)]
enum Effect {
    /// So many hundredths off what is of a category.
    Category { category: u32, percent: u64 },
    /// Of each so many of one item, one is free.
    OneFree { of: u64 },
    /// So many cents off, from so much on.
    Coupon { from: u64, off: u64 },
    /// So many hundredths off the dearest line.
    Dearest { percent: u64 },
    /// So many hundredths off everything, from so many items on.
    Bulk { items: u64, percent: u64 },
}

/// The most promotions that are tried together: 4,096 sets.
const MOST: usize = 12;

/// The cheapest price of a basket.
pub(crate) fn price(lines: Vec<Line>) -> Priced {
    let usable: Vec<Promotion> = season().into_iter().filter(|p| touches(p, &lines)).take(MOST).collect();
    let full_cents = lines.iter().map(|line| line.cents * line.quantity).sum();
    let mut best = (full_cents, 0_usize);
    for set in 1..1_usize << usable.len() {
        let chosen = || usable.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, p)| p);
        if clashes(chosen()) {
            continue;
        }
        let cents = cost(&lines, chosen());
        if cents < best.0 {
            best = (cents, set);
        }
    }
    let used = usable.iter().enumerate().filter(|(bit, _)| best.1 >> bit & 1 == 1);
    let promotions = used.map(|(_, promotion)| promotion.number).collect();
    Priced { full_cents, cents: best.0, promotions, lines }
}

fn touches(promotion: &Promotion, lines: &[Line]) -> bool {
    match promotion.effect {
        Effect::Category { category, .. } => lines.iter().any(|line| line.category == category),
        Effect::OneFree { of } => lines.iter().any(|line| line.quantity >= of),
        Effect::Coupon { .. } | Effect::Dearest { .. } | Effect::Bulk { .. } => !lines.is_empty(),
    }
}

fn clashes<'a>(chosen: impl Iterator<Item = &'a Promotion>) -> bool {
    let mut groups = 0_u64;
    for promotion in chosen {
        let group = 1 << promotion.group;
        if groups & group != 0 {
            return true;
        }
        groups |= group;
    }
    false
}

fn cost<'a>(lines: &[Line], chosen: impl Iterator<Item = &'a Promotion>) -> u64 {
    let mut costs: Vec<u64> = lines.iter().map(|line| line.cents * line.quantity).collect();
    let mut off = 0;
    for promotion in chosen {
        match promotion.effect {
            Effect::Category { category, percent } => {
                let of_category = costs.iter_mut().zip(lines).filter(|(_, line)| line.category == category);
                of_category.for_each(|(cost, _)| *cost -= *cost * percent / 100);
            }
            Effect::OneFree { of } => {
                for (cost, line) in costs.iter_mut().zip(lines) {
                    *cost -= *cost / line.quantity.max(1) * (line.quantity / of);
                }
            }
            Effect::Coupon { from, off: cents } => {
                if costs.iter().sum::<u64>() >= from {
                    off += cents;
                }
            }
            Effect::Dearest { percent } => {
                if let Some(dearest) = costs.iter_mut().max() {
                    *dearest -= *dearest * percent / 100;
                }
            }
            Effect::Bulk { items, percent } => {
                if lines.iter().map(|line| line.quantity).sum::<u64>() >= items {
                    costs.iter_mut().for_each(|cost| *cost -= *cost * percent / 100);
                }
            }
        }
    }
    costs.iter().sum::<u64>().saturating_sub(off)
}

/// This season's promotions. Those that touch most baskets come last, so that the special ones are among those tried.
fn season() -> Vec<Promotion> {
    let categories =
        (0..25).map(|n| (n % 4, Effect::Category { category: n * 2, percent: 10 + u64::from(n % 5) * 5 }));
    let others = [
        (4, Effect::OneFree { of: 3 }),
        (4, Effect::OneFree { of: 2 }),
        (5, Effect::Coupon { from: 5_000, off: 500 }),
        (5, Effect::Coupon { from: 20_000, off: 3_000 }),
        (6, Effect::Dearest { percent: 15 }),
        (6, Effect::Dearest { percent: 20 }),
        (7, Effect::Bulk { items: 4, percent: 8 }),
        (7, Effect::Bulk { items: 10, percent: 12 }),
    ];
    let all = categories.chain(others).zip(0..);
    all.map(|((group, effect), number)| Promotion { number, group, effect }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(item: u32, category: u32, cents: u64, quantity: u64) -> Line {
        Line { item, category, cents, quantity }
    }

    #[test]
    fn an_empty_basket_costs_nothing() {
        let priced = price(Vec::new());
        assert_eq!((priced.full_cents, priced.cents), (0, 0));
    }

    #[test]
    fn one_item_gets_the_better_of_two_that_exclude_each_other() {
        let priced = price(vec![line(1, 1, 1000, 1)]);
        assert_eq!((priced.full_cents, priced.cents, priced.promotions), (1000, 800, vec![30]));
    }

    #[test]
    fn no_single_change_of_promotions_is_cheaper() {
        let lines = vec![line(1, 0, 4_000, 2), line(2, 8, 900, 3), line(3, 2, 12_000, 1), line(4, 5, 300, 6)];
        let priced = price(lines.clone());
        let usable: Vec<Promotion> = season().into_iter().filter(|p| touches(p, &lines)).take(MOST).collect();
        let used = |p: &&Promotion| priced.promotions.contains(&p.number);
        assert_eq!(cost(&lines, usable.iter().filter(used)), priced.cents);
        for change in &usable {
            let changed = |p: &&Promotion| used(p) != (p.number == change.number);
            let clash = clashes(usable.iter().filter(changed));
            assert!(clash || cost(&lines, usable.iter().filter(changed)) >= priced.cents, "{change:?}");
        }
    }
}
