//! Rows of a ledger in words.

use kandela_autopilot::explain::place;
use kandela_autopilot::machine::{Event, short};
use kandela_tune::Config;

use crate::output::State;

/// What a row says, in a line; nothing for steps that only accompany others.
pub(crate) fn words(event: &Event) -> Option<(State, String)> {
    let (ok, warn, fail) = (State::Ok, State::Warn, State::Fail);
    Some(match event {
        Event::Began { .. } => (ok, "management began".to_owned()),
        Event::Declared { .. } => (ok, "other goals were declared".to_owned()),
        Event::WentBack { report } => (fail, report.to_string()),
        Event::Office { holder, .. } => (ok, format!("{holder} took office")),
        Event::ModeSet { mode, by } => {
            (ok, format!("{by} set the mode {}", format!("{mode:?}").to_lowercase()))
        }
        Event::Paused { by, why } if why.is_empty() => (warn, format!("{by} paused")),
        Event::Paused { by, why } => (warn, format!("{by} paused: {why}")),
        Event::Resumed { by } => (ok, format!("{by} resumed")),
        Event::Noted { what: Some(what), .. } => (warn, what.clone()),
        Event::Noted { about, what: None } => (ok, format!("{about}: over")),
        Event::Context { context, new, .. } => {
            (ok, format!("the workload is in context {context}{}", if *new { ", a new one" } else { "" }))
        }
        Event::Suggested { values, by } => (ok, format!("{by} suggested {}", settings(values))),
        Event::Dropped { why } => (warn, format!("a suggestion is not proposed: {why}")),
        Event::Proposed { proposal, strategy, .. } => (ok, format!("{proposal} proposed by {strategy}")),
        Event::Approved { proposal, by } => (ok, format!("{proposal} approved by {by}")),
        Event::Declined { proposal, why, .. } => (warn, format!("{proposal} not tried: {why}")),
        Event::Admitted { proposal, why, .. } => (ok, format!("{proposal} admitted: {why}")),
        Event::Turning { proposal, slice, scope, arm, .. } => {
            (ok, format!("{proposal} slice {slice}: {}", place(*scope, *arm)))
        }
        Event::Measured { slice, reading } => {
            let objective = reading.turned.objective;
            let objective =
                objective.map_or("no objective".to_owned(), |value| format!("objective {}", short(value)));
            (ok, format!("  slice {slice} gave {objective}"))
        }
        Event::Verifying { proposal, .. } => {
            (ok, format!("{proposal} is verified, the whole system by turns"))
        }
        Event::Promoted { proposal, judged } => {
            let times = judged.estimate.map(|log_ratio| format!(", {:.2} times as good", (-log_ratio).exp()));
            (ok, format!("{proposal} PROMOTED{}", times.unwrap_or_default()))
        }
        Event::Ended { proposal, why, detail, .. } => {
            (warn, format!("{proposal} taken back: {why} ({detail})"))
        }
        Event::RolledBack { by, why, .. } => (fail, format!("{by} rolled back: {why}")),
        Event::Settled => (ok, "all knobs stand at the good settings".to_owned()),
        Event::Imported { from, .. } => (ok, format!("took over what {from} learned")),
        Event::Turned { .. } | Event::Learned { .. } | Event::Settling { .. } => return None,
    })
}

fn settings(values: &Config) -> String {
    values.iter().map(|(knob, value)| format!("{knob} = {value}")).collect::<Vec<_>>().join(", ")
}
