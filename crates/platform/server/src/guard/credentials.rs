//! Who may do what: users, their roles, and how they are known.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kandela_config::kandela::{Credential, Role, User};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Passwords that a bcrypt check has confirmed; more are checked anew each time.
const CONFIRMED: usize = 100;
/// What an unknown user's password is checked against, so that the answer takes as long as for a known one.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuxNQXyVRn6LBOLqvK/oTGaM0pZ0ydjXW";

/// Why credentials could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A secret's file could not be read.
    #[error("user {user}: {path} cannot be read: {source}", path = path.display())]
    File {
        /// Whose.
        user: String,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A secret's file is empty.
    #[error("user {user}: {path} is empty; write the secret into it", path = path.display())]
    Empty {
        /// Whose.
        user: String,
        /// Which file.
        path: PathBuf,
    },
    /// Two users have one token, so nobody could say which of them asks.
    #[error("user {user} has the token of another user; give each one of their own")]
    SharedToken {
        /// The later one.
        user: String,
    },
}

/// Users and their roles. Tokens and passwords in the clear are kept as SHA-256 digests; comparing takes the same time
/// wherever they differ.
pub(crate) struct Credentials {
    tokens: Vec<(Digest, Role)>,
    passwords: Vec<(Digest, Role)>,
    hashes: HashMap<String, (String, Role)>,
    /// User and password pairs that bcrypt confirmed.
    confirmed: Mutex<HashMap<Digest, Role>>,
    /// bcrypt is slow by design: one check at a time, so that guesses cost the guesser, not the server.
    checking: Semaphore,
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
    /// The users of a config; files are read now.
    ///
    /// # Errors
    /// When a secret's file cannot be read or is empty, or two users have one token.
    pub(crate) fn load(users: &[User]) -> Result<Self, CredentialError> {
        let mut credentials = Self {
            tokens: Vec::new(),
            passwords: Vec::new(),
            hashes: HashMap::new(),
            confirmed: Mutex::default(),
            checking: Semaphore::new(1),
        };
        for User { name, role, credential, .. } in users {
            match credential {
                Credential::BearerToken(token) => credentials.add_token(name, token.expose(), *role)?,
                Credential::BearerTokenFile(path) => {
                    credentials.add_token(name, &secret(name, path)?, *role)?;
                }
                Credential::PasswordBcrypt(hash) => {
                    credentials.hashes.insert(name.clone(), (hash.expose().to_owned(), *role));
                }
                Credential::PasswordFile(path) => credentials.add_password(name, &secret(name, path)?, *role),
            }
        }
        Ok(credentials)
    }

    fn add_token(&mut self, user: &str, token: &str, role: Role) -> Result<(), CredentialError> {
        let token = sha256(token.as_bytes());
        if self.tokens.iter().any(|(known, _)| *known == token) {
            return Err(CredentialError::SharedToken { user: user.to_owned() });
        }
        self.tokens.push((token, role));
        Ok(())
    }

    fn add_password(&mut self, user: &str, password: &str, role: Role) {
        self.passwords.push((sha256(format!("{user}:{password}").as_bytes()), role));
    }

    /// Whether nobody is known, so everybody is let in.
    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.passwords.is_empty() && self.hashes.is_empty()
    }

    /// The role that an `Authorization` header proves.
    pub(crate) async fn authenticate(&self, header: Option<&[u8]>) -> Result<Role, AuthError> {
        if self.is_empty() {
            return Ok(Role::Operator);
        }
        let header = header.ok_or(AuthError::Missing)?;
        let header = std::str::from_utf8(header).map_err(|_| AuthError::Malformed)?;
        let (scheme, rest) = header.trim().split_once(' ').ok_or(AuthError::Malformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            strongest(&self.tokens, &sha256(rest.trim().as_bytes())).ok_or(AuthError::Unknown)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest.trim()).map_err(|_| AuthError::Malformed)?;
            self.user(&pair).await.ok_or(AuthError::Unknown)
        } else {
            Err(AuthError::Malformed)
        }
    }

    async fn user(&self, pair: &[u8]) -> Option<Role> {
        let presented = sha256(pair);
        if let Some(role) = strongest(&self.passwords, &presented) {
            return Some(role);
        }
        if self.hashes.is_empty() {
            return None;
        }
        if let Some(role) = self.confirmed.lock().get(&presented) {
            return Some(*role);
        }
        let (user, password) = std::str::from_utf8(pair).ok()?.split_once(':')?;
        let known = self.hashes.get(user);
        let hash = known.map_or(NOBODY, |(hash, _)| hash).to_owned();
        let password = password.to_owned();
        let _turn = self.checking.acquire().await.ok()?;
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let matches = checked.await.unwrap_or(false);
        let role = known.filter(|_| matches).map(|(_, role)| *role)?;
        let mut confirmed = self.confirmed.lock();
        if confirmed.len() < CONFIRMED {
            confirmed.insert(presented, role);
        }
        Some(role)
    }
}

