//! Asking a server.

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

/// Which server, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArguments {
    /// The server to ask
    #[arg(long, value_name = "URL", env = "KANDELA_SERVER", default_value = "http://127.0.0.1:7676")]
    pub server: String,
    /// A bearer token
    #[arg(long, value_name = "TOKEN", env = "KANDELA_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Whose telemetry
    #[arg(long, value_name = "NAME", env = "KANDELA_TENANT", default_value = "default")]
    pub tenant: String,
}

impl ServerArguments {
    /// Sends a body to a path and gives the answer to it, whatever its status.
    ///
    /// # Errors
    /// When no server answers.
    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Response> {
        let request = self.request(Method::POST, path)?.header("content-type", content_type).body(body);
        request.send().await.with_context(|| {
            format!(
                "no server answers at {}; start one with `kandela up`, or read a folder with --data",
                self.shown()
            )
        })
    }

    /// The server's URL without a password.
    pub(crate) fn shown(&self) -> String {
        let Ok(mut url) = self.server.parse::<Url>() else { return self.server.clone() };
        match url.password().is_some() && url.set_password(None).is_ok() {
            true => url.to_string(),
            false => self.server.clone(),
        }
    }

    /// A request to a path, with who asks.
    ///
    /// # Errors
    /// When the server's URL is none.
    pub(crate) fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        self.request_by(&Client::new(), method, path)
    }

    /// The same by a client whose connections are used again.
    ///
    /// # Errors
    /// When the server's URL is none.
    pub(crate) fn request_by(
        &self,
        client: &Client,
        method: Method,
        path: &str,
    ) -> anyhow::Result<RequestBuilder> {
        let url = parse_url(&format!("{}{path}", self.server.trim_end_matches('/')))?;
        let mut request = client.request(method, url).header("x-scope-orgid", &self.tenant);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Ok(request)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no server answers.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        request.send().await.with_context(|| {
            format!("no server answers at {}; check that it runs and that this is its URL", self.shown())
        })
    }
}

/// A header as `NAME: VALUE`.
///
/// # Errors
/// With a sentence that says what to write.
pub(crate) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written NAME: VALUE")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| error.to_string())?;
    Ok((name, value.trim().parse::<HeaderValue>().map_err(|error| error.to_string())?))
}

/// The answer, or what the server had against the request.
///
/// # Errors
/// When its status is no success.
pub(crate) async fn successful(answer: Response) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let url = answer.url().clone();
    let text = answer.text().await.unwrap_or_default();
    let document: Option<Value> = serde_json::from_str(&text).ok();
    let told = document.as_ref().and_then(|document| document["error"].as_str()).unwrap_or(text.trim());
    // A page is for browsers, and who sends one is somebody else.
    anyhow::ensure!(
        !told.starts_with('<'),
        "{} answers {status} with a page: that is no Kandela",
        url.origin().ascii_serialization()
    );
    Err(Refused { status, told: told.to_owned() }.into())
}

/// A server that answers and does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[error("the server says {status}: {told}")]
pub(crate) struct Refused {
    pub status: StatusCode,
    pub told: String,
}

/// A server's URL; one without a scheme is of HTTP.
///
/// # Errors
/// When it is none.
pub(crate) fn parse_url(text: &str) -> anyhow::Result<Url> {
    let scheme = if text.contains("://") { "" } else { "http://" };
    format!("{scheme}{text}")
        .parse()
        .with_context(|| format!("{text:?} is no URL; write one as http://127.0.0.1:7676"))
}
