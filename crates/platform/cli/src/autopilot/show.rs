//! Answers as text of 80 columns.

use kandela_autopilot::machine::Event;
use serde_json::Value;

use crate::figures::short;
use crate::output::{State, width, wrapped};
use crate::top::words::words;
use crate::when::time_text;

/// Columns before what a row says.
const BEFORE: usize = 30;

/// Where things stand: in one system, or in each.
pub(super) fn standing(answer: &Value) -> Vec<String> {
    match answer["systems"].as_array() {
        Some(systems) => systems.iter().map(status).collect::<Vec<_>>().join(&String::new()),
        None => status(answer),
    }
}

fn status(answer: &Value) -> Vec<String> {
    let status = &answer["status"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}: {}", word(&answer["name"]), word(&status["state"]))];
    let mut tell = |name: &str, text: String| {
        let room = width().saturating_sub(12);
        for (place, text) in wrapped(&text, room).into_iter().enumerate() {
            let name = if place == 0 { name } else { "" };
            lines.push(format!("  {name:<9} {text}"));
        }
    };
    if let Some(trouble) = answer["trouble"].as_str() {
        tell("trouble", trouble.to_owned());
    }
    tell(
        "mode",
        format!("{}, epoch {} of {}", word(&status["mode"]), status["epoch"], word(&status["holder"])),
    );
    if let Some(waits) = status["waits_for"].as_str() {
        tell("waits for", waits.to_owned());
    }
    status["notes"]
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(name, note)| tell("note", format!("{name}: {}", word(note))));
    let suggested = status["suggested"].as_array().into_iter().flatten();
    suggested.for_each(|values| tell("suggested", word(values)));
    status["guards"].as_array().into_iter().flatten().for_each(|guard| tell("guard", word(&guard["what"])));
    let news = status["news"].as_array().into_iter().flatten();
    news.for_each(|told| tell("lately", format!("{} {}", word(&told["at"]), word(&told["what"]))));
    let times = status["times_as_good"].as_f64().unwrap_or(1.0);
    tell("objective", format!("{times:.3} times as good as where it began"));
    let promoted = status["promoted"].as_array().into_iter().flatten();
    let promoted: Vec<String> = promoted.map(ToString::to_string).collect();
    tell("promoted", if promoted.is_empty() { "nothing".to_owned() } else { promoted.join(", ") });
    let settings = status["good"].as_object().into_iter().flatten();
    let settings: Vec<String> = settings.map(|(name, value)| format!("{name}={}", word(value))).collect();
    tell("settings", settings.join(" "));
    tell("alpha", format!("{} left for mistakes", short(status["alpha_left"].as_f64().unwrap_or(0.0))));
    let strategies: Vec<(&String, &Value)> = status["strategies"].as_object().into_iter().flatten().collect();
    if !strategies.is_empty() {
        lines.push(String::new());
        lines.push("  strategy       proposed  tried  promoted  unsafe  slices  earned".to_owned());
    }
    for (name, earned) in strategies {
        lines.push(format!(
            "  {name:<13}  {:>8}  {:>5}  {:>8}  {:>6}  {:>6}  {:>5.1} %",
            earned["proposals"].as_u64().unwrap_or(0),
            earned["trials"].as_u64().unwrap_or(0),
            earned["promoted"].as_u64().unwrap_or(0),
            earned["unsafe_trials"].as_u64().unwrap_or(0),
            earned["slices"].as_u64().unwrap_or(0),
            earned["cut"].as_f64().unwrap_or(0.0) * 100.0,
        ));
    }
    lines
}

/// The server's own text.
pub(super) fn text(answer: &Value) -> Vec<String> {
    answer["text"].as_str().unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Each row in words; those that only accompany others, and those of a newer version, by their kind.
pub(super) fn ledger(answer: &Value) -> Vec<String> {
    let rows = answer["rows"].as_array().into_iter().flatten();
    let one = |row: &Value| {
        let payload = &row["payload"];
        let said = serde_json::from_value::<Event>(payload.clone()).ok().and_then(|event| words(&event));
        let kind = || (State::Ok, payload["kind"].as_str().unwrap_or_default().replace('_', " "));
        let (state, what) = said.unwrap_or_else(kind);
        let at = time_text(row["at_micros"].as_i64().unwrap_or(0) / 1_000_000 * 1_000);
        let mut lines = wrapped(what.trim(), width().saturating_sub(BEFORE)).into_iter();
        let seq = row["seq"].as_u64().unwrap_or(0);
        let first = format!("{seq:>5}  {at}  {} {}", state.shape(), lines.next().unwrap_or_default());
        std::iter::once(first).chain(lines.map(|more| format!("{:BEFORE$}{more}", ""))).collect::<Vec<_>>()
    };
    rows.flat_map(one).collect()
}
