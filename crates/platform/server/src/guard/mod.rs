//! The door: which requests get in at all, and as whom.

mod cors;
mod credentials;
mod host;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use kandela_config::Kandela;
use kandela_config::kandela::Role;

pub use credentials::CredentialError;
use credentials::Credentials;
use host::HostRules;

use crate::net::Peer;
use crate::refusal::{Dialect, Refusal};
use crate::telemetry::Telemetry;
use crate::telemetry::events::RequestRefused;

/// The rules of one server. Credentials and names may change while it runs.
pub(crate) struct Guard {
    rules: ArcSwap<Rules>,
    telemetry: Telemetry,
}

struct Rules {
    credentials: Credentials,
    hosts: HostRules,
}

impl Rules {
    fn of(kandela: &Kandela) -> Result<Self, CredentialError> {
        let hosts = HostRules::new(&kandela.allowed_hosts, &kandela.allowed_origins);
        Ok(Self { credentials: Credentials::load(&kandela.users)?, hosts })
    }
}

/// The guard of one listener, and the language in which it refuses.
#[derive(Clone)]
pub(crate) struct Door {
    pub guard: Arc<Guard>,
    pub listener: &'static str,
    pub dialect: Dialect,
}

impl Guard {
    /// # Errors
    /// When a secret's file cannot be read.
    pub(crate) fn new(kandela: &Kandela, telemetry: Telemetry) -> Result<Self, CredentialError> {
        Ok(Self { rules: ArcSwap::from_pointee(Rules::of(kandela)?), telemetry })
    }

    /// Puts other rules in force, from the next request on.
    ///
    /// # Errors
    /// When a secret's file cannot be read; the rules before stay in force.
    pub(crate) fn reload(&self, kandela: &Kandela) -> Result<(), CredentialError> {
        self.rules.store(Arc::new(Rules::of(kandela)?));
        Ok(())
    }

    /// The rules in force.
    fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }
}

/// Why a request is turned away: a word for own metrics, and the answer.
type Turned = (&'static str, Refusal);

impl Rules {
    /// Refuses a request that names a foreign host or comes from a foreign page.
    fn check_names(&self, request: &Request) -> Result<(), Turned> {
        let headers = request.headers();
        let refuse = |reason, status, message: &str| Err((reason, Refusal::new(status, message)));
        let Some(peer) = request.extensions().get::<Peer>() else {
            return refuse("host", StatusCode::BAD_REQUEST, "the request came in by no connection");
        };
        let Some(host) = host_of(request) else {
            return refuse(
                "host",
                StatusCode::BAD_REQUEST,
                "the request names no host; send one Host header",
            );
        };
        if !self.hosts.is_own(host, peer.local.ip()) {
            let message = format!(
                "this server does not answer to the host {host:?}; use localhost or its address, or add the name to \
                 kandela.allowed_hosts"
            );
            return refuse("host", StatusCode::MISDIRECTED_REQUEST, &message);
        }
        if may_change_state(request) && is_foreign(headers, host, &self.hosts) {
            let message = "a web page of another origin may not change anything here; add its origin to \
                           kandela.allowed_origins if it may";
            return refuse("origin", StatusCode::FORBIDDEN, message);
        }
        Ok(())
    }

    /// The origin of a page that the config trusts.
    fn trusted_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        origin.to_str().is_ok_and(|name| self.hosts.is_trusted_origin(name)).then(|| origin.clone())
    }

    async fn check_credentials(&self, authorization: Option<HeaderValue>) -> Result<Role, Turned> {
        let proven = self.credentials.authenticate(authorization.as_ref().map(HeaderValue::as_bytes)).await;
        proven.map_err(|error| ("credentials", Refusal::new(StatusCode::UNAUTHORIZED, error.to_string())))
    }
}

/// HTTP/2 names the host in its pseudo-header, HTTP/1 in a header that must stand once.
fn host_of(request: &Request) -> Option<&str> {
    let mut named = request.headers().get_all(HOST).iter();
    let header = named.next().and_then(|value| value.to_str().ok());
    if named.next().is_some() {
        return None;
    }
    match (request.uri().authority(), header) {
        (Some(authority), Some(header)) if authority.as_str() != header => None,
        (Some(authority), _) => Some(authority.as_str()),
        (None, header) => header,
    }
}

/// Questions that are also asked by POST, since they may be long. Proxies of dashboards pass the page's own `Origin` on.
const QUESTIONS: [&str; 7] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/format_query",
    "/api/v1/parse_query",
    "/api/v1/series",
    "/api/v1/labels",
];

fn may_change_state(request: &Request) -> bool {
    let asks = QUESTIONS.contains(&request.uri().path());
    !asks && !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers send `Origin` with every request that may change state, and `Sec-Fetch-Site` beside it.
fn is_foreign(headers: &HeaderMap, host: &str, rules: &HostRules) -> bool {
    let foreign_origin = headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        !rules.is_own_origin(origin, host)
    });
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let cross_site_without_origin = site == Some(b"cross-site") && !headers.contains_key(ORIGIN);
    foreign_origin || cross_site_without_origin
}

/// Middleware: refuses foreign hosts and origins and unknown credentials, and marks the request with its role.
pub(crate) async fn stand(State(door): State<Door>, request: Request, next: Next) -> Response {
    let rules = door.guard.rules();
    let authorization = request.headers().get(AUTHORIZATION).cloned();
    let trusted = rules.trusted_origin(request.headers());
    let mut response = match rules.check_names(&request) {
        Ok(()) if request.method() == Method::OPTIONS => cors::options(),
        Ok(()) => {
            let admitted = rules.check_credentials(authorization).await;
            admit(&door, admitted, request, next).await
        }
        Err(turned) => admit(&door, Err(turned), request, next).await,
    };
    if let Some(origin) = trusted {
        cors::allow(response.headers_mut(), origin);
    }
    response
}

async fn admit(door: &Door, admitted: Result<Role, Turned>, mut request: Request, next: Next) -> Response {
    match admitted {
        Ok(role) => {
            request.extensions_mut().insert(role);
            next.run(request).await
        }
        Err((reason, refusal)) => {
            let event = RequestRefused { listener: door.listener, reason, detail: &refusal.message };
            door.guard.telemetry.emit(event);
            refusal.into_response_in(door.dialect, request.headers())
        }
    }
}

/// Middleware of one route: refuses a role that is too weak for it.
pub(crate) async fn require(
    State((door, needed)): State<(Door, Role)>,
    request: Request,
    next: Next,
) -> Response {
    let held = request.extensions().get::<Role>().copied();
    if held.is_some_and(|role| role >= needed) {
        return next.run(request).await;
    }
    let held = held.map_or("nobody", Role::as_str);
    let message = format!("this needs the role {needed}, and these credentials hold {held}");
    let event = RequestRefused { listener: door.listener, reason: "role", detail: &message };
    door.guard.telemetry.emit(event);
    Refusal::new(StatusCode::FORBIDDEN, message).into_response_in(door.dialect, request.headers())
}
