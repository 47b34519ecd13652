//! A `prometheus.yml` is a valid Kandela config: what its keys mean, and what is wrong with them.

use std::time::Duration;

use kandela_config::discovery::{DnsRecord, KubernetesRole};
use kandela_config::{
    Config, Ignored, NameEscaping, Scheme, ScrapeProtocol, Translation, Warning, WriteMessage, parse, strict,
};

fn read(text: &str) -> (Config, Vec<Warning>) {
    parse(text, "prometheus.yml", &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn config(text: &str) -> Config {
    let (config, warnings) = read(text);
    assert_eq!(warnings, [], "{text}");
    config
}

fn errors(text: &str) -> String {
    parse(text, "prometheus.yml", &|_| None).expect_err(text).to_string()
}

/// A job with `keys` added, each line indented already.
fn job(keys: &str) -> String {
    format!("scrape_configs:\n- job_name: j\n{keys}\n")
}

#[test]
fn nothing_at_all_is_a_valid_config() {
    for text in ["", "# nothing yet\n", "---\n", "global:\nscrape_configs:\nkandela:\n", "{}"] {
        assert_eq!(config(text), Config::default(), "{text:?}");
    }
}

#[test]
fn the_file_that_prometheus_ships_is_read_and_names_what_waits() {
    let (config, warnings) = read(
        "global:
  scrape_interval: 15s # Set the scrape interval to every 15 seconds. Default is every 1 minute.
  evaluation_interval: 15s
alerting:
  alertmanagers:
    - static_configs:
        - targets:
          # - alertmanager:9093
rule_files:
  # - \"first_rules.yml\"
scrape_configs:
  - job_name: \"prometheus\"
    static_configs:
      - targets: [\"localhost:9090\"]
        labels:
          app: \"prometheus\"
",
    );
    assert_eq!(config.scrape_configs[0].discovery.static_configs[0].labels["app"], "prometheus");
    let paths: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["alerting"]);
    assert!(warnings.iter().all(|warning| warning.reason == Ignored::NotYet));
}

#[test]
fn a_job_takes_from_global_what_it_does_not_say() {
    let config = config(
        "global: {scrape_interval: 20s, scrape_timeout: 5s, sample_limit: 7, body_size_limit: 1MB, label_limit: 3}
scrape_configs:
- {job_name: a}
- {job_name: b, scrape_interval: 2s, sample_limit: 9}
",
    );
    let [a, b] = config.scrape_configs.as_slice() else { panic!() };
    assert_eq!((a.scrape_interval, a.scrape_timeout), (Duration::from_secs(20), Duration::from_secs(5)));
    assert_eq!((b.scrape_interval, b.scrape_timeout), (Duration::from_secs(2), Duration::from_secs(2)));
    assert_eq!((a.limits.sample_limit, b.limits.sample_limit), (Some(7), Some(9)));
    assert_eq!(b.limits.body_size_limit, Some(1 << 20));
    assert_eq!(b.limits.target_limit, None);
    assert_eq!(a.scrape_protocols, ScrapeProtocol::DEFAULT);
}

#[test]
fn a_job_has_prometheus_defaults() {
    let config = config(&job(""));
    let job = &config.scrape_configs[0];
    assert_eq!((job.scheme, job.metrics_path.as_str()), (Scheme::Http, "/metrics"));
    assert!(job.honor_timestamps && job.enable_compression && job.client.follow_redirects);
    assert!(!job.honor_labels && !job.track_timestamps_staleness);
    assert_eq!(job.metric_name_escaping_scheme, NameEscaping::AllowUtf8);
}

#[test]
fn native_histograms_put_protobuf_first_unless_protocols_are_given() {
    let config = config(
        "scrape_configs:
- {job_name: a, scrape_native_histograms: true}
- {job_name: b, scrape_native_histograms: true, scrape_protocols: [PrometheusText0.0.4]}
",
    );
    assert_eq!(config.scrape_configs[0].scrape_protocols, ScrapeProtocol::DEFAULT_NATIVE);
    assert_eq!(config.scrape_configs[1].scrape_protocols, [ScrapeProtocol::PrometheusText0_0_4]);
}

#[test]
fn every_way_to_authenticate_is_read() {
    let config = config(
        "scrape_configs:
- {job_name: a, basic_auth: {username: u, password: p}}
- {job_name: b, authorization: {credentials_file: token}}
- {job_name: c, bearer_token: t}
- {job_name: d, bearer_token_file: /run/token}
",
    );
    let auth = |i: usize| config.scrape_configs[i].client.authorization.clone().unwrap();
    let basic = config.scrape_configs[0].client.basic_auth.clone().unwrap();
    assert_eq!(basic.password.unwrap().expose(), "p");
    assert_eq!((auth(1).scheme.as_str(), auth(1).credentials_file), ("Bearer", Some("token".into())));
    assert_eq!(auth(2).credentials.unwrap().expose(), "t");
    assert_eq!(auth(3).credentials_file, Some("/run/token".into()));
}

#[test]
fn each_discovery_is_read_with_its_defaults() {
    let config = config(
        "scrape_configs:
- job_name: j
  file_sd_configs: [{files: ['targets/*.json', more.yml]}]
  http_sd_configs: [{url: 'https://sd.example.org/x', refresh_interval: 5s}]
  dns_sd_configs: [{names: [a.example.org], type: aaaa, port: 9100}]
  kubernetes_sd_configs:
  - role: endpointslice
    namespaces: {names: [shop]}
    selectors: [{role: pod, label: app=shop}]
    attach_metadata: {node: true}
",
    );
    let discovery = &config.scrape_configs[0].discovery;
    assert_eq!(discovery.file_sd_configs[0].refresh_interval, Duration::from_secs(300));
    assert_eq!(discovery.http_sd_configs[0].url.expose(), "https://sd.example.org/x");
    assert_eq!(discovery.dns_sd_configs[0].record, DnsRecord::Aaaa);
    let kubernetes = &discovery.kubernetes_sd_configs[0];
    assert_eq!(kubernetes.role, KubernetesRole::EndpointSlice);
    assert_eq!(kubernetes.selectors[0].role, KubernetesRole::Pod);
    assert!(kubernetes.attach_metadata.node && !kubernetes.attach_metadata.namespace);
}

#[test]
fn remote_write_has_prometheus_defaults() {
    let config = config("remote_write: [{url: 'http://r:9/api/v1/write', headers: {X-Key: k}}]");
    let receiver = &config.remote_write[0];
    assert_eq!(receiver.protobuf_message, WriteMessage::V1);
    assert_eq!(receiver.queue_config.max_shards, 50);
    assert!(!receiver.client.enable_http2);
    assert_eq!(receiver.headers["X-Key"].expose(), "k");
}

#[test]
fn otlp_is_read() {
    let config = config(
        "otlp: {translation_strategy: NoTranslation, promote_resource_attributes: [service.version, ' k8s.pod.name ']}",
    );
    assert_eq!(config.otlp.translation_strategy, Translation::NoTranslation);
    assert_eq!(config.otlp.promote_resource_attributes, ["service.version", "k8s.pod.name"]);
}

#[test]
fn external_labels_take_environment_variables_and_nothing_else_does() {
    let text = "
global:
  external_labels: {a: '${ZONE}-$HOST.x', b: 'costs $$5', c: '$MISSING', d: '100$', e: 'x${}y', f: '$(x)'}
scrape_configs:
- {job_name: '$HOST'}
";
    let variable = |name: &str| match name {
        "ZONE" => Some("eu".to_owned()),
        "HOST" => Some("n1".to_owned()),
        _ => None,
    };
    let (config, warnings) = parse(text, "f", &variable).unwrap();
    let labels: Vec<(&str, &str)> =
        config.global.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("a", "eu-n1.x"), ("b", "costs $5"), ("d", "100$"), ("e", "xy"), ("f", "$(x)")]);
    assert_eq!(config.scrape_configs[0].job_name, "$HOST");
    assert_eq!(warnings[0].reason, Ignored::EmptyVariable("MISSING".into()));
}

