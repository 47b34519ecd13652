//! `kandela up`: start the server, say where to point things, and end in good order.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kandela_config::kandela::{DataLocation, Listen, MIN_MEMORY, parse_address};
use kandela_config::{Config, parse_size, size_text};
use kandela_server::{Options, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::config_file::{self, Loaded};
use crate::output::{Outcome, grouped, line, size};

/// How long the start screen waits for something to come in.
const FIRST_DATA: Duration = Duration::from_secs(15);

#[derive(Args, Clone, Debug)]
pub(crate) struct Up {
    /// A kandela.yaml or prometheus.yml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder that keeps everything [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where pages and all APIs listen [default: 127.0.0.1:7676]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Where OTLP over gRPC listens [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    otlp_grpc: Option<SocketAddr>,
    /// Where OTLP over HTTP listens [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    otlp_http: Option<SocketAddr>,
    /// Memory that the server may hold [default: 2GiB]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory_limit: Option<u64>,
    /// Listen beyond loopback although nobody has to prove who they are
    #[arg(long)]
    insecure: bool,
    /// What has no effect in the config is an error
    #[arg(long)]
    strict: bool,
    /// Leave this machine's own metrics out
    #[arg(long)]
    no_host_metrics: bool,
    /// Leave the server's own metrics and spans out; /metrics has them still
    #[arg(long)]
    no_own_telemetry: bool,
    /// Stop when standard input ends, so that the server does not outlive whoever started it
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if bytes < MIN_MEMORY {
        return Err(format!("below {}, the least that a server starts with", size_text(MIN_MEMORY)));
    }
    Ok(bytes)
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let filter = EnvFilter::try_from_env("KANDELA_LOG").unwrap_or_else(|_| {
            EnvFilter::new(
                "warn,kandela_server=info,kandela_lake=info,kandela_ingest=info,kandela_autopilot=info",
            )
        });
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        let mut signals = Signals::listen(self.end_with_stdin)?;
        let options = self.options()?;
        let again = self.clone();
        let source = Arc::new(move || again.options().map_err(|error| format!("{error:#}")));
        let server = tokio::select! {
            started = Server::start(options.clone(), Some(source)) => started?,
            () = signals.end() => return Ok(Outcome::Done),
        };
        greet(&server, &options);
        tokio::select! {
            () = first_data(&server) => {}
            () = signals.end() => return stop(server, signals).await,
        }
        loop {
            match signals.next().await {
                Asked::End => return stop(server, signals).await,
                // The server logs what came of it.
                Asked::Reload => drop(server.reload().await),
            }
        }
    }

    /// The options of flags and config; flags win.
    fn options(&self) -> anyhow::Result<Options> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(file) => {
                let Loaded { config, warnings } =
                    config_file::load(file, self.strict)?.map_err(|errors| anyhow::anyhow!("{errors}"))?;
                for warning in warnings {
                    eprintln!("warning: {warning}");
                }
                config
            }
        };
        let kandela = &mut config.kandela;
        let data = match (&self.data, &kandela.data) {
            (Some(folder), _) | (None, Some(DataLocation::Folder(folder))) => folder.clone(),
            (None, Some(DataLocation::Url(url))) => {
                anyhow::bail!(
                    "kandela.data is {url}; this version keeps telemetry in a local folder, name one"
                )
            }
            (None, None) => PathBuf::from("data"),
        };
        kandela.listen.http = self.listen.unwrap_or(kandela.listen.http);
        kandela.listen.otlp_grpc = self.otlp_grpc.unwrap_or(kandela.listen.otlp_grpc);
        kandela.listen.otlp_http = self.otlp_http.unwrap_or(kandela.listen.otlp_http);
        kandela.memory_limit = self.memory_limit.unwrap_or(kandela.memory_limit);
        kandela.host_metrics.enabled &= !self.no_host_metrics;
        kandela.own_telemetry &= !self.no_own_telemetry;
        Ok(Options { config, data, insecure: self.insecure })
    }
}

fn greet(server: &Server, options: &Options) {
    let at = server.addresses();
    let scheme = if options.config.kandela.tls.is_some() { "https" } else { "http" };
    let url = |address: SocketAddr| format!("{scheme}://{}", reachable(address));
    line(&format!("kandela {} is up", env!("CARGO_PKG_VERSION")));
    line("");
    line(&format!("  open          {}", url(at.http)));
    line(&format!("  prometheus    remote_write to {}/api/v1/write", url(at.http)));
    line(&format!("  opentelemetry {} (gRPC)  {} (HTTP)", url(at.otlp_grpc), url(at.otlp_http)));
    line(&format!("  data          {}", absolute(&options.data).display()));
    line(&format!("  memory        at most {}", size(options.config.kandela.memory_limit)));
    let place =
        if at.http == Listen::default().http { String::new() } else { format!(" --server {}", url(at.http)) };
    line(&format!(
        "  ask           kandela query sql{place} 'SELECT metric, count(*) FROM series GROUP BY 1'"
    ));
    line("");
    if let Some(recovery) = server.recovery().filter(|recovery| recovery.points > 0) {
        let points = grouped(recovery.points);
        line(&format!(
            "  read back {points} points that no table had, in {:.1} s",
            recovery.took.as_secs_f64()
        ));
    }
}

/// Says what comes in once something does, or what to do where nothing comes.
async fn first_data(server: &Server) {
    let waited = tokio::time::timeout(FIRST_DATA, async {
        loop {
            let sources = server.sources();
            if let Some(first) = sources.iter().find(|source| source.protocol != "self") {
                let who = match first.protocol {
                    "host" => format!("this machine, {}", first.name),
                    protocol => format!("{} by {}", first.name, protocol.replace('_', " ")),
                };
                return format!("  coming in     {who}: {} samples so far", grouped(first.samples));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    match waited.await {
        Ok(told) => line(&told),
        Err(_) => line("  coming in     nothing yet; point something at the addresses above"),
    }
}

async fn stop(server: Server, mut signals: Signals) -> anyhow::Result<Outcome> {
    line("stopping: requests in flight end, then what is in memory goes to disk");
    tokio::select! {
        () = server.stop() => {}
        // Nothing acknowledged is lost: it is in the write-ahead log. A repeated SIGTERM hurries nobody: `timeout` sends two.
        _ = signals.interrupt.recv() => line("stopped at once; the next start reads the write-ahead log"),
    }
    Ok(Outcome::Done)
}

/// An address that a program on this machine can reach.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        _ if !address.ip().is_unspecified() => address,
        SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], address.port())),
        SocketAddr::V6(_) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], address.port())),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What a signal asks of the process.
enum Asked {
    End,
    Reload,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reload: Signal,
    /// Nothing is sent: that its other end is dropped is what is heard.
    input: Option<mpsc::Receiver<()>>,
}

impl Signals {
    fn listen(end_with_stdin: bool) -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            reload: of(SignalKind::hangup())?,
            input: end_with_stdin.then(end_of_input),
        })
    }

    /// What the process is asked next.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            () = ended(&mut self.input) => Asked::End,
            _ = self.reload.recv() => Asked::Reload,
        }
    }

    /// Ends when the process is asked to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = ended(&mut self.input) => {}
        }
    }
}

/// A channel that closes when standard input ends.
fn end_of_input() -> mpsc::Receiver<()> {
    let (open, closed) = mpsc::channel(1);
    std::thread::spawn(move || {
        // What comes is of no interest.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(open);
    });
    closed
}

async fn ended(input: &mut Option<mpsc::Receiver<()>>) {
    match input {
        Some(input) => drop(input.recv().await),
        None => std::future::pending().await,
    }
}
