//! Machines that answer one input at a time and remember: steps, their composition, and loops that close with a delay.
//!
//! A [`Step`] is a state and a rule that takes an input to an output and the next state, with nothing else coming in. So whoever
//! has the inputs in order has the state: [`run`] of a recorded list gives what the machine that recorded it was in, and a list cut
//! anywhere, run up to the cut and on from there, gives the same. That is what a ledger of decisions is replayed by.
//!
//! A controller and what it controls form a [`Loop`]: what goes out comes back in, one step later. The delay matters: a loop
//! around nothing but a wire is a [`Delay`], not a wire, so what holds for loops without a delay does not hold here.
//!
//! ```
//! use kandela_algebra::feedback::{Loop, Pure, Step, run};
//!
//! // A thermostat that adds a fifth of what is missing, in a room that keeps what it gets.
//! let room = Loop::new(Pure::new(|(wanted, is): (f64, f64)| (is, is + (wanted - is) / 5.0)), 15.0);
//! let (end, seen) = run(&room, room.begin(), [20.0; 30]);
//! assert_eq!(seen[0], 15.0);
//! assert!((end.1 - 20.0).abs() < 0.01);
//! ```
//!
//! Katis, Sabadini, Walters, *Feedback, trace and fixed-point semantics* (2002), is the source of the construction and its laws.

use std::marker::PhantomData;

/// A rule with a state.
pub trait Step {
    /// What it remembers.
    type State;
    /// What it is given.
    type In;
    /// What it answers.
    type Out;

    /// The state before the first input.
    fn begin(&self) -> Self::State;

    /// The answer to `input`; `state` becomes the next one. The same state and input give the same answer and next state.
    fn step(&self, state: &mut Self::State, input: Self::In) -> Self::Out;

    /// This, and then `next` on what this answers.
    fn then<S: Step<In = Self::Out>>(self, next: S) -> Then<Self, S>
    where
        Self: Sized,
    {
        Then(self, next)
    }
}

impl<S: Step> Step for &S {
    type State = S::State;
    type In = S::In;
    type Out = S::Out;

    fn begin(&self) -> S::State {
        (**self).begin()
    }
    fn step(&self, state: &mut S::State, input: S::In) -> S::Out {
        (**self).step(state, input)
    }
}

/// Gives `step` all inputs in order, from `state` on: the state it ends in, and its answers.
pub fn run<S: Step>(
    step: &S,
    mut state: S::State,
    inputs: impl IntoIterator<Item = S::In>,
) -> (S::State, Vec<S::Out>) {
    let answers = inputs.into_iter().map(|input| step.step(&mut state, input)).collect();
    (state, answers)
}

/// A function, as a step that remembers nothing.
pub struct Pure<F, I, O>(F, PhantomData<fn(I) -> O>);

impl<I, O, F: Fn(I) -> O> Pure<F, I, O> {
    /// The step that answers `f` of its input.
    pub fn new(f: F) -> Pure<F, I, O> {
        Pure(f, PhantomData)
    }
}

impl<I, O, F: Fn(I) -> O> Step for Pure<F, I, O> {
    type State = ();
    type In = I;
    type Out = O;

    fn begin(&self) {}
    fn step(&self, (): &mut (), input: I) -> O {
        (self.0)(input)
    }
}

/// One step and then another: see [`Step::then`].
pub struct Then<A, B>(A, B);

impl<A: Step, B: Step<In = A::Out>> Step for Then<A, B> {
    type State = (A::State, B::State);
    type In = A::In;
    type Out = B::Out;

    fn begin(&self) -> Self::State {
        (self.0.begin(), self.1.begin())
    }
    fn step(&self, (first, next): &mut Self::State, input: A::In) -> B::Out {
        self.1.step(next, self.0.step(first, input))
    }
}

/// Answers what it was given one step before.
pub struct Delay<T>(T);

/// The step that answers `first`, and from then on what it was given before.
pub fn delay<T: Clone>(first: T) -> Delay<T> {
    Delay(first)
}

impl<T: Clone> Step for Delay<T> {
    type State = T;
    type In = T;
    type Out = T;

    fn begin(&self) -> T {
        self.0.clone()
    }
    fn step(&self, state: &mut T, input: T) -> T {
        std::mem::replace(state, input)
    }
}

/// A step whose second answer is its second input one step later.
pub struct Loop<S, B> {
    inner: S,
    first: B,
}

impl<I, O, B: Clone, S: Step<In = (I, B), Out = (O, B)>> Loop<S, B> {
    /// Closes `inner`; `first` is what comes back before anything has gone out.
    pub fn new(inner: S, first: B) -> Loop<S, B> {
        Loop { inner, first }
    }
}

impl<I, O, B: Clone, S: Step<In = (I, B), Out = (O, B)>> Step for Loop<S, B> {
    type State = (S::State, B);
    type In = I;
    type Out = O;

    fn begin(&self) -> Self::State {
        (self.inner.begin(), self.first.clone())
    }
    fn step(&self, (inner, back): &mut Self::State, input: I) -> O {
        let (out, next) = self.inner.step(inner, (input, back.clone()));
        *back = next;
        out
    }
}
