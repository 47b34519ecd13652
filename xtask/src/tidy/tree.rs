//! What the rules look at: the text files of a checkout, and Rust files as tokens.

use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, bail};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Files above this size are data, whatever their name.
const LARGEST_TEXT: u64 = 4 << 20;

/// The text files of a checkout, by path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    /// The files under `root` that git tracks, and those it would track if asked to. What is not UTF-8 is data
    /// and counts as empty; what is larger than 4 MiB is left out.
    ///
    /// # Errors
    /// When git is missing, or `root` is in no repository.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        // The owner of a checkout in CI is often not the one who runs there; reading names needs no trust.
        let listing = Command::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git did not start: tidy looks at the files that git knows, so install git")?;
        if !listing.status.success() {
            bail!(
                "git ls-files failed in {}: {}; run tidy in a git checkout",
                root.display(),
                String::from_utf8_lossy(&listing.stderr).trim()
            );
        }
        let mut files = Vec::new();
        for name in listing.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let Ok(path) = std::str::from_utf8(name) else { continue };
            let full = root.join(path);
            // A file deleted but not yet committed is still listed.
            let Ok(metadata) = full.metadata() else { continue };
            if !metadata.is_file() || metadata.len() > LARGEST_TEXT {
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("{} does not read", full.display()))?;
            files.push(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A made-up tree.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Files with this extension (without the dot).
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &File> {
        self.files().filter(move |file| file.extension() == Some(extension))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }

    /// The manifests of crates, each parsed. A manifest that does not parse is cargo's to report.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&File, toml::Table)> {
        self.files()
            .filter(|file| file.path.rsplit('/').next() == Some("Cargo.toml"))
            .filter_map(|file| Some((file, file.text.parse::<toml::Table>().ok()?)))
    }
}

impl File {
    pub(crate) fn extension(&self) -> Option<&str> {
        let name = self.path.rsplit('/').next()?;
        name.rsplit_once('.').map(|(_, extension)| extension)
    }

    /// The folder that the file lies in, empty for the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The number of the first line that contains `needle`, or 1.
    pub(crate) fn line_of(&self, needle: &str) -> usize {
        self.text.lines().position(|line| line.contains(needle)).map_or(1, |index| index + 1)
    }

    /// The number of the line in a manifest where `key` is set, or 1.
    pub(crate) fn line_of_key(&self, key: &str) -> usize {
        let sets = |line: &str| {
            let rest = line.trim_start().trim_start_matches('"').strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(['.', '=']))
        };
        self.text.lines().position(sets).map_or_else(|| self.line_of(key), |index| index + 1)
    }

    /// The file as Rust tokens in order, or `None` when it is not Rust. Comments are gone, literals are one token each.
    pub(crate) fn tokens(&self) -> Option<Vec<Token>> {
        let stream = TokenStream::from_str(&self.text).ok()?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Some(tokens)
    }
}

/// One Rust token. `::` is one token; a bracket is a token of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut half_path_separator = false;
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let close_line = group.span_close().start().line;
                tokens.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.to_owned(), line: close_line });
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && half_path_separator => {
                half_path_separator = false;
                if let Some(last) = tokens.last_mut() {
                    last.text.push(':');
                }
                continue;
            }
            TokenTree::Punct(punct) => {
                half_path_separator = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                tokens.push(Token { text: punct.as_char().to_string(), line });
                continue;
            }
            TokenTree::Ident(ident) => tokens.push(Token { text: ident.to_string(), line }),
            TokenTree::Literal(literal) => tokens.push(Token { text: literal.to_string(), line }),
        }
        half_path_separator = false;
    }
}

/// Whether the tokens from `start` on read as `pattern`.
pub(crate) fn reads(tokens: &[Token], start: usize, pattern: &[&str]) -> bool {
    tokens
        .get(start..start + pattern.len())
        .is_some_and(|window| window.iter().zip(pattern).all(|(token, expected)| token.text == *expected))
}

/// The tokens without what only tests compile: every item marked `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while index < tokens.len() {
        if reads(tokens, index, &CFG_TEST) {
            index = end_of_item(tokens, index + CFG_TEST.len());
        } else {
            kept.push(tokens[index].clone());
            index += 1;
        }
    }
    kept
}

/// One past the item that starts at `start`: its closing brace, or its semicolon.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            ";" if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tokens: &[Token]) -> Vec<&str> {
        tokens.iter().map(|token| token.text.as_str()).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let tree = Tree::of(&[("a.rs", "// todo!()\nlet a = \"todo!()\"; a::b")]);
        let tokens = tree.get("a.rs").expect("file").tokens().expect("rust");
        assert_eq!(texts(&tokens), ["let", "a", "=", "\"todo!()\"", ";", "a", "::", "b"]);
        assert_eq!(tokens[0].line, 2);
    }

    #[test]
    fn what_only_tests_compile_is_left_out_and_what_follows_is_not() {
        let tree = Tree::of(&[(
            "a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { (1, [2]); } }\n#[cfg(test)]\nuse x;\nfn c() {}",
        )]);
        let tokens = without_tests(&tree.get("a.rs").expect("file").tokens().expect("rust"));
        assert_eq!(texts(&tokens), ["fn", "a", "(", ")", "{", "}", "fn", "c", "(", ")", "{", "}"]);
    }

    #[test]
    fn a_key_of_a_manifest_is_found_where_it_is_set() {
        let tree = Tree::of(&[(
            "Cargo.toml",
            "# serde is used\n[dependencies]\nserde.workspace = true\n\"x\" = 1\n",
        )]);
        let file = tree.get("Cargo.toml").expect("file");
        assert_eq!(file.line_of_key("serde"), 3);
        assert_eq!(file.line_of_key("x"), 4);
    }
}
