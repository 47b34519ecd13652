//! What partial evidence shows: holds, violated, or not known yet.
//!
//! Evidence comes in measurement by measurement. A [`Stage`] is what has been answered so far; a stage *extends* another where it has
//! all of that one's answers. A [`Truth`] is a proposition by the stages that establish it, and what is once established stays so:
//! with a stage, all of its extensions are in. Such up-sets form a Heyting algebra, in which "`a` or not `a`" is no law: before the
//! measurement neither is established. That is the third value, [`Verdict::Unknown`].
//!
//! - A verdict that is not `Unknown` never changes by more answers.
//! - Nothing is permitted for want of a counterexample: [`Guard::admits`] asks for `Holds`. That a proposition is not refuted, or
//!   can't be refuted any more, is not enough.
//! - [`missing`] names the fewest answers that would establish a proposition, which is what to measure next.
//!
//! All of it speaks of answers that are final. Where answers are statistical, they must come from intervals that only narrow, and
//! once the truth itself moves, a new trial begins with an empty stage.
//!
//! ```
//! use kandela_algebra::verdict::{Guard, Stages, Truth, Verdict};
//!
//! let stages = Stages::of(2).expect("at most 64 measurements");
//! let fast_and_right = Guard::new(Truth::answered(0, true).and(&Truth::answered(1, true)));
//! let measured = stages.nothing().learn(0, true).expect("not answered before");
//! assert_eq!(fast_and_right.verdict(measured), Verdict::Unknown);
//! assert!(!fast_and_right.admits(measured));
//! assert_eq!(fast_and_right.missing(measured), Some(vec![(1, true)]));
//! ```

use std::fmt;

/// What evidence shows of a proposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is established.
    Holds,
    /// It can't be established any more, whatever is measured next.
    Violated,
    /// Neither.
    Unknown,
}

/// Kleene's strong three-valued logic: connectives on verdicts alone. They are cheap and sound, for what they decide the algebra of
/// [`Truth`] decides alike; but weaker: of "`a` and not `a`" they don't know that it fails before `a` is measured.
impl Verdict {
    /// The word for it in ledgers: `holds`, `violated`, `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Violated => "violated",
            Verdict::Unknown => "unknown",
        }
    }

    /// Both hold.
    #[must_use]
    pub const fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Violated, _) | (_, Verdict::Violated) => Verdict::Violated,
            (Verdict::Holds, Verdict::Holds) => Verdict::Holds,
            _ => Verdict::Unknown,
        }
    }

    /// At least one holds.
    #[must_use]
    pub const fn or(self, other: Verdict) -> Verdict {
        self.not().and(other.not()).not()
    }

    /// It is refuted.
    #[must_use]
    pub const fn not(self) -> Verdict {
        match self {
            Verdict::Holds => Verdict::Violated,
            Verdict::Violated => Verdict::Holds,
            Verdict::Unknown => Verdict::Unknown,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All that a number of yes-or-no measurements can have answered, in the order of extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    measurements: u32,
}

impl Stages {
    /// The most measurements there may be.
    pub const MOST: u32 = u64::BITS;

    /// The stages of so many measurements, counted from 0; none of more than [`Stages::MOST`].
    pub const fn of(measurements: u32) -> Option<Stages> {
        if measurements <= Stages::MOST { Some(Stages { measurements }) } else { None }
    }

    /// The stage before all measurements.
    pub const fn nothing(self) -> Stage {
        Stage { yes: 0, no: 0 }
    }

    /// Whether every measurement is answered at `stage`.
    pub const fn complete(self, stage: Stage) -> bool {
        let answered = stage.yes | stage.no;
        answered.trailing_ones() >= self.measurements
    }

    /// Every stage, each after all that it extends: three to the power of the number of measurements.
    pub fn all(self) -> Vec<Stage> {
        let mut stages = vec![self.nothing()];
        for measurement in 0..self.measurements {
            let bit = 1 << measurement;
            let answered = stages.iter().flat_map(|stage| {
                [Stage { yes: stage.yes | bit, ..*stage }, Stage { no: stage.no | bit, ..*stage }]
            });
            let answered: Vec<Stage> = answered.collect();
            stages.extend(answered);
        }
        stages
    }
}

/// Some measurements' answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    yes: u64,
    no: u64,
}

impl Stage {
    /// The answer to a measurement, if there is one.
    pub const fn answer(self, measurement: u32) -> Option<bool> {
        let bit = bit(measurement);
        if self.yes & bit != 0 {
            Some(true)
        } else if self.no & bit != 0 {
            Some(false)
        } else {
            None
        }
    }

    /// The stage with one more answer; `None` where it contradicts what was answered before, or there is no such measurement.
    #[must_use]
    pub const fn learn(self, measurement: u32, answer: bool) -> Option<Stage> {
        let bit = bit(measurement);
        let answered = if answer { Stage { yes: bit, no: 0 } } else { Stage { yes: 0, no: bit } };
        if bit == 0 { None } else { self.join(answered) }
    }

    /// Whether it has all of `other`'s answers.
    pub const fn extends(self, other: Stage) -> bool {
        self.yes & other.yes == other.yes && self.no & other.no == other.no
    }

    /// What both have answered together; `None` where they contradict each other.
    #[must_use]
    pub const fn join(self, other: Stage) -> Option<Stage> {
        let joined = Stage { yes: self.yes | other.yes, no: self.no | other.no };
        if joined.yes & joined.no == 0 { Some(joined) } else { None }
    }

