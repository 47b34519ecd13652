//! The laws of trees.

use kandela_algebra::laws;
use kandela_algebra::merge::{Merge, Sum};
use kandela_algebra::tree::Tree;
use proptest::prelude::*;

/// Trees over three names and up to four levels, without empty leaves.
fn trees() -> impl Strategy<Value = Tree<Sum>> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..4);
    prop::collection::vec((path, 1i128..100), 0..12).prop_map(|values| {
        let mut tree = Tree::leaf(Sum(0));
        for (path, value) in values {
            tree.add(path, &Sum(value));
        }
        tree
    })
}

proptest! {
    #[test]
    fn trees_are_a_comonad(trees in prop::collection::vec(trees(), 1..4)) {
        let weight = |tree: &Tree<Sum>| (tree.total().0, tree.nodes());
        laws::comonad(trees, |tree: &Tree<(i128, usize)>| (*tree.value(), tree.children().len()), weight).unwrap();
    }

    #[test]
    fn trees_merge_in_any_order_and_subtract(trees in prop::collection::vec(trees(), 3..6)) {
        laws::merge(trees.clone()).unwrap();
        laws::commutative(trees.clone(), Tree::eq).unwrap();
        laws::subtract(trees).unwrap();
    }

    #[test]
    fn totals_in_one_pass_are_the_totals_of_each_node(tree in trees()) {
        prop_assert_eq!(tree.totals(), tree.extend(Tree::total));
    }

    #[test]
    fn the_total_of_a_merge_is_the_merge_of_totals(a in trees(), b in trees()) {
        let mut merged = a.clone();
        merged.merge_from(&b);
        prop_assert_eq!(merged.total(), Sum(a.total().0 + b.total().0));
    }
}

#[test]
fn a_walk_meets_parents_before_their_children() {
    let mut tree = Tree::leaf(Sum(0));
    tree.add(["b", "d"], &Sum(1));
    tree.add(["a"], &Sum(1));
    let mut met = Vec::new();
    tree.walk(|path, _| met.push(path.join("/")));
    assert_eq!(met, ["", "a", "b", "b/d"]);
}

#[test]
fn a_law_that_does_not_hold_is_reported_with_its_tree() {
    let mut tree = Tree::leaf(Sum(1));
    tree.add(["a"], &Sum(1));
    let calls = std::cell::Cell::new(0);
    let unsteady = |_: &Tree<Sum>| calls.replace(calls.get() + 1);
    let broken = laws::comonad([tree], |tree: &Tree<i32>| *tree.value(), unsteady).unwrap_err();
    assert!(broken.to_string().contains("extend"), "{broken}");
}
