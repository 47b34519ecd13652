//! The laws of interceptors. Each is checked three times a request: with a handler that answers, with one that panics, and with
//! a call that is cancelled while its handler works.

use std::fmt::Debug;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::{Broken, agree, enough};
use crate::intercept::{Field, Identity, Intercept, Then};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending<Resp> {
    /// With an answer: the handler's, or that of an interceptor that did not hand the request on.
    Answered(Resp),
    /// Its handler panicked.
    Panicked,
    /// It was dropped while its handler worked.
    Cancelled,
}

#[derive(Clone, Copy, Debug)]
enum Handling {
    Answers,
    Panics,
    IsCancelled,
}

const HANDLINGS: [Handling; 3] = [Handling::Answers, Handling::Panics, Handling::IsCancelled];

/// The laws of [`Intercept`] for a stack of three. `recorded` returns, and forgets, what the interceptors have recorded since it
/// was last called: both sides of each law must record the same.
pub fn intercept<Req, Resp, A, B, C, E>(
    (a, b, c): (&A, &B, &C),
    requests: impl IntoIterator<Item = Req>,
    handler: impl Fn(C::InnerReq) -> C::InnerResp,
    recorded: impl Fn() -> E,
) -> Result<(), Broken>
where
    Req: Clone + Debug,
    Resp: PartialEq + Debug,
    A: Intercept<Req, Resp>,
    B: Intercept<A::InnerReq, A::InnerResp>,
    C: Intercept<B::InnerReq, B::InnerResp>,
    E: PartialEq + Debug,
{
    const ASSOCIATIVE: &str = "(a.then(b)).then(c) = a.then(b.then(c))";
    const NESTS: &str = "a.then(b).then(c).call(r, h) = a.call(r, |r| b.call(r, |r| c.call(r, h)))";
    let left = Then::new(Then::new(a, b), c);
    let right = Then::new(a, Then::new(b, c));
    let requests: Vec<Req> = requests.into_iter().collect();
    enough(ASSOCIATIVE, 1, requests.len())?;
    for request in &requests {
        for handling in HANDLINGS {
            let end = |ending: Ending<Resp>| (ending, recorded());
            let inputs: [&dyn Debug; 2] = [request, &handling];
            let bracketed_left = end(run(&left, request, handling, &handler));
            let bracketed_right = end(run(&right, request, handling, &handler));
            agree(ASSOCIATIVE, &inputs, &bracketed_left, &bracketed_right, PartialEq::eq)?;
            let nested = end(run_nested(a, &Then::new(b, c), request, handling, &handler));
            agree(NESTS, &inputs, &bracketed_left, &nested, PartialEq::eq)?;
            let first = end(run(&Then::new(Identity, &left), request, handling, &handler));
            agree("identity.then(a) = a", &inputs, &first, &bracketed_left, PartialEq::eq)?;
            let last = end(run(&Then::new(&left, Identity), request, handling, &handler));
            agree("a.then(identity) = a", &inputs, &last, &bracketed_left, PartialEq::eq)?;
        }
    }
    Ok(())
}

/// Exactly one end per start: `starts_and_ends` tells how many there were so far, and after each call, however it ended, there
/// are as many of one as of the other. A law that saw no start has shown nothing.
pub fn one_end<Req, Resp, I>(
    intercept: &I,
    requests: impl IntoIterator<Item = Req>,
    handler: impl Fn(I::InnerReq) -> I::InnerResp,
    starts_and_ends: impl Fn() -> (u64, u64),
) -> Result<(), Broken>
where
    Req: Clone + Debug,
    Resp: Debug,
    I: Intercept<Req, Resp>,
{
    const LAW: &str = "starts = ends";
    let (before, _) = starts_and_ends();
    for request in requests {
        for handling in HANDLINGS {
            let ending = run(intercept, &request, handling, &handler);
            let (starts, ends) = starts_and_ends();
            agree(LAW, &[&request, &handling, &ending], &starts, &ends, PartialEq::eq)?;
        }
    }
    let (after, _) = starts_and_ends();
    enough(LAW, 1, (after - before) as usize)
}

/// The laws of [`Field`] for wholes that hold no rubbish in its place.
pub fn field<Whole, Part>(
    field: Field<Whole, Part>,
    wholes: impl IntoIterator<Item = Whole>,
    parts: impl IntoIterator<Item = Part>,
    same: impl Fn(&Whole, &Whole) -> bool,
) -> Result<(), Broken>
where
    Whole: Clone + Debug,
    Part: Clone + PartialEq + Debug,
{
    const SET_GET: &str = "get(set(w, p)) = p";
    let with = |whole: &Whole, part: &Part| {
        let mut whole = whole.clone();
        (field.set)(&mut whole, part.clone());
        whole
    };
    let parts: Vec<Part> = parts.into_iter().collect();
    enough(SET_GET, 2, parts.len())?;
    for whole in wholes {
        let got = (field.get)(&whole);
        agree("set(w, get(w)) = w", &[&whole], &with(&whole, &got), &whole, &same)?;
        for pair in parts.windows(2) {
            let (first, last) = (&pair[0], &pair[1]);
            let set = with(&whole, last);
            agree(SET_GET, &[&whole, last], &(field.get)(&set), last, PartialEq::eq)?;
            let twice = with(&with(&whole, first), last);
            agree("set(set(w, p), q) = set(w, q)", &[&whole, first, last], &twice, &set, &same)?;
        }
    }
    Ok(())
}

fn run<Req: Clone, Resp, I: Intercept<Req, Resp>>(
    intercept: &I,
    request: &Req,
    handling: Handling,
    handler: impl Fn(I::InnerReq) -> I::InnerResp,
) -> Ending<Resp> {
    let request = request.clone();
    match handling {
        Handling::Answers => Ending::Answered(intercept.call(request, handler)),
        Handling::Panics => caught(|| intercept.call(request, |_| silent_panic())),
        Handling::IsCancelled => polled_once(intercept.call_async(request, |_| pending())),
    }
}

fn run_nested<Req, Resp, A, B>(
    outer: &A,
    inner: &B,
    request: &Req,
    handling: Handling,
    handler: impl Fn(B::InnerReq) -> B::InnerResp,
) -> Ending<Resp>
where
    Req: Clone,
    A: Intercept<Req, Resp>,
    B: Intercept<A::InnerReq, A::InnerResp>,
{
    let request = request.clone();
    match handling {
        Handling::Answers => Ending::Answered(outer.call(request, |request| inner.call(request, &handler))),
        Handling::Panics => caught(|| outer.call(request, |request| inner.call(request, |_| silent_panic()))),
        Handling::IsCancelled => {
            polled_once(outer.call_async(request, |request| inner.call_async(request, |_| pending())))
        }
    }
}

/// Unwinds without the panic hook's message: it is meant.
fn silent_panic<T>() -> T {
    resume_unwind(Box::new("the handler of a law panics"))
}

fn caught<Resp>(call: impl FnOnce() -> Resp) -> Ending<Resp> {
    catch_unwind(AssertUnwindSafe(call)).map_or(Ending::Panicked, Ending::Answered)
}

fn polled_once<Resp>(call: impl Future<Output = Resp>) -> Ending<Resp> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Ending::Answered(answer),
        Poll::Pending => Ending::Cancelled,
    }
}
