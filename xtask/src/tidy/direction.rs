//! A crate depends only on crates above it. `ARCHITECTURE.md` says why; [`ORDER`] is that list.

use super::{Tree, Violation};

/// The crates of the house, from the one that knows nothing to the ones that wire everything.
const ORDER: [&str; 21] = [
    "algebra",
    "model",
    "config",
    "ingest",
    "lake",
    "promql",
    "trace",
    "insight",
    "alert",
    "forecast",
    "tune",
    "autopilot",
    "runtime",
    "shop",
    "aprof",
    "bench",
    "server",
    "cli",
    "evals",
    "fuzz",
    "models",
];

const PREFIX: &str = "kandela-";

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (file, manifest) in tree.manifests() {
        let Some(name) = package_name(&manifest) else { continue };
        let Some(short) = name.strip_prefix(PREFIX) else { continue };
        let mut report = |key: &str, what: String, remedy: String| {
            violations.push(Violation { path: file.path.clone(), line: file.line_of_key(key), what, remedy });
        };
        let Some(place) = place(short) else {
            report(
                "name",
                format!("the crate {name} has no place in the order of crates"),
                "add it to ORDER in xtask/src/tidy/direction.rs and to the order in CONTRIBUTING.md"
                    .to_owned(),
            );
            continue;
        };
        for dependency in dependencies(&manifest) {
            // A crate's tests may ask for the crate itself with more features.
            let Some(above) = dependency.strip_prefix(PREFIX).filter(|above| *above != short) else {
                continue;
            };
            if self::place(above).is_none_or(|above| above >= place) {
                report(
                    &dependency,
                    format!("{name} depends on {dependency}, which is not above it"),
                    "find the abstraction that the upper crate defines and the lower one implements"
                        .to_owned(),
                );
            }
        }
    }
    violations
}

fn place(short: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == short)
}

pub(super) fn package_name(manifest: &toml::Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// Names of the packages that a manifest asks for, of every kind and for every target.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    kinds.iter().flat_map(|kind| dependencies_of_kind(manifest, kind)).collect()
}

/// Names of the packages under one kind of dependency (`dependencies`, say), for every target.
pub(super) fn dependencies_of_kind(manifest: &toml::Table, kind: &str) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targeted =
        targets.into_iter().flat_map(|targets| targets.values()).filter_map(|target| target.get(kind));
    let tables = manifest.get(kind).into_iter().chain(targeted).filter_map(toml::Value::as_table);
    tables.flatten().map(|(key, value)| renamed(value).unwrap_or(key).to_owned()).collect()
}

/// The package behind a dependency that goes by another name here.
fn renamed(value: &toml::Value) -> Option<&str> {
    value.get("package")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depending_downwards_is_found_with_its_line() {
        let tree = Tree::of(&[
            (
                "crates/a/Cargo.toml",
                "[package]\nname = \"kandela-model\"\n[dependencies]\nserde = \"1\"\nkandela-lake.workspace = true\n",
            ),
            (
                "crates/b/Cargo.toml",
                "[package]\nname = \"kandela-lake\"\n[dependencies]\nkandela-model.workspace = true\n",
            ),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/a/Cargo.toml", 5));
        assert!(found[0].what.contains("kandela-model depends on kandela-lake"));
    }

    #[test]
    fn tests_builds_targets_and_other_names_hide_no_dependency() {
        for section in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let manifest = format!(
                "[package]\nname = \"kandela-ingest\"\n[{section}]\nstore = {{ package = \"kandela-lake\", path = \"..\" }}\n"
            );
            assert_eq!(check(&Tree::of(&[("Cargo.toml", &manifest)])).len(), 1, "{section}");
        }
    }

    #[test]
    fn a_crate_that_the_order_does_not_know_is_named() {
        let tree = Tree::of(&[("Cargo.toml", "[package]\nname = \"kandela-helpers\"\n")]);
        assert!(check(&tree)[0].what.contains("kandela-helpers has no place"));
    }

    #[test]
    fn a_crate_may_test_itself_with_more_features() {
        let manifest = "[package]\nname = \"kandela-model\"\n[dev-dependencies]\nkandela-model = { path = \".\", features = [\"x\"] }\n";
        assert_eq!(check(&Tree::of(&[("Cargo.toml", manifest)])), []);
    }

    #[test]
    fn crates_outside_the_order_may_depend_on_anything() {
        let tree = Tree::of(&[(
            "xtask/Cargo.toml",
            "[package]\nname = \"xtask\"\n[dependencies]\nkandela-cli = \"1\"\n",
        )]);
        assert_eq!(check(&tree), []);
    }
}
