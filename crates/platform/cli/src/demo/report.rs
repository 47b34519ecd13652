//! What a demo showed, and whether the loop closed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ideas::Idea;
use super::trials::{End, Trial};

/// Within how many seconds what is bad is to be rolled back.
const SOON: f64 = 60.0;
/// The share of requests that an objective of 99 of 100 asks for.
pub(super) const OBJECTIVE: f64 = 0.99;

/// All of it. Times are in seconds since the demo began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub seed: u64,
    pub minutes: u32,
    /// Whether everything was as it should be.
    pub closed: bool,
    pub checks: Vec<Check>,
    pub first_noon: Customers,
    pub second_noon: Customers,
    pub ideas: Vec<Tried>,
    /// From when to when the payment provider was slow.
    pub fault: Option<(f64, f64)>,
    pub trials: Vec<Trial>,
    /// The settings that the ledger ends with.
    pub settings: BTreeMap<String, String>,
    pub times_as_good: f64,
    pub cost: Cost,
    /// What happened that nobody planned.
    pub incidents: Vec<String>,
}

/// One thing that the demo is to show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    pub passed: bool,
    pub what: &'static str,
    /// What was seen.
    pub seen: String,
}

/// What customers had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Customers {
    pub requests: u64,
    /// Those that were answered well, in time.
    pub within: u64,
}

impl Customers {
    pub(super) fn add(&mut self, requests: u64, within: u64) {
        self.requests += requests;
        self.within += within;
    }

    /// None where nobody came.
    pub(super) fn share(self) -> Option<f64> {
        (self.requests > 0).then(|| self.within as f64 / self.requests as f64)
    }

    fn told(self) -> String {
        self.share().map_or("nobody came".to_owned(), |share| {
            format!("{} of {} requests answered well within 300 ms", percent(share), self.requests)
        })
    }
}

/// A share, rounded down: what is not reached is not shown as if it were.
pub(super) fn percent(share: f64) -> String {
    // A millionth more, as 0.283 times a thousand is a little less than 283.
    format!("{:.1} %", (share * 1e3 + 1e-6).floor() / 10.0)
}

/// What came of an idea.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tried {
    pub idea: Idea,
    pub proposal: Option<u64>,
    /// From its admission to its end.
    pub seconds: Option<f64>,
    pub end: Option<End>,
}

/// What was taken of the machine, by the platform and by others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Of one core.
    pub cpu_share: f64,
    /// At most, in megabytes.
    pub memory_mb: f64,
    /// Cores that neither the platform nor the shop and its customers had meanwhile; none where that can't be told.
    pub others_cores: Option<f64>,
}

/// What is known at the end.
pub(super) struct Known<'k> {
    pub ideas: &'k [Idea],
    pub trials: &'k [Trial],
    pub first_noon: Customers,
    pub second_noon: Customers,
    /// In microseconds since 1970.
    pub fault: Option<(i64, i64)>,
    /// Knobs that stand elsewhere than the ledger says; none where that could not be seen.
    pub astray: Option<Vec<String>>,
    /// Proposals without a story.
    pub untold: Vec<u64>,
}

/// The trials that an idea had.
pub(super) fn of_idea<'t>(idea: &Idea, trials: &'t [Trial]) -> impl DoubleEndedIterator<Item = &'t Trial> {
    let by = idea.by;
    trials.iter().filter(move |trial| trial.by.as_deref() == Some(by))
}

/// What came of each idea, of the last trial that it had.
pub(super) fn tried(ideas: &[Idea], trials: &[Trial]) -> Vec<Tried> {
    let one = |idea: &Idea| {
        let trial = of_idea(idea, trials).next_back();
        let end = trial.and_then(|trial| trial.end.clone());
        let seconds = trial.and_then(|trial| Some((trial.end.as_ref()?.0 - trial.admitted?) as f64 / 1e6));
        let proposal = trial.map(|trial| trial.proposal);
        Tried { idea: idea.clone(), proposal, seconds, end: end.map(|(_, end)| end) }
    };
    ideas.iter().map(one).collect()
}

