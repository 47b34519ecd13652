//! The section `kandela`: what its keys mean, and what is wrong with them.

use std::time::Duration;

use kandela_config::kandela::{Credential, DataLocation, Durability, Find, Role, SecretKind};
use kandela_config::{Config, parse};

fn config(text: &str) -> Config {
    let (config, warnings) =
        parse(text, "kandela.yaml", &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings, [], "{text}");
    config
}

fn errors(text: &str) -> String {
    parse(text, "kandela.yaml", &|_| None).expect_err(text).to_string()
}

#[test]
fn every_key_is_read() {
    let kandela = config(
        "kandela:
  data: s3://bucket/telemetry
  listen: {http: '0.0.0.0:80', otlp_grpc: 'localhost:5317', otlp_http: ':5318'}
  tls: {cert_file: server.pem, key_file: server.key}
  users:
  - {name: grafana, role: viewer, bearer_token: t0ken}
  - {name: ops, role: operator, password_file: ops.password}
  allowed_hosts: [Kandela.example.org]
  allowed_origins: ['https://grafana.example.org']
  tenants: [team-a]
  memory_limit: 4GiB
  durability: fsync
  out_of_order_window: 2h
  flush_interval: 1m
  retention: {metrics: 30d, logs: 3d, size: 100GB}
  limits: {series: 1000, body_size: 1MB, query: {timeout: 10s, memory: 512MB}}
  host_metrics: {enabled: false}
  own_telemetry: false
  delayed_name_removal: true
  redact:
  - {keys: [password, '*.token']}
  - {pattern: '\\b\\d{16}\\b', replacement: '****'}
  - {kind: email, keys: [note], action: hash}
  - {keys: [debug], action: drop}
  redact_metric_labels: true
  redact_hash_secret_file: redact.secret
  autopilot: autopilot.yaml
",
    )
    .kandela;
    assert_eq!(kandela.data, Some(DataLocation::Url("s3://bucket/telemetry".into())));
    assert_eq!(kandela.listen.http.to_string(), "0.0.0.0:80");
    assert_eq!(kandela.listen.otlp_grpc.to_string(), "127.0.0.1:5317");
    assert_eq!(kandela.listen.otlp_http.to_string(), "[::]:5318");
    assert_eq!(kandela.users[0].role, Role::Viewer);
    assert_eq!(kandela.users[1].credential, Credential::PasswordFile("ops.password".into()));
    assert_eq!(kandela.allowed_hosts, ["kandela.example.org"]);
    assert_eq!(kandela.tenants[0].as_str(), "team-a");
    assert_eq!((kandela.memory_limit, kandela.durability), (4 << 30, Durability::Fsync));
    assert_eq!(kandela.out_of_order_window, Duration::from_secs(7200));
    assert_eq!(kandela.retention.metrics, Duration::from_secs(30 * 86_400));
    assert_eq!(kandela.retention.spans, Duration::from_secs(7 * 86_400));
    assert_eq!(kandela.retention.size, Some(100 << 30));
    assert_eq!((kandela.limits.series, kandela.limits.query.memory), (1000, Some(512 << 20)));
    assert!(!kandela.host_metrics.enabled && !kandela.own_telemetry && kandela.delayed_name_removal);
    assert_eq!(kandela.redact[0].replacement, "<redacted>");
    assert_eq!(kandela.redact[2].find, Some(Find::Kind(SecretKind::Email)));
    let actions: Vec<_> = kandela.redact.iter().map(|rule| rule.action.as_str()).collect();
    assert_eq!(actions, ["replace", "replace", "hash", "drop"]);
    assert!(kandela.redact_metric_labels);
    assert_eq!(kandela.redact_hash_secret_file, Some("redact.secret".into()));
    assert_eq!(kandela.autopilot, Some("autopilot.yaml".into()));
}

#[test]
fn nobody_but_this_machine_is_listened_to_unless_asked_for() {
    let listen = config("").kandela.listen;
    assert!(
        [listen.http, listen.otlp_grpc, listen.otlp_http].iter().all(|address| address.ip().is_loopback())
    );
}

