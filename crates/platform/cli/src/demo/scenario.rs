//! What happens when: a pure function of the time and of what was seen.
//!
//! Scripted are the load, two ideas of which nobody says what they are worth, and a slow payment provider. Everything else is what the
//! autopilot makes of it, so most acts end when something was seen, and at the latest by a time that leaves room for those after them.

use std::time::Duration;

use serde::Serialize;

/// Requests a second at night, in the evening, at noon. The shop's defaults take some 155: at noon a queue grows that takes seconds to
/// get through, and not one in which everybody gives up.
pub(super) const NIGHT: f64 = 30.0;
pub(super) const EVENING: f64 = 90.0;
pub(super) const NOON: f64 = 168.0;

/// How long the night lasts: enough for telemetry to come in.
const FIRST: Duration = Duration::from_secs(4);
/// How much of a noon is not measured: what was there before has to be through.
pub(super) const SETTLING: Duration = Duration::from_secs(5);
/// How long the fault goes on after a trial was ended for it.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A part of the story, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    /// Few customers; all is well.
    Night,
    /// As many as the defaults can't take, and nothing else yet.
    FirstNoon,
    /// The same, with two ideas slipped in.
    Ideas,
    /// Fewer customers, until the autopilot tries something of its own.
    Evening,
    /// The payment provider is slow.
    Fault,
    /// It is quick again, until the autopilot tries something.
    Recovery,
    /// As many customers as at the first noon.
    SecondNoon,
    /// All is over.
    Over,
}

/// What the ledger has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Both ideas were judged.
    pub ideas_over: bool,
    /// A trial is under way that the fault can meet: one of the evening's, with some slices, judged by what the fault breaks.
    pub on_trial: bool,
    /// A trial was ended for the fault.
    pub ended_in_fault: bool,
    /// A slice was measured since the fault was over.
    pub resumed: bool,
}

/// Where the story is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Story {
    pub act: Act,
    /// Since when.
    pub since: Duration,
    /// How long all of it takes.
    length: Duration,
}

impl Story {
    /// The beginning.
    pub(super) fn new(length: Duration) -> Story {
        Story { act: Act::Night, since: Duration::ZERO, length }
    }

    /// The story at `now`, by what was `seen`: the next act, where this one is over.
    pub(super) fn at(self, now: Duration, seen: Seen) -> Story {
        let lasted = now.saturating_sub(self.since);
        let part = |share: f64| self.length.mul_f64(share);
        // By when it is over in any case.
        let late = |share: f64| now >= part(share);
        let over = match self.act {
            Act::Night => lasted >= FIRST,
            Act::FirstNoon => lasted >= part(0.06),
            Act::Ideas => seen.ideas_over || late(0.52),
            Act::Evening => (seen.on_trial && lasted >= part(0.03)) || late(0.64),
            Act::Fault => late(0.86) || (seen.ended_in_fault && lasted >= AFTERMATH),
            Act::Recovery => late(0.89) || (seen.resumed && late(0.75)),
            Act::SecondNoon => now >= self.length,
            Act::Over => false,
        };
        if over { Story { act: self.act.next(), since: now, ..self } } else { self }
    }
}

impl Act {
    fn next(self) -> Act {
        match self {
            Act::Night => Act::FirstNoon,
            Act::FirstNoon => Act::Ideas,
            Act::Ideas => Act::Evening,
            Act::Evening => Act::Fault,
            Act::Fault => Act::Recovery,
            Act::Recovery => Act::SecondNoon,
            Act::SecondNoon | Act::Over => Act::Over,
        }
    }

    /// Requests a second.
    pub(super) fn rate(self) -> f64 {
        match self {
            Act::Night | Act::Over => NIGHT,
            Act::FirstNoon | Act::Ideas | Act::SecondNoon => NOON,
            Act::Evening | Act::Fault | Act::Recovery => EVENING,
        }
    }

    /// What is going on, for people.
    pub(super) fn told(self) -> &'static str {
        match self {
            Act::Night => "night: few customers, all is well",
            Act::FirstNoon => "noon: more customers than the shop's defaults can take",
            Act::Ideas => {
                "two ideas were slipped in, a good one and a bad one: the autopilot is not told which"
            }
            Act::Evening => "evening: fewer customers, the autopilot goes on by itself",
            Act::Fault => "the payment provider has become slow: not the autopilot's to fix",
            Act::Recovery => "the payment provider is quick again",
            Act::SecondNoon => "noon again: as many customers as at the first",
            Act::Over => "over",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(600);

    /// Each act with the second that it began in.
    fn told(seen: impl Fn(Act) -> Seen) -> Vec<(Act, u64)> {
        let mut story = Story::new(LENGTH);
        let mut acts = vec![(story.act, 0)];
        for second in 0..=LENGTH.as_secs() {
            story = story.at(Duration::from_secs(second), seen(story.act));
            if acts.last().is_some_and(|(act, _)| *act != story.act) {
                acts.push((story.act, second));
            }
        }
        acts
    }

    #[test]
    fn a_story_in_which_nothing_happens_ends_in_time_and_has_every_act() {
        let acts = told(|_| Seen::default());
        let names: Vec<Act> = acts.iter().map(|(act, _)| *act).collect();
        assert!(names.is_sorted() && names.len() == 8, "{acts:?}");
        let second_noon = acts.iter().find(|(act, _)| *act == Act::SecondNoon).map(|(_, at)| *at);
        assert_eq!(second_noon, Some(534));
        assert_eq!(acts.last(), Some(&(Act::Over, 600)));
    }

    #[test]
    fn what_is_seen_early_leaves_the_autopilot_more_time_of_its_own() {
        let all = Seen { ideas_over: true, on_trial: true, ended_in_fault: true, resumed: true };
        let acts = told(|_| all);
        let begins = |wanted| acts.iter().find(|(act, _)| *act == wanted).map(|(_, at)| *at);
        assert!(begins(Act::Recovery).is_some_and(|at| at < 90), "{acts:?}");
        assert_eq!(begins(Act::SecondNoon), Some(450));
    }

    #[test]
    fn the_fault_waits_for_a_trial_that_it_can_meet() {
        let acts = told(|act| Seen { ideas_over: true, on_trial: act != Act::Evening, ..Seen::default() });
        let fault = acts.iter().find(|(act, _)| *act == Act::Fault).map(|(_, at)| *at);
        assert_eq!(fault, Some(384));
    }
}
