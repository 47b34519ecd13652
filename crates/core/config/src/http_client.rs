//! How Kandela connects to somebody else's HTTP server: Prometheus' `http_config`, which `scrape_configs`, discovery,
//! `remote_write` and others share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::named::named;
use crate::read::{Fields, Item};
use crate::secret::{Secret, Url};

/// Keys of `http_config` that Prometheus knows and Kandela does not serve.
pub(crate) const NOT_SERVED: &[&str] = &["oauth2"];

/// Headers that a config may not set: they change the connection, or have a key of their own.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// An HTTP client's settings. At most one of `basic_auth` and `authorization` is present.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpClient {
    /// User and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header; `bearer_token` and `bearer_token_file` are read into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// How `https` servers are verified and which certificate they are shown.
    #[serde(skip_serializing_if = "TlsClient::is_default")]
    pub tls_config: TlsClient,
    /// Whether redirects are followed; true unless set.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be used; true unless set, false for `remote_write`.
    pub enable_http2: bool,
    /// Through which proxy.
    #[serde(flatten)]
    pub proxy: Proxy,
    /// Headers that are sent with each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, Header>,
}

/// User and password of HTTP basic authentication, each given or in a file whose content is trimmed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BasicAuth {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file with the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// An `Authorization` header, `<type> <credentials>`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Authorization {
    /// The scheme; `Bearer` unless set.
    #[serde(rename = "type")]
    pub scheme: String,
    /// The credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// A file with the credentials, read anew for each request and trimmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

named! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// 1.0
        Tls10 = "TLS10",
        /// 1.1
        Tls11 = "TLS11",
        /// 1.2
        Tls12 = "TLS12",
        /// 1.3
        Tls13 = "TLS13",
    }
}

/// The client's side of TLS: each of authority, certificate and key is PEM text or a file with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TlsClient {
    /// Authorities that the server's certificate is verified against, in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// A file with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// The client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// A file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate is verified for, in place of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether the server's certificate is not verified at all.
    pub insecure_skip_verify: bool,
    /// The lowest version of TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The highest version of TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

/// Which proxy requests go through.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Proxy {
    /// The proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<Url>,
    /// Comma-separated hosts, domains and networks that are reached without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Whether the proxy comes from the environment instead (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers of `CONNECT` requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// One header's values: given, given and secret, or in files.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Header {
    /// Values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values that do not print.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files with one value each, trimmed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            tls_config: TlsClient::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy: Proxy::default(),
            http_headers: BTreeMap::new(),
        }
    }
}

impl TlsClient {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl HttpClient {
    /// Reads the keys that stand inline in the section that they configure.
    pub(crate) fn read(fields: &mut Fields<'_>, http2: bool) -> Self {
        let basic_auth = fields.section("basic_auth", basic_auth);
        let mut authorization = fields.section("authorization", authorization);
        let token = secret(fields, "bearer_token");
        let token_file = path(fields, "bearer_token_file");

        let whole = fields.whole();
        if token.is_some() && token_file.is_some() {
            whole.invalid("bearer_token and bearer_token_file exclude each other; keep one");
        }
        let has_token = token.is_some() || token_file.is_some();
        let has_oauth2 = fields.peek("oauth2").is_some_and(|item| !item.is_null());
        let ways = [basic_auth.is_some(), authorization.is_some(), has_token, has_oauth2];
        if ways.iter().filter(|way| **way).count() > 1 {
            whole.invalid(
                "basic_auth, authorization, oauth2 and bearer_token exclude each other; keep one of them",
            );
        }
        if has_token && authorization.is_none() {
            authorization = Some(Authorization {
                scheme: "Bearer".to_owned(),
                credentials: token,
                credentials_file: token_file,
            });
        }
        Self {
            basic_auth,
            authorization,
            tls_config: fields.section("tls_config", tls).unwrap_or_default(),
            follow_redirects: fields.boolean("follow_redirects", true),
            enable_http2: fields.boolean("enable_http2", http2),
            proxy: proxy(fields),
            http_headers: http_headers(fields),
        }
    }

    /// The files that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let Self { basic_auth, authorization, tls_config, http_headers, .. } = self;
        let TlsClient { ca_file, cert_file, key_file, .. } = tls_config;
        let mut paths: Vec<&mut PathBuf> = [ca_file, cert_file, key_file].into_iter().flatten().collect();
        if let Some(BasicAuth { username_file, password_file, .. }) = basic_auth {
            paths.extend([username_file, password_file].into_iter().flatten());
        }
        paths.extend(authorization.iter_mut().filter_map(|auth| auth.credentials_file.as_mut()));
        paths.extend(http_headers.values_mut().flat_map(|header| header.files.iter_mut()));
        paths
    }
}

/// A file's path; empty is absent.
pub(crate) fn path(fields: &mut Fields<'_>, key: &'static str) -> Option<PathBuf> {
    fields.word(key).map(PathBuf::from)
}

/// A secret; empty is absent.
pub(crate) fn secret(fields: &mut Fields<'_>, key: &'static str) -> Option<Secret> {
    fields.word(key).map(Secret::new)
}

