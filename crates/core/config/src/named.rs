//! Values that are one of a few words.

/// Declares an enum whose variants are written as words in a config.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that a config writes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Reads the word that a config writes.
            ///
            /// # Errors
            /// With a sentence that lists the words there are.
            pub fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($text),+].join(", "))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// Which names metrics and labels may have (`metric_name_validation_scheme`).
    pub enum NameValidation {
        /// Any text in UTF-8 that is not empty.
        Utf8 = "utf8",
        /// `[a-zA-Z_][a-zA-Z0-9_]*`; a metric's name may also contain `:`.
        Legacy = "legacy",
    }
}

named! {
    /// How a target is asked to write names that the legacy character set does not have (`metric_name_escaping_scheme`).
    pub enum NameEscaping {
        /// As they are.
        AllowUtf8 = "allow-utf-8",
        /// Other characters become `_`.
        Underscores = "underscores",
        /// Dots become `_dot_`, underscores are doubled, other characters become `__`.
        Dots = "dots",
        /// `U__` in front, other characters as `_hex_`.
        Values = "values",
    }
}

impl NameValidation {
    /// Whether `name` may be a label's name.
    pub fn is_label_name(self, name: &str) -> bool {
        let mut chars = name.chars();
        let Some(first) = chars.next() else { return false };
        match self {
            Self::Utf8 => true,
            Self::Legacy => {
                (first.is_ascii_alphabetic() || first == '_')
                    && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            }
        }
    }

    /// Whether `name` may be a metric's name.
    pub fn is_metric_name(self, name: &str) -> bool {
        let may_begin = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => {
                name.starts_with(may_begin) && name.chars().all(|c| may_begin(c) || c.is_ascii_digit())
            }
        }
    }
}
