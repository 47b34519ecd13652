//! Stories as text of 80 columns.

use std::fmt;

use super::Story;
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
