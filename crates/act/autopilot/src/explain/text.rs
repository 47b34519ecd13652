//! Stories and status as text of 80 columns.

use std::fmt;

use super::{Status, Story};
use crate::machine::short;

const WIDTH: usize = 80;

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "Proposal {} by {}, {} (context {})",
            self.proposal, self.strategy, self.at, self.context
        );
        wrapped(f, "", &head)?;
        section(f, "Goals")?;
        self.goals.iter().try_for_each(|goal| wrapped(f, "  ", goal))?;
        section(f, "Seen")?;
        let objective = self.seen.objective.map_or("nothing".to_owned(), short);
        wrapped(f, "  ", &format!("objective {objective}"))?;
        for seen in &self.seen.constraints {
            wrapped(f, "  ", &seen.to_string())?;
        }
        for (slo, left) in &self.seen.error_budgets {
            wrapped(f, "  ", &format!("error budget of {slo}: {:.0} % left", left * 100.0))?;
        }
        for (knob, way) in &self.seen.advice {
            wrapped(f, "  ", &format!("the runbook: {way} {knob}"))?;
        }
        section(f, "Proposed")?;
        for change in &self.changes {
            wrapped(f, "  ", &format!("{}: {} -> {}", change.knob, change.from, change.to))?;
        }
        section(f, "What happened")?;
        for step in &self.steps {
            wrapped(f, "  ", &format!("{} {}", step.at, step.what))?;
        }
        section(f, "How it ended")?;
        wrapped(f, "  ", &self.outcome)?;
        if let Some(needed) = self.needed.as_ref().filter(|needed| !needed.is_empty()) {
            section(f, "What it would have needed otherwise")?;
            wrapped(f, "  ", needed)?;
        }
        Ok(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = serde_json::to_value(self.mode).ok();
        let mode = mode.as_ref().and_then(|mode| mode.as_str()).unwrap_or_default().to_owned();
        wrapped(f, "", &format!("{} (mode {mode}, epoch {}, {})", self.state, self.epoch, self.holder))?;
        for (about, what) in &self.notes {
            wrapped(f, "  ", &format!("{about}: {what}"))?;
        }
        if let Some(what) = &self.waits_for {
            wrapped(f, "  ", &format!("waits: {what}"))?;
        }
        for suggestion in &self.suggested {
            wrapped(f, "  ", &format!("to be proposed: {suggestion}"))?;
        }
        if !self.guards.is_empty() {
            section(f, "Guards")?;
            self.guards.iter().try_for_each(|guard| wrapped(f, "  ", &guard.what))?;
        }
        if !self.news.is_empty() {
            section(f, "Lately")?;
            self.news.iter().try_for_each(|told| wrapped(f, "  ", &format!("{} {}", told.at, told.what)))?;
        }
        section(f, "Good settings")?;
        for (knob, value) in &self.good {
            wrapped(f, "  ", &format!("{knob} = {value}"))?;
        }
        let promoted: Vec<String> = self.promoted.iter().map(ToString::to_string).collect();
        let promoted = if promoted.is_empty() { "none".to_owned() } else { promoted.join(", ") };
        let times = self.times_as_good;
        wrapped(
            f,
            "  ",
            &format!("promoted: {promoted}; the objective is {times:.3} times as good as at first"),
        )?;
        if let Some(context) = self.context {
            wrapped(f, "  ", &format!("context {context} of {}", self.contexts.len()))?;
        }
        section(f, "Probability of wrong promotions")?;
        wrapped(f, "  ", &format!("{:.4} left to stake", self.alpha_left))?;
        section(f, "Strategies")?;
        writeln!(
            f,
            "  {:<20}{:>10}{:>8}{:>8}{:>10}{:>8}{:>10}",
            "", "proposals", "trials", "unsafe", "promoted", "slices", "cut"
        )?;
        for (name, earned) in &self.strategies {
            let cut = format!("{:.1} %", earned.cut * 100.0);
            writeln!(
                f,
                "  {name:<20}{:>10}{:>8}{:>8}{:>10}{:>8}{cut:>10}",
                earned.proposals, earned.trials, earned.unsafe_trials, earned.promoted, earned.slices
            )?;
        }
        Ok(())
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(f, "\n{title}")
}

/// Words in lines of at most [`WIDTH`], further lines indented; a longer word has a line of its own.
fn wrapped(f: &mut fmt::Formatter<'_>, indent: &str, text: &str) -> fmt::Result {
    let mut line = indent.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = format!("{indent}    ");
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(f, "{line}")
}
