//! The value of one series among very many, now. One system is up at a time.

use std::fmt;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use super::ask::{self, At, Question};
use super::instance::{Instance, Memory};
use super::latency::Latency;
use super::{Bench, this_minute_ms};
use crate::peers::ingest;
use crate::peers::load::{self, Load, Shape};
use crate::peers::system::System;

#[derive(Args)]
#[command(next_help_heading = "Instant")]
#[group(id = "instant")]
pub(super) struct Settings {
    /// Series that each system holds; 1,000,000 take Prometheus several GB of memory
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    held_series: u32,
    /// Samples of each series, 15 s apart
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    held_samples: u32,
    /// How many series are asked for, one after another
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    lookups: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    held_series: u32,
    held_samples: u32,
    systems: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    system: System,
    latency: Latency,
    /// After the series are loaded and before any is asked for.
    loaded: Memory,
    asked: Memory,
}

const SAMPLES_OF_A_BODY: usize = 5_000;
/// Asked before any clock starts.
const WARM_UP: u32 = 50;

pub(super) fn run(bench: &Bench<'_>, settings: &Settings) -> anyhow::Result<Outcome> {
    let Settings { held_series, held_samples, .. } = *settings;
    let shape =
        Shape { series: held_series as usize, samples: held_samples as usize, body: SAMPLES_OF_A_BODY };
    eprintln!("instant: preparing {held_series} series");
    let load = Load::new(shape, this_minute_ms()?)?;
    let mut systems = Vec::new();
    for (system, program) in bench.programs {
        eprintln!("instant: {}", system.name());
        let instance = Instance::start(*system, program, bench)?;
        systems.push(measure(bench, settings, instance, &load)?);
    }
    Ok(Outcome { held_series, held_samples, systems })
}

fn measure(
    bench: &Bench<'_>,
    settings: &Settings,
    mut instance: Instance,
    load: &Load,
) -> anyhow::Result<Found> {
    ingest::send_all(load, 1, &format!("{}/api/v1/write", instance.base()), bench.interrupt)?;
    instance.settle(bench.interrupt)?;
    let loaded = instance.memory()?;
    let mut ms = Vec::new();
    for lookup in 0..WARM_UP + settings.lookups {
        bench.interrupt.check()?;
        let index = load::mix(u64::from(lookup), 21) as usize % load.shape.series;
        let question = Question { query: load::selector(index), at: At::Instant(load.end_ms / 1_000) };
        let (bytes, took) = instance.ask(&question, false)?;
        check(&bytes, load.last_value(index))
            .with_context(|| format!("{}: {}", instance.system.name(), question.query))?;
        if lookup >= WARM_UP {
            ms.push(took.as_secs_f64() * 1e3);
        }
    }
    let latency = Latency::of(ms).context("no series was asked for")?;
    Ok(Found { system: instance.system, latency, loaded, asked: instance.memory()? })
}

/// One series came, with the value that was sent.
fn check(bytes: &[u8], expected: f64) -> anyhow::Result<()> {
    /// VictoriaMetrics keeps decimals.
    const TOLERANCE: f64 = 1e-9;
    let answer = ask::read(bytes)?;
    let points: Vec<f64> = answer.values().flatten().map(|(_, value)| *value).collect();
    let [value] = points[..] else { anyhow::bail!("{} points came instead of one", points.len()) };
    let close = (value - expected).abs() <= TOLERANCE * expected.abs();
    ensure!(close, "{value} came instead of {expected}");
    Ok(())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instant: one of {} series, {} samples each", self.held_series, self.held_samples)?;
        writeln!(
            f,
            "  {:<17} {:>9} {:>9} {:>9} {:>7} {:>12} {:>9} {:>9}",
            "system", "p50 ms", "p99 ms", "max ms", "asked", "resident MB", "asked MB", "peak MB"
        )?;
        let mega = |bytes: u64| bytes as f64 / 1e6;
        for Found { system, latency, loaded, asked } in &self.systems {
            writeln!(
                f,
                "  {:<17} {:>9.3} {:>9.3} {:>9.3} {:>7} {:>12.0} {:>9.0} {:>9.0}",
                system.name(),
                latency.p50_ms,
                latency.p99_ms,
                latency.max_ms,
                latency.asked,
                mega(loaded.resident_bytes),
                mega(asked.resident_bytes),
                mega(asked.peak_bytes)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_that_was_sent_will_do() {
        let answer = |values: &[&str]| {
            let series: Vec<_> = values
                .iter()
                .enumerate()
                .map(|(number, value)| format!(r#"{{"metric":{{"n":"{number}"}},"value":[1,"{value}"]}}"#))
                .collect();
            format!(r#"{{"status":"success","data":{{"result":[{}]}}}}"#, series.join(",")).into_bytes()
        };
        check(&answer(&["2.5"]), 2.5).expect("the value");
        for wrong in [&["2.6"][..], &[], &["2.5", "2.5"]] {
            assert!(check(&answer(wrong), 2.5).is_err(), "{wrong:?}");
        }
    }
}
