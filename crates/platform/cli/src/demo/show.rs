//! A demo as people see it: a live view, or plain lines.

use std::time::Duration;

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::play::Play;
use super::report::{Customers, OBJECTIVE, Report, percent};
use super::scenario::Act;
use super::stage::Second;
use crate::output::{State, line, painted, wrapped};
use crate::top::draw;
use crate::top::picture::{Picture, Row};
use crate::top::screen::{Key, Screen};
use crate::top::words::words;

/// How often customers are told of in plain lines, in seconds.
const EACH: u64 = 10;

/// Cores that others may take unmentioned.
const MUCH: f64 = 0.3;

/// Where a demo is shown.
pub(super) struct Show {
    screen: Option<Screen>,
    minutes: u32,
    /// The last second of the customers' that was told.
    told: u64,
}

impl Show {
    /// A live view, or plain lines.
    ///
    /// # Errors
    /// Where the terminal can't be taken.
    pub(super) fn open(live: bool, minutes: u32) -> anyhow::Result<Show> {
        let screen = if live { Some(Screen::open()?) } else { None };
        Ok(Show { screen, minutes, told: 0 })
    }

    pub(super) fn is_live(&self) -> bool {
        self.screen.is_some()
    }

    /// The next key; never one where nobody can press any.
    pub(super) async fn key(&mut self) -> Key {
        match &mut self.screen {
            Some(screen) => screen.key().await,
            None => std::future::pending().await,
        }
    }

    /// An act begins.
    pub(super) fn act(&mut self, act: Act, at: Duration) {
        self.plain(&format!("{} {}", clock(at), act.told()));
    }

    /// A new row of the ledger.
    pub(super) fn row(&mut self, row: &Row) {
        use kandela_autopilot::machine::Event;
        // Slices are what the live view is for.
        if matches!(row.event, Event::Turning { .. } | Event::Measured { .. }) {
            return;
        }
        if let Some((state, what)) = words(&row.event) {
            let mut lines = wrapped(&what, 70).into_iter();
            self.plain(&format!("      {} {}", state.shape(), lines.next().unwrap_or_default()));
            lines.for_each(|more| self.plain(&format!("          {more}")));
        }
    }

    /// Something that nobody planned.
    pub(super) fn said(&mut self, what: &str) {
        self.plain(what);
    }

    fn plain(&self, text: &str) {
        if self.screen.is_none() {
            line(text);
        }
    }

    /// How things stand.
    ///
    /// # Errors
    /// Where the terminal takes nothing.
    pub(super) fn picture(&mut self, play: &Play, picture: &Picture) -> anyhow::Result<()> {
        let at = play.began.elapsed();
        let Some(screen) = &mut self.screen else {
            if let Some(latest) = play.latest.filter(|latest| latest.number >= self.told + EACH) {
                self.told = latest.number;
                line(&format!("{} customers: {}", clock(at), customers(&latest)));
            }
            return Ok(());
        };
        let (server, pid) = (play.stage.server().server, play.stage.platform().unwrap_or_default());
        let title = format!("kandela demo  {} of {:02}:00  {server}, process {pid}", clock(at), self.minutes);
        let above = story(play);
        screen.draw(|frame| draw::picture(frame, &title, above.clone(), picture))
    }
}

/// What is going on, above the picture of the platform.
fn story(play: &Play) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(Span::styled(
        format!("▶ {}", play.story.act.told()),
        Style::new().add_modifier(Modifier::BOLD),
    ))];
    if let Some(latest) = &play.latest {
        let state = if met(latest) { State::Ok } else { State::Fail };
        lines.push(Line::from(vec![
            draw::mark(state),
            Span::raw(format!("customers: {}", customers(latest))),
        ]));
    }
    let noons = [("first noon", play.first_noon), ("second noon", play.second_noon)];
    let told: Vec<String> =
        noons.iter().filter_map(|(name, noon)| Some(format!("{name} {}", percent(noon.share()?)))).collect();
    if !told.is_empty() {
        lines.push(Line::from(format!("  answered well within 300 ms: {}; promised: 99 %", told.join(", "))));
    }
    if let Some(last) = play.incidents.last() {
        lines.push(Line::from(vec![draw::mark(State::Warn), Span::raw(last.clone())]));
    }
    lines
}

fn of(second: &Second) -> Customers {
    Customers { requests: second.requests, within: second.within }
}

fn met(second: &Second) -> bool {
    of(second).share().is_none_or(|share| share >= OBJECTIVE)
}

fn customers(second: &Second) -> String {
    let kept = if met(second) { "objective met" } else { "objective missed" };
    format!(
        "{} a second, {} answered well within 300 ms, p99 {}: {kept}",
        second.requests,
        of(second).share().map_or("none".to_owned(), percent),
        draw::duration(second.p99_ms / 1e3)
    )
}

fn clock(at: Duration) -> String {
    format!("{:02}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}

/// What a demo showed, for people.
pub(super) fn summary(report: &Report) -> Vec<String> {
    let mut lines = vec![if report.closed {
        "The loop closed: a missed objective was seen, mended inside guards, and held.".to_owned()
    } else {
        "The loop did not close; what went wrong is marked.".to_owned()
    }];
    lines.push(String::new());
    for check in &report.checks {
        let (shape, colour) = if check.passed { ("●", 32) } else { ("■", 31) };
        lines.push(format!("{} {}", painted(shape, colour), check.what));
        lines.extend(wrapped(&check.seen, 74).into_iter().map(|text| format!("    {text}")));
    }
    lines.push(String::new());
    let own = report.trials.iter().filter(|trial| !trial.is_suggested()).count();
    lines.push(format!(
        "The autopilot made {own} proposals of its own; the objective is {:.2} times as good as at first.",
        report.times_as_good
    ));
    lines.push(format!(
        "The platform took {:.0} % of a core and {:.0} MB at most.",
        report.cost.cpu_share * 100.0,
        report.cost.memory_mb
    ));
    if let Some(others) = report.cost.others_cores.filter(|cores| *cores >= MUCH) {
        lines.push(format!("Other work took {others:.1} cores meanwhile; leave the demo two to itself."));
    }
    lines.extend(report.incidents.iter().map(|what| format!("▲ {what}")));
    lines
}