fn basic_auth(mut fields: Fields<'_>) -> BasicAuth {
    let auth = BasicAuth {
        username: fields.word("username"),
        username_file: path(&mut fields, "username_file"),
        password: secret(&mut fields, "password"),
        password_file: path(&mut fields, "password_file"),
    };
    if auth.username.is_some() && auth.username_file.is_some() {
        fields.whole().invalid("username and username_file exclude each other; keep one");
    }
    if auth.password.is_some() && auth.password_file.is_some() {
        fields.whole().invalid("password and password_file exclude each other; keep one");
    }
    fields.finish(&["username_ref", "password_ref"]);
    auth
}

fn authorization(mut fields: Fields<'_>) -> Authorization {
    let scheme = fields.text("type").unwrap_or_default().trim().to_owned();
    let auth = Authorization {
        scheme: if scheme.is_empty() { "Bearer".to_owned() } else { scheme },
        credentials: secret(&mut fields, "credentials"),
        credentials_file: path(&mut fields, "credentials_file"),
    };
    if auth.scheme.eq_ignore_ascii_case("basic") {
        fields.whole().invalid("type can't be basic; use basic_auth instead");
    }
    if auth.credentials.is_some() && auth.credentials_file.is_some() {
        fields.whole().invalid("credentials and credentials_file exclude each other; keep one");
    }
    fields.finish(&["credentials_ref"]);
    auth
}

fn tls(mut fields: Fields<'_>) -> TlsClient {
    let tls = TlsClient {
        ca: fields.word("ca"),
        ca_file: path(&mut fields, "ca_file"),
        cert: fields.word("cert"),
        cert_file: path(&mut fields, "cert_file"),
        key: secret(&mut fields, "key"),
        key_file: path(&mut fields, "key_file"),
        server_name: fields.word("server_name"),
        insecure_skip_verify: fields.boolean("insecure_skip_verify", false),
        min_version: fields.parse("min_version", TlsVersion::parse),
        max_version: fields.parse("max_version", TlsVersion::parse),
    };
    let whole = fields.whole();
    if tls.ca.is_some() && tls.ca_file.is_some() {
        whole.invalid("ca and ca_file exclude each other; keep one");
    }
    if tls.cert.is_some() && tls.cert_file.is_some() {
        whole.invalid("cert and cert_file exclude each other; keep one");
    }
    if tls.key.is_some() && tls.key_file.is_some() {
        whole.invalid("key and key_file exclude each other; keep one");
    }
    let has_cert = tls.cert.is_some() || tls.cert_file.is_some();
    let has_key = tls.key.is_some() || tls.key_file.is_some();
    if has_cert != has_key {
        whole.invalid("a client certificate needs its key, and a key its certificate; give both or neither");
    }
    if tls.min_version.zip(tls.max_version).is_some_and(|(min, max)| min > max) {
        whole.invalid("min_version is above max_version");
    }
    fields.finish(&["ca_ref", "cert_ref", "key_ref"]);
    tls
}

fn proxy(fields: &mut Fields<'_>) -> Proxy {
    let header = |(name, item): (&str, Item<'_>)| {
        let values = item.items();
        let secrets = values.iter().filter_map(|value| value.text().map(Secret::new));
        (name.to_owned(), secrets.collect())
    };
    let proxy = Proxy {
        proxy_url: fields.parse_word("proxy_url", Url::parse),
        no_proxy: fields.word("no_proxy"),
        proxy_from_environment: fields.boolean("proxy_from_environment", false),
        proxy_connect_header: fields
            .get("proxy_connect_header")
            .map(|item| item.entries().into_iter().map(header).collect())
            .unwrap_or_default(),
    };
    let whole = fields.whole();
    if proxy.proxy_from_environment && proxy.proxy_url.is_some() {
        whole.invalid("proxy_from_environment and proxy_url exclude each other; keep one");
    }
    if proxy.proxy_from_environment && proxy.no_proxy.is_some() {
        whole.invalid("proxy_from_environment takes no_proxy from the environment too; remove no_proxy");
    }
    if proxy.no_proxy.is_some() && proxy.proxy_url.is_none() {
        whole.invalid("no_proxy needs proxy_url; add it");
    }
    let has_proxy = proxy.proxy_url.is_some() || proxy.proxy_from_environment;
    if !proxy.proxy_connect_header.is_empty() && !has_proxy {
        whole.invalid("proxy_connect_header needs proxy_url or proxy_from_environment; add one");
    }
    proxy
}

fn http_headers(fields: &mut Fields<'_>) -> BTreeMap<String, Header> {
    let Some(item) = fields.get("http_headers") else { return BTreeMap::new() };
    let mut headers = BTreeMap::new();
    for (name, item) in item.entries() {
        if let Err(message) = check_header(name) {
            item.invalid(message);
        }
        let Some(mut fields) = item.fields() else { continue };
        let header = Header {
            values: fields.texts("values"),
            secrets: fields.texts("secrets").into_iter().map(Secret::new).collect(),
            files: fields.texts("files").into_iter().map(PathBuf::from).collect(),
        };
        fields.finish(&[]);
        headers.insert(name.to_owned(), header);
    }
    headers
}

/// Whether a config may set the header `name`.
pub(crate) fn check_header(name: &str) -> Result<(), String> {
    if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("header {name:?} is reserved; a config can't set it"));
    }
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is not a header's name"));
    }
    Ok(())
}
