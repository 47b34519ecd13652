//! Ports here, and the machines that the config names.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kandela_config::Config;
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::Finding;

/// Peers that are tried; a config may name thousands of targets.
const TRIED: usize = 50;
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the addresses are free, or a server of ours has them.
pub(super) async fn ports(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "ports";
    let listen = config.kandela.listen;
    let runs = is_kandela(listen.http, config.kandela.tls.is_some()).await;
    let mut findings = Vec::new();
    for (what, address) in
        [("http", listen.http), ("otlp_grpc", listen.otlp_grpc), ("otlp_http", listen.otlp_http)]
    {
        findings.push(match TcpListener::bind(address).await {
            Ok(_) => Finding::ok(CHECK, format!("{address} is free for {what}")),
            Err(_) if runs => Finding::ok(CHECK, format!("{address} is taken, and a Kandela runs here")),
            Err(error) => Finding::fail(
                CHECK,
                format!("{address} cannot be had for {what}: {error}"),
                format!("stop what listens there, or set kandela.listen.{what}"),
            ),
        });
    }
    findings
}

/// Where a server that listens at `address` answers on this machine: a server that listens everywhere is asked by loopback.
pub(super) fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn is_kandela(address: SocketAddr, tls: bool) -> bool {
    let scheme = if tls { "https" } else { "http" };
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    let Ok(client) = client.tls_danger_accept_invalid_certs(true).build() else { return false };
    let url = format!("{scheme}://{}/-/healthy", here(address));
    let Ok(answer) = client.get(url).send().await else { return false };
    // A server with users asks who we are, in its own name.
    let asks = answer
        .headers()
        .get("www-authenticate")
        .is_some_and(|asked| asked.as_bytes().ends_with(b"\"kandela\""));
    asks || answer.text().await.is_ok_and(|text| text.starts_with("Kandela"))
}

/// Whether receivers and static targets can be reached.
pub(super) async fn peers(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "peers";
    let mut peers: BTreeSet<String> = BTreeSet::new();
    for receiver in &config.remote_write {
        if let Ok(url) = reqwest::Url::parse(receiver.url.expose())
            && let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default())
        {
            peers.insert(format!("{host}:{port}"));
        }
    }
    for job in &config.scrape_configs {
        let port = if job.scheme.as_str() == "https" { 443 } else { 80 };
        let targets = job.discovery.static_configs.iter().flat_map(|group| &group.targets);
        peers.extend(targets.map(|target| with_port(target, port)));
    }
    let named = peers.len();
    let mut findings = Vec::new();
    for peer in peers.into_iter().take(TRIED) {
        findings.push(match reach(&peer).await {
            Ok(()) => Finding::ok(CHECK, format!("{peer} accepts connections")),
            Err(error) => {
                let todo = "start it, or correct its address in the config";
                Finding::warn(CHECK, format!("{peer} does not: {error}"), todo)
            }
        });
    }
    if named > TRIED {
        findings.push(Finding::ok(CHECK, format!("{} more were not tried", named - TRIED)));
    }
    findings
}

fn with_port(target: &str, port: u16) -> String {
    let has_port = target.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { target.to_owned() } else { format!("{target}:{port}") }
}

async fn reach(peer: &str) -> Result<(), String> {
    let connecting = async {
        let mut last = "its name has no address".to_owned();
        for address in lookup_host(peer).await.map_err(|error| error.to_string())? {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    };
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {PATIENCE:?}")))
}
