//! The processes of a demo: platform, shop, customers. They end with whoever holds the stage, however that ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::system;
use crate::client::ServerArguments;

/// How long a process may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(15);
const BETWEEN: Duration = Duration::from_millis(30);
/// How often the shop sends its metrics, in milliseconds: a slice is to hold some.
const REPORTS: &str = "300";
/// How long a customer waits.
const TIMEOUT: &str = "10s";

/// All that runs, in a folder of its own.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    /// Where services listen, by name.
    pub(super) services: BTreeMap<String, String>,
    /// The numbers of their processes.
    serving: Vec<u32>,
    ports: Ports,
    platform: Child,
    shop: Child,
    customers: Option<(Child, ChildStdin)>,
    keep: bool,
    client: Client,
}

/// Where the platform listens.
struct Ports {
    http: u16,
    grpc: u16,
    otlp: u16,
    /// Kept from others until the platform takes them.
    held: Vec<TcpListener>,
}

/// A line of `shop.json`.
#[derive(Deserialize)]
struct Listening {
    service: String,
    url: String,
    pid: Option<u32>,
}

/// How a second of the customers' went.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Second {
    /// Which, from when they came.
    #[serde(rename = "minute")]
    pub number: u64,
    pub requests: u64,
    /// Those that were answered well, in time.
    pub within: u64,
    pub p99_ms: f64,
}

impl Stage {
    /// Starts platform and shop in `folder`; `say` hears what is not as usual.
    ///
    /// # Errors
    /// Where one of them does not come up: what it said.
    pub(super) async fn open(
        folder: &Path,
        seed: u64,
        minutes: u32,
        keep: bool,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<Stage> {
        let mut ports = Ports::find(say)?;
        let mut shop = start_shop(folder, &ports, keep)?;
        let listening = listening(folder, &mut shop).await?;
        let serving = listening.iter().filter_map(|one| one.pid).collect();
        let services: BTreeMap<String, String> =
            listening.into_iter().map(|one| (one.service, one.url)).collect();
        system::write(folder, &services, seed, minutes)?;
        ports.held.clear();
        let platform = start_platform(folder, &ports, keep)?;
        // Nothing here goes through a proxy.
        let client = Client::builder().no_proxy().timeout(ANSWER).build().context("making a client")?;
        let (folder, customers) = (folder.to_owned(), None);
        let mut stage = Stage { folder, services, serving, ports, platform, shop, customers, keep, client };
        stage.until_ready().await?;
        Ok(stage)
    }

    /// For questions to the stage's processes.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The platform, as clients ask it.
    pub(super) fn server(&self) -> ServerArguments {
        let server = format!("http://127.0.0.1:{}", self.ports.http);
        ServerArguments { server, token: None, tenant: "default".to_owned() }
    }

    /// The number of the platform's process.
    pub(super) fn platform(&self) -> Option<u32> {
        self.platform.id()
    }

    /// The numbers of the demo's other processes, this one with them.
    pub(super) fn others(&self) -> Vec<u32> {
        let customers = self.customers.as_ref().and_then(|(customers, _)| customers.id());
        let own = [Some(std::process::id()), self.shop.id(), customers].into_iter().flatten();
        own.chain(self.serving.iter().copied()).collect()
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            ended("the platform", &mut self.platform, &self.folder.join("platform.log"))?;
            if self.is_ready().await {
                return Ok(());
            }
            let server = self.server().server;
            anyhow::ensure!(began.elapsed() < PATIENCE, "the platform does not answer at {server}");
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Whether the platform answers, and not somebody else's.
    async fn is_ready(&self) -> bool {
        let status = self.client.get(format!("{}/api/kandela/v1/status", self.server().server)).send().await;
        let Ok(answer) = status else { return false };
        let status = answer.json::<Value>().await.unwrap_or_default();
        status["ready"] == true && status["data"] == lake(&self.folder).display().to_string()
    }

    /// Lets customers come, first none; each second is told as soon as all of its requests are settled.
    ///
    /// # Errors
    /// Where they can't be started.
    pub(super) fn admit_customers(&mut self, seed: u64) -> anyhow::Result<mpsc::UnboundedReceiver<Second>> {
        let gateway = self.services.get("gateway").context("the shop has no gateway")?;
        let mut command = Command::new(own_program()?);
        command.args([
            "shop",
            "load",
            "--stdin",
            "--compress",
            "60",
            "--format",
            "json",
            "--timeout",
            TIMEOUT,
        ]);
        command.args(["--target", gateway, "--seed", &seed.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.stderr(log(&self.folder, "customers")?).env("KANDELA_DEMO", &self.folder);
        let mut child = command.spawn().context("starting the customers")?;
        let (Some(rates), Some(lines)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the customers have no pipes");
        };
        self.customers = Some((child, rates));
        let (told, seconds) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(lines).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // The summary at the end is no second.
                if let Ok(second) = serde_json::from_str::<Second>(&line)
                    && told.send(second).is_err()
                {
                    return;
                }
            }
        });
        Ok(seconds)
    }

    /// So many requests a second from now on.
    ///
    /// # Errors
    /// Where the customers are gone.
    pub(super) async fn set_rate(&mut self, rate: f64) -> anyhow::Result<()> {
        let (_, rates) = self.customers.as_mut().context("there are no customers yet")?;
        rates
            .write_all(format!("{rate}\n").as_bytes())
            .await
            .context("the customers have ended; see customers.log")
    }

    /// Starts the platform again, if it has ended: how it ended.
    ///
    /// # Errors
    /// Where it does not come up again, or the shop has ended.
    pub(super) async fn look_after(&mut self) -> anyhow::Result<Option<String>> {
        ended("the shop", &mut self.shop, &self.folder.join("shop.log"))?;
        let Some(status) = self.platform.try_wait().context("looking at the platform")? else {
            return Ok(None);
        };
        self.platform = start_platform(&self.folder, &self.ports, self.keep)?;
        self.until_ready().await?;
        Ok(Some(status.to_string()))
    }

    /// Ends all of it, or leaves platform and shop running: what to say of that.
    pub(super) async fn close(mut self) -> Option<String> {
        if let Some((mut customers, rates)) = self.customers.take() {
            drop(rates);
            end(&mut customers).await;
        }
        if self.keep {
            let pids = [self.platform.id(), self.shop.id()].into_iter().flatten();
            let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
            let server = self.server().server;
            let told =
                format!("left running, with nobody in the shop: {server}; `kill {}` ends it", pids.join(" "));
            // A child that is dropped is killed.
            std::mem::forget((self.platform, self.shop));
            return Some(told);
        }
        for child in [&mut self.shop, &mut self.platform] {
            drop(child.stdin.take());
            end(child).await;
        }
        None
    }
}

impl Ports {
    /// The usual ones, where they are free.
    fn find(say: &mut impl FnMut(&str)) -> anyhow::Result<Ports> {
        let mut held = Vec::new();
        let mut find = |usual: u16| -> anyhow::Result<u16> {
            let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, usual)) {
                Ok(listener) => listener,
                Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?,
            };
            let port = listener.local_addr()?.port();
            if port != usual {
                say(&format!("port {usual} is taken, so {port} takes its place"));
            }
            held.push(listener);
            Ok(port)
        };
        let (http, grpc, otlp) = (find(7676)?, find(4317)?, find(4318)?);
        Ok(Ports { http, grpc, otlp, held })
    }
}

fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("this program's own path is not known")
}

fn log(folder: &Path, name: &str) -> anyhow::Result<File> {
    let path = folder.join(format!("{name}.log"));
    let file = File::options().create(true).append(true).open(&path);
    file.with_context(|| format!("writing {}", path.display()))
}

/// A program of a demo: it hears nothing of signals to the terminal, and ends with its input unless it is to be kept.
fn command(folder: &Path, name: &str, keep: bool) -> anyhow::Result<Command> {
    let mut command = Command::new(own_program()?);
    command.stdin(if keep { Stdio::null() } else { Stdio::piped() });
    command.stdout(log(folder, name)?).stderr(log(folder, name)?).process_group(0).kill_on_drop(true);
    // So that whoever looks for what belongs to a demo finds all of it.
    command.env("KANDELA_DEMO", folder);
    Ok(command)
}

fn lake(folder: &Path) -> PathBuf {
    folder.join("lake")
}

fn start_platform(folder: &Path, ports: &Ports, keep: bool) -> anyhow::Result<Child> {
    let mut command = command(folder, "platform", keep)?;
    command.arg("up").arg("--config").arg(folder.join("kandela.yaml")).arg("--data").arg(lake(folder));
    for (option, port) in [("--listen", ports.http), ("--otlp-grpc", ports.grpc), ("--otlp-http", ports.otlp)]
    {
        command.arg(option).arg(format!("127.0.0.1:{port}"));
    }
    // What a few minutes of eight services take leaves most of it free.
    command.args(["--memory-limit", "256MiB"]);
    if !keep {
        command.arg("--end-with-stdin");
    }
    command.spawn().context("starting the platform")
}

fn start_shop(folder: &Path, ports: &Ports, keep: bool) -> anyhow::Result<Child> {
    let mut command = command(folder, "shop", keep)?;
    command.args(["shop", "up", "--port-base", "0", "--otlp", &format!("http://127.0.0.1:{}", ports.otlp)]);
    command.arg("--data").arg(folder.join("shop")).env("OTEL_METRIC_EXPORT_INTERVAL", REPORTS);
    if !keep {
        command.arg("--end-with-stdin");
    }
    command.spawn().context("starting the shop")
}

/// The shop's services, once all of them answer.
async fn listening(folder: &Path, shop: &mut Child) -> anyhow::Result<Vec<Listening>> {
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(folder.join("shop/shop.json")) {
            return serde_json::from_str(&text).context("reading shop.json");
        }
        ended("the shop", shop, &folder.join("shop.log"))?;
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "the shop does not come up; look into {}/shop.log",
            folder.display()
        );
        tokio::time::sleep(BETWEEN).await;
    }
}

/// # Errors
/// Where the process has ended: what it said last.
fn ended(what: &str, child: &mut Child, log: &Path) -> anyhow::Result<()> {
    let Some(status) = child.try_wait().with_context(|| format!("looking at {what}"))? else { return Ok(()) };
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    bail!("{what} ended with {status}: {}", last.into_iter().rev().collect::<Vec<_>>().join("; "))
}

async fn end(child: &mut Child) {
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        // Fails only where it is gone by now.
        let _ = child.kill().await;
    }
}
