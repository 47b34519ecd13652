//! The effective config as it is printed, and what arbitrary text does.

use std::path::Path;

use kandela_config::discovery::{TargetGroup, parse_target_groups};
use kandela_config::{Config, parse, relabel};
use proptest::prelude::*;

const FULL: &str = "
global:
  scrape_interval: 15s
  external_labels: {cluster: 'yes', port: '0x1F', note: 'a: b # c'}
  body_size_limit: 10MB
alerting:
  alertmanagers: [{static_configs: [{targets: ['a:9093']}], api_version: v2}]
rule_files: ['rules/*.yml']
scrape_config_files: [more.yml]
scrape_configs:
- job_name: node
  scheme: https
  params: {module: [a, b]}
  tls_config: {ca_file: ca.pem, min_version: TLS12}
  http_headers: {X-Scope: {values: ['1'], files: [h]}}
  static_configs: [{targets: ['n:9100'], labels: {env: prod}}]
  file_sd_configs: [{files: [t.json]}]
  http_sd_configs: [{url: 'https://sd/'}]
  dns_sd_configs: [{names: [x]}]
  kubernetes_sd_configs: [{role: pod, kubeconfig_file: k}]
  relabel_configs:
  - {source_labels: [__address__], regex: '(.*):\\d+', target_label: host}
  - {action: labeldrop, regex: 'tmp_.*'}
  metric_relabel_configs: [{action: hashmod, source_labels: [a], modulus: 4, target_label: s}]
remote_write:
- url: https://r/write
  name: r
  write_relabel_configs: [{action: keep, source_labels: [__name__], regex: up}]
  queue_config: {sample_age_limit: 5m}
otlp: {promote_resource_attributes: [service.version]}
kandela:
  data: telemetry
  tls: {cert_file: c.pem, key_file: k.pem}
  users: [{name: a, role: writer, bearer_token_file: a.token}]
  allowed_hosts: [k.example.org]
  allowed_origins: ['https://g.example.org']
  tenants: [team-a]
  retention: {size: 1536MB}
  limits: {query: {memory: 1GB}}
  redact: [{keys: [password], pattern: '^x', replacement: ''}, {kind: email}]
";

