//! Of a chain of services, each span names a parent that was recorded.
#![cfg(all(feature = "intercept", feature = "profiler", feature = "tower"))]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kandela_model::{Span, SpanKind, StatusCode as SpanCode};
use kandela_runtime::intercept::Intercept;
use kandela_runtime::intercept::http as fields;
use kandela_runtime::intercept::layer::{InterceptLayer, RetryLayer};
use kandela_runtime::intercept::propagate::Propagate;
use kandela_runtime::intercept::retry::{Retry, Settings};
use kandela_runtime::intercept::spans::Spans;
use kandela_runtime::steward::Steward;
use kandela_runtime::trace_context::{Ids, TraceParent};
use kandela_runtime::tracer::{SpanBuffer, Tracer};
use parking_lot::Mutex;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Ask = Request<()>;
type Answer = Result<Response<()>, Infallible>;

const INCOMING: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer() -> (Arc<SpanBuffer>, Tracer) {
    let buffer = Arc::new(SpanBuffer::new(100).expect("within limits"));
    (buffer.clone(), Tracer::new(buffer))
}

fn incoming() -> Propagate<Ask, Answer> {
    Propagate::new(Arc::new(Ids::seeded(1, 2)), true, fields::sent_span(), fields::current_span())
}

fn outgoing() -> Propagate<Ask, Answer> {
    Propagate::new(Arc::new(Ids::seeded(3, 4)), true, fields::current_span(), fields::sent_span())
}

fn server(tracer: &Tracer) -> Spans<Ask, Answer> {
    let kind = SpanKind::Server;
    Spans::new(incoming(), tracer.clone(), "shop", kind, fields::operation, fields::outcome)
}

fn client(tracer: &Tracer) -> Spans<Ask, Answer> {
    let kind = SpanKind::Client;
    Spans::new(outgoing(), tracer.clone(), "shop", kind, fields::operation, fields::outcome)
}

fn request(traceparent: &'static str) -> Ask {
    let mut request = Request::new(());
    request.headers_mut().insert("traceparent", traceparent.parse().expect("a value"));
    request
}

fn traceparent(request: &Ask) -> TraceParent {
    TraceParent::parse(request.headers()["traceparent"].as_bytes()).expect("well-formed")
}

fn answered(status: StatusCode) -> Answer {
    let mut response = Response::new(());
    *response.status_mut() = status;
    Ok(response)
}

fn recorded(spans: &[Span], id: [u8; 8]) -> &Span {
    let mut with_id = spans.iter().filter(|span| span.span_id == id);
    match (with_id.next(), with_id.next()) {
        (Some(span), None) => span,
        found => panic!("{id:02x?} is not recorded once but: {found:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_called_has_a_recorded_parent_up_to_the_caller_of_this_service() {
    let (buffer, tracer) = tracer();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let retry = Retry::new("next", Settings::default(), 7, fields::retries(), &Steward::default());
    // The first try is answered with 503, the second one well.
    let next = ServiceBuilder::new()
        .layer(RetryLayer::new(retry.expect("good settings")))
        .layer(InterceptLayer::new(client(&tracer)))
        .service(service_fn({
            let sent = sent.clone();
            move |request: Ask| {
                let mut sent = sent.lock();
                sent.push(traceparent(&request));
                let statuses = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK];
                std::future::ready(answered(statuses[sent.len() - 1]))
            }
        }));
    let shop = ServiceBuilder::new().layer(InterceptLayer::new(server(&tracer))).service(service_fn(
        move |request: Ask| {
            let mut asked = Request::new(());
            fields::carry(request.extensions(), asked.extensions_mut());
            next.clone().oneshot(asked)
        },
    ));
    let Ok(response) = shop.oneshot(request(INCOMING)).await;
    assert_eq!(response.status(), StatusCode::OK);

    let (spans, sent) = (buffer.take(10), sent.lock());
    assert_eq!((spans.len(), sent.len()), (3, 2), "the call and each try");
    let caller = traceparent(&request(INCOMING));
    for (parent, status) in sent.iter().zip([SpanCode::Error, SpanCode::Unset]) {
        let of_try = recorded(&spans, parent.span_id.to_bytes());
        assert_eq!((of_try.kind, of_try.status.code), (SpanKind::Client, status));
        let of_call = recorded(&spans, of_try.parent_span_id.expect("caused by the call"));
        assert_eq!((of_call.kind, of_call.status.code), (SpanKind::Server, SpanCode::Unset));
        assert_eq!(of_call.parent_span_id, Some(caller.span_id.to_bytes()));
        assert_eq!([of_try.trace_id, of_call.trace_id], [caller.trace_id.to_bytes(); 2]);
    }
}

#[test]
fn a_handler_that_records_its_span_by_hand_leaves_no_gap_in_the_chain() {
    let (buffer, tracer) = tracer();
    let handler = |request: Ask| {
        let own = (fields::current_span().get)(&request).expect("Propagate has set it");
        let parent = (fields::sent_span().get)(&request).map(|sent| sent.parent.span_id);
        let _span = tracer.start_as(own, parent, "shop", "GET /cart");
        let mut asked = Request::new(());
        fields::carry(request.extensions(), asked.extensions_mut());
        // What the next service is sent names this handler's span, without one of the call's own.
        let current = (fields::current_span().get)(&asked);
        (fields::sent_span().set)(&mut asked, current);
        let mut response = Response::new(());
        response.headers_mut().insert("traceparent", asked.headers()["traceparent"].clone());
        Ok(response)
    };
    let Ok(response) = incoming().call(request(INCOMING), handler);
    let outgoing = TraceParent::parse(response.headers()["traceparent"].as_bytes()).expect("well-formed");
    let spans = buffer.take(10);
    let span = recorded(&spans, outgoing.span_id.to_bytes());
    let caller = traceparent(&request(INCOMING));
    assert_eq!(span.parent_span_id, Some(caller.span_id.to_bytes()));
    assert_eq!(span.trace_id, caller.trace_id.to_bytes());
}

#[test]
fn a_trace_that_starts_here_has_a_root_and_one_that_is_not_sampled_no_span() {
    let (buffer, tracer) = tracer();
    let ok = |_| answered(StatusCode::OK);
    let Ok(_) = server(&tracer).call(Request::new(()), ok);
    assert_eq!(buffer.take(10).iter().map(|span| span.parent_span_id).collect::<Vec<_>>(), [None]);
    let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let Ok(_) = server(&tracer).call(request(not_sampled), ok);
    assert!(buffer.take(10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_ends_its_span_once() {
    let (buffer, tracer) = tracer();
    let spans = server(&tracer);
    let never = spans.call_async(request(INCOMING), |_| std::future::pending());
    assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
    assert_eq!(buffer.take(10).iter().map(|span| span.status.code).collect::<Vec<_>>(), [SpanCode::Unset]);
    let call = std::panic::AssertUnwindSafe(|| {
        spans.call(request(INCOMING), |_| std::panic::resume_unwind(Box::new("meant")))
    });
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(buffer.take(10).iter().map(|span| span.status.code).collect::<Vec<_>>(), [SpanCode::Error]);
}