#[test]
fn mistakes_are_named() {
    for (text, message) in [
        ("data: ''", "data is empty"),
        ("data: 's3://key:secret@bucket/x'", "put them into the environment"),
        ("listen: {http: 7676}", "is not an address"),
        ("listen: {http: 'example.org:1'}", "is not an address"),
        ("listen: {http: '127.0.0.1:4317'}", "two listeners have one address"),
        ("tls: {cert_file: a}", r#"key "key_file" is missing"#),
        ("users: [{name: a, role: viewer}]", "exactly one of"),
        ("users: [{name: a, role: viewer, bearer_token: x, password_file: y}]", "exactly one of"),
        ("users: [{name: a, role: admin, bearer_token: x}]", "is none of viewer, writer, operator"),
        ("users: [{name: 'a:b', role: viewer, bearer_token: x}]", "can't hold a colon"),
        ("users: [{name: a, role: viewer, password_bcrypt: hunter2}]", "is not a bcrypt hash"),
        (
            "users: [{name: a, role: viewer, bearer_token: x}, {name: a, role: writer, bearer_token: y}]",
            "stands twice",
        ),
        ("allowed_hosts: ['https://a']", "is not a host's name"),
        ("allowed_origins: ['a.example.org']", "is not an origin"),
        ("allowed_origins: ['https://a.example.org/x']", "is not an origin"),
        ("tenants: ['../a']", "is not a valid name"),
        ("memory_limit: 1MB", "is below 64MiB"),
        ("memory_limit: 100", "is not a size"),
        ("durability: maybe", "is none of process, fsync"),
        ("flush_interval: 0s", "must be above zero"),
        ("retention: {metrics: 0s}", "must be above zero"),
        ("limits: {series: 0}", "must be above zero"),
        ("limits: {query: {samples: 0}}", "must be above zero"),
        ("limits: {query: {rows: 1}}", "unknown key"),
        ("redact: [{}]", "needs keys, a pattern or a kind"),
        ("redact: [{kind: mail}]", "is none of email, credit_card"),
        ("redact: [{kind: email, pattern: a}]", "write two rules"),
        ("redact: [{kind: email, action: drop}]", "takes keys alone"),
        ("redact: [{keys: [a], action: drop, replacement: b}]", "has no effect"),
        ("redact: [{keys: [a], action: hash}]", "needs redact_hash_secret_file"),
        ("redact: [{pattern: '('}]", "is not valid"),
        ("memory_limits: 1GB", r#"did you mean "memory_limit"?"#),
    ] {
        let text = format!("kandela:\n  {text}\n");
        assert!(errors(&text).contains(message), "{text}\n{}", errors(&text));
    }
}

#[test]
fn the_window_for_late_samples_is_said_once() {
    let prometheus = "storage: {tsdb: {out_of_order_time_window: 10m}}\n";
    assert_eq!(config(prometheus).kandela.out_of_order_window, Duration::from_secs(600));
    let same = format!("{prometheus}kandela: {{out_of_order_window: 10m}}");
    assert_eq!(config(&same).kandela.out_of_order_window, Duration::from_secs(600));
    let other = format!("{prometheus}kandela: {{out_of_order_window: 5m}}");
    assert!(errors(&other).contains("keep one of the two keys"));
}

#[test]
fn no_message_shows_a_secret() {
    let text = "kandela: {users: [{name: a, role: viewer, password_bcrypt: hunter2, bearer_token: hunter2}]}\n\
                scrape_configs: [{job_name: a, basic_auth: {password: hunter2, password_file: x}, bearer_token: hunter2}]\n\
                remote_write: [{url: 'ftp://u:hunter2@x'}]";
    assert!(!errors(text).contains("hunter2"), "{}", errors(text));
}

#[test]
fn the_documentation_shows_every_key_with_its_default() {
    let docs = include_str!("../../../../docs/config.md");
    let yaml =
        docs.split("```").find_map(|block| block.strip_prefix("yaml\n")).expect("it shows the section");
    assert_eq!(config(yaml), Config::default());

    let printed = Config::default().to_json().expect("it prints");
    let printed: serde_json::Value = serde_json::from_str(&printed).expect("it is JSON");
    let mut keys =
        vec!["data", "tls", "users", "size", "memory", "redact", "redact_hash_secret_file", "autopilot"];
    keys_of(&printed["kandela"], &mut keys);
    for key in keys {
        assert!(yaml.contains(&format!("{key}:")), "docs/config.md does not show {key}");
    }
}

/// The keys of an object and of the objects in it.
fn keys_of<'a>(value: &'a serde_json::Value, keys: &mut Vec<&'a str>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        keys.push(key);
        keys_of(value, keys);
    }
}