fn read(text: &str) -> Config {
    parse(text, "f", &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{text}")).0
}

#[test]
fn what_is_printed_reads_back_as_the_same_config() {
    for text in ["", FULL] {
        let config = read(text);
        assert_eq!(read(&config.to_yaml().unwrap()), config);
        assert_eq!(read(&config.to_json().unwrap()), config);
    }
}

#[test]
fn secrets_do_not_print() {
    let config = read(
        "scrape_configs:
- {job_name: a, basic_auth: {username: u, password: hunter2}, proxy_url: 'http://u:hunter2@p', proxy_connect_header: {X: [hunter2]}, tls_config: {cert: c, key: hunter2}}
- {job_name: b, authorization: {credentials: hunter2}, http_headers: {X: {secrets: [hunter2]}}}
remote_write: [{url: 'https://u:hunter2@r', headers: {X-Key: hunter2}, bearer_token: hunter2}]
kandela:
  users:
  - {name: a, role: viewer, bearer_token: hunter2}
  - {name: b, role: viewer, password_bcrypt: $2y$10$hunter2aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
",
    );
    for printed in [config.to_yaml().unwrap(), config.to_json().unwrap(), format!("{config:?}")] {
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("<secret>"), "{printed}");
    }
}

#[test]
fn paths_become_relative_to_the_config_s_folder() {
    let mut config = read(FULL);
    config.resolve_paths(Path::new("/etc/kandela"));
    let job = &config.scrape_configs[0];
    assert_eq!(config.rule_files, [Path::new("/etc/kandela/rules/*.yml")]);
    assert_eq!(job.client.tls_config.ca_file.as_deref(), Some(Path::new("/etc/kandela/ca.pem")));
    assert_eq!(job.client.http_headers["X-Scope"].files, [Path::new("/etc/kandela/h")]);
    assert_eq!(job.discovery.file_sd_configs[0].files, [Path::new("/etc/kandela/t.json")]);
    let yaml = config.to_yaml().unwrap();
    for path in ["telemetry", "c.pem", "k.pem", "a.token", "more.yml", "k"] {
        assert!(yaml.contains(&format!(" /etc/kandela/{path}\n")), "{path}\n{yaml}");
    }
    let resolved = config.clone();
    config.resolve_paths(Path::new("/elsewhere"));
    assert_eq!(config, resolved, "absolute paths stay");
}

#[test]
fn jobs_of_another_file_join_under_names_of_their_own() {
    let mut config = read("global: {scrape_interval: 9s}\nscrape_configs: [{job_name: a}]");
    let text = "scrape_configs: [{job_name: b, tls_config: {ca_file: ca.pem}}]";
    let folder = Path::new("/etc/more");
    assert_eq!(config.add_scrape_config_file(text, "more.yml", folder), Ok(Vec::new()));
    let job = &config.scrape_configs[1];
    assert_eq!(job.scrape_interval.as_secs(), 9);
    assert_eq!(job.client.tls_config.ca_file.as_deref(), Some(Path::new("/etc/more/ca.pem")));
    let again = config.add_scrape_config_file(text, "more.yml", folder).unwrap_err().to_string();
    assert!(again.starts_with(r#"more.yml:1:18: scrape_configs[0]: job_name "b" is used"#), "{again}");
    assert_eq!(config.scrape_configs.len(), 2);
}

#[test]
fn target_groups_are_read_from_yaml_and_json() {
    let group = TargetGroup {
        targets: vec!["a:1".into()],
        labels: [("env".to_owned(), "prod".to_owned())].into_iter().collect(),
    };
    let json = r#"[{"targets": ["a:1"], "labels": {"env": "prod"}}]"#;
    let yaml = "- targets: [a:1]\n  labels: {env: prod}\n";
    assert_eq!(parse_target_groups(json, "t.json"), Ok(vec![group.clone()]));
    assert_eq!(parse_target_groups(yaml, "t.yml"), Ok(vec![group]));
    assert!(parse_target_groups("[{target: [a]}]", "t").unwrap_err().to_string().contains(r#""targets""#));
}

/// Pieces that lie near valid configs.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "(global|scrape_configs|kandela|job_name|regex|users|data|x): ?",
        "\n {0,4}(- )?",
        "[\\[\\]{},:&*!|>'\"#%@`?-]",
        "&a |\\*a|<<: \\*a|!!str |!x ",
        "[a-z0-9$().*\\\\]{1,6}",
        "\\PC{1,3}",
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse(&text, "f", &|_| None);
    }

    #[test]
    fn near_misses_never_panic(pieces in proptest::collection::vec(piece(), 0..30)) {
        let text = pieces.concat();
        let _ = parse(&text, "f", &|_| None);
        let _ = relabel::parse(&text, "f");
        let _ = parse_target_groups(&text, "f");
    }

    #[test]
    fn a_config_with_one_character_changed_never_panics_and_prints(at in 0..FULL.len(), c in any::<char>()) {
        let mut text: Vec<char> = FULL.chars().collect();
        text[at] = c;
        if let Ok((config, _)) = parse(&text.iter().collect::<String>(), "f", &|_| None) {
            let again = read(&config.to_yaml().unwrap());
            prop_assert_eq!(again, config);
        }
    }

    #[test]
    fn any_label_value_survives_printing(value in any::<String>()) {
        let mut config = read("global: {external_labels: {a: x}}");
        config.global.external_labels.insert("a".into(), value.replace('$', "€"));
        config.global.external_labels.retain(|_, value| !value.is_empty());
        prop_assert_eq!(read(&config.to_yaml().unwrap()), config.clone());
        prop_assert_eq!(read(&config.to_json().unwrap()), config);
    }
}
