//! What the configuration says to hide is hidden before anything is stored, whichever way it came.

use kandela_config::kandela::Kandela;
use serde_json::json;

use crate::support::{now_nanos, start};

/// The section `kandela` of a config file.
fn section(yaml: &str) -> Kandela {
    let (config, _) = kandela_config::parse(yaml, "test.yaml", &|_| None).unwrap();
    config.kandela
}

#[tokio::test]
async fn attributes_and_bodies_are_stored_without_what_is_hidden() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "any random text\n").unwrap();
    let rules = section(&format!(
        "
kandela:
  redact:
  - {{keys: [password]}}
  - {{kind: email, replacement: '***'}}
  - {{keys: [user.id], action: hash}}
  - {{keys: ['debug.*'], action: drop}}
  redact_hash_secret_file: {}
",
        secret.path().display()
    ));
    let running = start(|options| {
        let own = &mut options.config.kandela;
        own.redact = rules.redact;
        own.redact_hash_secret_file = rules.redact_hash_secret_file;
    })
    .await;
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = json!({
        "timeUnixNano": now_nanos().to_string(),
        "body": {"stringValue": "mail to ann@example.com failed"},
        "attributes": [text("password", "hunter2"), text("user.id", "42"), text("debug.sql", "SELECT 1")],
    });
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    let sent = reqwest::Client::new().post(running.otlp("/v1/logs")).json(&request).send().await.unwrap();
    assert!(sent.status().is_success());

    let rows = running
        .rows(
            "SELECT body, attributes['password']['str'] AS password,
                    attributes['user.id']['str'] AS user, attributes['debug.sql']['str'] AS debug FROM logs",
        )
        .await;
    assert_eq!(rows[0]["body"], "mail to *** failed");
    assert_eq!(rows[0]["password"], "<redacted>");
    assert_eq!(rows[0]["user"].as_str().map(str::len), Some(32));
    assert_eq!(rows[0]["debug"], serde_json::Value::Null);
}
