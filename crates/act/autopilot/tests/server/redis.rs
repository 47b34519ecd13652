//! A real Redis for one test.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Described, Process, find, free_port, skip, until};

/// A server that keeps nothing, on a port of its own.
pub(crate) struct Redis {
    pub(crate) server: Process,
    pub(crate) port: u16,
    cli: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start() -> Option<Redis> {
        let (Some(server), Some(cli)) = (find("redis-server", &[]), find("redis-cli", &[])) else {
            skip("redis-server and redis-cli (Debian: redis-server)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let child = Command::new(server)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn();
        let redis = Redis { server: Process(child.expect("starts")), port, cli, _folder: folder };
        until("Redis answers", Duration::from_secs(10), || redis.cli(&["ping"]) == "PONG");
        Some(redis)
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.cli).args(["-p", &self.port.to_string()]).args(arguments).output();
        String::from_utf8(output.expect("runs").stdout).expect("text").trim().to_owned()
    }

    pub(crate) fn parameter(&self, name: &str) -> String {
        self.cli(&["config", "get", name]).lines().nth(1).unwrap_or_default().to_owned()
    }

    pub(crate) fn described(&self) -> Described {
        Described::new(&format!(
            "redis:
  address: 127.0.0.1:{}
  timeout_s: 1
  knobs:
    maxmemory: {{type: int, min: 0, max: 1000000000}}
    hz: {{type: int, min: 1, max: 1000, step_cap: {{factor: 4}}}}
    activerehashing: {{type: bool}}
    appendonly: {{type: bool}}
    requirepass: {{type: enum, values: [a, b]}}
    io-threads: {{type: int, min: 1, max: 8}}
    maxmemory-samples: {{type: int, min: 0, max: 100}}",
            self.port
        ))
    }
}
