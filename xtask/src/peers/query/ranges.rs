//! Range queries over hours of samples: again and again, right after a restart, and over more of everything.
//!
//! All systems hold the same data and run at once; one is asked while the others rest, in turn, so that what else the machine
//! does hits all alike.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::agree::{Agreement, Difference};
use super::ask::{self, At, Question};
use super::fleet::{COUNTER, Fleet, GAUGE, SERVICES};
use super::instance::{Instance, Memory};
use super::times::{Target, Times};
use super::{Bench, this_minute_ms};
use crate::peers::load::STEP_MS;
use crate::peers::process::Interrupt;
use crate::peers::system::System;

#[derive(Args)]
#[command(next_help_heading = "Ranges")]
#[group(id = "ranges")]
pub(super) struct Settings {
    /// Counters, and as many gauges, that each query reads; several numbers are measured one after another
    #[arg(long, value_delimiter = ',', default_values_t = [2_000], value_parser = clap::value_parser!(u32).range(200..=1_000_000))]
    series: Vec<u32>,
    /// Hours of samples, 15 s apart
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=72))]
    hours: u32,
    /// How often each question is asked of each system
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repetitions: u32,
    /// How often each system is restarted for each question
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    cold_rounds: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Of each of the two metrics.
    series: u32,
    hours: u32,
    /// Of all series together.
    samples: u64,
    repetitions: u32,
    warm: Times,
    /// The first question after a restart.
    cold: Times,
    /// From a start, with no page of the data in memory, until it is ready.
    starts: Times,
    growth: Times,
    pub(super) agreement: Vec<Agreement>,
    memory: Vec<Held>,
}

/// Memory once the data are loaded and the warm questions asked.
#[derive(Debug, Serialize)]
struct Held {
    system: System,
    #[serde(flatten)]
    memory: Memory,
}

struct Named {
    what: String,
    question: Question,
}

const STEP_S: i64 = 60;

pub(super) fn run(bench: &Bench<'_>, settings: &Settings) -> anyhow::Result<Vec<Outcome>> {
    settings.series.iter().map(|series| measure(bench, settings, *series)).collect()
}

fn measure(bench: &Bench<'_>, settings: &Settings, series: u32) -> anyhow::Result<Outcome> {
    let scrapes = i64::from(settings.hours) * 3_600_000 / STEP_MS;
    let end_ms = this_minute_ms()?;
    let mut fleet = Fleet::new(series as usize, scrapes as usize, end_ms);
    let mut instances = started(bench)?;
    eprintln!("ranges: loading {} samples into each system", 2 * i64::from(series) * scrapes);
    fleet.scrape(scrapes as usize, |body| {
        bench.interrupt.check()?;
        instances.iter().try_for_each(|instance| instance.write(&body))
    })?;
    for instance in &mut instances {
        instance.settle(bench.interrupt)?;
    }

    let end = end_ms / 1_000;
    let range = At::Range { start: end - i64::from(settings.hours) * 3_600, end, step: STEP_S };
    let questions = questions(&fleet, range);
    let agreement = agreement(&instances, &questions)?;
    eprintln!("ranges: asking {} questions {} times", questions.len(), settings.repetitions);
    let warm = again_and_again(&instances, &questions, settings.repetitions, bench.interrupt)?;
    let memory = instances
        .iter()
        .map(|instance| Ok(Held { system: instance.system, memory: instance.memory()? }))
        .collect::<anyhow::Result<_>>()?;
    eprintln!("ranges: asking for more and more");
    let growth = growing(i64::from(series), range);
    let growth = again_and_again(&instances, &growth, settings.repetitions.div_ceil(3), bench.interrupt)?;
    let (cold, starts) = after_restarts(instances, &questions, settings.cold_rounds, bench.interrupt)?;
    Ok(Outcome {
        series,
        hours: settings.hours,
        samples: 2 * u64::from(series) * scrapes as u64,
        repetitions: settings.repetitions,
        warm,
        cold,
        starts,
        growth,
        agreement,
        memory,
    })
}

fn started(bench: &Bench<'_>) -> anyhow::Result<Vec<Instance>> {
    bench.programs.iter().map(|(system, program)| Instance::start(*system, program, bench)).collect()
}

fn questions(fleet: &Fleet, at: At) -> Vec<Named> {
    let named = |what: &str, query: String| Named { what: what.to_owned(), question: Question { query, at } };
    let rate = |matchers: &str| format!("rate({COUNTER}{matchers}[5m])");
    vec![
        named("sum by (service) of rates", format!("sum by (service) ({})", rate(""))),
        named(
            "errors over all by service",
            format!("sum by (service) ({}) / sum by (service) ({})", rate("{code=\"500\"}"), rate("")),
        ),
        named("topk of rates by pod", format!("topk(5, sum by (pod) ({}))", rate(""))),
        named("max by (service) over 1 h", format!("max by (service) (max_over_time({GAUGE}[1h]))")),
        named("one series", fleet.one_counter()),
    ]
}

/// The first question over more series, a longer time, and more steps; one of the three grows while the others stay.
fn growing(series: i64, at: At) -> Vec<Named> {
    let At::Range { start, end, .. } = at else { return Vec::new() };
    let named = |what: String, services: usize, start: i64, step: i64| {
        let names: Vec<_> = (0..services).map(|service| format!("service-{service:02}")).collect();
        let matchers =
            if services < SERVICES { format!("{{service=~\"{}\"}}", names.join("|")) } else { String::new() };
        let query = format!("sum by (service) (rate({COUNTER}{matchers}[5m]))");
        Named { what, question: Question { query, at: At::Range { start, end, step } } }
    };
    let of_series = [1, 5, SERVICES].map(|services| {
        let chosen = series * services as i64 / SERVICES as i64;
        named(format!("{chosen} series"), services, start, STEP_S)
    });
    let of_time = [6, 2, 1].map(|part| {
        let span = (end - start) / part;
        let samples = span * 1_000 / STEP_MS;
        // As many steps each time, so that only the samples grow.
        named(format!("{samples} samples of a series"), SERVICES, end - span, STEP_S / part)
    });
    let of_steps =
        [240, 60, 15].map(|step| named(format!("{} steps", (end - start) / step + 1), SERVICES, start, step));
    of_series.into_iter().chain(of_time).chain(of_steps).collect()
}

