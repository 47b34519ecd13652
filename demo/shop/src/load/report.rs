//! What each minute was like, as soon as all its requests are settled, and what all of them were like.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{IsTerminal, Stdout, Write};

use anyhow::Result;
use kandela_algebra::histogram::{Layout, LogHistogram};
use kandela_algebra::merge::Merge;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::objective::Objective;
use crate::cli::Format;

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// The shop turned it away: 429 or 503.
    Shed,
    /// Any other bad answer.
    Failed,
    /// No answer for as long as a customer waits.
    TimedOut,
    /// Not sent: too many were under way.
    Dropped,
}

/// What senders tell.
pub(super) enum Event {
    /// A request was settled, so long after it was due.
    Settled { minute: usize, outcome: Outcome, seconds: f64 },
    /// All of this minute's requests are sent or dropped: so many.
    AllSent { minute: usize, requests: u64 },
}

/// One minute's requests, or those of many.
struct Tally {
    ok: u64,
    shed: u64,
    failed: u64,
    /// Those of the failed that had no answer in time.
    timed_out: u64,
    dropped: u64,
    /// Those of the good ones that took at most so many seconds.
    within: u64,
    most: f64,
    /// Of all that were sent.
    times: LogHistogram,
}

impl Tally {
    fn new(objective: Objective) -> Result<Tally> {
        let times = LogHistogram::with_layout(Layout::for_relative_error(0.01, 2048)?);
        Ok(Tally {
            ok: 0,
            shed: 0,
            failed: 0,
            timed_out: 0,
            dropped: 0,
            within: 0,
            most: objective.p99,
            times,
        })
    }

    fn add(&mut self, outcome: Outcome, seconds: f64) {
        match outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.within += u64::from(seconds <= self.most);
            }
            Outcome::Shed => self.shed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::TimedOut => {
                self.failed += 1;
                self.timed_out += 1;
            }
            Outcome::Dropped => {
                self.dropped += 1;
                return;
            }
        }
        self.times.record(seconds);
    }

    fn merge(&mut self, other: &Tally) {
        self.ok += other.ok;
        self.shed += other.shed;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.dropped += other.dropped;
        self.within += other.within;
        self.times.merge_from(&other.times);
    }

    fn requests(&self) -> u64 {
        self.ok + self.shed + self.failed + self.dropped
    }

    fn figures(&self) -> Figures {
        let ms = |q| self.times.quantile(q).map_or(0.0, |seconds| (seconds * 1e5).round() / 1e2);
        let bad = self.shed + self.failed + self.dropped;
        Figures {
            requests: self.requests(),
            ok: self.ok,
            within: self.within,
            errors: self.failed,
            timed_out: self.timed_out,
            shed: self.shed,
            dropped: self.dropped,
            error_share: bad as f64 / self.requests().max(1) as f64,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
        }
    }
}

#[derive(Serialize)]
struct Figures {
    requests: u64,
    ok: u64,
    /// Those of the good ones that took at most the time that the SLO allows to 99 of 100.
    within: u64,
    errors: u64,
    /// Those of the errors that had no answer in time; they count in the times with how long the customer waited.
    timed_out: u64,
    shed: u64,
    dropped: u64,
    /// Errors, shed and dropped together.
    error_share: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
}

impl Figures {
    fn meets(&self, objective: Objective) -> bool {
        self.p99_ms <= objective.p99 * 1e3 && self.error_share <= objective.errors
    }
}

#[derive(Serialize)]
struct MinuteLine<'a> {
    kind: &'static str,
    minute: usize,
    #[serde(flatten)]
    figures: &'a Figures,
    met: bool,
}

#[derive(Serialize)]
struct Summary {
    kind: &'static str,
    minutes: u64,
    minutes_met: u64,
    share_met: f64,
    #[serde(flatten)]
    figures: Figures,
}

/// Prints until all that send are done. Minutes count from `first_minute`; there are `total` of them, where that is known.
pub(super) fn print(
    mut events: UnboundedReceiver<Event>,
    objective: Objective,
    format: Format,
    first_minute: usize,
    total: Option<usize>,
) -> Result<()> {
    let mut report = Report {
        out: std::io::stdout(),
        objective,
        format,
        first_minute,
        open: BTreeMap::new(),
        next: 0,
        whole: Tally::new(objective)?,
        minutes: 0,
        met: 0,
    };
    let progress = !report.out.is_terminal() && std::io::stderr().is_terminal();
    if format == Format::Table {
        writeln!(report.out, "minute   sent     ok errors   shed dropped   p50 ms   p90 ms   p99 ms  SLO")?;
    }
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Settled { minute, outcome, seconds } => report.minute(minute)?.tally.add(outcome, seconds),
            Event::AllSent { minute, requests } => report.minute(minute)?.sent = Some(requests),
        }
        if report.print_settled()? && progress {
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            eprint!("\r{}{of} minutes, {} within the SLO ", report.next, report.met);
        }
    }
    report.sum_up()
}

