//! Pictures in a terminal, of any size that holds them.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::picture::{Guard, Picture, Row, Service, System};
use super::words::words;
use crate::figures::{short, spark};
use crate::output::{State, colourful, shortened, wrapped};

/// What a picture takes at least.
const LEAST: (u16, u16) = (60, 16);
/// Services that are shown at most, and for which there is room at least.
const SERVICES: usize = 10;
const FEWEST_SERVICES: usize = 3;
/// Lines that services take besides: a frame and a heading.
const AROUND_SERVICES: u16 = 3;
/// Lines that the ledger has where services can give way, with its frame.
const LEDGER: u16 = 7;
/// Lines for the system under management at most, the frame not counted.
const SYSTEM: u16 = 12;
/// Columns of a service's row before its trail.
const BEFORE_TRAIL: usize = 51;

/// A picture of a server, with lines of somebody else's above it.
pub(crate) fn picture(frame: &mut Frame<'_>, title: &str, above: Vec<Line<'_>>, picture: &Picture) {
    let area = frame.area();
    let Some(area) = fits(frame, area) else { return };
    let system = picture.system.as_ref().map(|system| system_lines(system, usize::from(area.width) - 2));
    let managed = system.as_ref().map_or(1, Vec::len).min(usize::from(SYSTEM)) as u16 + 2;
    let faults = u16::from(!picture.faults.is_empty());
    let (fewest, all) =
        (picture.services.len().clamp(1, FEWEST_SERVICES), picture.services.len().clamp(1, SERVICES));
    let (fewest_lines, all_lines) = (fewest as u16 + AROUND_SERVICES, all as u16 + AROUND_SERVICES);
    let left = area.height.saturating_sub(1 + above.len() as u16 + faults + managed + LEDGER);
    let services = left.clamp(fewest_lines, all_lines);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(above.len() as u16),
        Constraint::Length(faults),
        Constraint::Length(services),
        Constraint::Length(managed),
        Constraint::Min(3),
    ];
    let [head, story, fault, top, middle, rest] = Layout::vertical(rows).areas(area);
    frame.render_widget(heading(title, picture.at, usize::from(head.width)), head);
    frame.render_widget(Paragraph::new(above), story);
    if let Some(what) = picture.faults.first() {
        let line = Line::from(vec![
            mark(State::Fail),
            Span::raw(shortened(what, usize::from(fault.width).saturating_sub(2))),
        ]);
        frame.render_widget(line, fault);
    }
    let room = usize::from(top.height.saturating_sub(AROUND_SERVICES));
    frame.render_widget(framed(&services_title(picture, room), service_lines(picture, room, top)), top);
    let name = picture
        .system
        .as_ref()
        .map_or("autopilot".to_owned(), |system| format!("autopilot: {}", system.name));
    let none =
        || vec![Line::from("no system is under management: name a file of systems in kandela.autopilot")];
    let lines = as_many_as_fit(system.unwrap_or_else(none), usize::from(middle.height.saturating_sub(2)));
    frame.render_widget(framed(&name, lines), middle);
    let ledger = picture.system.as_ref().map(|system| system.ledger.as_slice()).unwrap_or_default();
    frame.render_widget(framed("ledger", ledger_lines(ledger, rest)), rest);
}

/// The area, if a picture has room there; else it is said what would be room.
pub(crate) fn fits(frame: &mut Frame<'_>, area: Rect) -> Option<Rect> {
    let (width, height) = LEAST;
    if area.width >= width && area.height >= height {
        return Some(area);
    }
    let what =
        format!("{width} columns and {height} rows at least; here are {} and {}", area.width, area.height);
    let lines: Vec<Line<'_>> = wrapped(&what, usize::from(area.width)).into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), area);
    None
}

/// What is drawn, as lines of text.
pub(crate) fn text(width: u16, height: u16, draw: impl FnOnce(&mut Frame<'_>)) -> Vec<String> {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(draw);
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(row).collect()
}

fn heading(title: &str, at: i64, width: usize) -> Line<'static> {
    let time = jiff::Timestamp::from_second(at)
        .map(|at| at.strftime("%H:%M:%S UTC").to_string())
        .unwrap_or_default();
    let room = width.saturating_sub(time.chars().count() + 1);
    let title = shortened(title, room);
    Line::from(format!("{title:<room$} {time}")).style(Style::new().add_modifier(Modifier::BOLD))
}

