//! A dashboard that refreshes while samples stream into the same system.
//!
//! Panels are asked at set times whether or not earlier answers have come, and a latency counts from the time at which the panel
//! was due: a system that stalls pays for every panel that it keeps waiting. One system is up at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::agree::{Agreement, Difference};
use super::ask::{self, Answer, At, Question};
use super::fleet::{COUNTER, Fleet, GAUGE};
use super::instance::{Instance, Memory};
use super::latency::Latency;
use super::pace::Pace;
use super::{Bench, this_minute_ms};
use crate::peers::load::{Body, Load, STEP_MS, Shape};
use crate::peers::remote_write;
use crate::peers::report::Spread;
use crate::peers::system::{self, System};

#[derive(Args)]
#[command(next_help_heading = "Dashboard")]
#[group(id = "dashboard")]
pub(super) struct Settings {
    /// Series that the panels read, half of them counters
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(400..=100_000))]
    panel_series: u32,
    /// Panels asked for in a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    panels_per_s: u32,
    /// Samples written in a second, in bodies of 5,000 samples of other series
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(5_000..=1_000_000))]
    writes_per_s: u32,
    /// For how long each system is asked in a round
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How often each system is measured; the order turns from round to round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    dashboard_rounds: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    panel_series: u32,
    panels_per_s: u32,
    seconds: u32,
    runs: Vec<Run>,
    pub(super) agreement: Vec<Agreement>,
}

/// One system in one round.
#[derive(Debug, Serialize)]
struct Run {
    round: u32,
    system: System,
    all: Latency,
    panels: Vec<Panel>,
    /// Samples of the stream that were acknowledged in a second.
    written_per_s: f64,
    #[serde(flatten)]
    memory: Memory,
}

#[derive(Debug, Serialize)]
struct Panel {
    query: String,
    #[serde(flatten)]
    latency: Latency,
}

const SAMPLES_OF_A_BODY: u32 = 5_000;
const SCRAPES_OF_AN_HOUR: usize = 240;
/// As a browser, which opens no more to one server.
const CONNECTIONS: usize = 6;

struct Asked {
    query: String,
    /// Seconds between two steps of the last hour; an instant query has none.
    step: Option<i64>,
}

pub(super) fn run(bench: &Bench<'_>, settings: &Settings) -> anyhow::Result<Outcome> {
    let (mut runs, mut answers) = (Vec::new(), BTreeMap::new());
    for round in 0..settings.dashboard_rounds {
        let mut order = bench.programs.to_vec();
        order.rotate_left(round as usize % bench.programs.len());
        for (system, program) in order {
            eprintln!("dashboard: round {} of {}: {}", round + 1, settings.dashboard_rounds, system.name());
            let instance = Instance::start(system, &program, bench)?;
            let (run, answered) = measure(bench, settings, instance, round + 1)?;
            runs.push(run);
            answers.entry(system).or_insert(answered);
        }
    }
    let Settings { panel_series, panels_per_s, seconds, .. } = *settings;
    Ok(Outcome { panel_series, panels_per_s, seconds, runs, agreement: agreement(&answers) })
}

fn panels() -> Vec<Asked> {
    let rate = |matchers: &str| format!("rate({COUNTER}{matchers}[5m])");
    [
        (Some(15), format!("sum(rate({COUNTER}[1m]))")),
        (Some(15), format!("sum by (service) ({})", rate(""))),
        (Some(15), format!("{GAUGE}{{service=\"service-03\"}}")),
        (Some(30), format!("sum({}) / sum({})", rate("{code=\"500\"}"), rate(""))),
        (Some(30), format!("topk(5, sum by (pod) ({}))", rate(""))),
        (Some(60), format!("max by (service) ({GAUGE})")),
        (Some(60), format!("avg by (job) (avg_over_time({GAUGE}[10m]))")),
        (None, format!("sum(increase({COUNTER}[1h]))")),
        (None, format!("count by (service) ({COUNTER})")),
        (None, format!("topk(3, sum by (handler) ({}))", rate(""))),
    ]
    .into_iter()
    .map(|(step, query)| Asked { query, step })
    .collect()
}

/// The panel as it is asked at `now`, in seconds since 1970; like Grafana, at multiples of the step.
fn question(panel: &Asked, now: i64) -> Question {
    const HOUR: i64 = 3_600;
    let at = panel.step.map_or(At::Instant(now), |step| {
        let end = now / step * step;
        At::Range { start: end - HOUR, end, step }
    });
    Question { query: panel.query.clone(), at }
}

