//! Values that must not be printed.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in the place of a secret wherever a config is printed; Prometheus prints the same.
pub const REDACTED: &str = "<secret>";

/// A password, token or key. It prints as `<secret>`; only [`Secret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// An `http` or `https` URL. Only its password is hidden when it prints, as in Prometheus.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(url::Url);

impl Url {
    /// Reads an `http` or `https` URL.
    ///
    /// # Errors
    /// With a sentence, when the text is no such URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        // What holds an @ may hold a password, wherever a mistyped URL has it.
        let shown = if text.contains('@') { REDACTED } else { text };
        let invalid = |why: &str| {
            format!("{shown:?} is not an http or https URL ({why}); write it as https://host:port/path")
        };
        let url = url::Url::parse(text).map_err(|e| invalid(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it has another scheme"));
        }
        Ok(Self(url))
    }

    /// The whole URL, its password included.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

fn redacted(url: &url::Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() && url.set_password(Some("xxxxx")).is_err() {
        return REDACTED.to_owned();
    }
    url.to_string()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<secret>");
        assert_eq!(serde_json::to_string(&Secret::new("hunter2")).unwrap(), r#""<secret>""#);
    }

    #[test]
    fn a_url_prints_without_its_password() {
        let url = Url::parse("https://me:hunter2@example.org/write").unwrap();
        assert_eq!(url.to_string(), "https://me:xxxxx@example.org/write");
        assert!(url.expose().contains("hunter2"));
        for wrong in ["ftp://me:hunter2@example.org", "me:hunter2@proxy:8080", "https://me:hunter2@[x"] {
            assert!(!Url::parse(wrong).unwrap_err().contains("hunter2"), "{wrong}");
        }
    }
}
