//! Starts the whole shop as child processes on this machine, and stops them.

mod folder;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::downstream::{HttpClient, http_client};
use crate::process;
use crate::services::Service;
use crate::settings::Settings;

/// How long the shop may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long children may take to end.
const GRACE: Duration = Duration::from_secs(8);
/// How often free ports are looked for: one that was free may be another's by the time that a service listens.
const MOST_ATTEMPTS: usize = 5;

/// What is to be started.
pub(crate) struct Plan {
    /// What runs a service, with `serve` behind it.
    pub(crate) program: Vec<OsString>,
    pub(crate) replicas: BTreeMap<Service, usize>,
    pub(crate) port_base: u16,
    pub(crate) data: PathBuf,
    pub(crate) knobs: Option<PathBuf>,
    pub(crate) otlp: Option<String>,
    pub(crate) self_tuning: bool,
    /// Whether the end of standard input is the end of the shop.
    pub(crate) end_with_stdin: bool,
}

struct Replica {
    service: Service,
    number: usize,
    address: String,
    child: Child,
    ended: bool,
}

/// A line of `shop.json`.
#[derive(Serialize)]
struct Shown {
    service: &'static str,
    replica: usize,
    url: String,
    pid: Option<u32>,
}

/// Runs the shop until Ctrl-C or a termination signal.
pub(crate) async fn run(plan: Plan) -> Result<()> {
    // A mistake in the file is said here once, not in eight logs.
    Settings::with_file(plan.knobs.as_deref())?;
    let _held = folder::hold(&plan.data)?;
    let data = plan.data.clone();
    tokio::task::spawn_blocking(move || process::prepare(&data)).await??;

    remove_layout(&plan.data);

    let mut asked = std::pin::pin!(asked_to_end(plan.end_with_stdin)?);
    let mut attempts = 1;
    let (mut replicas, mut result) = loop {
        let mut replicas = start(&plan, &addresses(&plan)?)?;
        let result = tokio::select! {
            healthy = wait_until_healthy(&mut replicas, &plan.data) => healthy,
            () = &mut asked => {
                stop(replicas).await;
                return Ok(());
            }
        };
        let was_taken = |error: &anyhow::Error| error.to_string().contains(process::PORT_TAKEN);
        if plan.port_base != 0 || attempts == MOST_ATTEMPTS || !result.as_ref().is_err_and(was_taken) {
            break (replicas, result);
        }
        attempts += 1;
        stop(replicas).await;
    };
    if result.is_ok() {
        write_layout(&plan.data, &replicas)?;
        print_layout(&plan.data, &replicas);
        let mut look = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                () = &mut asked => break,
                _ = look.tick() => tell_who_ended(&mut replicas, &plan.data),
            }
            if replicas.iter().all(|replica| replica.ended) {
                result = Err(anyhow!("no service is left; look into {}", logs(&plan.data).display()));
                break;
            }
        }
        say("stopping");
    }
    remove_layout(&plan.data);
    stop(replicas).await;
    result
}

/// Completes at a signal that asks for the end, or at the end of standard input, if that counts.
fn asked_to_end(end_with_stdin: bool) -> Result<impl Future<Output = ()>> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            () = process::stdin_ended(), if end_with_stdin => {}
        }
    })
}

/// The address of each replica of each service.
fn addresses(plan: &Plan) -> Result<BTreeMap<Service, Vec<String>>> {
    // Held until all are found, so that none is found twice.
    let mut held = Vec::new();
    let mut found = BTreeMap::new();
    for (place, service) in Service::ALL.into_iter().enumerate() {
        let count = plan.replicas.get(&service).copied().unwrap_or(1);
        let mut of_service = Vec::new();
        for replica in 0..count {
            let port = if plan.port_base == 0 {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?;
                let port = listener.local_addr()?.port();
                held.push(listener);
                port
            } else {
                let offset = u16::try_from(place + 10 * replica)?;
                plan.port_base.checked_add(offset).context("--port-base is too high for all services")?
            };
            of_service.push(format!("127.0.0.1:{port}"));
        }
        found.insert(service, of_service);
    }
    Ok(found)
}

