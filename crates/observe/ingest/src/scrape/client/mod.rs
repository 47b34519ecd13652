//! A client for somebody else's HTTP server, as Prometheus' `http_config` describes it.
//!
//! Secrets in files are read anew for each request and certificates when their files change, so that rotating them needs no
//! reload.

mod tls;

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use kandela_config::Secret;
use kandela_config::http_client::{Authorization, BasicAuth, HttpClient, Proxy, TlsVersion};
use reqwest::redirect;
use thiserror::Error;

/// No secret, certificate or key is longer.
const MAX_FILE: u64 = 1 << 20;
const MAX_REDIRECTS: usize = 10;

/// Why a client could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A file that the config names could not be read.
    #[error("reading {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that the config names is too long to be what it should be.
    #[error("{path} is longer than {MAX_FILE} bytes; a secret, certificate or key is short")]
    FileSize {
        /// Which.
        path: PathBuf,
    },
    /// A user name, token or header holds a character that a header can't carry.
    #[error("the value of {0} can't be sent in an HTTP header; it holds a control character or a line break")]
    Header(String),
    /// A certificate or key is not readable.
    #[error("tls_config: {0}")]
    Tls(String),
    /// The client's settings are refused.
    #[error("setting up the HTTP client: {0}")]
    Build(String),
}

/// An HTTP client that follows its settings' files.
#[derive(Debug)]
pub struct Client {
    settings: HttpClient,
    user_agent: String,
    compressed: bool,
    built: Mutex<Option<(Fingerprint, reqwest::Client)>>,
}

/// Which versions of the certificate files a client was built from.
type Fingerprint = Vec<Option<(SystemTime, u64)>>;

impl Client {
    /// A client with these settings. `compressed` says whether gzip is asked for.
    pub fn new(settings: HttpClient, user_agent: impl Into<String>, compressed: bool) -> Arc<Self> {
        let user_agent = user_agent.into();
        Arc::new(Self { settings, user_agent, compressed, built: Mutex::default() })
    }

    /// A GET request with the settings' headers and credentials on it.
    ///
    /// # Errors
    /// When a file that the settings name can't be read or does not hold what it should.
    pub async fn get(&self, url: url::Url) -> Result<reqwest::RequestBuilder, ClientError> {
        self.request(http::Method::GET, url).await
    }

    /// A request with the settings' headers and credentials on it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn request(
        &self,
        method: http::Method,
        url: url::Url,
    ) -> Result<reqwest::RequestBuilder, ClientError> {
        let headers = self.headers().await?;
        Ok(self.connector()?.request(method, url).headers(headers))
    }

    /// The connection pool; a new one when a certificate file has changed.
    fn connector(&self) -> Result<reqwest::Client, ClientError> {
        let tls = &self.settings.tls_config;
        let files = [&tls.ca_file, &tls.cert_file, &tls.key_file];
        let fingerprint: Fingerprint = files.into_iter().map(|file| version(file.as_deref())).collect();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = built.as_ref()
            && *known == fingerprint
        {
            return Ok(client.clone());
        }
        let client = self.build()?;
        *built = Some((fingerprint, client.clone()));
        Ok(client)
    }

    fn build(&self) -> Result<reqwest::Client, ClientError> {
        let HttpClient { tls_config, follow_redirects, enable_http2, proxy, .. } = &self.settings;
        let redirects = if *follow_redirects {
            redirect::Policy::limited(MAX_REDIRECTS)
        } else {
            redirect::Policy::none()
        };
        let mut builder =
            reqwest::Client::builder().user_agent(&self.user_agent).redirect(redirects).gzip(self.compressed);
        if !enable_http2 {
            builder = builder.http1_only();
        }
        builder = with_proxy(builder, proxy)?;
        builder = tls::configure(builder, tls_config, *enable_http2)?;
        builder.build().map_err(|error| ClientError::Build(explain(&error)))
    }

    async fn headers(&self) -> Result<HeaderMap, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(auth) = &self.settings.basic_auth {
            headers.insert(AUTHORIZATION, basic(auth).await?);
        }
        if let Some(auth) = &self.settings.authorization {
            headers.insert(AUTHORIZATION, authorization(auth).await?);
        }
        for (name, header) in &self.settings.http_headers {
            let wrong = || ClientError::Header(name.clone());
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let given = header.values.iter().map(String::as_str);
            for value in given.chain(header.secrets.iter().map(Secret::expose)) {
                headers.append(&key, HeaderValue::from_str(value).map_err(|_| wrong())?);
            }
            for file in &header.files {
                headers.append(&key, HeaderValue::from_str(&secret(file).await?).map_err(|_| wrong())?);
            }
        }
        Ok(headers)
    }
}

