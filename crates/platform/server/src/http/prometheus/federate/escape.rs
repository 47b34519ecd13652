//! Names in UTF-8 for who takes only letters, digits and underscores (Prometheus, `model.EscapeName`).

use std::borrow::Cow;
use std::fmt::Write as _;

/// How other names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As they are.
    AllowUtf8,
    /// What may not stand is an underscore.
    #[default]
    Underscores,
    /// As underscores, but dots can be told from them.
    Dots,
    /// What may not stand is its code point, so that names can be read back.
    Values,
}

impl Escaping {
    pub(super) fn named(word: &str) -> Option<Self> {
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values]
            .into_iter()
            .find(|one| one.name() == word)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// A name as it is written.
    pub(super) fn escape(self, name: &str) -> Cow<'_, str> {
        let legacy = is_legacy(name);
        match self {
            Self::AllowUtf8 => Cow::Borrowed(name),
            Self::Underscores | Self::Values if legacy => Cow::Borrowed(name),
            Self::Underscores => replaced(name, |out, _| out.push('_')),
            Self::Dots => {
                let mut out = String::with_capacity(name.len() + 8);
                for (place, c) in name.chars().enumerate() {
                    match c {
                        '_' => out.push_str("__"),
                        '.' => out.push_str("_dot_"),
                        c if may_stand(place, c) => out.push(c),
                        _ => out.push_str("__"),
                    }
                }
                Cow::Owned(out)
            }
            Self::Values => {
                let mut out = "U__".to_owned();
                for (place, c) in name.chars().enumerate() {
                    match c {
                        '_' => out.push_str("__"),
                        c if may_stand(place, c) => out.push(c),
                        // Writing into a string cannot fail.
                        c => drop(write!(out, "_{:x}_", c as u32)),
                    }
                }
                Cow::Owned(out)
            }
        }
    }
}

fn replaced(name: &str, replace: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let mut out = String::with_capacity(name.len());
    for (place, c) in name.chars().enumerate() {
        if may_stand(place, c) { out.push(c) } else { replace(&mut out, c) }
    }
    Cow::Owned(out)
}

/// Whether a name has only what names could have before UTF-8.
pub(super) fn is_legacy(name: &str) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(place, c)| may_stand(place, c))
}

fn may_stand(place: usize, c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (place > 0 && c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::prometheus::escaped_name::unescape;

    #[test]
    fn names_are_escaped_as_asked() {
        for (escaping, written) in [
            (Escaping::AllowUtf8, "http.status_é"),
            (Escaping::Underscores, "http_status__"),
            (Escaping::Dots, "http_dot_status____"),
            (Escaping::Values, "U__http_2e_status___e9_"),
        ] {
            assert_eq!(escaping.escape("http.status_é"), written);
        }
        assert_eq!(unescape("U__http_2e_status___e9_"), "http.status_é");
        assert_eq!(Escaping::Values.escape("plain_name"), "plain_name");
    }
}
