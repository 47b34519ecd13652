//! Talking to the API server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use kandela_config::discovery::KubernetesSd;
use kandela_config::http_client::{Authorization, HttpClient, TlsClient};
use url::Url;

use super::kubeconfig;
use crate::scrape::client::{Client, explain};

/// Where a pod finds its credentials (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server is asked to keep a watch open, in seconds.
const WATCH_SECONDS: u32 = 300;

/// The longest page of a list, and the longest event, in bytes.
const MAX_PAGE: usize = 64 << 20;

/// How many objects a page is asked to have.
const PAGE: u32 = 500;

/// A kind of object, all of them or those of one namespace.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    group: &'static str,
    pub(super) kind: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) label_selector: String,
    pub(super) field_selector: String,
}

impl Resource {
    pub(super) fn cluster_wide(group: &'static str, kind: &'static str) -> Self {
        Self { group, kind, namespace: None, label_selector: String::new(), field_selector: String::new() }
    }

    pub(super) fn in_namespace(group: &'static str, kind: &'static str, namespace: String) -> Self {
        Self { namespace: Some(namespace), ..Self::cluster_wide(group, kind) }
    }
}

/// A cluster's API server.
pub(super) struct Api {
    base: Url,
    client: Arc<Client>,
}

/// A running watch; each event is one line of JSON.
pub(super) struct Watch {
    answer: reqwest::Response,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
}

/// Why a request came to nothing.
pub(super) enum ApiError {
    /// The version to watch from, or the list's next page, is no longer there: list anew.
    Gone,
    /// Anything else, said for people.
    Failed(String),
}

impl From<String> for ApiError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The API server that the config names, or that of the cluster around this process; and the namespaces to look at, empty
/// for all.
pub(super) async fn connect(
    config: &KubernetesSd,
    user_agent: &str,
) -> Result<(Arc<Api>, Vec<String>), String> {
    let (base, client) = match (&config.api_server, &config.kubeconfig_file) {
        (Some(server), _) => (server.expose().to_owned(), config.client.clone()),
        (None, Some(file)) => kubeconfig::read(file).await?,
        (None, None) => in_cluster()?,
    };
    let base = Url::parse(&base).map_err(|error| format!("API server {base:?}: {error}"))?;
    let mut namespaces = config.namespaces.names.clone();
    if config.namespaces.own_namespace {
        let file = Path::new(SERVICE_ACCOUNT).join("namespace");
        let own =
            tokio::fs::read_to_string(&file).await.map_err(|error| format!("{}: {error}", file.display()))?;
        namespaces.push(own.trim().to_owned());
    }
    namespaces.sort();
    namespaces.dedup();
    Ok((Arc::new(Api { base, client: Client::new(client, user_agent, true) }), namespaces))
}

fn in_cluster() -> Result<(String, HttpClient), String> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| {
            format!("{name} is not set, so this process runs in no pod; name the cluster by api_server or kubeconfig_file")
        })
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let account = Path::new(SERVICE_ACCOUNT);
    let client = HttpClient {
        authorization: Some(Authorization {
            scheme: "Bearer".to_owned(),
            credentials: None,
            credentials_file: Some(account.join("token")),
        }),
        tls_config: TlsClient { ca_file: Some(account.join("ca.crt")), ..TlsClient::default() },
        ..HttpClient::default()
    };
    Ok((format!("https://{}", super::super::host_port(&host, port)), client))
}

impl Api {
    /// One page of a list, from where `token` says.
    pub(super) async fn list(&self, resource: &Resource, token: &str) -> Result<Vec<u8>, ApiError> {
        let limit = PAGE.to_string();
        let mut answer = self.get(resource, &[("limit", &limit), ("continue", token)]).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| explain(&error))? {
            if body.len() + chunk.len() > MAX_PAGE {
                return Err(format!("a page of the list is longer than {MAX_PAGE} bytes").into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Watches what changes after `version`.
    pub(super) async fn watch(&self, resource: &Resource, version: &str) -> Result<Watch, ApiError> {
        let seconds = WATCH_SECONDS.to_string();
        let query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", &seconds),
        ];
        Ok(Watch { answer: self.get(resource, &query).await?, buffer: Vec::new(), searched: 0 })
    }

    async fn get(&self, resource: &Resource, query: &[(&str, &str)]) -> Result<reqwest::Response, ApiError> {
        let mut url = self.base.clone();
        let namespace = resource.namespace.as_deref();
        let scope = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{}{scope}/{}", resource.group, resource.kind));
        let selectors = [
            ("labelSelector", resource.label_selector.as_str()),
            ("fieldSelector", resource.field_selector.as_str()),
        ];
        url.query_pairs_mut()
            .extend_pairs(query.iter().chain(&selectors).filter(|(_, value)| !value.is_empty()));
        let request = self.client.get(url.clone()).await.map_err(|error| error.to_string())?;
        let sent = tokio::time::timeout(PATIENCE, request.header(ACCEPT, "application/json").send()).await;
        let answer = match sent {
            Ok(answer) => answer.map_err(|error| explain(&error))?,
            Err(_) => return Err(format!("{} did not answer in time", url.path()).into()),
        };
        match answer.status() {
            http::StatusCode::OK => Ok(answer),
            http::StatusCode::GONE => Err(ApiError::Gone),
            status => Err(format!("{} answered with HTTP status {status}", url.path()).into()),
        }
    }
}

impl Watch {
    /// The next event; nothing when the server has ended the watch.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', unsearched) {
                let rest = self.buffer.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_PAGE {
                return Err(format!("an event is longer than {MAX_PAGE} bytes"));
            }
            // A server that keeps a watch open much longer than asked is gone.
            let patience = PATIENCE + Duration::from_secs(u64::from(WATCH_SECONDS));
            match tokio::time::timeout(patience, self.answer.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(explain(&error)),
                Err(_) => return Err("the watch went silent".to_owned()),
            }
        }
    }
}
