//! What happens before and after a call: interceptors that compose, nest, and end once for each start.
//!
//! An [`Intercept`] sees a request on its way in and its answer on the way out. What it has to remember in between is its
//! `State`. Interceptors compose with [`then`](Intercept::then), the left one outermost; how a stack is bracketed makes no
//! difference, so a team may hand out a composed one as a single value.
//!
//! **Exactly one end per start.** Whatever an interceptor began in `before` ends in `after`, or, where `after` is never reached
//! (the call was cancelled, its handler panicked, an inner interceptor panicked), when the state is dropped. So a `State` that
//! has something to end is a guard: its `Drop` ends what `after` did not. States of a stack are dropped from the innermost out.
//!
//! **Admission.** `before` may answer at once, with [`ControlFlow::Break`]: no inner interceptor and no handler sees the request,
//! the outer ones see the answer as any other. Whoever admits keeps the permit in its `State`, so it is given back however the
//! call ends.
//!
//! ```
//! use std::ops::ControlFlow;
//! use kandela_algebra::intercept::{Intercept, Then};
//!
//! /// Lets through even numbers, halved.
//! struct Halve;
//!
//! impl Intercept<u32, String> for Halve {
//!     type InnerReq = u32;
//!     type InnerResp = String;
//!     type State = ();
//!     fn before(&self, request: u32) -> ControlFlow<String, (u32, ())> {
//!         if request % 2 == 1 {
//!             return ControlFlow::Break("odd".to_owned());
//!         }
//!         ControlFlow::Continue((request / 2, ()))
//!     }
//!     fn after(&self, response: String, (): ()) -> String {
//!         format!("2·{response}")
//!     }
//! }
//!
//! let twice = Halve.then(Halve);
//! assert_eq!(twice.call(12, |request| request.to_string()), "2·2·3");
//! assert_eq!(twice.call(6, |request| request.to_string()), "2·odd");
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

/// Something that is done before and after a call of a handler.
///
/// Laws, checked by `laws::intercept`: a stack is the nesting of its calls, `a.then(b).call(r, h) = a.call(r, |r| b.call(r, h))`;
/// from that, composition is associative and [`Identity`] changes nothing. Both sides agree on the answer and on whatever the
/// interceptors record, whether the handler answers, panics, or is cancelled.
pub trait Intercept<Req, Resp> {
    /// What the handler within is given.
    type InnerReq;
    /// What the handler within answers.
    type InnerResp;
    /// What is remembered from before to after; a guard where something has to end.
    type State;

    /// Sees the request: hands it on with what is to be remembered, or answers at once.
    fn before(&self, request: Req) -> ControlFlow<Resp, (Self::InnerReq, Self::State)>;

    /// Sees the answer of a request that was handed on.
    fn after(&self, response: Self::InnerResp, state: Self::State) -> Resp;

    /// This one around `inner`.
    fn then<B>(self, inner: B) -> Then<Self, B>
    where
        Self: Sized,
        B: Intercept<Self::InnerReq, Self::InnerResp>,
    {
        Then::new(self, inner)
    }

    /// Calls `handler` with this around it.
    fn call(&self, request: Req, handler: impl FnOnce(Self::InnerReq) -> Self::InnerResp) -> Resp
    where
        Self: Sized,
    {
        match self.before(request) {
            ControlFlow::Break(answer) => answer,
            ControlFlow::Continue((request, state)) => self.after(handler(request), state),
        }
    }

    /// Awaits `handler` with this around it. Nothing begins before the first poll; a future dropped while it waits ends what
    /// was begun.
    fn call_async<F: Future<Output = Self::InnerResp>>(
        &self,
        request: Req,
        handler: impl FnOnce(Self::InnerReq) -> F,
    ) -> impl Future<Output = Resp>
    where
        Self: Sized,
    {
        async move {
            match self.before(request) {
                ControlFlow::Break(answer) => answer,
                ControlFlow::Continue((request, state)) => {
                    let response = handler(request).await;
                    self.after(response, state)
                }
            }
        }
    }
}

/// Does nothing: the identity of [`Intercept::then`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl<Req, Resp> Intercept<Req, Resp> for Identity {
    type InnerReq = Req;
    type InnerResp = Resp;
    type State = ();

    fn before(&self, request: Req) -> ControlFlow<Resp, (Req, ())> {
        ControlFlow::Continue((request, ()))
    }

    fn after(&self, response: Resp, (): ()) -> Resp {
        response
    }
}

/// One interceptor around another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Then<A, B> {
    outer: A,
    inner: B,
}

impl<A, B> Then<A, B> {
    /// `outer` around `inner`; as [`Intercept::then`], for where the requests are not known yet.
    pub const fn new(outer: A, inner: B) -> Then<A, B> {
        Then { outer, inner }
    }
}

impl<Req, Resp, A, B> Intercept<Req, Resp> for Then<A, B>
where
    A: Intercept<Req, Resp>,
    B: Intercept<A::InnerReq, A::InnerResp>,
{
    type InnerReq = B::InnerReq;
    type InnerResp = B::InnerResp;
    /// The inner one first: a tuple is dropped from left to right.
    type State = (B::State, A::State);

    fn before(&self, request: Req) -> ControlFlow<Resp, (B::InnerReq, Self::State)> {
        let (request, outer) = self.outer.before(request)?;
        match self.inner.before(request) {
            ControlFlow::Continue((request, inner)) => ControlFlow::Continue((request, (inner, outer))),
            ControlFlow::Break(answer) => ControlFlow::Break(self.outer.after(answer, outer)),
        }
    }

    fn after(&self, response: B::InnerResp, (inner, outer): Self::State) -> Resp {
        self.outer.after(self.inner.after(response, inner), outer)
    }
}

impl<Req, Resp, I: Intercept<Req, Resp>> Intercept<Req, Resp> for &I {
    type InnerReq = I::InnerReq;
    type InnerResp = I::InnerResp;
    type State = I::State;

    fn before(&self, request: Req) -> ControlFlow<Resp, (I::InnerReq, I::State)> {
        (**self).before(request)
    }

    fn after(&self, response: I::InnerResp, state: I::State) -> Resp {
        (**self).after(response, state)
    }
}

impl<Req, Resp, I: Intercept<Req, Resp>> Intercept<Req, Resp> for Arc<I> {
    type InnerReq = I::InnerReq;
    type InnerResp = I::InnerResp;
    type State = I::State;

    fn before(&self, request: Req) -> ControlFlow<Resp, (I::InnerReq, I::State)> {
        (**self).before(request)
    }

    fn after(&self, response: I::InnerResp, state: I::State) -> Resp {
        (**self).after(response, state)
    }
}

/// Where something lies within a larger value: how an interceptor finds its deadline or its trace in requests of any type.
///
/// Laws, checked by `laws::field`: what was set is got, setting what was got changes nothing, and only the last setting counts.
pub struct Field<Whole, Part> {
    /// Reads the part.
    pub get: fn(&Whole) -> Part,
    /// Replaces the part.
    pub set: fn(&mut Whole, Part),
}

impl<Whole, Part> Clone for Field<Whole, Part> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Whole, Part> Copy for Field<Whole, Part> {}

impl<Whole, Part> std::fmt::Debug for Field<Whole, Part> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").finish_non_exhaustive()
    }
}
