//! Every page of the documentation can be reached, and what the pages link to is there.

use std::collections::BTreeSet;

use super::tree::File;
use super::{Tree, Violation};

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let files: BTreeSet<&str> = tree.files().map(|file| file.path.as_str()).collect();
    let mut reached = BTreeSet::from(["docs/README.md".to_owned()]);
    let mut violations = Vec::new();
    for page in tree.with_extension("md") {
        for (line, target) in links(page) {
            if exists(&files, &target) {
                if target != page.path {
                    reached.insert(target);
                }
            } else {
                violations.push(Violation {
                    path: page.path.clone(),
                    line,
                    what: format!("links to {target}, which is not there"),
                    remedy: "mend the link or add the file".to_owned(),
                });
            }
        }
    }
    let pages = tree.with_extension("md").filter(|file| file.path.starts_with("docs/"));
    violations.extend(pages.filter(|page| !reached.contains(&page.path)).map(|page| Violation {
        path: page.path.clone(),
        line: 1,
        what: "no page links here, so nobody finds it".to_owned(),
        remedy: "link it from README.md or from another page in docs/".to_owned(),
    }));
    violations
}

fn exists(files: &BTreeSet<&str>, target: &str) -> bool {
    let folder = format!("{}/", target.trim_end_matches('/'));
    target.is_empty() || files.contains(target) || files.iter().any(|path| path.starts_with(&folder))
}

/// The files within the tree that a page links to, each with the line of the link.
fn links(page: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for after in line.split("](").skip(1) {
            let Some((target, _)) = after.split_once(')') else { continue };
            let target = target.split(['#', ' ']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if let (false, Some(path)) = (elsewhere, resolve(page.folder(), target)) {
                found.push((index + 1, path));
            }
        }
    }
    found
}

/// The path from the root that `target` means in `folder`; `None` when it leads out of the tree.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop().filter(|part| !part.is_empty())?;
            }
            name => parts.push(name),
        }
    }
    parts.retain(|part| !part.is_empty());
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_that_nothing_links_to_is_found() {
        let found = found(&[
            ("README.md", "See [the guide](docs/guide.md#start)."),
            ("docs/guide.md", "[more](./deep/more.md) and [up](../README.md)"),
            ("docs/deep/more.md", ""),
            ("docs/lost.md", "[myself](lost.md)"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("docs/lost.md:1: no page links here"));
    }

    #[test]
    fn a_link_to_nothing_is_found_with_its_line() {
        let found = found(&[("README.md", "first\n[gone](docs/gone.md)")]);
        assert_eq!(
            found,
            ["README.md:2: links to docs/gone.md, which is not there; mend the link or add the file"]
        );
    }

    #[test]
    fn links_elsewhere_to_folders_and_in_code_are_no_concern() {
        let text =
            "[a](https://example.org/x) [b](crates/) [c](../shared/x.md)\n```\n[d](nothing)\n```\n[e](#here)";
        assert_eq!(found(&[("README.md", text), ("crates/a/lib.rs", "")]), Vec::<String>::new());
    }
}