/// Whether the loop closed, point by point.
pub(super) fn checks(known: &Known<'_>) -> Vec<Check> {
    let check = |what, passed, seen: String| Check { passed, what, seen };
    let share = |customers: Customers| customers.share();
    let tried = tried(known.ideas, known.trials);
    let of = |good: bool| tried.iter().find(|tried| tried.idea.good == good);
    let told = |tried: Option<&Tried>| tried.map_or("it was not tried".to_owned(), ended);
    let quick = |tried: &Tried| {
        let judged = matches!(&tried.end, Some(End::TakenBack { why, .. }) if why.tells_of_the_candidate());
        judged && tried.seconds.is_some_and(|s| s <= SOON)
    };
    let promoted = |tried: &Tried| matches!(tried.end, Some(End::Promoted { .. }));
    let during = |at: i64| known.fault.is_some_and(|(from, to)| (from..=to).contains(&at));
    let in_fault: Vec<&Trial> =
        known.trials.iter().filter(|trial| trial.end.as_ref().is_some_and(|(at, _)| during(*at))).collect();
    let both = in_fault.iter().find(|trial| trial.both_degraded().is_some());
    let resumed = known.fault.and_then(|(_, to)| {
        let last = known.trials.iter().filter_map(|trial| trial.measured).max()?;
        (last > to).then(|| (last - to) as f64 / 1e6)
    });
    vec![
        check(
            "the first noon missed the objective, with the frozen defaults",
            share(known.first_noon).is_some_and(|share| share < OBJECTIVE),
            known.first_noon.told(),
        ),
        check("the bad idea was rolled back within a minute", of(false).is_some_and(quick), told(of(false))),
        check("the good idea was promoted", of(true).is_some_and(promoted), told(of(true))),
        check(
            "nothing was promoted while the payment provider was slow",
            known.fault.is_some() && !in_fault.iter().any(|trial| trial.is_promoted()),
            format!("{} trials ended meanwhile", in_fault.len()),
        ),
        check(
            "the trial in flight was ended, as both arms degraded, and its knobs went back",
            both.is_some_and(|trial| trial.settled.is_some()),
            both.map_or("no trial was ended for it".to_owned(), |trial| {
                let took = known
                    .fault
                    .zip(trial.end.as_ref())
                    .map_or(0.0, |((from, _), (at, _))| (at - from) as f64 / 1e6);
                format!("proposal {} was ended {took:.0} s after the fault began", trial.proposal)
            }),
        ),
        check(
            "work resumed afterwards",
            resumed.is_some(),
            resumed.map_or("nothing was tried".to_owned(), |after| {
                format!("slices were measured for {after:.0} s after the fault")
            }),
        ),
        check(
            "the second noon held the objective",
            share(known.second_noon).is_some_and(|share| share >= OBJECTIVE),
            known.second_noon.told(),
        ),
        check(
            "all knobs stand where the ledger says",
            known.astray.as_ref().is_some_and(Vec::is_empty),
            match &known.astray {
                None => "the knobs could not be read".to_owned(),
                Some(astray) if astray.is_empty() => "they do".to_owned(),
                Some(astray) => astray.join(", "),
            },
        ),
        check(
            "every proposal has its story",
            known.untold.is_empty() && !known.trials.is_empty(),
            format!("{} of {}", known.trials.len() - known.untold.len(), known.trials.len()),
        ),
    ]
}

