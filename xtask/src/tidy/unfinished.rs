//! Nothing unfinished is committed: no placeholder macros, no left-over debugging, no test switched off without saying why.

use super::tree::{Token, reads};
use super::{Tree, Violation};

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.with_extension("rs") {
        let mut report = |line: usize, what: String, remedy: &str| {
            violations.push(Violation { path: file.path.clone(), line, what, remedy: remedy.to_owned() });
        };
        let Some(tokens) = file.tokens() else {
            report(1, "does not read as Rust".to_owned(), "mend it, or give it another extension");
            continue;
        };
        for index in 0..tokens.len() {
            if let Some(name) = placeholder(&tokens, index) {
                report(
                    tokens[index].line,
                    format!("{name}! is left in the code"),
                    "finish it or take it out",
                );
            }
            if reads(&tokens, index, &["#", "[", "ignore", "]"]) {
                report(
                    tokens[index].line,
                    "a test is ignored for no stated reason".to_owned(),
                    "write #[ignore = \"why\"], or let it run",
                );
            }
        }
    }
    violations
}

/// The name of the placeholder macro that is called at `index`.
fn placeholder(tokens: &[Token], index: usize) -> Option<&str> {
    let name = tokens[index].text.as_str();
    let called = ["(", "[", "{"].iter().any(|open| reads(tokens, index + 1, &["!", open]));
    (called && matches!(name, "todo" | "unimplemented" | "dbg")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(usize, String)> {
        let violations = check(&Tree::of(&[("a.rs", source)]));
        violations.into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    #[test]
    fn placeholder_macros_are_found_wherever_they_hide() {
        let source = "fn a() {\n    todo!();\n    assert!(dbg!(true));\n    if b { unimplemented!{} }\n}";
        let lines: Vec<usize> = found(source).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 3, 4]);
    }

    #[test]
    fn a_test_may_be_ignored_only_with_a_reason() {
        let source = "#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"takes an hour\"]\nfn b() {}";
        assert_eq!(found(source), [(2, "a test is ignored for no stated reason".to_owned())]);
    }

    #[test]
    fn the_words_alone_are_no_violation() {
        assert_eq!(
            found("/// Not a todo!().\nfn todo(dbg: &str) -> bool { dbg != \"unimplemented!()\" }"),
            []
        );
    }
}