fn with_proxy(builder: reqwest::ClientBuilder, proxy: &Proxy) -> Result<reqwest::ClientBuilder, ClientError> {
    if proxy.proxy_from_environment {
        return Ok(builder);
    }
    let Some(url) = &proxy.proxy_url else { return Ok(builder.no_proxy()) };
    let mut setting =
        reqwest::Proxy::all(url.expose()).map_err(|error| ClientError::Build(explain(&error)))?;
    setting = setting.no_proxy(proxy.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string));
    let mut headers = HeaderMap::new();
    for (name, values) in &proxy.proxy_connect_header {
        let wrong = || ClientError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        for value in values {
            headers.append(&key, HeaderValue::from_str(value.expose()).map_err(|_| wrong())?);
        }
    }
    Ok(builder.proxy(setting.headers(headers)))
}

async fn basic(auth: &BasicAuth) -> Result<HeaderValue, ClientError> {
    use base64::Engine as _;

    let username = match (&auth.username, &auth.username_file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => secret(file).await?,
        (None, None) => String::new(),
    };
    let password = match (&auth.password, &auth.password_file) {
        (Some(password), _) => password.expose().to_owned(),
        (None, Some(file)) => secret(file).await?,
        (None, None) => String::new(),
    };
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    sensitive(&format!("Basic {encoded}"), "basic_auth")
}

async fn authorization(auth: &Authorization) -> Result<HeaderValue, ClientError> {
    let credentials = match (&auth.credentials, &auth.credentials_file) {
        (Some(credentials), _) => credentials.expose().to_owned(),
        (None, Some(file)) => secret(file).await?,
        (None, None) => String::new(),
    };
    sensitive(format!("{} {credentials}", auth.scheme).trim_end(), "authorization")
}

fn sensitive(value: &str, of: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| ClientError::Header(of.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text of a small file without the blanks around it.
async fn secret(path: &Path) -> Result<String, ClientError> {
    let failed = |source| ClientError::File { path: path.to_owned(), source };
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    if metadata.len() > MAX_FILE {
        return Err(ClientError::FileSize { path: path.to_owned() });
    }
    let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
    Ok(text.trim().to_owned())
}

fn version(file: Option<&Path>) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

const fn tls_version(version: TlsVersion) -> reqwest::tls::Version {
    match version {
        TlsVersion::Tls10 => reqwest::tls::Version::TLS_1_0,
        TlsVersion::Tls11 => reqwest::tls::Version::TLS_1_1,
        TlsVersion::Tls12 => reqwest::tls::Version::TLS_1_2,
        TlsVersion::Tls13 => reqwest::tls::Version::TLS_1_3,
    }
}

/// What an error comes from. The client's own text stops at "error sending request for url", which the reader knows, and goes
/// on with its layers; what is left is said outermost first, without what a cause repeats.
pub(super) fn explain(error: &reqwest::Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
        cause = error.source();
    }
    let hollow =
        |part: &String| part.starts_with("error sending request") || part.starts_with("client error (");
    let telling: Vec<String> = parts.iter().filter(|part| !hollow(part)).cloned().collect();
    if telling.is_empty() { parts.join(": ") } else { telling.join(": ") }
}