/// The panels' answers at the end of the data, which is the second.
type Answered = (Vec<Answer>, i64);

fn measure(
    bench: &Bench<'_>,
    settings: &Settings,
    mut instance: Instance,
    round: u32,
) -> anyhow::Result<(Run, Answered)> {
    let panels = panels();
    let end_ms = this_minute_ms()?;
    // Rates of the first step look five minutes further back.
    let scrapes = SCRAPES_OF_AN_HOUR + 20;
    let mut fleet = Fleet::new(settings.panel_series as usize / 2, scrapes, end_ms);
    fleet.scrape(scrapes, |body| instance.write(&body))?;
    // A sample of every series each second, and a few more seconds than are needed.
    let shape = Shape {
        series: settings.writes_per_s as usize,
        samples: settings.seconds as usize + 5,
        body: SAMPLES_OF_A_BODY as usize,
    };
    let stream = Load::new(shape, end_ms)?;
    let groups = shape.series.div_ceil(shape.body);
    let (new_series, stream) = stream.bodies.split_at(groups);
    new_series.iter().try_for_each(|body| instance.write(&body.bytes))?;
    instance.settle(bench.interrupt)?;

    let end = end_ms / 1_000;
    let answers = panels
        .iter()
        .map(|panel| ask::read(&instance.ask(&question(panel, end), false)?.0))
        .collect::<anyhow::Result<_>>()?;
    let clock = Clock { began: Instant::now(), end_ms };
    let (latencies, written) = under_load(bench, settings, &instance, &panels, &clock, fleet, stream)?;

    let memory = instance.memory()?;
    let all = latencies.iter().flatten().copied().collect();
    let all = Latency::of(all).ok_or_else(|| anyhow!("no panel was asked"))?;
    let told = panels.into_iter().zip(latencies);
    let panels = told
        .filter_map(|(panel, ms)| Some(Panel { query: panel.query, latency: Latency::of(ms)? }))
        .collect();
    let written_per_s = written as f64 / clock.began.elapsed().as_secs_f64();
    Ok((Run { round, system: instance.system, all, panels, written_per_s, memory }, (answers, end)))
}

/// The time that the data have come to.
struct Clock {
    began: Instant,
    end_ms: i64,
}

impl Clock {
    fn now_s(&self) -> i64 {
        self.end_ms / 1_000 + self.began.elapsed().as_secs() as i64
    }
}

