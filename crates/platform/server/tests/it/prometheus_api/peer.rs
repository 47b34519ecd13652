//! A real Prometheus for a test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running Prometheus; dropping it kills it.
pub(crate) struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// One that takes in remote write and has all that is experimental turned on; `None` where there is none, and that is said.
    pub(crate) async fn start(folder: &Path) -> Option<Self> {
        let Some(binary) = find("prometheus") else {
            eprintln!("SKIPPED: no prometheus; `peers/install` fetches it, KANDELA_PEERS names its folder");
            return None;
        };
        let told = Command::new(&binary).arg("--version").output().unwrap();
        eprintln!("beside {}", String::from_utf8_lossy(&told.stdout).lines().next().unwrap_or_default());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "storage: {exemplars: {max_exemplars: 1000}}\n").unwrap();
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--enable-feature=exemplar-storage,native-histograms,promql-experimental-functions")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self { child, url: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !reqwest::get(prometheus.url("/-/ready")).await.is_ok_and(|answer| answer.status().is_success())
        {
            assert!(Instant::now() < deadline, "Prometheus does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(prometheus)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").map(PathBuf::from);
    let installed = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/kandela/peers"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = given.into_iter().chain(installed).map(|folder| folder.join("bin"));
    folders.chain(std::env::split_paths(&on_path)).map(|folder| folder.join(name)).find(|path| path.is_file())
}