fn start(plan: &Plan, addresses: &BTreeMap<Service, Vec<String>>) -> Result<Vec<Replica>> {
    let (program, first) = plan.program.split_first().context("which program runs a service is not known")?;
    let logs = logs(&plan.data);
    std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let mut replicas = Vec::new();
    for service in Service::ALL {
        for (number, address) in addresses[&service].iter().enumerate() {
            let log = File::create(log_file(&plan.data, service, number))?;
            let mut command = Command::new(program);
            command.args(first).args(["serve", service.name(), "--listen", address, "--end-with-stdin"]);
            command.arg("--data").arg(&plan.data);
            if let Some(knobs) = &plan.knobs {
                command.arg("--knobs").arg(knobs);
            }
            if let Some(otlp) = &plan.otlp {
                command.args(["--otlp", otlp]);
            }
            if plan.self_tuning {
                command.arg("--self-tuning");
            }
            for downstream in service.downstreams() {
                let list = addresses[downstream].join(",");
                command.arg("--downstream").arg(format!("{}={list}", downstream.name()));
            }
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
            let child = command.spawn().with_context(|| format!("starting {}", service.name()))?;
            replicas.push(Replica { service, number, address: address.clone(), child, ended: false });
        }
    }
    Ok(replicas)
}

fn logs(data: &Path) -> PathBuf {
    data.join("logs")
}

fn log_file(data: &Path, service: Service, number: usize) -> PathBuf {
    logs(data).join(format!("{}-{number}.log", service.name()))
}

async fn wait_until_healthy(replicas: &mut [Replica], data: &Path) -> Result<()> {
    let client = http_client();
    let since = Instant::now();
    for replica in replicas {
        loop {
            // Another shop may listen there: it is the child that has to answer.
            let answering = who_answers(&client, &replica.address).await;
            if answering.is_some() && answering == replica.child.id() {
                break;
            }
            let log = log_file(data, replica.service, replica.number);
            if let Some(status) = replica.child.try_wait()? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{} ended with {status}: {}", replica.service.name(), said.trim());
            }
            if since.elapsed() > PATIENCE {
                bail!("{} does not answer; look into {}", replica.service.name(), log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// Which process answers that it is healthy at `address`.
async fn who_answers(client: &HttpClient, address: &str) -> Option<u32> {
    let mut request = http::Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = format!("http://{address}/healthz").parse::<Uri>().ok()?;
    let exchange = async {
        let answer = client.request(request).await.ok().filter(|answer| answer.status().is_success())?;
        Limited::new(answer.into_body(), 1024).collect().await.ok()
    };
    let body = tokio::time::timeout(Duration::from_secs(1), exchange).await.ok()??.to_bytes();
    process::Health::read(&body).map(|health| health.pid)
}

fn layout_file(data: &Path) -> PathBuf {
    data.join("shop.json")
}

/// Says where everything is, to programs; all at once, so that nobody reads half of it.
fn write_layout(data: &Path, replicas: &[Replica]) -> Result<()> {
    let shown: Vec<Shown> = replicas
        .iter()
        .map(|replica| Shown {
            service: replica.service.name(),
            replica: replica.number,
            url: format!("http://{}", replica.address),
            pid: replica.child.id(),
        })
        .collect();
    let path = layout_file(data);
    let unfinished = path.with_extension("json.part");
    std::fs::write(&unfinished, serde_json::to_vec_pretty(&shown)?)?;
    std::fs::rename(unfinished, &path).with_context(|| format!("writing {}", path.display()))
}

/// No layout without a shop.
fn remove_layout(data: &Path) {
    // There is none at the first start.
    let _ = std::fs::remove_file(layout_file(data));
}

fn print_layout(data: &Path, replicas: &[Replica]) {
    for replica in replicas {
        let pid = replica.child.id().unwrap_or_default();
        let name = format!("{} {}", replica.service.name(), replica.number);
        let knobs = if replica.service.is_outside() { "/faults" } else { "/knobs /decisions /faults /split" };
        say(&format!("{name:<12} up   http://{:<16} pid {pid:<8} {knobs}", replica.address));
    }
    let layout = layout_file(data);
    say(&format!("databases and logs in {}, layout in {}", data.display(), layout.display()));
    say("Ctrl-C stops the shop");
}

/// A line for whoever reads; one who reads no more has seen enough.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn tell_who_ended(replicas: &mut [Replica], data: &Path) {
    for replica in replicas.iter_mut().filter(|replica| !replica.ended) {
        if let Ok(Some(status)) = replica.child.try_wait() {
            replica.ended = true;
            let log = log_file(data, replica.service, replica.number);
            let name = replica.service.name();
            say(&format!("{name} {} ended: {status}; its log is {}", replica.number, log.display()));
        }
    }
}

/// Ends all, and kills who takes too long.
async fn stop(mut replicas: Vec<Replica>) {
    for replica in &mut replicas {
        drop(replica.child.stdin.take());
    }
    let all_ended = async {
        for replica in &mut replicas {
            // One that can't be waited for is killed below.
            let _ = replica.child.wait().await;
        }
    };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        for replica in &mut replicas {
            let _ = replica.child.kill().await;
        }
    }
}