/// Compares with every entry, so that time tells nothing about which one was near.
fn strongest(known: &[(Digest, Role)], presented: &Digest) -> Option<Role> {
    let mut found = None;
    for (secret, role) in known {
        if verify_slices_are_equal(secret, presented).is_ok() {
            found = found.max(Some(*role));
        }
    }
    found
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn secret(user: &str, path: &Path) -> Result<String, CredentialError> {
    let text = std::fs::read_to_string(path).map_err(|source| CredentialError::File {
        user: user.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(CredentialError::Empty { user: user.to_owned(), path: path.to_owned() });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use kandela_config::Secret;

    use super::*;

    fn user(name: &str, role: Role, credential: Credential) -> User {
        User { name: name.to_owned(), role, credential }
    }

    fn token(name: &str, role: Role) -> User {
        user(name, role, Credential::BearerToken(Secret::new(format!("{name}-token"))))
    }

    fn basic(pair: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(pair)).into_bytes()
    }

    #[test]
    fn two_users_with_one_token_are_refused() {
        let token = |name| user(name, Role::Viewer, Credential::BearerToken(Secret::new("same")));
        let error = Credentials::load(&[token("a"), token("b")]).err().unwrap().to_string();
        assert!(error.contains("user b has the token of another user"), "{error}");
    }

    #[tokio::test]
    async fn each_credential_proves_its_own_role() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "s3cret:with:colons\n").unwrap();
        let hash = bcrypt::hash("hashed", 4).unwrap();
        let users = [
            token("reads", Role::Viewer),
            token("writes", Role::Writer),
            user("ana", Role::Operator, Credential::PasswordFile(file)),
            user("ben", Role::Viewer, Credential::PasswordBcrypt(Secret::new(hash))),
        ];
        let credentials = Credentials::load(&users).unwrap();
        assert_eq!(credentials.authenticate(Some(b"Bearer reads-token")).await, Ok(Role::Viewer));
        assert_eq!(credentials.authenticate(Some(b"bearer  writes-token ")).await, Ok(Role::Writer));
        assert_eq!(
            credentials.authenticate(Some(&basic("ana:s3cret:with:colons"))).await,
            Ok(Role::Operator)
        );
        for _ in 0..2 {
            assert_eq!(credentials.authenticate(Some(&basic("ben:hashed"))).await, Ok(Role::Viewer));
            assert_eq!(credentials.authenticate(Some(&basic("ben:other"))).await, Err(AuthError::Unknown));
        }
        assert_eq!(credentials.authenticate(Some(&basic("eve:hashed"))).await, Err(AuthError::Unknown));
    }

    #[tokio::test]
    async fn what_is_not_known_proves_nothing() {
        let credentials = Credentials::load(&[token("reads", Role::Viewer)]).unwrap();
        assert_eq!(credentials.authenticate(None).await, Err(AuthError::Missing));
        assert_eq!(credentials.authenticate(Some(b"Bearer other")).await, Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(&basic("ana:wrong"))).await, Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(&basic("reads-token"))).await, Err(AuthError::Unknown));
        assert_eq!(credentials.authenticate(Some(b"Basic !!")).await, Err(AuthError::Malformed));
        assert_eq!(credentials.authenticate(Some(b"Digest x")).await, Err(AuthError::Malformed));
        assert_eq!(credentials.authenticate(Some(b"\xff")).await, Err(AuthError::Malformed));
    }

    #[test]
    fn what_nobody_is_checked_against_is_a_valid_hash() {
        assert!(!bcrypt::verify("anything", NOBODY).unwrap());
    }

    #[test]
    fn a_secret_file_that_is_missing_or_empty_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let users = [user("agent", Role::Writer, Credential::BearerTokenFile(file.clone()))];
        let missing = Credentials::load(&users).err().unwrap().to_string();
        assert!(missing.contains("agent") && missing.contains("token"), "{missing}");
        std::fs::write(&file, "\n").unwrap();
        let empty = Credentials::load(&users).err().unwrap().to_string();
        assert!(empty.contains("empty"), "{empty}");
    }
}
