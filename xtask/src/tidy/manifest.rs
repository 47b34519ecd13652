//! Every crate of the workspace takes the workspace's lints.

use super::direction::package_name;
use super::{Tree, Violation};

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let outside = excluded(tree);
    tree.manifests()
        .filter(|(_, manifest)| package_name(manifest).is_some() && !inherits_lints(manifest))
        .filter(|(file, _)| !outside.iter().any(|folder| file.path.starts_with(&format!("{folder}/"))))
        .map(|(file, _)| Violation {
            path: file.path.clone(),
            line: file.line_of("[lints]"),
            what: "the workspace's lints are not taken over".to_owned(),
            remedy: "write `workspace = true` under `[lints]`".to_owned(),
        })
        .collect()
}

fn inherits_lints(manifest: &toml::Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool)
        == Some(true)
}

/// Folders that are no part of the workspace and so can inherit nothing.
fn excluded(tree: &Tree) -> Vec<String> {
    let root =
        tree.get("Cargo.toml").and_then(|file| file.text.parse::<toml::Table>().ok()).unwrap_or_default();
    let exclude =
        root.get("workspace").and_then(|workspace| workspace.get("exclude")).and_then(toml::Value::as_array);
    exclude.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_workspaces_lints_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n"),
            ("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n"),
            ("b/Cargo.toml", "[package]\nname = \"b\"\n\n[lints]\nrust = {}\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].path.as_str(), found[0].line), ("b/Cargo.toml", 4));
    }

    #[test]
    fn a_crate_outside_the_workspace_can_inherit_nothing() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\nexclude = [\"fuzz\"]\n"),
            ("fuzz/Cargo.toml", "[package]\nname = \"fuzz\"\n"),
        ]);
        assert_eq!(check(&tree), []);
    }
}
