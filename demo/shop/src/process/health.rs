//! What `GET /healthz` answers: that a process serves, and which one it is.

use std::fmt;

/// A healthy process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Health {
    pub(crate) pid: u32,
}

impl Health {
    /// This process's.
    pub(super) fn own() -> Health {
        Health { pid: std::process::id() }
    }

    /// Reads an answer; none if it is not a service of the shop that gave it.
    pub(crate) fn read(answer: &[u8]) -> Option<Health> {
        let pid = std::str::from_utf8(answer).ok()?.trim().strip_prefix("ok, pid ")?;
        Some(Health { pid: pid.parse().ok()? })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ok, pid {}", self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whose_it_is() {
        assert_eq!(Health::read(Health::own().to_string().as_bytes()), Some(Health::own()));
        assert_eq!(Health::read(b"ok\n"), None, "of something that is no shop");
    }
}
