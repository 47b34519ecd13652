//! Trees as deep as queries may make them, whatever stack they are walked on.

use std::fmt;

use crate::ast::{Expr, Kind, Number, Span};

/// What walking one level takes at most: at the last one a regular expression may be compiled, or a file be read.
const LEVEL: usize = 1 << 20;
/// By how much the stack grows where less is left. What is not used of it takes no memory.
const MORE: usize = 8 << 20;

/// Runs `walk` with room on the stack for one more level of a tree. Whoever walks a tree calls itself through this.
pub fn deeper<T>(walk: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LEVEL, MORE, walk)
}

impl Expr {
    /// What it is, without its place.
    pub(crate) fn into_kind(mut self) -> Kind {
        std::mem::replace(&mut self.kind, LEAF)
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { kind: LEAF, span: Span::default() })
    }

    fn take_children(&mut self, children: &mut Vec<Self>) {
        match &mut self.kind {
            Kind::Number(_) | Kind::String(_) | Kind::Vector(_) | Kind::Matrix(_) => {}
            Kind::Subquery(subquery) => children.push(subquery.expr.take()),
            Kind::Call(call) => children.append(&mut call.args),
            Kind::Aggregate(aggregate) => {
                children.extend(aggregate.param.take());
                children.push(aggregate.expr.take());
            }
            Kind::Binary(binary) => children.extend([binary.left.take(), binary.right.take()]),
            Kind::Unary(unary) => children.push(unary.expr.take()),
            Kind::Paren(inner) => children.push(inner.take()),
        }
    }
}

const LEAF: Kind = Kind::Number(Number { value: 0.0, is_duration: false });

impl Drop for Expr {
    fn drop(&mut self) {
        let mut left = Vec::new();
        self.take_children(&mut left);
        while let Some(mut expr) = left.pop() {
            expr.take_children(&mut left);
        }
    }
}

impl Clone for Expr {
    fn clone(&self) -> Self {
        deeper(|| Self { kind: self.kind.clone(), span: self.span })
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        deeper(|| self.span == other.span && self.kind == other.kind)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        deeper(|| f.debug_struct("Expr").field("kind", &self.kind).field("span", &self.span).finish())
    }
}
