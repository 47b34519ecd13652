//! A server of its own for each test, and raw requests for what no well-behaved client sends.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use kandela_config::kandela::Listen;
use kandela_server::{Options, OptionsSource, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A running server with a folder of its own.
pub(crate) struct Running {
    pub server: Server,
    pub folder: TempDir,
}

/// Options on free ports, without this machine's metrics.
pub(crate) fn quiet(folder: &TempDir) -> Options {
    let mut options = Options { data: folder.path().join("data"), ..Options::default() };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    options.config.kandela.listen = Listen { http: any, otlp_grpc: any, otlp_http: any };
    options.config.kandela.host_metrics.enabled = false;
    options
}

pub(crate) async fn start(change: impl FnOnce(&mut Options)) -> Running {
    start_with(change, None).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut Options), source: Option<OptionsSource>) -> Running {
    let folder = TempDir::new().unwrap();
    let mut options = quiet(&folder);
    change(&mut options);
    let server = Server::start(options, source).await.unwrap();
    Running { server, folder }
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().http)
    }

    pub(crate) fn otlp(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().otlp_http)
    }

    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.server.addresses().otlp_grpc)
    }

    /// The rows of a query's answer.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Value> {
        let answer =
            reqwest::Client::new().post(self.url("/api/sql")).body(query.to_owned()).send().await.unwrap();
        let status = answer.status();
        let document: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{query}: {document}");
        document["rows"].as_array().unwrap().clone()
    }

    /// The text of `/metrics`.
    pub(crate) async fn own_metrics(&self) -> String {
        reqwest::get(self.url("/metrics")).await.unwrap().text().await.unwrap()
    }

    /// Ends the server and starts another one over the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, folder } = self;
        server.stop().await;
        let server = Server::start(quiet(&folder), None).await.unwrap();
        Self { server, folder }
    }
}

/// The wall clock in nanoseconds; what is older than the out-of-order window would be refused.
pub(crate) fn now_nanos() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Sends bytes as they are and returns the whole answer. The request should ask to close the connection.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status code of a raw answer.
pub(crate) fn status_of(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}
