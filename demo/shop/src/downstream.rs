//! Calls to another service: a split over its replicas, a pool, a breaker, a time limit and retries.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kandela_runtime::knob::LeasedKnob;

use crate::failure::Failure;
use crate::knobs::KnobMaker;
use crate::resilience::breaker::{self, Breaker};
use crate::resilience::pool::{Places, Pool};
use crate::split::Split;
use crate::telemetry::{self, ClientCall};

/// In which a customer's session travels.
pub(crate) const SESSION: &str = "x-session";

/// A client that keeps connections.
pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A client for all downstreams of a process.
pub(crate) fn http_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build(connector)
}

/// Another service.
pub(crate) struct Downstream {
    name: &'static str,
    client: HttpClient,
    split: Arc<Split>,
    pool: Pool<Places>,
    breaker: Breaker,
    timeout: Arc<LeasedKnob<Duration>>,
    retries: Arc<LeasedKnob<usize>>,
}

/// What is asked of another service.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// The path with names for what varies.
    pub(crate) route: &'static str,
    pub(crate) path: String,
    pub(crate) session: Option<&'a str>,
    pub(crate) body: Bytes,
    /// Whether asking twice does what asking once does.
    pub(crate) repeatable: bool,
}

impl Call<'_> {
    /// Reads something.
    pub(crate) fn get(route: &'static str, path: String) -> Call<'static> {
        Call { method: Method::GET, route, path, session: None, body: Bytes::new(), repeatable: true }
    }

    /// Has something done, where the path has no names.
    pub(crate) fn post(route: &'static str, body: Bytes) -> Call<'static> {
        Call { method: Method::POST, route, path: route.to_owned(), session: None, body, repeatable: false }
    }
}

/// Why one attempt brought no good answer.
enum Miss {
    /// The breakers of all replicas are open.
    Open,
    /// Nobody listens at this replica: nothing was sent.
    Unreachable(String),
    TimedOut,
    Broken,
    Status(StatusCode, Bytes),
}

impl Downstream {
    /// The downstream `name`, with its knobs: `NAME.pool.size`, `NAME.timeout_seconds`, `NAME.retries` and `NAME.breaker.…`.
    pub(crate) fn new(
        knobs: &KnobMaker,
        name: &'static str,
        client: &HttpClient,
        split: Arc<Split>,
    ) -> Result<Downstream> {
        Ok(Downstream {
            name,
            client: client.clone(),
            split,
            pool: Pool::new(knobs, name, Places)?,
            breaker: Breaker::new(knobs, name)?,
            timeout: knobs.time(&format!("{name}.timeout_seconds"), 0.05..=60.0)?,
            retries: knobs.count(&format!("{name}.retries"), 5)?,
        })
    }

    /// The body of a good answer.
    ///
    /// # Errors
    /// [`Failure`] with the status that whoever asked should see.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        let retries = self.retries.read();
        let mut gone = Vec::new();
        let mut attempt = 0;
        loop {
            let miss = match self.attempt(&call, attempt, &gone).await {
                Ok(body) => return Ok(body),
                Err(miss) => miss,
            };
            let again = match &miss {
                Miss::Open => false,
                Miss::Unreachable(replica) => {
                    gone.push(replica.clone());
                    true
                }
                Miss::TimedOut | Miss::Broken => call.repeatable,
                Miss::Status(status, _) => status.is_server_error() && call.repeatable,
            };
            if !again || attempt >= retries {
                return Err(self.failure(miss));
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call<'_>, attempt: usize, gone: &[String]) -> Result<Bytes, Miss> {
        let sent = self.send(call, attempt, gone);
        tokio::time::timeout(self.timeout.read(), sent).await.unwrap_or(Err(Miss::TimedOut))
    }

    /// Sends to a replica that is not known to be `gone`, if there is one.
    async fn send(&self, call: &Call<'_>, attempt: usize, gone: &[String]) -> Result<Bytes, Miss> {
        let Ok(_place) = self.pool.get().await else { return Err(Miss::TimedOut) };
        let there = |replica: &str| !gone.iter().any(|gone| gone == replica);
        let admitted = self.admit(call.route, there).or_else(|| self.admit(call.route, |_| true));
        let Some((replica, permit)) = admitted else {
            telemetry::breaker_refused(self.name);
            return Err(Miss::Open);
        };
        let answer = self.exchange(call, &replica, attempt).await;
        let failed = match &answer {
            Ok(_) => false,
            Err(Miss::Status(status, _)) => status.is_server_error(),
            Err(_) => true,
        };
        if !failed {
            permit.success();
        }
        answer
    }

    /// A replica that is `wanted`, by weight, and its breaker's leave to call it.
    fn admit(&self, route: &str, wanted: impl Fn(&str) -> bool) -> Option<(String, breaker::Permit)> {
        let mut refused: Vec<String> = Vec::new();
        loop {
            let open = |replica: &str| !refused.iter().any(|refused| refused == replica);
            let replica = self.split.pick(rand::random(), |replica| wanted(replica) && open(replica))?;
            if let Some(permit) = self.breaker.permit(&format!("{replica}{route}")) {
                return Some((replica, permit));
            }
            refused.push(replica);
        }
    }

    async fn exchange(&self, call: &Call<'_>, replica: &str, attempt: usize) -> Result<Bytes, Miss> {
        let mut headers = HeaderMap::new();
        if let Some(session) = call.session.and_then(|session| HeaderValue::from_str(session).ok()) {
            headers.insert(SESSION, session);
        }
        if !call.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let span = ClientCall::start(&call.method, call.route, replica, attempt, &mut headers);
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        let Ok(uri) = format!("http://{replica}{}", call.path).parse() else {
            span.failed("bad_address");
            return Err(Miss::Unreachable(replica.to_owned()));
        };
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;

        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                span.failed("unreachable");
                return Err(Miss::Unreachable(replica.to_owned()));
            }
            Err(_) => {
                span.failed("connection_broken");
                return Err(Miss::Broken);
            }
        };
        let status = response.status();
        let Ok(body) = response.into_body().collect().await else {
            span.failed("connection_broken");
            return Err(Miss::Broken);
        };
        span.answered(status);
        let body = body.to_bytes();
        if status.is_success() { Ok(body) } else { Err(Miss::Status(status, body)) }
    }

    fn failure(&self, miss: Miss) -> Failure {
        let name = self.name;
        match miss {
            Miss::Open => Failure::busy(format!("the breaker of {name} is open")),
            Miss::Unreachable(_) => Failure::bad_gateway(format!("{name} is unreachable")),
            Miss::TimedOut => Failure::timed_out(format!("{name} did not answer in time")),
            Miss::Broken => Failure::bad_gateway(format!("{name} closed the connection")),
            Miss::Status(status, body) => Failure::passed_on(status, name, &body),
        }
    }
}
