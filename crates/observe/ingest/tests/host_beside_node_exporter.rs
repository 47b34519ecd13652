//! The same machine, read by Kandela and by the real node_exporter in one run: the collectors that Kandela serves must
//! give the same series.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kandela_ingest::host::{self, HostPaths};
use kandela_model::{Labels, MetricBatch, Timestamp};

/// What node_exporter serves by default and Kandela leaves out on purpose, by prefix; `docs/host-metrics.md` says why.
const LEFT_OUT: &[&str] = &[
    "go_",
    "process_",
    "promhttp_",
    "node_exporter_build_info",
    "node_filesystem_purgeable_bytes",
    "node_selinux_",
    "node_textfile_",
    "node_timex_",
];

struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_served_collectors_give_the_same_series_as_node_exporter() {
    let Some(binary) = peer("prometheus-node-exporter") else {
        eprintln!(
            "SKIPPED: no prometheus-node-exporter; `peers/install` fetches it, KANDELA_PEERS names its folder"
        );
        return;
    };
    let version = Command::new(&binary).arg("--version").output().unwrap();
    eprintln!("beside {}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
    let theirs = exporter_series(&binary);
    let ours = own_series();

    let served: BTreeSet<&str> = ours.iter().filter_map(|series| collector_of(series)).collect();
    let is_expected = |series: &&Labels| {
        let name = series.get("__name__").unwrap_or_default();
        let of_unserved_collector = collector_of(series).is_some_and(|collector| !served.contains(collector));
        !of_unserved_collector && !LEFT_OUT.iter().any(|prefix| name.starts_with(prefix))
    };
    let missing: Vec<_> =
        theirs.iter().filter(is_expected).filter(|series| !ours.contains(*series)).collect();
    assert!(missing.is_empty(), "node_exporter has, Kandela lacks: {missing:#?}");

    // Its library knows some fields of /proc/meminfo, Kandela serves all.
    let extra: Vec<_> = ours.iter().filter(|series| !theirs.contains(*series)).collect();
    let (fields, surprises): (Vec<_>, Vec<_>) = extra.into_iter().partition(|series| {
        let name = series.get("__name__").unwrap_or_default();
        name.starts_with("node_memory_") || name == "up"
    });
    assert!(surprises.is_empty(), "Kandela has, node_exporter lacks: {surprises:#?}");
    eprintln!(
        "{} series in common; node_exporter alone has {}, Kandela alone {}",
        ours.intersection(&theirs).count(),
        theirs.difference(&ours).count(),
        fields.len()
    );
    for series in
        theirs.difference(&ours).filter(|series| !series.iter().any(|(name, _)| name == "collector"))
    {
        eprintln!("node_exporter alone: {series}");
    }
    for series in fields {
        eprintln!("Kandela alone: {series}");
    }
}

/// The binary `name` in `KANDELA_PEERS`, else where the peers are installed by default, else on the path.
fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").map(PathBuf::from);
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    given
        .into_iter()
        .chain(installed)
        .map(|folder| folder.join("bin"))
        .chain(std::env::split_paths(&on_path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The collector that a series of `node_scrape_collector_*` is about.
fn collector_of(series: &Labels) -> Option<&str> {
    series.get("collector")
}

/// The labels that both sides must agree on. node_exporter says `rotational="0"` of every disk of which it can't read some
/// other file in the same folder.
fn comparable<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let left_out = ["job", "instance", "rotational"];
    Labels::new(pairs.filter(|(name, _)| !left_out.contains(name))).unwrap()
}

fn own_series() -> BTreeSet<Labels> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut batch = MetricBatch::default();
    let started = Instant::now();
    let failures = host::collect(
        &HostPaths::default(),
        Timestamp::from_unix_nanos(now.as_nanos() as u64),
        "here",
        &mut batch,
    );
    eprintln!("{} samples collected in {:?}", batch.samples.len(), started.elapsed());
    assert!(failures.is_empty(), "{failures:?}");
    batch.samples.iter().map(|sample| comparable(batch.labels(sample.series).iter())).collect()
}

fn exporter_series(binary: &PathBuf) -> BTreeSet<Labels> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(binary)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        // Debian hides /run, /mnt and /media, the project itself does not.
        .arg("--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _exporter = Exporter(child);
    let page = page(port);
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(series).collect()
}

fn page(port: u16) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(" 200 "), "{head}");
            return body.to_owned();
        }
        assert!(Instant::now() < deadline, "node_exporter did not listen within 20 seconds");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The series of a line of node_exporter's page, read by a parser that shares nothing with Kandela's.
fn series(line: &str) -> Labels {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    let mut rest = rest.trim_end_matches('}');
    while let Some((label, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => value.extend(characters.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                '"' => {
                    end = at + 1;
                    break;
                }
                other => value.push(other),
            }
        }
        pairs.push((label.trim_start_matches(',').to_owned(), value));
        rest = &after[end..];
    }
    comparable(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