#[test]
fn anchors_and_merge_keys_work_as_in_prometheus() {
    let config = config(
        "scrape_configs:
- &base
  job_name: a
  scrape_interval: 7s
  relabel_configs: &rules
  - {target_label: x, replacement: y}
- <<: *base
  job_name: b
  metric_relabel_configs: *rules
",
    );
    let [a, b] = config.scrape_configs.as_slice() else { panic!() };
    assert_eq!((b.job_name.as_str(), b.scrape_interval), ("b", Duration::from_secs(7)));
    assert_eq!(a.relabel_configs, b.metric_relabel_configs);
}

#[test]
fn scalars_are_texts_where_texts_are_asked_for() {
    let config = config(&job(
        "  static_configs: [{targets: [1], labels: {port: 9100, on: yes, none: }}]\n  honor_labels: yes",
    ));
    let group = &config.scrape_configs[0].discovery.static_configs[0];
    assert_eq!(group.targets, ["1"]);
    assert_eq!(group.labels["port"], "9100");
    assert_eq!((group.labels["on"].as_str(), group.labels["none"].as_str()), ("yes", ""));
    assert!(config.scrape_configs[0].honor_labels);
}

#[test]
fn keys_that_are_not_served_are_named_with_their_place_and_refused_under_strict() {
    let (config, warnings) = read(
        "global:
  query_log_file: q.log
runtime: {gogc: 50}
scrape_configs:
- job_name: j
  consul_sd_configs:
  - {server: 'localhost:8500', whatever: 1}
  oauth2: {client_id: x, token_url: y}
storage:
  tsdb: {out_of_order_time_window: 10m, retention: {time: 1d}}
  exemplars: {max_exemplars: 1}
remote_read:
- url: http://x
",
    );
    assert_eq!(config.kandela.out_of_order_window, Duration::from_secs(600));
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let reason = "Prometheus knows this key, Kandela does not serve it; it is ignored";
    assert_eq!(
        texts,
        [
            format!("prometheus.yml:2:3: global.query_log_file: {reason}"),
            format!("prometheus.yml:3:1: runtime: {reason}"),
            format!("prometheus.yml:6:3: scrape_configs[0].consul_sd_configs: {reason}"),
            format!("prometheus.yml:8:3: scrape_configs[0].oauth2: {reason}"),
            format!("prometheus.yml:10:41: storage.tsdb.retention: {reason}"),
            format!("prometheus.yml:11:3: storage.exemplars: {reason}"),
            format!("prometheus.yml:12:1: remote_read: {reason}"),
        ]
    );
    assert_eq!(strict(&warnings).unwrap_err().iter().count(), 7);
    assert!(strict(&[]).is_ok());
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_key() {
    assert_eq!(
        errors("global:\n  scrape_intervall: 5s\n"),
        r#"prometheus.yml:2:3: global: unknown key "scrape_intervall"; did you mean "scrape_interval"?"#
    );
    assert!(errors("zzzzzzzz: 1").contains("see docs/config.md"));
    assert!(errors(&job("  static_config: []")).contains(r#"did you mean "static_configs"?"#));
    assert!(errors("scrape_configs: [{job_name: j, consul_sd_config: []}]").contains("consul_sd_configs"));
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let text = errors(
        "global: {scrape_interval: 1x}
scrape_configs:
- {job_name: a, honor_labels: perhaps}
- {scrape_interval: 5s}
- {job_name: a}
",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"prometheus.yml:1:10: global.scrape_interval: "1x" is not a duration; write one as 15s, 1h30m or 500ms"#,
            r#"prometheus.yml:3:17: scrape_configs[0].honor_labels: expected true or false, found "perhaps""#,
            r#"prometheus.yml:4:3: scrape_configs[1]: key "job_name" is missing; add it"#,
            r#"prometheus.yml:5:3: scrape_configs[2]: job_name "a" is used by an earlier job; names are unique"#,
        ]
    );
}

#[test]
fn what_prometheus_refuses_is_refused() {
    for (text, message) in [
        ("global: {scrape_interval: 5s, scrape_timeout: 6s}".to_owned(), "longer than scrape_interval"),
        ("global: {external_labels: {'': x}}".to_owned(), "not a valid label name"),
        (
            "global: {metric_name_validation_scheme: legacy, external_labels: {a.b: x}}".to_owned(),
            "not a valid label name",
        ),
        ("global: {scrape_protocols: []}".to_owned(), "scrape_protocols is empty"),
        ("global: {sample_limit: -1}".to_owned(), "expected a whole number from zero"),
        ("global: [a]".to_owned(), "expected a mapping, found a list"),
        ("- a".to_owned(), "expected a mapping, found a list"),
        ("scrape_configs: [null]".to_owned(), "expected a mapping, found nothing"),
        ("rule_files: ['a/*/b.yml']".to_owned(), "only the last may hold one"),
        (job("  scrape_interval: 5s\n  scrape_timeout: 6s"), "longer than the job's scrape_interval"),
        (job("  scrape_protocols: [PrometheusProto, PrometheusProto]"), "stands twice"),
        (job("  fallback_scrape_protocol: text"), "is none of PrometheusProto"),
        (job("  basic_auth: {username: a}\n  bearer_token: b"), "exclude each other"),
        (job("  basic_auth: {username: a, username_file: b}"), "exclude each other"),
        (job("  authorization: {type: Basic}"), "use basic_auth instead"),
        (job("  authorization: {credentials: a, credentials_file: b}"), "exclude each other"),
        (job("  bearer_token: a\n  bearer_token_file: b"), "exclude each other"),
        (job("  oauth2: {client_id: a}\n  basic_auth: {username: b}"), "exclude each other"),
        (job("  tls_config: {cert_file: a}"), "needs its key"),
        (job("  tls_config: {min_version: TLS13, max_version: TLS12}"), "min_version is above"),
        (job("  tls_config: {min_version: SSL3}"), "is none of TLS10"),
        (job("  no_proxy: a"), "no_proxy needs proxy_url"),
        (job("  proxy_url: http://p\n  proxy_from_environment: true"), "exclude each other"),
        (job("  http_headers: {Host: {values: [a]}}"), "is reserved"),
        (job("  static_configs: [{targets: ['http://a:1']}]"), "is not host:port"),
        (job("  static_configs: [{targets: a}]"), "expected a list"),
        (job("  file_sd_configs: [{files: [a.txt]}]"), "ends in .json"),
        (job("  file_sd_configs: [{}]"), r#"key "files" is missing"#),
        (job("  http_sd_configs: [{url: 'ftp://x'}]"), "http or https"),
        (job("  dns_sd_configs: [{names: [a], type: A}]"), r#"key "port" is missing"#),
        (job("  dns_sd_configs: [{names: [a], type: TXT}]"), "is none of SRV"),
        (job("  kubernetes_sd_configs: [{}]"), r#"key "role" is missing"#),
        (job("  kubernetes_sd_configs: [{role: pod, bearer_token: a}]"), "need api_server"),
        (
            job("  kubernetes_sd_configs: [{role: node, selectors: [{role: pod}]}]"),
            "takes selectors of node only",
        ),
        (job("  metric_relabel_configs: [{action: keep, regex: '('}]"), "is not valid: unclosed group"),
        (
            job("  metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8"),
            "needs metric_name_validation_scheme",
        ),
        (job("  job_name: k"), "already stands on line 2"),
        ("remote_write: [{}]".to_owned(), r#"key "url" is missing"#),
        (
            "remote_write: [{url: 'http://a', name: n}, {url: 'http://b', name: n}]".to_owned(),
            "is used by an earlier receiver",
        ),
        (
            "remote_write: [{url: 'http://a', queue_config: {min_shards: 3, max_shards: 2}}]".to_owned(),
            "min_shards is above",
        ),
        ("remote_write: [{url: 'http://a', queue_config: {capacity: 0}}]".to_owned(), "must be above zero"),
        ("remote_write: [{url: 'http://a', headers: {authorization: x}}]".to_owned(), "is reserved"),
        ("remote_write: [{url: 'http://a', sigv4: {}, azuread: {}}]".to_owned(), "exclude each other"),
        ("remote_write: [{url: 'http://a', protobuf_message: v2}]".to_owned(), "is none of prometheus"),
        ("otlp: {ignore_resource_attributes: [a]}".to_owned(), "needs promote_all_resource_attributes"),
        (
            "otlp: {promote_all_resource_attributes: true, promote_resource_attributes: [a]}".to_owned(),
            "exclude each other",
        ),
        ("otlp: {promote_resource_attributes: [a, a]}".to_owned(), "stands twice"),
        (
            "global: {metric_name_validation_scheme: legacy}\notlp: {translation_strategy: NoTranslation}"
                .to_owned(),
            "needs global.metric_name_validation_scheme utf8",
        ),
        ("alerting: {alertmanagers: [{api_version: v1}]}".to_owned(), "is none of v2"),
        ("a: [".to_owned(), "not valid YAML"),
    ] {
        assert!(errors(&text).contains(message), "{text}\n{}", errors(&text));
    }
}

#[test]
fn a_second_document_is_ignored_with_a_warning() {
    let (_, warnings) = read("global: {}\n---\nnonsense: 1\n");
    assert_eq!(warnings[0].reason, Ignored::SecondDocument);
    assert_eq!(warnings[0].place.line, 2);
}