pub(crate) fn framed<'t>(title: &str, lines: Vec<Line<'t>>) -> Paragraph<'t> {
    let block = Block::new().borders(Borders::ALL).border_style(muted()).title(format!(" {title} "));
    Paragraph::new(lines).block(block)
}

/// Which services are shown, and when one is well.
fn services_title(picture: &Picture, room: usize) -> String {
    let Picture { services, window, objective, .. } = picture;
    let which = match services.len() {
        all if all > room => format!("worst {room} of {all}"),
        _ => "services".to_owned(),
    };
    let of = objective.of.map(|of| format!("{of} ")).unwrap_or_default();
    let (p99, failed) = (duration(objective.p99), short(objective.errors * 100.0));
    format!("{which}, last {}; {of}well: p99 ≤ {p99}, failed ≤ {failed} %", duration(*window))
}

fn service_lines(picture: &Picture, room: usize, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width).saturating_sub(2);
    let services = &picture.services;
    if services.is_empty() {
        let window = duration(picture.window);
        return vec![Line::from(format!(
            "no service reported http.server.request.duration in the last {window}"
        ))];
    }
    let head = format!("  {:<18} {:>8} {:>8} {:>8} {:>8}", "", "req/s", "failed", "p50", "p99");
    let mut lines = vec![Line::from(head).style(muted())];
    // The worst first, where not all have room.
    let mut shown: Vec<&Service> = services.iter().collect();
    if shown.len() > room {
        shown.sort_by_key(|service| std::cmp::Reverse(service.state));
    }
    lines.extend(shown.into_iter().take(room).map(|service| service_line(service, width)));
    lines
}

fn service_line(service: &Service, width: usize) -> Line<'static> {
    let Service { name, state, rate, errors, p50, p99, trail } = service;
    let time = |seconds: &Option<f64>| seconds.map_or("-".to_owned(), duration);
    let text = format!(
        "{:<18} {rate:>8.1} {:>6.1} % {:>8} {:>8}  ",
        shortened(name, 18),
        errors * 100.0,
        time(p50),
        time(p99)
    );
    let trail = spark(trail, width.saturating_sub(BEFORE_TRAIL + 3).max(1));
    Line::from(vec![mark(*state), Span::raw(text), Span::styled(trail, muted())])
}

/// Seconds as people read them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds.fract() == 0.0 => format!("{seconds} s"),
        _ => format!("{seconds:.1} s"),
    }
}

fn system_lines(system: &System, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut tell = |state: Option<State>, text: &str, style: Style| {
        for (place, part) in wrapped(text, width.saturating_sub(4)).into_iter().enumerate() {
            let first = if place == 0 { state.map_or(Span::raw("  "), mark) } else { Span::raw("    ") };
            lines.push(Line::from(vec![first, Span::styled(part, style)]));
        }
    };
    let plain = Style::new();
    tell(
        None,
        &format!("{} (mode {})", system.doing, system.mode),
        Style::new().add_modifier(Modifier::BOLD),
    );
    let promoted: Vec<String> = system.promoted.iter().map(ToString::to_string).collect();
    let promoted = if promoted.is_empty() {
        "nothing is promoted".to_owned()
    } else {
        format!("promoted: {}", promoted.join(", "))
    };
    tell(
        None,
        &format!("{promoted}; the objective is {:.2} times as good as at first", system.times_as_good),
        plain,
    );
    if let Some(waits) = &system.waits_for {
        tell(Some(State::Warn), &format!("waits: {waits}"), plain);
    }
    // Where not all has room, what is wrong does.
    let (wrong, rest): (Vec<&Guard>, Vec<&Guard>) =
        system.guards.iter().partition(|guard| guard.state >= State::Warn);
    wrong.iter().for_each(|guard| tell(Some(guard.state), &guard.what, plain));
    if let Some(proposal) = &system.proposal {
        tell(
            None,
            &format!("proposal {} by {}: {}", proposal.number, proposal.strategy, proposal.why),
            plain,
        );
        let changes: Vec<String> = proposal
            .changes
            .iter()
            .map(|change| format!("{} {} → {}", change.knob, change.from, change.to))
            .collect();
        tell(None, &changes.join(", "), coloured(Color::Magenta));
    }
    rest.iter().for_each(|guard| tell(Some(guard.state), &guard.what, plain));
    lines
}

