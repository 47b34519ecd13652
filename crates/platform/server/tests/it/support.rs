//! A server of its own for each test, and raw requests for what no well-behaved client sends.

use std::net::SocketAddr;

use kandela_server::{Options, OptionsSource, Server};
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
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options {
        http: any,
        otlp_grpc: Some(any),
        otlp_http: Some(any),
        data: folder.path().join("data"),
        host_metrics: None,
        ..Options::default()
    }
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