    /// Its answers, by measurement.
    pub fn answers(self) -> impl Iterator<Item = (u32, bool)> {
        (0..Stages::MOST).filter_map(move |measurement| Some((measurement, self.answer(measurement)?)))
    }

    const fn without(self, other: Stage) -> Stage {
        Stage { yes: self.yes & !other.yes, no: self.no & !other.no }
    }

    const fn size(self) -> u32 {
        (self.yes | self.no).count_ones()
    }
}

/// 0 where there is no such measurement.
const fn bit(measurement: u32) -> u64 {
    if measurement < Stages::MOST { 1 << measurement } else { 0 }
}

/// A proposition: the stages that establish it, an up-set.
///
/// It is kept as its least stages, so equal propositions are equal values. Their number is small for what people declare (one for any
/// conjunction), but a conjunction of `k` disjunctions may have a number exponential in `k`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Truth {
    /// No one extends another; sorted.
    least: Vec<Stage>,
}

impl Truth {
    /// Established before anything is measured.
    pub fn always() -> Truth {
        Truth { least: vec![NOTHING] }
    }

    /// Never established.
    pub const fn never() -> Truth {
        Truth { least: Vec::new() }
    }

    /// That a measurement has this answer; [`Truth::never`] where there is no such measurement.
    pub fn answered(measurement: u32, answer: bool) -> Truth {
        Truth::of(NOTHING.learn(measurement, answer))
    }

    /// What is established at each of these stages, and at all that extend one.
    pub fn of(stages: impl IntoIterator<Item = Stage>) -> Truth {
        let mut least: Vec<Stage> = stages.into_iter().collect();
        least.sort_unstable_by_key(|stage| (stage.size(), *stage));
        least.dedup();
        let mut kept: Vec<Stage> = Vec::with_capacity(least.len());
        for stage in least {
            if !kept.iter().any(|smaller| stage.extends(*smaller)) {
                kept.push(stage);
            }
        }
        Truth { least: kept }
    }

    /// Whether `stage` establishes it.
    pub fn holds(&self, stage: Stage) -> bool {
        self.least.iter().any(|least| stage.extends(*least))
    }

    /// What is known of it at `stage`. It is `Violated` exactly where [`not`](Truth::not) holds.
    pub fn verdict(&self, stage: Stage) -> Verdict {
        if self.holds(stage) {
            Verdict::Holds
        } else if self.least.iter().all(|least| stage.join(*least).is_none()) {
            Verdict::Violated
        } else {
            Verdict::Unknown
        }
    }

    /// Both: the intersection.
    #[must_use]
    pub fn and(&self, other: &Truth) -> Truth {
        let pairs = self.least.iter().flat_map(|a| other.least.iter().map(move |b| a.join(*b)));
        Truth::of(pairs.flatten())
    }

    /// At least one: the union.
    #[must_use]
    pub fn or(&self, other: &Truth) -> Truth {
        Truth::of(self.least.iter().chain(&other.least).copied())
    }

    /// Wherever this comes to be established, so is `other`: the greatest truth whose conjunction with this one is within `other`.
    #[must_use]
    pub fn implies(&self, other: &Truth) -> Truth {
        // Of one least stage `a`: whatever contradicts an answer of `a`, or brings what a least stage of `other` has beyond `a`.
        let after = |a: Stage| {
            let contradictions = a.answers().filter_map(|(at, answer)| NOTHING.learn(at, !answer));
            let rest = other.least.iter().filter(move |b| b.join(a).is_some()).map(move |b| b.without(a));
            Truth::of(contradictions.chain(rest))
        };
        self.least.iter().fold(Truth::always(), |all, a| all.and(&after(*a)))
    }

    /// That it can't be established any more.
    #[must_use]
    pub fn not(&self) -> Truth {
        self.implies(&Truth::never())
    }

    /// Whether `other` is established wherever this is.
    pub fn within(&self, other: &Truth) -> bool {
        self.least.iter().all(|stage| other.holds(*stage))
    }
}

const NOTHING: Stage = Stage { yes: 0, no: 0 };

/// The fewest answers that, added to `stage`, would establish `truth`, by measurement; the first such set among equals. Empty where
/// it holds, `None` where nothing can establish it any more.
pub fn missing(truth: &Truth, stage: Stage) -> Option<Vec<(u32, bool)>> {
    let reachable = truth.least.iter().filter(|least| stage.join(**least).is_some());
    let fewest = reachable.map(|least| least.without(stage)).min_by_key(|rest| (rest.size(), *rest))?;
    Some(fewest.answers().collect())
}

/// What must be established before something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    condition: Truth,
}

impl Guard {
    /// A guard that admits once `condition` is established.
    pub const fn new(condition: Truth) -> Guard {
        Guard { condition }
    }

    /// What is known of its condition.
    pub fn verdict(&self, stage: Stage) -> Verdict {
        self.condition.verdict(stage)
    }

    /// Whether what it guards may be done: only where the condition holds.
    pub fn admits(&self, stage: Stage) -> bool {
        self.verdict(stage) == Verdict::Holds
    }

    /// What it would take to admit; see [`missing`].
    pub fn missing(&self, stage: Stage) -> Option<Vec<(u32, bool)>> {
        missing(&self.condition, stage)
    }
}
