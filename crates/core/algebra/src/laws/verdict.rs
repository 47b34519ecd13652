//! The laws of propositions over partial evidence.

use super::{Broken, agree, enough};
use crate::verdict::{Guard, Stages, Truth, Verdict, missing};

/// The laws of a Heyting algebra, for [`Truth`]: a bounded distributive lattice in which `implies` is right adjoint to `and`.
pub fn heyting(truths: impl IntoIterator<Item = Truth>) -> Result<(), Broken> {
    const ADJOINT: &str = "(a and b) within c = a within (b implies c)";
    let truths: Vec<Truth> = truths.into_iter().collect();
    enough(ADJOINT, 3, truths.len())?;
    truths.windows(3).try_for_each(|three| {
        let [a, b, c] = three else { return Ok(()) };
        let same = |law, left: Truth, right: Truth| agree(law, &[a, b, c], &left, &right, Truth::eq);
        same("a and b = b and a", a.and(b), b.and(a))?;
        same("a or b = b or a", a.or(b), b.or(a))?;
        same("(a and b) and c = a and (b and c)", a.and(b).and(c), a.and(&b.and(c)))?;
        same("(a or b) or c = a or (b or c)", a.or(b).or(c), a.or(&b.or(c)))?;
        same("a and (a or b) = a", a.and(&a.or(b)), a.clone())?;
        same("a or (a and b) = a", a.or(&a.and(b)), a.clone())?;
        same("a and (b or c) = (a and b) or (a and c)", a.and(&b.or(c)), a.and(b).or(&a.and(c)))?;
        same("a and always = a", a.and(&Truth::always()), a.clone())?;
        same("a or never = a", a.or(&Truth::never()), a.clone())?;
        same("not a = a implies never", a.not(), a.implies(&Truth::never()))?;
        same("not not not a = not a", a.not().not().not(), a.not())?;
        agree(ADJOINT, &[a, b, c], &a.and(b).within(c), &a.within(&b.implies(c)), |l, r| l == r)
    })
}

/// Persistence: whatever is decided at a stage is decided alike at all that extend it; `Violated` means that the negation holds; and
/// Kleene's connectives decide nothing that the algebra does not decide alike.
pub fn persistent(stages: Stages, truths: impl IntoIterator<Item = Truth>) -> Result<(), Broken> {
    const PERSISTS: &str = "a.verdict(p) decided and q extends p: a.verdict(q) = a.verdict(p)";
    let truths: Vec<Truth> = truths.into_iter().collect();
    enough(PERSISTS, 2, truths.len())?;
    let all = stages.all();
    truths.windows(2).try_for_each(|two| {
        let [a, b] = two else { return Ok(()) };
        all.iter().try_for_each(|p| {
            let (of_a, of_b) = (a.verdict(*p), b.verdict(*p));
            let same =
                |law, left: Verdict, right: Verdict| agree(law, &[a, b, p], &left, &right, |l, r| l == r);
            if of_a != Verdict::Unknown {
                all.iter().filter(|q| q.extends(*p)).try_for_each(|q| same(PERSISTS, a.verdict(*q), of_a))?;
            }
            let refuted = of_a == Verdict::Violated;
            agree("a is violated = not a holds", &[a, p], &refuted, &a.not().holds(*p), |l, r| l == r)?;
            let sound = |law, kleene: Verdict, exact: Verdict| match kleene {
                Verdict::Unknown => Ok(()),
                Verdict::Holds | Verdict::Violated => same(law, kleene, exact),
            };
            sound("Kleene's and, where it decides", of_a.and(of_b), a.and(b).verdict(*p))?;
            sound("Kleene's or, where it decides", of_a.or(of_b), a.or(b).verdict(*p))?;
            sound("Kleene's not, where it decides", of_a.not(), a.not().verdict(*p))
        })
    })
}

/// A guard admits only what is established: not what is merely not refuted, nor what can't be refuted any more. What it says is
/// missing admits once it is answered so, and nothing less does.
pub fn admission(stages: Stages, truths: impl IntoIterator<Item = Truth>) -> Result<(), Broken> {
    const ADMITS: &str = "the guard of a admits at p = a holds at p";
    let truths: Vec<Truth> = truths.into_iter().collect();
    enough(ADMITS, 1, truths.len())?;
    let all = stages.all();
    truths.iter().try_for_each(|a| {
        let guard = Guard::new(a.clone());
        all.iter().try_for_each(|p| {
            agree(ADMITS, &[a, p], &guard.admits(*p), &a.holds(*p), |l, r| l == r)?;
            let fewest = missing(a, *p).map(|answers| answers.len());
            let known = all.iter().filter(|q| q.extends(*p) && guard.admits(**q));
            let needed = known.map(|q| q.answers().count() - p.answers().count()).min();
            agree("missing is as few as any way to establish a", &[a, p], &fewest, &needed, |l, r| l == r)?;
            let answered = missing(a, *p).map(|answers| {
                answers.into_iter().try_fold(*p, |stage, (at, answer)| stage.learn(at, answer))
            });
            let admits = answered.is_none_or(|stage| stage.is_some_and(|stage| guard.admits(stage)));
            agree("what is missing, answered, admits", &[a, p], &admits, &true, |l, r| l == r)
        })
    })
}
