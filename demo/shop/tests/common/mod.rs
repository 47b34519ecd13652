//! A shop of real processes for one test, gone when the test ends.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kandela-shop");

/// A running shop.
pub(crate) struct Shop {
    up: Child,
    services: Vec<Value>,
    data: tempfile::TempDir,
}

impl Shop {
    /// Starts all services on free ports with `arguments` besides, and waits until they are healthy.
    pub(crate) fn start(arguments: &[&str]) -> Shop {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut up = Command::new(PROGRAM)
            .args(["up", "--port-base", "0", "--data"])
            .arg(data.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let layout = data.path().join("shop.json");
        let since = Instant::now();
        while !layout.exists() {
            assert!(up.try_wait().expect("is a child").is_none(), "the shop ended at once");
            assert!(since.elapsed() < Duration::from_secs(30), "the shop is not healthy");
            std::thread::sleep(Duration::from_millis(20));
        }
        let services = read_layout(&layout);
        Shop { up, services, data }
    }

    /// `http://host:port` of a replica.
    pub(crate) fn url(&self, service: &str, replica: u64) -> String {
        self.find(service, replica)["url"].as_str().expect("a string").to_owned()
    }

    pub(crate) fn pid(&self, service: &str, replica: u64) -> u32 {
        u32::try_from(self.find(service, replica)["pid"].as_u64().expect("a number")).expect("a process")
    }

    fn find(&self, service: &str, replica: u64) -> &Value {
        let found =
            self.services.iter().find(|shown| shown["service"] == service && shown["replica"] == replica);
        found.expect("is part of the shop")
    }

    /// Process numbers of all services.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.services
            .iter()
            .map(|shown| u32::try_from(shown["pid"].as_u64().expect("a number")).expect("fits"))
            .collect()
    }

    /// Where its databases lie.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// The process number of the parent.
    pub(crate) fn up_pid(&self) -> u32 {
        self.up.id()
    }

    /// How the parent ends by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the shop ends", || {
            status = self.up.try_wait().expect("is a child");
            status.is_some()
        });
        status.expect("has ended")
    }

    /// Kills the parent, as a crash would.
    pub(crate) fn kill_parent(&mut self) {
        self.up.kill().expect("is a child");
        self.up.wait().expect("is a child");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Its children end with it: their standard input does. Where the test has killed it, there is nothing to do.
        let _ = self.up.kill();
        let _ = self.up.wait();
        wait_until("the services end", || self.pids().into_iter().all(|pid| !is_alive(pid)));
    }
}

fn read_layout(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("shop.json");
    serde_json::from_str(&text).expect("JSON")
}

/// Whether a process runs; one that has ended and that nobody waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

/// Waits for `what`, ten seconds at most.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        if since.elapsed() > Duration::from_secs(10) {
            // A panic while another one unwinds would hide the first.
            if std::thread::panicking() {
                return;
            }
            panic!("10 s passed: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request; none if the connection ended without an answer.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<Reply> {
    let (host, path) = url.strip_prefix("http://").expect("http").split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("settable");
    let mut request = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

pub(crate) fn get(url: &str) -> Reply {
    ask("GET", url, &[], "").unwrap_or_else(|| panic!("GET {url}: no answer"))
}

pub(crate) fn put(url: &str, body: &str) -> Reply {
    ask("PUT", url, &[], body).unwrap_or_else(|| panic!("PUT {url}: no answer"))
}

pub(crate) fn post(url: &str, session: &str, body: &str) -> Reply {
    ask("POST", url, &[("x-session", session)], body).unwrap_or_else(|| panic!("POST {url}: no answer"))
}

/// The value of a knob.
pub(crate) fn knob(url: &str, name: &str) -> Value {
    let knobs = get(&format!("{url}/knobs")).json();
    let found = knobs.as_array().expect("an array").iter().find(|knob| knob["name"] == name);
    found.unwrap_or_else(|| panic!("no knob {name}"))["value"].clone()
}
