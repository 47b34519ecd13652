//! Trees of named parts: profiles by call path, spans of a trace, groups within groups.
//!
//! A node has a value of its own and children by name. What a node has *of its own* and what it has *in all* are two readings of
//! one tree: [`Tree::totals`] goes from the first to the second. Trees merge path by path, so profiles of threads, processes and
//! days add up however the work was cut, and they subtract, which is a differential profile.
//!
//! ```
//! use kandela_algebra::merge::{Merge, Subtract, Sum};
//! use kandela_algebra::tree::Tree;
//!
//! // Nanoseconds that each path took by itself.
//! let mut monday = Tree::leaf(Sum(0));
//! monday.add(["checkout"], &Sum(10));
//! monday.add(["checkout", "pay"], &Sum(90));
//! assert_eq!(monday.at(["checkout"]).map(Tree::total), Some(Sum(100)));
//!
//! let mut tuesday = monday.clone();
//! tuesday.add(["checkout", "pay"], &Sum(25));
//! tuesday.subtract(&monday);
//! assert_eq!(tuesday.at(["checkout", "pay"]).map(|node| *node.value()), Some(Sum(25)));
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::merge::{Approximate, Commutative, Merge, Subtract};

/// A value, and further trees by name, in the order of their names.
///
/// As a functor and comonad: [`map`](Tree::map), [`extend`](Tree::extend), and [`value`](Tree::value) for what the comonad calls
/// extract; `laws::comonad` checks them. Operations go down the tree by recursion: depth is bounded by the thread's stack, some
/// thousands of levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree<A> {
    value: A,
    children: BTreeMap<Arc<str>, Tree<A>>,
}

impl<A> Tree<A> {
    /// A tree without children.
    pub fn leaf(value: A) -> Tree<A> {
        Tree { value, children: BTreeMap::new() }
    }

    /// What this node has of its own.
    pub fn value(&self) -> &A {
        &self.value
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&Tree<A>> {
        self.children.get(name)
    }

    /// The children, in the order of their names.
    pub fn children(&self) -> impl ExactSizeIterator<Item = (&str, &Tree<A>)> {
        self.children.iter().map(|(name, child)| (&**name, child))
    }

    /// The node that `path` leads to; the tree itself where the path is empty.
    pub fn at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&Tree<A>> {
        path.into_iter().try_fold(self, |node, name| node.child(name))
    }

    /// How many nodes, this one included.
    pub fn nodes(&self) -> usize {
        1 + self.children.values().map(Tree::nodes).sum::<usize>()
    }

    /// The tree of the same shape whose values are `f` of the values here.
    pub fn map<B>(&self, f: impl Fn(&A) -> B) -> Tree<B> {
        self.extend(|node| f(&node.value))
    }

    /// The tree of the same shape whose value at each node is `f` of the whole tree below that node.
    pub fn extend<B>(&self, f: impl Fn(&Tree<A>) -> B) -> Tree<B> {
        fn extended<A, B>(node: &Tree<A>, f: &impl Fn(&Tree<A>) -> B) -> Tree<B> {
            let children = node.children.iter().map(|(name, child)| (name.clone(), extended(child, f)));
            Tree { value: f(node), children: children.collect() }
        }
        extended(self, &f)
    }

    /// Calls `visit` for each node with the path that leads to it, parents before their children.
    pub fn walk<'t>(&'t self, mut visit: impl FnMut(&[&'t str], &'t Tree<A>)) {
        fn walked<'t, A>(
            node: &'t Tree<A>,
            path: &mut Vec<&'t str>,
            visit: &mut impl FnMut(&[&'t str], &'t Tree<A>),
        ) {
            visit(path, node);
            for (name, child) in &node.children {
                path.push(name);
                walked(child, path, visit);
                path.pop();
            }
        }
        walked(self, &mut Vec::new(), &mut visit);
    }
}

impl<A: Merge> Tree<A> {
    /// Merges `value` into the node that `path` leads to. Nodes that are not there yet begin empty.
    pub fn add<N: Into<Arc<str>>>(&mut self, path: impl IntoIterator<Item = N>, value: &A) {
        let mut node = self;
        for name in path {
            let empty = node.value.empty();
            node = node.children.entry(name.into()).or_insert_with(|| Tree::leaf(empty));
        }
        node.value.merge_from(value);
    }

    /// All values of the tree, merged: parents before their children, children in the order of their names.
    pub fn total(&self) -> A {
        let mut total = self.value.empty();
        total.merge_from(&self.value);
        for child in self.children.values() {
            total.merge_from(&child.total());
        }
        total
    }

    /// The tree of each node's [`total`](Tree::total): from what nodes have of their own to what they have in all. Equal to
    /// `extend(Tree::total)`, in one pass.
    pub fn totals(&self) -> Tree<A> {
        let children: BTreeMap<_, _> =
            self.children.iter().map(|(name, child)| (name.clone(), child.totals())).collect();
        let mut value = self.value.empty();
        value.merge_from(&self.value);
        children.values().for_each(|child| value.merge_from(&child.value));
        Tree { value, children }
    }
}

/// Path by path; a node that one side lacks is taken from the other.
impl<A: Merge + Clone> Merge for Tree<A> {
    fn empty(&self) -> Self {
        Tree::leaf(self.value.empty())
    }
    fn merge_from(&mut self, other: &Self) {
        self.value.merge_from(&other.value);
        self.children.merge_from(&other.children);
    }
}
impl<A: Commutative + Clone> Commutative for Tree<A> {}
impl<A: Approximate + Clone> Approximate for Tree<A> {}

/// Path by path. A leaf that becomes empty goes, so the law holds for trees without empty leaves; [`Tree::add`] of what is not
/// empty makes no others.
impl<A: Subtract + Clone + PartialEq> Subtract for Tree<A> {
    fn subtract(&mut self, other: &Self) {
        self.value.subtract(&other.value);
        for (name, taken) in &other.children {
            let empty = Tree::leaf(self.value.empty());
            let node = self.children.entry(name.clone()).or_insert_with(|| empty.clone());
            node.subtract(taken);
            if *node == empty {
                self.children.remove(name);
            }
        }
    }
}