/// Milliseconds of every answer by panel, and how many samples of the stream were taken.
fn under_load(
    bench: &Bench<'_>,
    settings: &Settings,
    instance: &Instance,
    panels: &[Asked],
    clock: &Clock,
    mut fleet: Fleet,
    stream: &[Body],
) -> anyhow::Result<(Vec<Vec<f64>>, u64)> {
    let (stop, next) = (&AtomicBool::new(false), &AtomicU32::new(0));
    let base = instance.base();
    thread::scope(|scope| {
        let every = Duration::from_secs_f64(f64::from(SAMPLES_OF_A_BODY) / f64::from(settings.writes_per_s));
        let streamed = scope.spawn(move || streamed(base, stream, Pace::new(every), stop));
        let scraped = scope.spawn(move || {
            let pace = Pace::new(Duration::from_millis(STEP_MS as u64));
            (1..)
                .take_while(|number| pace.wait(*number, stop).is_some())
                .try_for_each(|_| fleet.scrape(1, |body| instance.write(&body)))
        });
        let pace = Pace::new(Duration::from_secs(1) / settings.panels_per_s);
        let asked = settings.panels_per_s * settings.seconds;
        let readers: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(move || refreshed(base, panels, clock, pace, asked, next, stop)))
            .collect();

        let mut latencies = vec![Vec::new(); panels.len()];
        let mut outcome = Ok(());
        for reader in readers {
            while !reader.is_finished() && outcome.is_ok() {
                outcome = bench.interrupt.sleep(Duration::from_millis(50));
                stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            }
            match reader.join().map_err(|_| anyhow!("who asks panicked"))? {
                Ok(mine) => mine.into_iter().for_each(|(panel, ms)| latencies[panel].push(ms)),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        let written = streamed.join().map_err(|_| anyhow!("who streams panicked"))?;
        let scraped = scraped.join().map_err(|_| anyhow!("who scrapes panicked"))?;
        outcome?;
        scraped?;
        Ok((latencies, written?))
    })
}

/// Takes the next panel when it is due, until all are asked.
fn refreshed(
    base: &str,
    panels: &[Asked],
    clock: &Clock,
    pace: Pace,
    asked: u32,
    next: &AtomicU32,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<(usize, f64)>> {
    let agent = system::agent();
    let mut latencies = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= asked {
            return Ok(latencies);
        }
        let Some(due) = pace.wait(number, stop) else { return Ok(latencies) };
        let panel = number as usize % panels.len();
        let (bytes, _) = ask::ask(&agent, base, &question(&panels[panel], clock.now_s()), false)?;
        latencies.push((panel, due.elapsed().as_secs_f64() * 1e3));
        anyhow::ensure!(!ask::read(&bytes)?.is_empty(), "{} gave nothing", panels[panel].query);
    }
}

/// Sends bodies until told to stop; one that is refused for the moment is lost. Gives the number of samples taken.
fn streamed(base: &str, stream: &[Body], pace: Pace, stop: &AtomicBool) -> anyhow::Result<u64> {
    let agent = system::agent();
    let url = format!("{base}/api/v1/write");
    let mut written = 0;
    for (number, body) in (0..).zip(stream) {
        if pace.wait(number, stop).is_none() {
            break;
        }
        let (status, text) = remote_write::post(&agent, &url, &body.bytes)?;
        if status.is_success() {
            written += u64::from(SAMPLES_OF_A_BODY);
        } else {
            let later = status == 429 || status.is_server_error();
            anyhow::ensure!(later, "a body of the stream was answered {status}: {}", text.trim());
        }
    }
    Ok(written)
}

fn agreement(answers: &BTreeMap<System, Answered>) -> Vec<Agreement> {
    let by_prometheus = answers.get_key_value(&System::Prometheus);
    let Some((reference, theirs)) = by_prometheus.or(answers.first_key_value()) else { return Vec::new() };
    let mut found = Vec::new();
    for (number, panel) in panels().into_iter().enumerate() {
        for (system, mine) in answers.iter().filter(|(system, _)| *system != reference) {
            let difference = Difference::between((&mine.0[number], mine.1), (&theirs.0[number], theirs.1));
            let what = panel.query.clone();
            found.push(Agreement { what, system: *system, reference: *reference, difference });
        }
    }
    found
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { panel_series, panels_per_s, seconds, runs, agreement } = self;
        writeln!(f, "dashboard: {panel_series} series, {panels_per_s} panels a second for {seconds} s")?;
        writeln!(
            f,
            "  round  {:<17} {:>9} {:>9} {:>9} {:>7} {:>16} {:>8}",
            "system", "p50 ms", "p99 ms", "max ms", "asked", "samples/s taken", "peak MB"
        )?;
        for Run { round, system, all, written_per_s, memory, .. } in runs {
            writeln!(
                f,
                "  {round:>5}  {:<17} {:>9.2} {:>9.2} {:>9.2} {:>7} {written_per_s:>16.0} {:>8.0}",
                system.name(),
                all.p50_ms,
                all.p99_ms,
                all.max_ms,
                all.asked,
                memory.peak_bytes as f64 / 1e6
            )?;
        }
        let mut systems: Vec<System> = runs.iter().map(|run| run.system).collect();
        systems.sort_unstable();
        systems.dedup();
        writeln!(f, "median (min to max) over rounds")?;
        for system in systems {
            let of = |value: fn(&Latency) -> f64| {
                Spread::of(runs.iter().filter(|run| run.system == system).map(|run| value(&run.all)))
            };
            let (Some(p50), Some(p99)) = (of(|all| all.p50_ms), of(|all| all.p99_ms)) else { continue };
            writeln!(f, "  {:<17} p50 {p50} ms, p99 {p99} ms", system.name())?;
            let mine = runs.iter().filter(|run| run.system == system);
            let worst =
                mine.flat_map(|run| &run.panels).max_by(|a, b| a.latency.p50_ms.total_cmp(&b.latency.p50_ms));
            if let Some(Panel { query, latency }) = worst {
                writeln!(f, "  {:<17} slowest panel: p50 {:.2} ms, {query}", "", latency.p50_ms)?;
            }
        }
        writeln!(f)?;
        agreement.iter().try_for_each(|agreement| writeln!(f, "{agreement}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_is_asked_at_multiples_of_its_step() {
        let panel = Asked { query: "up".to_owned(), step: Some(60) };
        assert_eq!(question(&panel, 7_259).at, At::Range { start: 3_600, end: 7_200, step: 60 });
        let instant = Asked { query: "up".to_owned(), step: None };
        assert_eq!(question(&instant, 7_259).at, At::Instant(7_259));
    }
}