struct Report {
    out: Stdout,
    objective: Objective,
    format: Format,
    first_minute: usize,
    /// Minutes of which something is still to come.
    open: BTreeMap<usize, Open>,
    /// The first minute that is not printed.
    next: usize,
    whole: Tally,
    minutes: u64,
    met: u64,
}

struct Open {
    tally: Tally,
    /// How many requests it has, once all are sent.
    sent: Option<u64>,
}

impl Report {
    fn minute(&mut self, minute: usize) -> Result<&mut Open> {
        let open = match self.open.entry(minute) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(Open { tally: Tally::new(self.objective)?, sent: None }),
        };
        Ok(open)
    }

    /// Prints, in order, the minutes whose requests are all settled; whether there were any.
    fn print_settled(&mut self) -> Result<bool> {
        let first = self.next;
        while let Some(open) =
            self.open.get(&self.next).filter(|open| open.sent == Some(open.tally.requests()))
        {
            if open.tally.requests() > 0 {
                let figures = open.tally.figures();
                let met = figures.meets(self.objective);
                self.minutes += 1;
                self.met += u64::from(met);
                self.whole.merge(&open.tally);
                print_minute(&mut self.out, self.format, self.first_minute + self.next, &figures, met)?;
            }
            self.open.remove(&self.next);
            self.next += 1;
        }
        Ok(self.next > first)
    }

    fn sum_up(mut self) -> Result<()> {
        let share_met = self.met as f64 / self.minutes.max(1) as f64;
        let figures = self.whole.figures();
        let (minutes, minutes_met) = (self.minutes, self.met);
        if self.format == Format::Json {
            let summary = Summary { kind: "summary", minutes, minutes_met, share_met, figures };
            writeln!(self.out, "{}", serde_json::to_string(&summary)?)?;
            return Ok(());
        }
        let Figures { requests, ok, errors, timed_out, shed, dropped, p50_ms, p90_ms, p99_ms, .. } = figures;
        writeln!(self.out, "{requests} requests: {ok} ok, {errors} errors, {shed} shed, {dropped} dropped")?;
        if timed_out > 0 {
            let what = "had no answer when the customer left; their times are how long the customer waited";
            writeln!(self.out, "{timed_out} of the errors {what}")?;
        }
        writeln!(self.out, "p50 {p50_ms:.1} ms, p90 {p90_ms:.1} ms, p99 {p99_ms:.1} ms")?;
        writeln!(self.out, "within the SLO: {minutes_met} of {minutes} minutes, {:.1} %", share_met * 100.0)?;
        if dropped > 0 {
            let what =
                "requests were not sent, since --in-flight others were under way; they count as failed";
            eprintln!("WARNING: {dropped} {what}");
        }
        Ok(())
    }
}

fn print_minute(
    out: &mut impl Write,
    format: Format,
    minute: usize,
    figures: &Figures,
    met: bool,
) -> Result<()> {
    if format == Format::Json {
        let line = MinuteLine { kind: "minute", minute, figures, met };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        return Ok(());
    }
    let Figures { requests, ok, errors, shed, dropped, p50_ms, p90_ms, p99_ms, .. } = figures;
    let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
    let verdict = if met { "met" } else { "MISSED" };
    writeln!(
        out,
        "{clock:>6} {requests:>6} {ok:>6} {errors:>6} {shed:>6} {dropped:>7} {p50_ms:>8.1} {p90_ms:>8.1} {p99_ms:>8.1}  {verdict}"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(outcomes: &[(Outcome, f64)]) -> Tally {
        let mut tally = Tally::new(OBJECTIVE).expect("a layout that holds");
        for (outcome, seconds) in outcomes {
            tally.add(*outcome, *seconds);
        }
        tally
    }

    const OBJECTIVE: Objective = Objective { p99: 0.3, errors: 0.01 };

    #[test]
    fn one_slow_answer_of_two_misses_the_objective() {
        assert!(tally(&[(Outcome::Ok, 0.1); 2]).figures().meets(OBJECTIVE));
        let figures = tally(&[(Outcome::Ok, 0.1), (Outcome::Ok, 0.4), (Outcome::Failed, 0.1)]).figures();
        assert!(!figures.meets(OBJECTIVE));
        assert_eq!(figures.within, 1);
    }

    #[test]
    fn who_left_without_an_answer_is_an_error_of_its_own_kind() {
        let figures = tally(&[(Outcome::Failed, 0.1), (Outcome::TimedOut, 10.0)]).figures();
        assert_eq!((figures.errors, figures.timed_out), (2, 1));
    }

    #[test]
    fn who_was_turned_away_and_what_was_dropped_count_as_failed() {
        for outcome in [Outcome::Shed, Outcome::Failed, Outcome::TimedOut, Outcome::Dropped] {
            let figures = tally(&[(Outcome::Ok, 0.1), (outcome, 0.1)]).figures();
            assert_eq!(figures.error_share, 0.5, "{outcome:?}");
            assert!(!figures.meets(OBJECTIVE));
        }
    }
}
