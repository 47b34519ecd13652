//! The laws of trees.

use std::fmt::Debug;

use super::{Broken, agree, enough};
use crate::tree::Tree;

/// The laws of [`Tree`] as a comonad, whose extract is [`Tree::value`], and of [`Tree::map`], for given `f` and `g`.
pub fn comonad<A: Clone + PartialEq + Debug, B: Clone, C: PartialEq + Debug>(
    trees: impl IntoIterator<Item = Tree<A>>,
    f: impl Fn(&Tree<B>) -> C,
    g: impl Fn(&Tree<A>) -> B,
) -> Result<(), Broken> {
    const COMPOSES: &str = "t.extend(g).extend(f) = t.extend(|s| f(s.extend(g)))";
    let trees: Vec<Tree<A>> = trees.into_iter().collect();
    enough(COMPOSES, 1, trees.len())?;
    trees.iter().try_for_each(|t| {
        agree("t.extend(value) = t", &[t], &t.extend(|s| s.value().clone()), t, Tree::eq)?;
        agree("t.map(id) = t", &[t], &t.map(A::clone), t, Tree::eq)?;
        let once = t.extend(&g);
        agree("t.extend(f).value() = f(t)", &[t], &once.extend(&f).value(), &&f(&once), |a, b| a == b)?;
        agree(COMPOSES, &[t], &once.extend(&f), &t.extend(|s| f(&s.extend(&g))), Tree::eq)
    })
}
