//! The binary, as a server and as a command.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::peer::{Running, answers, free_port, until};

/// Runs a command to its end.
pub(crate) fn kandela(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kandela")).args(arguments).output().unwrap()
}

/// A server over `folder/data` that says what it does in `folder/kandela.log`.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) http: String,
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
}

impl Server {
    pub(crate) async fn start(folder: &Path, config: &str) -> Self {
        let file = folder.join("kandela.yaml");
        std::fs::write(&file, config).unwrap();
        let address = || format!("127.0.0.1:{}", free_port());
        let (http, otlp_grpc, otlp_http) = (address(), address(), address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kandela"));
        command.arg("up").arg("--config").arg(&file).arg("--data").arg(folder.join("data"));
        command.args(["--listen", &http, "--otlp-grpc", &otlp_grpc, "--otlp-http", &otlp_http]);
        command.args(["--strict", "--no-host-metrics", "--no-own-telemetry"]);
        let running = Running::start(command, &folder.join("kandela.log"));
        let server = Self {
            running,
            http: format!("http://{http}"),
            otlp_grpc: format!("http://{otlp_grpc}"),
            otlp_http: format!("http://{otlp_http}"),
        };
        let ready = format!("{}/-/ready", server.http);
        until("waited for readiness", async || answers(&ready).await.then_some(())).await;
        server
    }

    /// The rows of a query.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        let url = format!("{}/api/sql", self.http);
        let answer = reqwest::Client::new().post(url).body(sql.to_owned()).send().await.unwrap();
        let status = answer.status();
        let mut document: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{sql}: {document}");
        document["rows"].take()
    }

    /// The one number that a query gives; 0 where it gives none.
    pub(crate) async fn number(&self, sql: &str) -> f64 {
        let rows = self.rows(sql).await;
        let number = rows[0].as_object().and_then(|row| row.values().next().cloned());
        number.as_ref().and_then(Value::as_f64).unwrap_or(0.0)
    }
}