/// The first lines that have room, and how many more there are.
fn as_many_as_fit(mut lines: Vec<Line<'static>>, room: usize) -> Vec<Line<'static>> {
    if lines.len() > room {
        let shown = room.saturating_sub(1);
        let more = lines.len() - shown;
        lines.truncate(shown);
        lines.push(Line::from(format!("  … {more} lines more")).style(muted()));
    }
    lines
}

/// The last rows that have room.
fn ledger_lines(ledger: &[Row], area: Rect) -> Vec<Line<'static>> {
    let (room, width) =
        (usize::from(area.height).saturating_sub(2), usize::from(area.width).saturating_sub(2));
    let told: Vec<Line<'static>> = ledger.iter().filter_map(|row| ledger_line(row, width)).collect();
    told[told.len().saturating_sub(room)..].to_vec()
}

fn ledger_line(row: &Row, width: usize) -> Option<Line<'static>> {
    let (state, what) = words(&row.event)?;
    let at = jiff::Timestamp::from_microsecond(row.at_micros).ok()?.strftime("%H:%M:%S").to_string();
    let what = shortened(&what, width.saturating_sub(11));
    Some(Line::from(vec![Span::styled(format!("{at} "), muted()), mark(state), Span::raw(what)]))
}

/// The shape of a state; coloured, where colours may be.
pub(crate) fn mark(state: State) -> Span<'static> {
    let colour = match state {
        State::Ok => Color::Green,
        State::Open => Color::Cyan,
        State::Warn => Color::Yellow,
        State::Fail => Color::Red,
    };
    Span::styled(format!("{} ", state.sign()), coloured(colour))
}

fn coloured(colour: Color) -> Style {
    if colourful() { Style::new().fg(colour) } else { Style::new() }
}

fn muted() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

#[cfg(test)]
mod tests {
    use kandela_autopilot::machine::Event;

    use super::super::picture::{Change, Objective, Proposal};
    use super::*;

    fn service(name: &str, state: State, p99: f64) -> Service {
        let trail = (0..30).map(|at| Some(f64::from(at))).collect();
        Service {
            name: name.to_owned(),
            state,
            rate: 198.2,
            errors: 0.012,
            p50: Some(0.03),
            p99: Some(p99),
            trail,
        }
    }

    fn full() -> Picture {
        let change = |knob: &str| Change { knob: knob.to_owned(), from: "5".to_owned(), to: "10".to_owned() };
        let proposal = Proposal {
            number: 3,
            strategy: "runbook".to_owned(),
            why: "admitted: all guards hold by fresh readings".to_owned(),
            changes: vec![change("gateway.catalogue.pool.size"), change("catalogue.stock.pool.size")],
        };
        let guards = vec![
            Guard { state: State::Ok, what: "refused: holds, 0.0021; wanted: at most 0.04".to_owned() },
            Guard { state: State::Open, what: "the trial: the gain needs 8 to 40 more slices".to_owned() },
        ];
        let row = |seq: i64, event| Row { seq: seq.cast_unsigned(), at_micros: seq * 1_000_000, event };
        let system = System {
            name: "shop".to_owned(),
            doing: "proposal 3 is on trial: verify phase, slice 7".to_owned(),
            mode: "auto".to_owned(),
            guards,
            proposal: Some(proposal),
            times_as_good: 2.0,
            promoted: vec![1],
            ledger: (0..60).map(|seq| row(seq, Event::Resumed { by: format!("ann{seq}") })).collect(),
            ..System::default()
        };
        Picture {
            at: 3_600,
            window: 30.0,
            objective: Objective { p99: 1.0, errors: 0.01, of: None },
            services: vec![service("shop/gateway", State::Fail, 9.8), service("shop/stock", State::Ok, 0.05)],
            system: Some(system),
            ..Picture::default()
        }
    }

