//! Real targets, asked for every format they speak: each page is read, and all of them show the same series. Neither of them
//! offers OpenMetrics, which their own handlers leave off.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kandela_config::{NameEscaping, ScrapeProtocol};
use kandela_ingest::exposition::{Format, ParseOptions, accept_header, parse};
use kandela_model::{MetricBatch, Timestamp};

struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary `name` in `KANDELA_PEERS`, else where the peers are installed by default, else on the path.
fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").map(PathBuf::from);
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = given.into_iter().chain(installed).map(|folder| folder.join("bin"));
    folders.chain(std::env::split_paths(&on_path)).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Starts a target whose address `arguments` take, and waits until it answers.
fn start(name: &str, arguments: impl Fn(&str) -> Vec<String>) -> Option<(Target, String)> {
    let Some(binary) = peer(name) else {
        eprintln!("SKIPPED: no {name}; `peers/install` fetches it, KANDELA_PEERS names its folder");
        return None;
    };
    let version = Command::new(&binary).arg("--version").output().unwrap();
    let said = if version.stdout.is_empty() { version.stderr } else { version.stdout };
    eprintln!("{}", String::from_utf8_lossy(&said).lines().next().unwrap_or_default());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new(&binary)
        .args(arguments(&address))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let target = Target(child);
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "{name} does not listen on {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((target, address))
}

/// The content type and the body of the target's answer.
fn fetch(address: &str, protocol: ScrapeProtocol) -> (String, Vec<u8>) {
    let accept = accept_header(&[protocol], NameEscaping::AllowUtf8);
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..head_end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    let content_type = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned()))
        .unwrap();
    (content_type, answer.split_off(head_end + 4))
}

fn series(batch: &MetricBatch) -> BTreeSet<String> {
    batch.samples.iter().map(|sample| batch.labels(sample.series).to_string()).collect()
}

fn shows_the_same_in_every_format(address: &str, with_native_histograms: bool) {
    // A first answer brings the counters of answers into being.
    fetch(address, ScrapeProtocol::PrometheusText0_0_4);
    let scrape = ParseOptions::scrape(Timestamp::from_millis(1_700_000_000_000));
    let classic = ParseOptions { native_histograms: false, ..scrape };
    let mut expected: Option<BTreeSet<String>> = None;
    for (protocol, format) in [
        (ScrapeProtocol::PrometheusText0_0_4, Format::Text),
        (ScrapeProtocol::PrometheusText1_0_0, Format::Text),
        (ScrapeProtocol::PrometheusProto, Format::Protobuf),
    ] {
        let (content_type, body) = fetch(address, protocol);
        let mut batch = MetricBatch::default();
        let notes = parse(Some(&content_type), &body, &classic, &mut batch).unwrap();
        assert_eq!(notes.format, format, "{content_type}");
        let found = series(&batch);
        eprintln!("{protocol}: {} bytes, {} series", body.len(), found.len());
        match &expected {
            None => expected = Some(found),
            Some(expected) => {
                let differing: Vec<_> = expected.symmetric_difference(&found).collect();
                assert!(differing.is_empty(), "{protocol}: {differing:#?}");
            }
        }
    }
    if with_native_histograms {
        let (content_type, body) = fetch(address, ScrapeProtocol::PrometheusProto);
        let mut batch = MetricBatch::default();
        parse(Some(&content_type), &body, &scrape, &mut batch).unwrap();
        eprintln!("{} native histograms", batch.histograms.len());
        assert!(!batch.histograms.is_empty());
    }
}

#[test]
fn prometheus_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    std::fs::write(&config, "global:\n  scrape_interval: 1h\n").unwrap();
    let path = |path: &Path| path.display().to_string();
    let started = start("prometheus", |address| {
        vec![
            format!("--config.file={}", path(&config)),
            format!("--storage.tsdb.path={}", path(&folder.path().join("data"))),
            format!("--web.listen-address={address}"),
        ]
    });
    if let Some((_target, address)) = started {
        shows_the_same_in_every_format(&address, true);
    }
}

#[test]
fn node_exporter() {
    let started =
        start("prometheus-node-exporter", |address| vec![format!("--web.listen-address={address}")]);
    if let Some((_target, address)) = started {
        shows_the_same_in_every_format(&address, false);
    }
}
