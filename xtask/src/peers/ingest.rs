//! One load of remote write, sent to each system in turn; what each paid for it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use ureq::Agent;

use super::load::{Body, Load, Shape};
use super::process::{self, Interrupt, Server};
use super::remote_write;
use super::report::{Run, Summary};
use super::system::{self, Held, System};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Number of series
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    series: u32,
    /// Samples of each series, 15 s apart
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// Most samples in one body
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    body: u32,
    /// Systems to measure; ratios are of the first to each other one
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Kandela, System::Prometheus, System::VictoriaMetrics])]
    systems: Vec<System>,
    /// How often each system is measured; the order turns from round to round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Connections that send at once, each with its own series
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// The load ends this long ago, so that no system takes its last samples for the future or holds them back.
const AGE: Duration = Duration::from_secs(60);
const START_LIMIT: Duration = Duration::from_secs(60);
/// Work that a system put off is counted until it rests: not before this (victoria-metrics writes what it holds in memory
/// every five seconds), and not after the limit.
const SETTLE_LEAST: Duration = Duration::from_secs(12);
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Asked to come back later, a body is sent again this often.
const MOST_RETRIES: u32 = 200;
const RETRY_AFTER: Duration = Duration::from_millis(100);

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let programs = programs(root, &arguments.systems)?;
    let interrupt = Interrupt::on_signals()?;
    let shape = Shape {
        series: arguments.series as usize,
        samples: arguments.samples as usize,
        body: arguments.body as usize,
    };
    eprintln!("preparing {} samples of {} series", shape.total(), shape.series);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let load = Load::new(shape, i64::try_from((started - AGE).as_millis())?)?;
    eprintln!("{} bodies, {:.1} MB", load.bodies.len(), load.bytes() as f64 / 1e6);

    let folder = root.join("target/peers");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut runs = Vec::new();
    for round in 0..arguments.rounds {
        let mut order = programs.clone();
        order.rotate_left(round as usize % programs.len());
        for (system, program) in order {
            eprintln!("round {} of {}: {}", round + 1, arguments.rounds, system.name());
            let measured =
                measure(system, &program, &load, arguments.connections as usize, &folder, &interrupt)
                    .with_context(|| format!("{} in round {}", system.name(), round + 1))?;
            let run = Run {
                started_unix: started.as_secs(),
                round: round + 1,
                system,
                version: system.version(&program),
                connections: arguments.connections,
                series: arguments.series,
                samples: shape.total() as u64,
                body: arguments.body,
                cores: thread::available_parallelism().map_or(0, usize::from),
                cost: measured,
            };
            append(&folder.join("results.jsonl"), &run)?;
            runs.push(run);
        }
    }
    let summary = Summary::new(runs);
    match arguments.format {
        Format::Table => print!("{summary}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
    }
    Ok(())
}

/// The programs of the systems asked for, in order. One that is missing is named and left out.
pub(super) fn programs(root: &Path, systems: &[System]) -> anyhow::Result<Vec<(System, PathBuf)>> {
    let mut found = Vec::new();
    for &system in systems {
        if let Some(program) = system.find(root) {
            found.push((system, program));
        } else {
            eprintln!("{} is not here and is left out; to get it: {}", system.name(), system.how_to_get());
        }
    }
    if found.is_empty() {
        bail!("none of the systems is here: get one by the command named above");
    }
    Ok(found)
}

/// What one system paid for one load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    /// From the first body to the last acknowledgement.
    pub(crate) wall_s: f64,
    /// CPU time of the process until the last acknowledgement.
    pub(crate) cpu_s: f64,
    /// The same once it rests and has flushed.
    pub(crate) cpu_settled_s: f64,
    /// Resident memory at the last acknowledgement.
    pub(crate) resident_bytes: u64,
    /// The highest resident memory until it rests.
    pub(crate) resident_peak_bytes: u64,
    /// What its folder takes up once it rests.
    pub(crate) disk_bytes: u64,
    /// How often it asked for a body to come again later.
    pub(crate) retries: u32,
}