    fn drawn(width: u16, height: u16, shown: &Picture) -> Vec<String> {
        text(width, height, |frame| picture(frame, "kandela top", vec![Line::from("a story")], shown))
    }

    #[test]
    fn all_that_matters_has_room_on_80_columns_and_24_rows() {
        let rows = drawn(80, 24, &full());
        let all = rows.join("\n");
        for part in [
            "kandela top",
            "01:00:00 UTC",
            "a story",
            "services, last 30 s; well: p99 ≤ 1 s, failed ≤ 1 %",
            "■ shop/gateway          198.2    1.2 %    30 ms    9.8 s",
            "● shop/stock",
            "autopilot: shop",
            "proposal 3 is on trial",
            "gateway.catalogue.pool.size 5 → 10",
            "● refused: holds",
            "○ the trial: the gain needs",
            "promoted: 1; the objective is 2.00 times as good",
            "ann59 resumed",
        ] {
            assert!(all.contains(part), "{part} is missing in\n{all}");
        }
        assert!(rows.iter().all(|row| row.chars().count() <= 80) && !all.contains("ann20 "), "{all}");
    }

    #[test]
    fn a_terminal_that_is_too_small_is_told_what_would_do() {
        for (width, height) in [(40, 24), (80, 10), (1, 1)] {
            let all = drawn(width, height, &full()).join(" ");
            assert!(
                width < 20 || all.contains("60 columns and 16 rows at least"),
                "{width} x {height}: {all}"
            );
        }
        assert!(!drawn(60, 16, &full()).join(" ").contains("at least"));
    }

    #[test]
    fn a_server_without_services_and_systems_says_what_to_do() {
        let all = drawn(
            80,
            24,
            &Picture { faults: vec!["no server answers".to_owned()], window: 30.0, ..Picture::default() },
        )
        .join("\n");
        assert!(all.contains("no service reported http.server.request.duration in the last 30 s"), "{all}");
        assert!(
            all.contains("name a file of systems in kandela.autopilot")
                && all.contains("■ no server answers"),
            "{all}"
        );
    }

    #[test]
    fn on_24_rows_services_give_way_to_the_ledger() {
        let mut shown = full();
        shown.services = (0..8).map(|at| service(&format!("s{at}"), State::Ok, 0.1)).collect();
        let all = drawn(80, 24, &shown).join("\n");
        assert!(all.matches(" resumed").count() >= 5 && all.matches("198.2").count() >= 3, "{all}");
    }

    #[test]
    fn what_is_wrong_comes_before_what_is_well_and_what_has_no_room_is_counted() {
        let mut shown = full();
        let system = shown.system.as_mut().unwrap();
        let guard = |state, what: &str| Guard { state, what: what.to_owned() };
        system.guards = (0..9).map(|at| guard(State::Ok, &format!("fine{at}"))).collect();
        system.guards.push(guard(State::Fail, "paid: violated"));
        system.guards.push(guard(State::Warn, "drift: somebody turned a knob"));
        let all = drawn(80, 40, &shown).join("\n");
        let place = |part: &str| all.find(part);
        assert!(place("■ paid: violated") < place("proposal 3 by runbook"), "{all}");
        assert!(
            place("▲ drift").is_some() && place("lines more").is_some() && place("fine8").is_none(),
            "{all}"
        );
    }

    #[test]
    fn where_not_all_services_have_room_the_bad_ones_do() {
        let mut shown = full();
        shown.services = (0..30)
            .map(|at| service(&format!("s{at}"), if at == 29 { State::Fail } else { State::Ok }, 0.1))
            .collect();
        let all = drawn(80, 40, &shown).join("\n");
        assert!(all.contains("■ s29") && all.contains("worst 10 of 30, last 30 s"), "{all}");
    }
}