fn targets(instances: &[Instance]) -> Vec<Target> {
    let of = |instance: &Instance, nocache| Target { system: instance.system, nocache };
    let plain = instances.iter().map(|instance| of(instance, false));
    let caches = instances.iter().filter(|instance| instance.system == System::VictoriaMetrics);
    plain.chain(caches.map(|instance| of(instance, true))).collect()
}

/// Asks every question of every target once for nothing, then `repetitions` times, question by question and within it target
/// by target; the order of targets turns from repetition to repetition.
fn again_and_again(
    instances: &[Instance],
    questions: &[Named],
    repetitions: u32,
    interrupt: &Interrupt,
) -> anyhow::Result<Times> {
    let targets = targets(instances);
    let mut times = Times::new(targets.clone(), questions.iter().map(|named| named.what.clone()));
    let mut order: Vec<usize> = (0..targets.len()).collect();
    for repetition in 0..=repetitions {
        for (number, named) in questions.iter().enumerate() {
            for &target in &order {
                interrupt.check()?;
                let Target { system, nocache } = targets[target];
                let asked = instances.iter().find(|instance| instance.system == system);
                let Some(asked) = asked else { continue };
                let took = asked.time(&named.question, nocache)?;
                if repetition > 0 {
                    times.add(number, target, took);
                }
            }
        }
        order.rotate_left(1);
    }
    Ok(times)
}

/// Restarts each system for each question, and asks that question first; no answer kept from before serves it.
fn after_restarts(
    mut instances: Vec<Instance>,
    questions: &[Named],
    rounds: u32,
    interrupt: &Interrupt,
) -> anyhow::Result<(Times, Times)> {
    let nocache = |system| system == System::VictoriaMetrics;
    let targets: Vec<_> = instances
        .iter()
        .map(|instance| Target { system: instance.system, nocache: nocache(instance.system) })
        .collect();
    let mut times = Times::new(targets.clone(), questions.iter().map(|named| named.what.clone()));
    let mut starts = Times::new(targets, ["start until ready".to_owned()]);
    for round in 0..rounds {
        eprintln!("ranges: restarts, round {} of {rounds}", round + 1);
        for (number, named) in questions.iter().enumerate() {
            for target in 0..instances.len() {
                let instance = instances.remove(target);
                let (instance, ready) = instance.restart_cold(interrupt)?;
                let took = instance.time(&named.question, nocache(instance.system))?;
                instances.insert(target, instance);
                times.add(number, target, took);
                starts.add(0, target, ready);
            }
        }
    }
    Ok((times, starts))
}

fn agreement(instances: &[Instance], questions: &[Named]) -> anyhow::Result<Vec<Agreement>> {
    let by_prometheus = instances.iter().find(|instance| instance.system == System::Prometheus);
    let Some(reference) = by_prometheus.or(instances.first()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for named in questions {
        let theirs = ask::read(&reference.ask(&named.question, false)?.0)?;
        for instance in instances.iter().filter(|instance| instance.system != reference.system) {
            let nocache = instance.system == System::VictoriaMetrics;
            let mine = ask::read(&instance.ask(&named.question, nocache)?.0)?;
            found.push(Agreement {
                what: named.what.clone(),
                system: instance.system,
                reference: reference.system,
                difference: Difference::between((&mine, 0), (&theirs, 0)),
            });
        }
    }
    Ok(found)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, hours, samples, repetitions, .. } = self;
        writeln!(
            f,
            "ranges: {series} counters and {series} gauges, {hours} h, {samples} samples, step {STEP_S} s"
        )?;
        writeln!(f, "median (min to max)\n\nwarm, {repetitions} repetitions\n{}", self.warm)?;
        writeln!(f, "first question after a restart\n{}\n{}", self.cold, self.starts)?;
        writeln!(f, "sum by (service) of rates, over more\n{}", self.growth)?;
        for Held { system, memory } in &self.memory {
            let mega = |bytes: u64| bytes as f64 / 1e6;
            let (resident, peak) = (mega(memory.resident_bytes), mega(memory.peak_bytes));
            writeln!(f, "{}: {resident:.0} MB resident, {peak:.0} MB at most", system.name())?;
        }
        writeln!(f)?;
        self.agreement.iter().try_for_each(|agreement| writeln!(f, "{agreement}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_grows_while_the_others_stay() {
        let at = At::Range { start: 0, end: 21_600, step: 60 };
        let growth = growing(2_000, at);
        let what: Vec<_> = growth.iter().map(|named| named.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "100 series",
                "500 series",
                "2000 series",
                "240 samples of a series",
                "720 samples of a series",
                "1440 samples of a series",
                "91 steps",
                "361 steps",
                "1441 steps",
            ]
        );
        let steps = |named: &Named| match named.question.at {
            At::Range { start, end, step } => (end - start) / step + 1,
            At::Instant(_) => 1,
        };
        assert_eq!(
            growth.iter().map(steps).collect::<Vec<_>>(),
            [361, 361, 361, 361, 361, 361, 91, 361, 1441]
        );
    }
}
