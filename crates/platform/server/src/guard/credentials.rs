//! Who may do what: roles, tokens and users.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What a credential allows. Each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads: pages, queries, status, own metrics.
    Viewer,
    /// Sends telemetry.
    Writer,
    /// Changes the running system.
    Operator,
}

impl Role {
    /// The word that configuration and messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Writer => "writer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Tokens and users, with their roles. Secrets are kept as SHA-256 digests and compared in constant time.
#[derive(Clone, Default)]
pub struct Credentials {
    tokens: Vec<(Digest, Role)>,
    users: Vec<(Digest, Role)>,
}

type Digest = [u8; SHA256_OUTPUT_LEN];

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// It carries no credentials.
    Missing,
    /// It carries some that are not known.
    Unknown,
    /// Its `Authorization` header is neither `Bearer` nor `Basic`.
    Malformed,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "credentials are missing; send Authorization: Bearer TOKEN, or a user and password"
            }
            Self::Unknown => "these credentials are not known; check the token, or the user and password",
            Self::Malformed => {
                "the Authorization header could not be read; send Bearer TOKEN or Basic credentials"
            }
        })
    }
}

impl Credentials {
    /// Lets the bearer of `token` in.
    pub fn add_token(&mut self, token: &str, role: Role) {
        self.tokens.push((sha256(token.as_bytes()), role));
    }

    /// Lets a user with a password in (HTTP basic authentication). A user's name must not contain a colon (RFC 7617).
    pub fn add_user(&mut self, user: &str, password: &str, role: Role) {
        self.users.push((sha256(format!("{user}:{password}").as_bytes()), role));
    }

    /// Whether nobody is known, so everybody is let in.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty()
    }

    /// The role that an `Authorization` header proves.
    pub(crate) fn authenticate(&self, header: Option<&[u8]>) -> Result<Role, AuthError> {
        if self.is_empty() {
            return Ok(Role::Operator);
        }
        let header = header.ok_or(AuthError::Missing)?;
        let header = std::str::from_utf8(header).map_err(|_| AuthError::Malformed)?;
        let (scheme, rest) = header.trim().split_once(' ').ok_or(AuthError::Malformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            strongest(&self.tokens, rest.trim().as_bytes())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest.trim()).map_err(|_| AuthError::Malformed)?;
            strongest(&self.users, &pair)
        } else {
            Err(AuthError::Malformed)
        }
    }
}

/// Compares with every entry, so that time tells nothing about which one was near.
fn strongest(known: &[(Digest, Role)], presented: &[u8]) -> Result<Role, AuthError> {
    let presented = sha256(presented);
    let mut found = None;
    for (secret, role) in known {
        if verify_slices_are_equal(secret, &presented).is_ok() {
            found = found.max(Some(*role));
        }
    }
    found.ok_or(AuthError::Unknown)
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

impl fmt::Debug for Credentials {
    /// Counts only; a secret's digest stays out of logs too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("tokens", &self.tokens.len())
            .field("users", &self.users.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Credentials {
        let mut credentials = Credentials::default();
        credentials.add_token("reads", Role::Viewer);
        credentials.add_token("writes", Role::Writer);
        credentials.add_user("ana", "s3cret:with:colons", Role::Operator);
        credentials
    }

    #[test]
    fn each_credential_proves_its_own_role() {
        let credentials = known();
        let basic = format!("Basic {}", BASE64_STANDARD.encode("ana:s3cret:with:colons"));
        assert_eq!(credentials.authenticate(Some(b"Bearer reads")), Ok(Role::Viewer));
        assert_eq!(credentials.authenticate(Some(b"bearer  writes ")), Ok(Role::Writer));
        assert_eq!(credentials.authenticate(Some(basic.as_bytes())), Ok(Role::Operator));
    }

    #[test]
    fn what_is_not_known_proves_nothing() {
        let credentials = known();
        let wrong = format!("Basic {}", BASE64_STANDARD.encode("ana:wrong"));
        assert_eq!(credentials.authenticate(None), Err(AuthError::Missing));
        assert_eq!(credentials.authenticate(Some(b"Bearer other")), Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(wrong.as_bytes())), Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(b"Basic !!")), Err(AuthError::Malformed));
        assert_eq!(credentials.authenticate(Some(b"Digest x")), Err(AuthError::Malformed));
        assert_eq!(credentials.authenticate(Some(b"\xff")), Err(AuthError::Malformed));
    }

    #[test]
    fn a_user_is_no_token_and_a_token_is_no_user() {
        let credentials = known();
        let token_as_user = format!("Basic {}", BASE64_STANDARD.encode("reads"));
        assert_eq!(credentials.authenticate(Some(b"Bearer ana:s3cret:with:colons")), Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(token_as_user.as_bytes())), Err(AuthError::Unknown));
    }

    #[test]
    fn debug_output_tells_no_secret() {
        assert_eq!(format!("{:?}", known()), "Credentials { tokens: 2, users: 1 }");
    }
}