fn measure(
    system: System,
    program: &Path,
    load: &Load,
    connections: usize,
    folder: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Cost> {
    let home = tempfile::Builder::new().prefix(system.name()).tempdir_in(folder)?;
    let (mut server, agent, base) = start(system, program, &[], home.path(), interrupt)?;

    let cpu_before = server.cpu_seconds()?;
    let clock = Instant::now();
    let retries = send_all(load, connections, &format!("{base}/api/v1/write"), interrupt)?;
    let wall_s = clock.elapsed().as_secs_f64();
    let cpu_s = server.cpu_seconds()? - cpu_before;
    let (resident_bytes, _) = server.resident_bytes()?;

    system.flush(&agent, &base)?;
    settle(&server, SETTLE_LIMIT, interrupt)?;
    let cpu_settled_s = server.cpu_seconds()? - cpu_before;
    let (_, resident_peak_bytes) = server.resident_bytes()?;
    let disk_bytes = process::disk_bytes(&home.path().join("data"));

    let held = system.held(&agent, &base, load)?;
    let sent = Held { series: load.shape.series as u64, samples: load.shape.total() as u64 };
    ensure!(held == sent, "it acknowledged {sent:?} and holds {held:?}: its speed would mean nothing");
    server.check_alive()?;
    Ok(Cost { wall_s, cpu_s, cpu_settled_s, resident_bytes, resident_peak_bytes, disk_bytes, retries })
}

/// Starts a system over `home`, with more on its command line, and waits until it is ready; gives it with an agent and the
/// address to ask.
pub(super) fn start(
    system: System,
    program: &Path,
    arguments: &[&str],
    home: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<(Server, Agent, String)> {
    let port = process::free_port()?;
    let base = format!("http://127.0.0.1:{port}");
    let agent = system::agent();
    let mut command = system.command(program, home, port)?;
    command.args(arguments);
    let mut server = Server::start(command, &home.join("log"))?;
    wait_until_ready(&mut server, &agent, &format!("{base}{}", system.ready_path()), interrupt)?;
    Ok((server, agent, base))
}

fn wait_until_ready(
    server: &mut Server,
    agent: &Agent,
    url: &str,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        server.check_alive()?;
        if agent.get(url).call().is_ok_and(|response| response.status() == 200) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "it was not ready at {url} after {} s", START_LIMIT.as_secs());
        interrupt.sleep(Duration::from_millis(50))?;
    }
}

/// Sends every body; series that share a body stay on one connection, so that none goes back in time. Gives the number
/// of retries.
pub(super) fn send_all(
    load: &Load,
    connections: usize,
    url: &str,
    interrupt: &Interrupt,
) -> anyhow::Result<u32> {
    thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|connection| {
                let mine = load.bodies.iter().filter(move |body| body.group % connections == connection);
                scope.spawn(move || send(mine, url, interrupt))
            })
            .collect();
        let mut retries = 0;
        for sender in senders {
            retries += sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        Ok(retries)
    })
}

fn send<'a>(bodies: impl Iterator<Item = &'a Body>, url: &str, interrupt: &Interrupt) -> anyhow::Result<u32> {
    let agent = system::agent();
    let mut retries = 0;
    for body in bodies {
        loop {
            interrupt.check()?;
            let (status, text) = remote_write::post(&agent, url, &body.bytes)?;
            if status.is_success() {
                break;
            }
            let later = status == 429 || status.is_server_error();
            ensure!(
                later && retries < MOST_RETRIES,
                "a body was answered {status} after {retries} retries: {}",
                text.trim()
            );
            retries += 1;
            interrupt.sleep(RETRY_AFTER)?;
        }
    }
    Ok(retries)
}

/// Waits until the process has used less than a twentieth of a core for three seconds, at least [`SETTLE_LEAST`], and not much
/// longer than `limit`.
pub(super) fn settle(server: &Server, limit: Duration, interrupt: &Interrupt) -> anyhow::Result<()> {
    const WINDOW: Duration = Duration::from_secs(3);
    const RESTING: f64 = 0.05;
    interrupt.sleep(SETTLE_LEAST)?;
    let deadline = Instant::now() + limit;
    let mut before = server.cpu_seconds()?;
    while Instant::now() < deadline {
        interrupt.sleep(WINDOW)?;
        let now = server.cpu_seconds()?;
        if now - before < RESTING * WINDOW.as_secs_f64() {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// Adds a line of JSON to the file.
pub(super) fn append(path: &Path, run: &impl Serialize) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    writeln!(file, "{}", serde_json::to_string(run)?)?;
    Ok(())
}
