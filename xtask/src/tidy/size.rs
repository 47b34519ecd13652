//! A file is one idea; past 800 lines it hides two.

use super::tree::File;
use super::{Tree, Violation};

const MOST_LINES: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let sources = ["rs", "ts", "tsx"].into_iter().flat_map(|extension| tree.with_extension(extension));
    sources.filter(|file| !generated(file)).filter_map(too_long).collect()
}

fn too_long(file: &File) -> Option<Violation> {
    let lines = file.text.lines().count();
    (lines > MOST_LINES).then(|| Violation {
        path: file.path.clone(),
        line: MOST_LINES + 1,
        what: format!("{lines} lines, and {MOST_LINES} is the most"),
        remedy: "find the second idea in it and give that a file of its own".to_owned(),
    })
}

fn generated(file: &File) -> bool {
    file.folder().split('/').any(|folder| folder == "generated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_801_lines_is_too_long_and_one_of_800_is_not() {
        let long = "x\n".repeat(801);
        let fits = "x\n".repeat(800);
        let tree = Tree::of(&[("a.rs", &long), ("b.rs", &fits), ("ui/c.ts", &long), ("d.csv", &long)]);
        let found: Vec<String> = check(&tree).into_iter().map(|violation| violation.path).collect();
        assert_eq!(found, ["a.rs", "ui/c.ts"]);
    }

    #[test]
    fn generated_folders_may_hold_long_files() {
        let long = "x\n".repeat(801);
        assert_eq!(check(&Tree::of(&[("crates/a/src/generated/b.rs", &long)])), []);
    }
}
