//! What the interceptors look at in HTTP: fields of [`http::Request`], outcomes of [`http::Response`].
//!
//! Within a process, deadline and trace travel in the request's extensions, between processes in its headers (`grpc-timeout`,
//! `traceparent`, `tracestate`). A handler that calls another service [`carry`]s them over.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use kandela_algebra::intercept::Field;

use super::deadline::Placement;
use super::measured::Outcome;
use super::refusal::Failure;
use super::retry::{Protocol, Verdict};
use super::timeout_header;
use crate::clock::Moment;
use crate::trace_context::{self, SpanContext};

const TIMEOUT: HeaderName = HeaderName::from_static(timeout_header::TIMEOUT);
const TRACEPARENT: HeaderName = HeaderName::from_static(trace_context::TRACEPARENT);
const TRACESTATE: HeaderName = HeaderName::from_static(trace_context::TRACESTATE);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a request is, in its extensions: `Operation("GET /carts/{id}")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation(pub &'static str);

/// In a request's extensions: until when it is of use, by the clock of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub Moment);

/// In a request's extensions: it may be repeated, whatever its method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeatable;

/// The operation that a request is of: its [`Operation`], else its method.
pub fn operation<B>(request: &Request<B>) -> &str {
    request.extensions().get::<Operation>().map_or(request.method().as_str(), |operation| operation.0)
}

/// How a call ended: 429, 503, 504 and a [refusal](Failure) by a breaker or a limiter are refusals, other statuses from 500 on and
/// other errors are errors. The remaining 4xx are the caller's affair, and fine.
pub fn outcome<B, E: Failure<Form>, Form>(response: &Result<Response<B>, E>) -> Outcome {
    let response = match response {
        Ok(response) => response,
        Err(error) if error.is_refusal() => return Outcome::Refused,
        Err(_) => return Outcome::Error,
    };
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Refused
        }
        status if status.is_server_error() => Outcome::Error,
        _ => Outcome::Ok,
    }
}

/// Deadlines in [`Until`] and the header `grpc-timeout`; a request whose time is up is answered with status 504 and an empty body.
pub fn deadlines<B, R: Default, E>() -> Placement<Request<B>, Result<Response<R>, E>> {
    Placement { carried: carried_deadline(), sent: sent_deadline(), answer: |_| Ok(gateway_timeout()) }
}

/// The deadline within this process: [`Until`].
pub fn carried_deadline<B>() -> Field<Request<B>, Option<Moment>> {
    Field {
        get: |request| request.extensions().get::<Until>().map(|until| until.0),
        set: |request, moment| put(request.extensions_mut(), moment.map(Until)),
    }
}

/// The time that is left, in the header `grpc-timeout`. One that is not of the grammar is none.
pub fn sent_deadline<B>() -> Field<Request<B>, Option<Duration>> {
    Field {
        get: |request| timeout_header::parse(request.headers().get(TIMEOUT)?.as_bytes()),
        set: |request, left| match left.map(|left| HeaderValue::try_from(timeout_header::format(left))) {
            Some(Ok(value)) => drop(request.headers_mut().insert(TIMEOUT, value)),
            _ => drop(request.headers_mut().remove(TIMEOUT)),
        },
    }
}

fn gateway_timeout<R: Default>() -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response
}

/// The span that a request is handled in: in its extensions.
pub fn current_span<B>() -> Field<Request<B>, Option<SpanContext>> {
    Field {
        get: |request| request.extensions().get::<SpanContext>().cloned(),
        set: |request, context| put(request.extensions_mut(), context),
    }
}

/// The span that sent a request: in `traceparent` and `tracestate`. Several `traceparent` headers are none.
pub fn sent_span<B>() -> Field<Request<B>, Option<SpanContext>> {
    Field {
        get: |request| read_span(request.headers()),
        set: |request, context| write_span(request.headers_mut(), context.as_ref()),
    }
}

fn read_span(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes);
    SpanContext::parse(parent.as_bytes(), states).ok()
}

fn write_span(headers: &mut HeaderMap, context: Option<&SpanContext>) {
    headers.remove(TRACESTATE);
    let Some(context) = context else {
        headers.remove(TRACEPARENT);
        return;
    };
    if let Ok(parent) = HeaderValue::from_bytes(&context.parent.header()) {
        headers.insert(TRACEPARENT, parent);
    }
    if context.state.is_empty() {
        return;
    }
    if let Ok(state) = HeaderValue::from_str(&context.state.header()) {
        headers.insert(TRACESTATE, state);
    }
}

/// Hands deadline and span of the request that is being handled to one that is made for it.
pub fn carry(from: &Extensions, to: &mut Extensions) {
    put(to, from.get::<Until>().copied());
    put(to, from.get::<SpanContext>().cloned());
}

fn put<T: Clone + Send + Sync + 'static>(extensions: &mut Extensions, value: Option<T>) {
    match value {
        Some(value) => drop(extensions.insert(value)),
        None => drop(extensions.remove::<T>()),
    }
}

/// Retries of requests that may be repeated: those of idempotent methods (RFC 9110, 9.2.2), with an `Idempotency-Key`, or with
/// [`Repeatable`] in their extensions. Worth it are statuses 429, 502, 503 and 504, and errors of the transport; `Retry-After` is
/// heeded (RFC 9110, 10.2.3; a date counts from the answer's own `Date`, so that clocks need not agree). A [refusal](Failure) by a
/// breaker or a limiter stands: asking it again would only take up a try that others could have.
pub fn retries<B: Clone, R, E: Failure<Form>, Form>() -> Protocol<Request<B>, Result<Response<R>, E>> {
    Protocol { again, deadline: carried_deadline().get, verdict }
}

fn again<B: Clone>(request: &Request<B>) -> Option<Request<B>> {
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    let may_repeat = idempotent.contains(request.method())
        || request.headers().contains_key(IDEMPOTENCY_KEY)
        || request.extensions().get::<Repeatable>().is_some();
    may_repeat.then(|| request.clone())
}

fn verdict<R, E: Failure<Form>, Form>(response: &Result<Response<R>, E>) -> Verdict {
    let response = match response {
        Ok(response) => response,
        Err(error) if error.is_refusal() => return Verdict::Final,
        Err(_) => return Verdict::Transient,
    };
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            retry_after(response.headers()).map_or(Verdict::Transient, Verdict::Later)
        }
        _ => Verdict::Final,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let date = |value: &str| httpdate::parse_http_date(value).ok();
    let answered = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(date(asked)?.duration_since(answered).unwrap_or_default())
}

/// The answer of an overloaded service: status 503 and an empty body, with `Retry-After` in whole seconds, rounded up.
pub fn overloaded<R: Default>(retry_after: Duration) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use kandela_algebra::laws;

    use super::*;
    use crate::trace_context::Ids;

    type Answer = Result<Response<()>, fmt::Error>;

    fn answered(status: StatusCode, headers: &[(HeaderName, &'static str)]) -> Answer {
        let mut response = Response::new(());
        *response.status_mut() = status;
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    fn same(a: &Request<()>, b: &Request<()>) -> bool {
        a.headers() == b.headers()
            && (current_span().get)(a) == (current_span().get)(b)
            && (carried_deadline().get)(a) == (carried_deadline().get)(b)
    }

    #[test]
    fn every_field_obeys_its_laws() {
        let mut filled = Request::new(());
        let ids = Ids::seeded(1, 2);
        let spans = [
            Some(SpanContext::root(&ids, true)),
            None,
            Some(SpanContext {
                state: SpanContext::root(&ids, false).state.with("kandela", "1").expect("valid"),
                ..SpanContext::root(&ids, false)
            }),
        ];
        (sent_span().set)(&mut filled, spans[0].clone());
        (current_span().set)(&mut filled, spans[2].clone());
        (carried_deadline().set)(&mut filled, Some(Moment::from_nanos(5)));
        (sent_deadline().set)(&mut filled, Some(Duration::from_millis(150)));
        let wholes = || [Request::new(()), filled.clone()];
        laws::field(sent_span(), wholes(), spans.clone(), same).expect("sent span");
        laws::field(current_span(), wholes(), spans, same).expect("current span");
        let moments = [None, Some(Moment::from_nanos(9)), Some(Moment::NEVER)];
        laws::field(carried_deadline(), wholes(), moments, same).expect("carried deadline");
        let times = [Some(Duration::from_nanos(7)), None, Some(Duration::from_secs(3600))];
        laws::field(sent_deadline(), wholes(), times, same).expect("sent deadline");
    }

    #[test]
    fn two_traceparents_are_none() {
        let mut request = Request::new(());
        let context = SpanContext::root(&Ids::seeded(1, 2), true);
        (sent_span().set)(&mut request, Some(context.clone()));
        assert_eq!((sent_span().get)(&request), Some(context));
        let second = HeaderValue::from_static("00-12345678901234567890123456789012-1234567890123456-01");
        request.headers_mut().append(TRACEPARENT, second);
        assert_eq!((sent_span().get)(&request), None);
    }

    #[test]
    fn a_post_is_repeated_only_where_its_sender_says_so() {
        let mut request = Request::new("body");
        *request.method_mut() = Method::POST;
        assert!(again(&request).is_none());
        let mut keyed = request.clone();
        keyed.headers_mut().insert(IDEMPOTENCY_KEY, HeaderValue::from_static("\"8e03978e\""));
        assert!(again(&keyed).is_some());
        request.extensions_mut().insert(Repeatable);
        assert!(again(&request).is_some());
        assert!(again(&Request::new("a GET")).is_some());
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        let later = |seconds| Verdict::Later(Duration::from_secs(seconds));
        assert_eq!(verdict(&answered(busy, &[(RETRY_AFTER, "120")])), later(120));
        let dates = [(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT"), (DATE, "Fri, 31 Dec 1999 23:59:29 GMT")];
        assert_eq!(verdict(&answered(busy, &dates)), later(30));
        assert_eq!(verdict(&answered(busy, &[(RETRY_AFTER, "soon")])), Verdict::Transient);
        assert_eq!(verdict(&answered(busy, &[(RETRY_AFTER, "99999999999999999999999")])), later(u64::MAX));
        assert_eq!(verdict(&Ok::<_, fmt::Error>(overloaded::<()>(Duration::from_millis(1200)))), later(2));
    }

    #[test]
    fn only_what_may_pass_is_worth_a_retry() {
        assert_eq!(verdict(&answered(StatusCode::OK, &[])), Verdict::Final);
        assert_eq!(verdict(&answered(StatusCode::NOT_FOUND, &[])), Verdict::Final);
        assert_eq!(verdict(&answered(StatusCode::INTERNAL_SERVER_ERROR, &[])), Verdict::Final);
        assert_eq!(verdict(&answered(StatusCode::BAD_GATEWAY, &[])), Verdict::Transient);
        assert_eq!(verdict(&Err::<Response<()>, _>(fmt::Error)), Verdict::Transient);
    }

    #[test]
    fn outcomes_tell_refusals_from_errors() {
        assert_eq!(outcome(&answered(StatusCode::NOT_FOUND, &[])), Outcome::Ok);
        assert_eq!(outcome(&answered(StatusCode::INTERNAL_SERVER_ERROR, &[])), Outcome::Error);
        assert_eq!(outcome(&answered(StatusCode::GATEWAY_TIMEOUT, &[])), Outcome::Refused);
        assert_eq!(outcome(&Err::<Response<()>, _>(fmt::Error)), Outcome::Error);
    }

    #[test]
    fn a_request_made_for_another_gets_its_deadline_and_span() {
        let (mut from, mut to) = (Request::new(()), Request::new(()));
        (carried_deadline().set)(&mut from, Some(Moment::from_nanos(5)));
        (current_span().set)(&mut from, Some(SpanContext::root(&Ids::seeded(1, 2), true)));
        carry(from.extensions(), to.extensions_mut());
        assert!(same(&from, &to));
    }
}
