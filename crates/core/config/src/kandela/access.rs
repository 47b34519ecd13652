//! Who may do what, and from where.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::named::named;
use crate::read::Fields;
use crate::secret::Secret;

/// The server's certificate and key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsServer {
    /// The certificate, followed by those that lead to its authority.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

named! {
    /// What a user may do; each may do what those before it may.
    pub enum Role {
        /// Ask.
        Viewer = "viewer",
        /// Send telemetry.
        Writer = "writer",
        /// Change the server and, through it, the system that it tunes.
        Operator = "operator",
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// The name; that of basic authentication, and that of logs.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// How the user is known.
    #[serde(flatten)]
    pub credential: Credential,
}

/// How a user is known. Files are read anew on reload, and their content is trimmed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A bearer token.
    BearerToken(Secret),
    /// A file with a bearer token.
    BearerTokenFile(PathBuf),
    /// The bcrypt hash of a password for basic authentication.
    PasswordBcrypt(Secret),
    /// A file with a password for basic authentication, in the clear.
    PasswordFile(PathBuf),
}

impl TlsServer {
    pub(super) fn read(mut fields: Fields<'_>) -> Option<Self> {
        let cert_file = fields.word("cert_file");
        let key_file = fields.word("key_file");
        if cert_file.is_none() {
            fields.missing("cert_file");
        }
        if key_file.is_none() {
            fields.missing("key_file");
        }
        fields.finish(&[]);
        Some(Self { cert_file: cert_file?.into(), key_file: key_file?.into() })
    }
}

impl User {
    pub(super) fn path(&mut self) -> Option<&mut PathBuf> {
        match &mut self.credential {
            Credential::BearerTokenFile(path) | Credential::PasswordFile(path) => Some(path),
            Credential::BearerToken(_) | Credential::PasswordBcrypt(_) => None,
        }
    }
}

pub(super) fn users(fields: &mut Fields<'_>) -> Vec<User> {
    let mut names: HashSet<String> = HashSet::new();
    let users = fields.list("users", |fields| {
        let whole = fields.whole().clone();
        let user = user(fields)?;
        if !names.insert(user.name.clone()) {
            whole.invalid(format!("user {:?} stands twice; names are unique", user.name));
        }
        Some(user)
    });
    users.into_iter().flatten().collect()
}

fn user(mut fields: Fields<'_>) -> Option<User> {
    let name = fields.word("name");
    match &name {
        None => fields.missing("name"),
        Some(name) if name.contains(':') => {
            fields
                .whole()
                .invalid("a user's name can't hold a colon; basic authentication ends the name there");
        }
        Some(_) => {}
    }
    let role = match fields.get_set("role") {
        Some(item) => item.parse(Role::parse),
        None => {
            fields.missing("role");
            None
        }
    };
    let credentials = [
        fields.word("bearer_token").map(|token| Credential::BearerToken(Secret::new(token))),
        fields.word("bearer_token_file").map(|path| Credential::BearerTokenFile(path.into())),
        fields.word("password_bcrypt").map(|hash| Credential::PasswordBcrypt(Secret::new(hash))),
        fields.word("password_file").map(|path| Credential::PasswordFile(path.into())),
    ];
    let mut credentials = credentials.into_iter().flatten();
    let credential = credentials.next();
    if credential.is_none() || credentials.next().is_some() {
        fields.whole().invalid(
            "a user needs exactly one of bearer_token, bearer_token_file, password_bcrypt and password_file",
        );
    }
    if let Some(Credential::PasswordBcrypt(hash)) = &credential
        && !is_bcrypt(hash.expose())
    {
        fields.whole().invalid("password_bcrypt is not a bcrypt hash; make one with `htpasswd -nBC 10 NAME`");
    }
    fields.finish(&[]);
    Some(User { name: name?, role: role?, credential: credential? })
}

/// `$2b$10$` and its like, then 22 characters of salt and 31 of hash.
fn is_bcrypt(hash: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix)) else {
        return false;
    };
    let Some((cost, rest)) = rest.split_once('$') else { return false };
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    let cost_is_valid = cost.len() == 2 && cost.parse::<u8>().is_ok_and(|cost| (4..=31).contains(&cost));
    cost_is_valid && rest.len() == 53 && rest.bytes().all(is_base64)
}

/// A host's name or address, without scheme and port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let parsed = url::Host::parse(text);
    parsed.map(|_| text.to_ascii_lowercase()).map_err(|_| {
        format!(
            "{text:?} is not a host's name; write it without scheme, port and path, as kandela.example.org"
        )
    })
}

/// A scheme, a host and perhaps a port, as browsers send them in `Origin`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let invalid = || format!("{text:?} is not an origin; write it as https://grafana.example.org");
    let url = url::Url::parse(text).map_err(|_| invalid())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || !is_bare || has_user {
        return Err(invalid());
    }
    Ok(url.origin().ascii_serialization())
}
