//! Programs that a scenario starts, and ends with itself.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program; dropping it kills it.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts `command`, with what it says in `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

/// The binary `name` in `KANDELA_PEERS`, else where `peers/install` puts it, else on the path, with its version printed.
pub(crate) fn find(name: &str, version: &[&str]) -> Option<PathBuf> {
    let asked = std::env::var_os("KANDELA_PEERS").map(|folder| PathBuf::from(folder).join("bin"));
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers/bin"));
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let folders = asked.into_iter().chain(usual).chain(on_path.into_iter().flatten());
    let Some(binary) = folders.map(|folder| folder.join(name)).find(|binary| binary.is_file()) else {
        eprintln!("SKIPPED: no {name}; `peers/install` fetches it, KANDELA_PEERS names its folder");
        return None;
    };
    let told = Command::new(&binary).args(version).output().unwrap();
    let told = if told.stdout.is_empty() { told.stderr } else { told.stdout };
    eprintln!("with {}", String::from_utf8_lossy(&told).lines().next().unwrap_or_default());
    Some(binary)
}

/// Starts the Python of `KANDELA_VENV`, else of where `peers/install` puts it.
pub(crate) fn python() -> Option<impl Fn() -> Command> {
    let python = installed("KANDELA_VENV", "venv", "bin/python")?;
    Some(move || Command::new(&python))
}

/// Starts a Node that finds the packages of `KANDELA_NODE`, else those of where `peers/install` puts them.
pub(crate) fn node() -> Option<impl Fn() -> Command> {
    let packages = installed("KANDELA_NODE", "node", "node_modules")?;
    Some(move || {
        let mut node = Command::new("node");
        node.env("NODE_PATH", &packages);
        node
    })
}

/// What `peers/install clients` puts into the folder that `variable` names, or its usual one.
fn installed(variable: &str, usual: &str, what: &str) -> Option<PathBuf> {
    let asked = std::env::var_os(variable).map(PathBuf::from);
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela").join(usual));
    let found = asked.into_iter().chain(usual).map(|folder| folder.join(what)).find(|it| it.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no {what}; `peers/install clients` fetches it, {variable} names its folder");
    }
    found
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none for a minute.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} for a minute in vain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether `url` answers with a success.
pub(crate) async fn answers(url: &str) -> bool {
    reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success())
}
