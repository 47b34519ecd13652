//! The house rules that no compiler knows, checked over the files that git knows.
//!
//! `cargo xtask tidy` prints what it finds; the test at the end makes `cargo test --workspace` include it. A rule is a
//! function from a [`Tree`] to its [`Violation`]s, and tells, for each, what to do about it.

mod direction;
mod docs;
mod manifest;
mod paths;
mod purity;
mod size;
mod tree;
mod unfinished;

pub(crate) use tree::Tree;

use std::fmt;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Path from the root of the tree, with forward slashes.
    pub(crate) path: String,
    /// Line in that file, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// Every violation in the tree, by path and line.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let rules: [fn(&Tree) -> Vec<Violation>; 7] = [
        size::check,
        unfinished::check,
        direction::check,
        purity::check,
        manifest::check,
        docs::check,
        paths::check,
    ];
    let mut violations: Vec<Violation> = rules.iter().flat_map(|rule| rule(tree)).collect();
    violations.sort();
    violations.dedup();
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let tree = Tree::read(&crate::workspace_root()).expect("the repository reads");
        let report: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert!(report.is_empty(), "{} violations:\n{}", report.len(), report.join("\n"));
    }

    #[test]
    fn a_violation_prints_as_a_place_that_editors_open() {
        let violation = Violation {
            path: "crates/a/src/lib.rs".to_owned(),
            line: 7,
            what: "is wrong".to_owned(),
            remedy: "mend it".to_owned(),
        };
        assert_eq!(violation.to_string(), "crates/a/src/lib.rs:7: is wrong; mend it");
    }
}