fn ended(tried: &Tried) -> String {
    let after = tried.seconds.map(|seconds| format!(" after {seconds:.0} s")).unwrap_or_default();
    match &tried.end {
        None => "its trial did not end".to_owned(),
        Some(End::Promoted { times_as_good }) => {
            let times = times_as_good.map(|times| format!(", {times:.2} times as good")).unwrap_or_default();
            format!("promoted{after}{times}")
        }
        Some(End::TakenBack { why, .. }) => format!("taken back{after}: {why}"),
        Some(End::NotTried { why }) => format!("not tried: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use kandela_autopilot::machine::Reason;

    use super::super::ideas::ideas;
    use super::*;

    fn trial(proposal: u64, strategy: &str, admitted: i64, end: (i64, End)) -> Trial {
        let at = |seconds: i64| seconds * 1_000_000;
        Trial {
            proposal,
            strategy: strategy.to_owned(),
            by: (strategy == "suggested").then(|| if proposal == 1 { "ann" } else { "ben" }.to_owned()),
            context: 0,
            admitted: Some(at(admitted)),
            mends: Vec::new(),
            slices: 9,
            measured: Some(at(end.0 - 1)),
            end: Some((at(end.0), end.1)),
            settled: Some(at(end.0 + 1)),
        }
    }

    fn back(why: Reason) -> End {
        End::TakenBack { why, detail: String::new() }
    }

    /// A demo in which all went well: the first idea is the good one where `seed` says so.
    fn story() -> (Vec<Idea>, Vec<Trial>) {
        let ideas = ideas(1).to_vec();
        let end = |good: bool| {
            if good {
                (70, End::Promoted { times_as_good: Some(2.0) })
            } else {
                (70, back(Reason::Regressed))
            }
        };
        let trials = vec![
            trial(1, "suggested", 20, end(ideas[0].good)),
            trial(2, "suggested", 71, {
                let (at, how) = end(ideas[1].good);
                (at + 50, how)
            }),
            trial(3, "runbook", 130, (160, back(Reason::BothDegraded))),
            trial(4, "runbook", 200, (230, back(Reason::Inconclusive))),
        ];
        (ideas, trials)
    }

    fn failed(change: impl FnOnce(&mut Known<'_>, &mut Vec<Trial>)) -> Vec<&'static str> {
        let (ideas, mut trials) = story();
        let kept = trials.clone();
        let mut known = Known {
            ideas: &ideas,
            trials: &kept,
            first_noon: Customers { requests: 1_000, within: 200 },
            second_noon: Customers { requests: 1_000, within: 999 },
            fault: Some((140_000_000, 180_000_000)),
            astray: Some(Vec::new()),
            untold: Vec::new(),
        };
        change(&mut known, &mut trials);
        let known = Known { trials: &trials, ..known };
        checks(&known).into_iter().filter(|check| !check.passed).map(|check| check.what).collect()
    }

    #[test]
    fn a_demo_in_which_all_went_well_closes() {
        assert!(failed(|_, _| {}).is_empty());
    }

    #[test]
    fn each_thing_that_goes_wrong_is_told_by_its_own_check() {
        let one = |failed: Vec<&'static str>, part: &str| {
            assert!(failed.len() == 1 && failed[0].contains(part), "{failed:?} for {part}");
        };
        one(failed(|known, _| known.first_noon.within = 1_000), "first noon");
        one(failed(|known, _| known.second_noon.within = 900), "second noon");
        one(failed(|known, _| known.astray = Some(vec!["pool".to_owned()])), "where the ledger says");
        one(failed(|known, _| known.astray = None), "where the ledger says");
        one(failed(|known, _| known.untold = vec![3]), "story");
        one(failed(|_, trials| trials.truncate(3)), "resumed");
        one(failed(|_, trials| trials[2].settled = None), "in flight");
        let bad = usize::from(ideas(1)[0].good);
        one(failed(|_, trials| trials[bad].admitted = Some(0)), "bad idea");
        let unjudged = (90_000_000, back(Reason::WorkloadChanged));
        one(failed(|_, trials| trials[bad].end = Some(unjudged)), "bad idea");
        one(
            failed(|_, trials| trials[1 - bad].end = Some((90_000_000, back(Reason::NotBetter)))),
            "good idea",
        );
        let promoted = End::Promoted { times_as_good: None };
        let both = failed(|_, trials| trials[2].end = Some((160_000_000, promoted)));
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
