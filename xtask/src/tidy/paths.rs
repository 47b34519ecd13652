//! No file names a place that exists on one machine only.

use super::{Tree, Violation};

/// Folders at a file system's root under which lies what belongs to one person or one machine.
const PRIVATE: [&str; 4] = ["root", "work", "home", "Users"];

/// Folders of recorded payloads, which name paths of the machine that they were recorded on.
const RECORDED: [&str; 2] = ["fixtures", "testdata"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files().filter(|file| !file.folder().split('/').any(|folder| RECORDED.contains(&folder)))
    {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(path) = private_path(line) {
                violations.push(Violation {
                    path: file.path.clone(),
                    line: index + 1,
                    what: format!("names {path}, which is a place on one machine"),
                    remedy: "take it from the environment, or write it relative to the workspace".to_owned(),
                });
            }
        }
    }
    violations
}

/// The first absolute path into a private folder that `line` names.
fn private_path(line: &str) -> Option<&str> {
    line.match_indices('/').map(|(start, _)| start).find_map(|start| {
        let before = line[..start].chars().next_back();
        // What is before makes it a part of a longer path, of a URL, or of a variable's value.
        if before.is_some_and(|c| c.is_alphanumeric() || "/._-~}*>\\)]".contains(c)) {
            return None;
        }
        let path = line[start..].split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c))).next()?;
        let mut parts = path.split('/').skip(1);
        let folder = parts.next()?;
        let inside = parts.next()?;
        (PRIVATE.contains(&folder) && !inside.is_empty()).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that this file itself names none.
    fn absolute(parts: &[&str]) -> String {
        format!("/{}", parts.join("/"))
    }

    fn lines(text: &str) -> Vec<usize> {
        check(&Tree::of(&[("a.toml", text)])).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_path_into_somebodys_home_is_found() {
        for path in [["root", ".cargo"], ["home", "ann"], ["work", "main"], ["Users", "ann"]] {
            let path = absolute(&path);
            assert_eq!(lines(&format!("x = 1\ndata = \"{path}/data\"\n")), [2], "{path}");
        }
    }

    #[test]
    fn paths_that_every_machine_has_urls_and_relative_ones_are_fine() {
        let inner = absolute(&["work", "x"]);
        let text = format!(
            "/usr/bin/kandela /data /tmp/x /proc/1/stat\nhttps://example.org{inner}\n../shared{inner}\n$HOME{inner}\n/root\n/home/"
        );
        assert!(lines(&text).is_empty());
    }

    #[test]
    fn recorded_payloads_keep_what_they_recorded() {
        let text = absolute(&["home", "ann"]);
        assert_eq!(check(&Tree::of(&[("crates/a/tests/fixtures/b.txt", &text)])), []);
    }
}
