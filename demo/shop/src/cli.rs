//! The command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::figure::short;
use crate::load::{self, Objective};
use crate::process::{self, Plan};
use crate::services::Service;
use crate::settings;
use crate::up;

/// What the shop can be told to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run the whole shop: every service in a process of its own, until Ctrl-C
    Up(Up),
    /// Send requests as customers would, whether or not answers come
    Load(Load),
    /// Run one service
    Serve(Serve),
}

/// How the whole shop is run.
#[derive(Args)]
pub struct Up {
    /// Replicas of a service, such as checkout=2; may be given more than once
    #[arg(long = "replicas", value_name = "SERVICE=N", value_parser = replicas)]
    replicas: Vec<(Service, usize)>,
    /// The gateway's port; the others follow, each further replica ten above. 0: any free ports
    #[arg(long, default_value_t = 7700)]
    port_base: u16,
    /// Where databases, logs and shop.json lie
    #[arg(long, value_name = "DIR", default_value = "shop-data")]
    data: PathBuf,
    /// Start with what this file says about knobs, over the defaults
    #[arg(long, value_name = "FILE")]
    knobs: Option<PathBuf>,
    /// Send telemetry there by OTLP over HTTP
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Have pools, limiters and breakers turn their own knobs
    #[arg(long)]
    self_tuning: bool,
    /// Stop when standard input ends, so that the shop does not outlive whoever started it
    #[arg(long)]
    end_with_stdin: bool,
}

/// How one service is run.
#[derive(Args)]
pub struct Serve {
    /// Which service
    service: Service,
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Where databases lie
    #[arg(long, value_name = "DIR", default_value = "shop-data")]
    data: PathBuf,
    /// Start with what this file says about knobs, over the defaults
    #[arg(long, value_name = "FILE")]
    knobs: Option<PathBuf>,
    /// Send telemetry there by OTLP over HTTP
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Have pools, limiters and breakers turn their own knobs
    #[arg(long)]
    self_tuning: bool,
    /// Replicas of a service that this one calls; may be given more than once
    #[arg(long = "downstream", value_name = "SERVICE=HOST:PORT,…", value_parser = downstream)]
    downstreams: Vec<(String, Vec<String>)>,
    /// Stop when standard input ends, so that no child outlives its parent
    #[arg(long)]
    end_with_stdin: bool,
}

/// What is sent, and how.
#[derive(Args)]
pub struct Load {
    /// The gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7700")]
    target: String,
    #[command(flatten)]
    source: Source,
    /// How much faster than real a minute passes
    #[arg(long, default_value_t = 60.0, allow_negative_numbers = true)]
    compress: f64,
    /// How many times the source's requests a second
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    scale: f64,
    /// Leave out the source's first part (12h, 30m)
    #[arg(long, default_value = "0s", value_parser = duration, conflicts_with = "stdin")]
    skip: Duration,
    /// Stop after so long (60s, 5m); else at the source's end
    #[arg(long, value_parser = duration, conflicts_with = "stdin")]
    duration: Option<Duration>,
    /// What is random is the same for the same seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests under way at most; what comes beyond is dropped, and counts as failed
    #[arg(long, default_value_t = 2000)]
    in_flight: usize,
    /// How long a customer waits for an answer
    #[arg(long, default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// What each minute should keep, such as p99=300ms,errors=1%
    #[arg(long)]
    slo: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Where the number of requests comes from.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Requests per minute from a file with the header minute,count; .xz too
    #[arg(long, value_name = "FILE.csv[.xz]")]
    replay: Option<PathBuf>,
    /// A built-in day: quiet at night, most at noon
    #[arg(long)]
    day: bool,
    /// Requests a second from standard input: a number a line, in force at once until the next; ends with the input
    #[arg(long)]
    stdin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line for each minute
    Table,
    /// A JSON object for each minute, and one that sums up
    Json,
}

/// Does what the command line says.
pub(crate) fn run(command: Command, program: Vec<OsString>) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    match command {
        Command::Up(up) => runtime.block_on(up::run(up::Plan {
            program,
            replicas: up.replicas.into_iter().collect(),
            port_base: up.port_base,
            data: up.data,
            knobs: up.knobs,
            otlp: up.otlp,
            self_tuning: up.self_tuning,
            end_with_stdin: up.end_with_stdin,
        })),
        Command::Serve(serve) => runtime.block_on(process::run(Plan {
            service: serve.service,
            listen: serve.listen,
            data: serve.data,
            knobs: serve.knobs,
            otlp: serve.otlp,
            self_tuning: serve.self_tuning,
            downstreams: serve.downstreams.into_iter().collect::<BTreeMap<_, _>>(),
            end_with_stdin: serve.end_with_stdin,
        })),
        Command::Load(load) => runtime.block_on(load_plan(load)?.run()),
    }
}

fn load_plan(load: Load) -> Result<load::Plan> {
    let source = match &load.source.replay {
        Some(path) => load::Source::Minutes(load::read_minutes(path)?),
        None if load.source.stdin => load::Source::Stdin,
        None => load::Source::Minutes(load::day()),
    };
    let objective = match &load.slo {
        Some(text) => text.parse::<Objective>().map_err(anyhow::Error::msg)?,
        None => Objective::from(settings::slo()?),
    };
    if !(0.01..=1e5).contains(&load.compress) {
        bail!("--compress is {}; it may be 0.01 to 100000", short(load.compress));
    }
    if !(0.0..=1e6).contains(&load.scale) {
        bail!("--scale is {}; it may be 0 to 1000000", short(load.scale));
    }
    if load.in_flight == 0 || load.in_flight > 100_000 {
        bail!("--in-flight is {}; it may be 1 to 100000", load.in_flight);
    }
    Ok(load::Plan {
        target: load.target,
        source,
        compress: load.compress,
        scale: load.scale,
        skip: load.skip,
        duration: load.duration,
        seed: load.seed,
        in_flight: load.in_flight,
        timeout: load.timeout,
        objective,
        format: load.format,
    })
}

fn replicas(text: &str) -> Result<(Service, usize), String> {
    let (name, count) = text.split_once('=').ok_or("give SERVICE=N, such as checkout=2")?;
    let service = Service::from_str(name, true).map_err(|_| {
        let known = Service::ALL.map(Service::name).join(", ");
        format!("there is no service {name:?}; there are {known}")
    })?;
    match count.parse() {
        Ok(count @ 1..=8) => Ok((service, count)),
        _ => Err(format!("{count:?} replicas; it may be 1 to 8")),
    }
}

fn downstream(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, addresses) = text.split_once('=').ok_or("give SERVICE=HOST:PORT,…")?;
    Ok((name.to_owned(), addresses.split(',').map(str::to_owned).collect()))
}

/// `500ms`, `60s`, `5m`, `12h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{text:?} is no time; give 500ms, 60s, 5m or 12h")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("{text:?} is no time; give 500ms, 60s, 5m or 12h"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_of_no_service_are_answered_with_the_services_that_there_are() {
        assert_eq!(replicas("checkout=2"), Ok((Service::Checkout, 2)));
        let error = replicas("foo=2").expect_err("no such service");
        assert!(error.contains("no service \"foo\"; there are gateway, catalogue, cart"), "{error}");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("12h"), Ok(Duration::from_secs(43_200)));
        assert!(duration("12").is_err_and(|error| error.contains("give 500ms")));
    }
}
