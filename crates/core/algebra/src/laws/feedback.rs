//! The laws of steps and loops, for lists of inputs: two steps are the same where they answer the same to every list.

use std::fmt::Debug;

use super::{Broken, agree, enough};
use crate::feedback::{Loop, Pure, Step, delay, run};

/// The law that replay rests on: a list cut anywhere, run up to the cut and on from the state there, gives the answers and the
/// state of the whole list; and running it again gives the same again.
pub fn replay<S: Step>(step: &S, inputs: &[S::In]) -> Result<(), Broken>
where
    S::State: Clone + PartialEq + Debug,
    S::In: Clone + Debug,
    S::Out: PartialEq + Debug,
{
    const CUT: &str = "run(xs ++ ys) = run(xs), then run(ys) from there";
    enough(CUT, 2, inputs.len())?;
    let whole = run(step, step.begin(), inputs.iter().cloned());
    for cut in 0..=inputs.len() {
        let (xs, ys) = inputs.split_at(cut);
        let (there, mut answers) = run(step, step.begin(), xs.iter().cloned());
        let (end, rest) = run(step, there, ys.iter().cloned());
        answers.extend(rest);
        agree(CUT, &[&xs, &ys], &whole, &(end, answers), PartialEq::eq)?;
    }
    Ok(())
}

/// [`Step::then`] is associative.
pub fn then<A, B, C>((a, b, c): (&A, &B, &C), inputs: &[A::In]) -> Result<(), Broken>
where
    A: Step,
    B: Step<In = A::Out>,
    C: Step<In = B::Out>,
    A::In: Clone + Debug,
    C::Out: PartialEq + Debug,
{
    same("(a.then(b)).then(c) = a.then(b.then(c))", &a.then(b).then(c), &a.then(b.then(c)), inputs)
}

/// The laws of [`Loop`] for a step `inner`, closed with `first`; `before` and `after` are what is done to the open ends. Of the
/// traced category's laws, yanking is not among them: a loop around a bare crossing of wires is a delay.
pub fn feedback<S, I, O, B, U, V>(
    (inner, before, after): (&S, &U, &V),
    first: &B,
    inputs: &[U::In],
) -> Result<(), Broken>
where
    S: Step<In = (I, B), Out = (O, B)>,
    U: Step<Out = I>,
    V: Step<In = O>,
    U::In: Clone + Debug,
    V::Out: PartialEq + Debug,
    B: Clone + PartialEq + Debug,
{
    const TIGHTENS: &str =
        "before.then(loop(s)).then(after) = loop(before beside wire, then s, then after beside wire)";
    const SWAPS: &str = "loop(crossing) = delay";
    let outside = before.then(Loop::new(inner, first.clone())).then(after);
    let inside = Loop::new(Beside(before, wire()).then(inner).then(Beside(after, wire())), first.clone());
    same(TIGHTENS, &outside, &inside, inputs)?;

    let fed: Vec<B> = fed_back(inner, before, first, inputs);
    let crossing = Loop::new(Pure::new(|(a, b): (B, B)| (b, a)), first.clone());
    same(SWAPS, &crossing, &delay(first.clone()), &fed)
}

/// What goes round the loop, as a list of values of the right type to try wires with.
fn fed_back<S, I, O, B, U>(inner: &S, before: &U, first: &B, inputs: &[U::In]) -> Vec<B>
where
    S: Step<In = (I, B), Out = (O, B)>,
    U: Step<Out = I>,
    U::In: Clone,
    B: Clone,
{
    let (mut start, mut state, mut back) = (before.begin(), inner.begin(), first.clone());
    let mut fed = vec![back.clone()];
    for input in inputs {
        let input = before.step(&mut start, input.clone());
        back = inner.step(&mut state, (input, back)).1;
        fed.push(back.clone());
    }
    fed
}

fn wire<T>() -> impl Step<In = T, Out = T> {
    Pure::new(|value: T| value)
}

/// Two steps side by side.
struct Beside<A, B>(A, B);

impl<A: Step, B: Step> Step for Beside<A, B> {
    type State = (A::State, B::State);
    type In = (A::In, B::In);
    type Out = (A::Out, B::Out);

    fn begin(&self) -> Self::State {
        (self.0.begin(), self.1.begin())
    }
    fn step(&self, (a, b): &mut Self::State, (left, right): Self::In) -> Self::Out {
        (self.0.step(a, left), self.1.step(b, right))
    }
}

fn same<L, R>(law: &'static str, left: &L, right: &R, inputs: &[L::In]) -> Result<(), Broken>
where
    L: Step,
    R: Step<In = L::In, Out = L::Out>,
    L::In: Clone + Debug,
    L::Out: PartialEq + Debug,
{
    enough(law, 2, inputs.len())?;
    let (_, on_the_left) = run(left, left.begin(), inputs.iter().cloned());
    let (_, on_the_right) = run(right, right.begin(), inputs.iter().cloned());
    agree(law, &[&inputs], &on_the_left, &on_the_right, PartialEq::eq)
}
