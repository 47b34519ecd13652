//! Whose telemetry it is.

use std::fmt;

/// The name of a tenant; the value of `X-Scope-OrgID`, else `default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(String);

/// Why a tenant's name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantIdError(String);

impl TenantId {
    /// A tenant by name. As in Mimir and Loki: 1 to 150 characters of `A-Z a-z 0-9 ! - _ . * ' ( )`, and neither `.` nor `..`,
    /// so that it is a safe folder name.
    ///
    /// # Errors
    /// When the name is none of these.
    pub fn new(name: impl Into<String>) -> Result<Self, TenantIdError> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        let valid =
            (1..=150).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != "..";
        if valid { Ok(Self(name)) } else { Err(TenantIdError(name.chars().take(160).collect())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TenantIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tenant {:?} is not a valid name; use 1 to 150 characters of letters, digits and !-_.*'()",
            self.0
        )
    }
}

impl std::error::Error for TenantIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_leave_its_folder() {
        for name in ["", ".", "..", "a/b", "a\\b", "a b", "ä"] {
            assert!(TenantId::new(name).is_err(), "{name:?} was accepted");
        }
        assert_eq!(TenantId::new("team-a.prod").unwrap().as_str(), "team-a.prod");
    }
}
