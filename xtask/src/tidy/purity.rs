//! Pure crates take values and give values: no I/O library, no clock, no file, no socket.
//!
//! Time comes in as data and randomness as a seeded generator, so a week runs in seconds in a test.

use super::direction::dependencies_of_kind;
use super::tree::{Token, reads, without_tests};
use super::{Tree, Violation};

/// Folders of crates that know no outside world.
const PURE: [&str; 4] = ["crates/core/", "crates/understand/", "crates/foresee/", "crates/act/tune/"];

/// Crates whose point is I/O.
const IO_CRATES: [&str; 11] = [
    "tokio",
    "reqwest",
    "hyper",
    "axum",
    "tonic",
    "datafusion",
    "deltalake-core",
    "object_store",
    "kandela-lake",
    "kandela-server",
    "kandela-ingest",
];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = io_dependencies(tree);
    for file in tree.with_extension("rs").filter(|file| is_pure(&file.path) && file.path.contains("/src/")) {
        let Some(tokens) = file.tokens() else { continue };
        for (path, line) in paths(&without_tests(&tokens)) {
            if let Some(outside) = outside_world(&path) {
                violations.push(Violation {
                    path: file.path.clone(),
                    line,
                    what: format!("a pure crate reaches for {outside}"),
                    remedy: "take the value as an argument; the caller reads the clock or the file"
                        .to_owned(),
                });
            }
        }
    }
    violations
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|folder| path.starts_with(folder))
}

fn io_dependencies(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (file, manifest) in tree.manifests().filter(|(file, _)| is_pure(&file.path)) {
        for name in dependencies_of_kind(&manifest, "dependencies") {
            if IO_CRATES.contains(&name.as_str()) {
                violations.push(Violation {
                    path: file.path.clone(),
                    line: file.line_of_key(&name),
                    what: format!("a pure crate depends on {name}"),
                    remedy: "move the I/O to platform/server, and hand its values in".to_owned(),
                });
            }
        }
    }
    violations
}

/// What a path reaches for outside of the program, if anything.
fn outside_world(path: &str) -> Option<&'static str> {
    let within = |module: &str| path == module || path.starts_with(&format!("{module}::"));
    let calls = |function: &str| path == function || path.ends_with(&format!("::{function}"));
    if within("std::fs") {
        Some("std::fs")
    } else if within("std::net") {
        Some("std::net")
    } else if calls("SystemTime::now") {
        Some("SystemTime::now")
    } else if calls("Instant::now") {
        Some("Instant::now")
    } else {
        None
    }
}

/// Every path in the code, and every path that a `use` tree stands for, with its line.
fn paths(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let starts = is_name(&tokens[index]) && reads(tokens, index + 1, &["::"]);
        index = if starts { path_at(tokens, index, "", &mut found) } else { index + 1 };
    }
    found
}

/// Reads the path, or use tree, at `index`; gives the index after it.
fn path_at(tokens: &[Token], mut index: usize, prefix: &str, found: &mut Vec<(String, usize)>) -> usize {
    let mut path = prefix.to_owned();
    let mut line = 0;
    while let Some(token) = tokens.get(index).filter(|token| is_name(token)) {
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(&token.text);
        line = token.line;
        index += 1;
        if !reads(tokens, index, &["::"]) {
            break;
        }
        index += 1;
        if reads(tokens, index, &["{"]) {
            return use_group(tokens, index + 1, &path, found);
        }
    }
    found.push((path, line));
    index
}

/// Reads the branches of a use tree from after its opening brace; gives the index after its closing one.
fn use_group(tokens: &[Token], mut index: usize, prefix: &str, found: &mut Vec<(String, usize)>) -> usize {
    while let Some(token) = tokens.get(index) {
        index = match token.text.as_str() {
            "}" => return index + 1,
            "self" => {
                found.push((prefix.to_owned(), token.line));
                index + 1
            }
            _ if is_name(token) => path_at(tokens, index, prefix, found),
            _ => index + 1,
        };
    }
    index
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(usize, String)> {
        let violations = check(&Tree::of(&[("crates/core/a/src/lib.rs", source)]));
        violations.into_iter().map(|violation| (violation.line, violation.what)).collect()
    }

    #[test]
    fn an_io_library_in_a_pure_crate_is_found() {
        let manifest =
            "[package]\nname = \"kandela-trace\"\n[dependencies]\nserde = \"1\"\ntokio.workspace = true\n";
        let violations = check(&Tree::of(&[("crates/understand/trace/Cargo.toml", manifest)]));
        assert_eq!(violations.len(), 1);
        assert_eq!((violations[0].line, violations[0].what.as_str()), (5, "a pure crate depends on tokio"));
    }

    #[test]
    fn a_pure_crates_tests_and_other_crates_may_do_io() {
        let dev = "[package]\nname = \"kandela-trace\"\n[dev-dependencies]\ntokio = \"1\"\n";
        let lake = "[package]\nname = \"kandela-lake\"\n[dependencies]\ntokio = \"1\"\n";
        let tree = Tree::of(&[
            ("crates/understand/trace/Cargo.toml", dev),
            ("crates/observe/lake/Cargo.toml", lake),
            ("crates/observe/lake/src/lib.rs", "use std::fs;"),
            ("crates/core/model/tests/t.rs", "use std::fs;"),
            ("crates/core/model/src/lib.rs", "#[cfg(test)]\nmod tests { use std::fs; }"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn clocks_files_and_sockets_are_found_however_they_are_named() {
        assert_eq!(
            found("fn a() { std::time::Instant::now(); }")[0].1,
            "a pure crate reaches for Instant::now"
        );
        assert_eq!(found("use std::time::SystemTime;\nfn a() { SystemTime::now(); }")[0].0, 2);
        assert_eq!(found("use std::{fmt, fs::{self, File}};").len(), 2);
        assert_eq!(found("use std::{io, net::TcpStream};")[0].1, "a pure crate reaches for std::net");
        assert_eq!(found("fn a() { std::fs::read(\"x\"); }").len(), 1);
    }

    #[test]
    fn names_that_only_look_alike_are_fine() {
        let source = "use std::{fmt, net_like};\nuse crate::fs::File;\nfn a(clock: Duration) { clock::now(); Date::now(); }";
        assert_eq!(found(source), []);
    }
}
