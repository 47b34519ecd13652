//! A real PostgreSQL for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::common::{Described, find, free_port, skip};

const BINARIES: [&str; 3] =
    ["/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin"];

/// A server of its own, with its data in a temporary folder.
pub(crate) struct Server {
    pub(crate) port: u16,
    pg_ctl: PathBuf,
    folder: tempfile::TempDir,
}

/// An empty cluster, made once for all tests of this file and copied.
fn cluster() -> Option<&'static (tempfile::TempDir, PathBuf)> {
    static MADE: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folders = BINARIES.iter().rev().copied().collect::<Vec<_>>();
        let Some(pg_ctl) = find("pg_ctl", &folders) else {
            skip("pg_ctl (Debian: postgresql)");
            return None;
        };
        let folder = open_folder();
        let made = as_nobody(&pg_ctl.with_file_name("initdb"))
            .args(["--no-sync", "-A", "trust", "-U", "kandela", "-D"])
            .arg(folder.path().join("data"))
            .output()
            .expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some((folder, pg_ctl))
    })
    .as_ref()
}

/// A folder that belongs to whoever the server runs as.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if is_root() {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    folder
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// PostgreSQL refuses to run as root.
fn prefix() -> Vec<String> {
    if !is_root() {
        return Vec::new();
    }
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"].map(str::to_owned).to_vec()
}

fn as_nobody(program: &Path) -> Command {
    let mut words = prefix();
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).current_dir("/");
    command
}

impl Server {
    pub(crate) fn start() -> Option<Server> {
        let (template, pg_ctl) = cluster()?;
        let folder = open_folder();
        let data = folder.path().join("data");
        let copied = Command::new("cp").arg("-a").arg(template.path().join("data")).arg(&data).status();
        assert!(copied.expect("runs").success());
        let port = free_port();
        let socket = folder.path().display();
        let more = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{socket}'\nfsync = off\nmax_connections = 20\n\
             shared_buffers = 16MB\n"
        );
        let conf = data.join("postgresql.conf");
        fs::write(&conf, fs::read_to_string(&conf).expect("made by initdb") + &more).expect("writable");
        let server = Server { port, pg_ctl: pg_ctl.clone(), folder };
        assert!(server.pg_ctl("start").status().expect("runs").success());
        Some(server)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn pg_ctl(&self, act: &str) -> Command {
        let mut command = as_nobody(&self.pg_ctl);
        command
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.folder.path().join("log"))
            .args(["-w", "-t", "20"]);
        command.args(["-m", "fast", act]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What restarts it, as JSON.
    pub(crate) fn restart(&self) -> String {
        let mut words = prefix();
        words.extend([self.pg_ctl.display().to_string(), "-D".into(), self.data().display().to_string()]);
        words.extend(["-l".into(), self.folder.path().join("log").display().to_string()]);
        words.extend(["-w", "-t", "20", "-m", "fast", "restart"].map(str::to_owned));
        serde_json::to_string(&words).expect("serialises")
    }

    pub(crate) fn described(&self, restart: bool) -> Described {
        let restart = if restart {
            let argv = self.restart();
            format!("  restart: {argv}\n  data_directory: {}\n", self.data().display())
        } else {
            String::new()
        };
        Described::new(&format!(
            "postgres:
  url: postgres://kandela@127.0.0.1:{}/postgres
{restart}  knobs:
    work_mem: {{type: int, min: 1, max: 2000000, cost: reload}}
    random_page_cost: {{type: float, min: 0.1, max: 100, cost: reload}}
    jit: {{type: bool, cost: reload}}
    wal_compression: {{type: enum, values: [off, pglz, lz4, nonsense], cost: reload}}
    shared_buffers: {{type: int, min: 16, max: 1000000000, cost: restart}}
    fsync: {{type: bool, cost: reload}}
    log_statement: {{type: enum, values: [none, all], cost: reload}}",
            self.port
        ))
    }

    pub(crate) fn show(&self, name: &str) -> String {
        self.psql(&format!("SELECT setting FROM pg_settings WHERE name = '{name}'"))
    }

    pub(crate) fn psql(&self, statement: &str) -> String {
        let output = Command::new(self.pg_ctl.with_file_name("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "kandela",
                "-d",
                "postgres",
                "-XAtc",
            ])
            .arg(statement)
            .output()
            .expect("runs");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.pg_ctl("stop").args(["-m", "immediate"]).status();
    }
}
