//! Questions over far more samples than the server may hold at a time: each is answered or refused, and what the server takes of
//! memory stays near its limit.

use std::fmt;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::ask::{At, Question};
use super::fleet::{COUNTER, Fleet, GAUGE};
use super::instance::{Instance, Memory};
use super::{Bench, this_minute_ms};
use crate::peers::load::STEP_MS;
use crate::peers::system::System;

#[derive(Args)]
#[command(next_help_heading = "Memory")]
#[group(id = "limited")]
pub(super) struct Settings {
    /// Counters, and as many gauges; with the scrapes, 100 million samples
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(200..=100_000))]
    limited_series: u32,
    /// Samples of each, 15 s apart
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    limited_samples: u32,
    /// What the server may hold, in MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=65_536))]
    limit_mib: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    samples: u64,
    limit_bytes: u64,
    loaded: Memory,
    asked: Vec<Asked>,
}

#[derive(Debug, Serialize)]
struct Asked {
    query: String,
    status: u16,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    seconds: f64,
    /// The most that the server held so far.
    peak_bytes: u64,
}

pub(super) fn run(bench: &Bench<'_>, settings: &Settings) -> anyhow::Result<Outcome> {
    let (_, program) = bench
        .programs
        .iter()
        .find(|(system, _)| *system == System::Kandela)
        .context("a limit on memory is Kandela's: name it in --systems")?;
    let limit = format!("{}MiB", settings.limit_mib);
    let arguments = ["--memory-limit", &limit, "--no-own-telemetry"];
    let mut instance = Instance::start_with(System::Kandela, program, &arguments, bench)?;
    let (series, scrapes) = (settings.limited_series as usize, settings.limited_samples as usize);
    let samples = 2 * series as u64 * scrapes as u64;
    eprintln!("memory: loading {samples} samples under a limit of {limit}");
    let end_ms = this_minute_ms()?;
    let mut fleet = Fleet::new(series, scrapes, end_ms);
    fleet.scrape(scrapes, |body| {
        bench.interrupt.check()?;
        instance.write_in_time(&body)
    })?;
    instance.settle(bench.interrupt)?;
    let loaded = instance.memory()?;
    let mut asked = Vec::new();
    for question in questions(end_ms / 1_000, scrapes as i64 * STEP_MS / 1_000) {
        bench.interrupt.check()?;
        let (status, bytes, took) = instance.ask_anything(&question)?;
        let error = (status != 200).then(|| error_of(&bytes));
        let peak_bytes = instance.memory()?.peak_bytes;
        asked.push(Asked { query: question.query, status, error, seconds: took.as_secs_f64(), peak_bytes });
    }
    ensure!(asked.iter().all(|asked| [200, 422].contains(&asked.status)), "{asked:#?}");
    Ok(Outcome { samples, limit_bytes: u64::from(settings.limit_mib) << 20, loaded, asked })
}

/// All samples at once, folded, sorted or counted by value, as they are, or joined.
fn questions(end: i64, span: i64) -> Vec<Question> {
    let whole = At::Range { start: end - span, end, step: (span / 1_000).max(1) };
    let now = At::Instant(end);
    let questions = [
        (format!("sum(rate({COUNTER}[1h]))"), whole),
        (format!("sum(count_over_time({COUNTER}[{span}s]))"), now),
        (format!("quantile_over_time(0.5, {GAUGE}[{span}s])"), now),
        (format!("{GAUGE}[{span}s]"), now),
        (GAUGE.to_owned(), whole),
        (format!("topk(5, {GAUGE})"), whole),
        (format!("quantile(0.9, {GAUGE})"), whole),
        (format!("count_values(\"value\", {GAUGE})"), whole),
        (format!("{COUNTER} / on (pod, handler, code) {GAUGE}"), whole),
        (format!("sort({GAUGE})"), now),
        (format!("max(max_over_time({GAUGE}[6h:1m]))"), whole),
    ];
    questions.into_iter().map(|(query, at)| Question { query, at }).collect()
}

fn error_of(bytes: &[u8]) -> String {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    document["error"].as_str().map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        writeln!(
            f,
            "memory: {} samples, a limit of {:.0} MB, {:.0} MB at most while they came",
            self.samples,
            mega(self.limit_bytes),
            mega(self.loaded.peak_bytes)
        )?;
        writeln!(f, "  {:>6} {:>9} {:>9}  question", "status", "seconds", "peak MB")?;
        for Asked { query, status, error, seconds, peak_bytes } in &self.asked {
            writeln!(f, "  {status:>6} {seconds:>9.2} {:>9.0}  {query}", mega(*peak_bytes))?;
            if let Some(error) = error {
                writeln!(f, "  {:>6} {:>9} {:>9}    {error}", "", "", "")?;
            }
        }
        Ok(())
    }
}
