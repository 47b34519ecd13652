//! Redaction: what each rule takes out, and what it leaves.

use std::sync::Arc;

use kandela_ingest::redact::{
    Config, KeyAction, KeyPattern, KeyRule, RedactError, Redactor, SecretKind, ValueAction, ValuePattern,
    ValueRule,
};
use kandela_model::{
    Attributes, Exemplar, Labels, LogRecord, MetricBatch, Scope, SeriesExemplar, SeriesIndex, Span,
    SpanEvent, SpanKind, SpanStatus, StatusCode, Timestamp, Value,
};
use proptest::prelude::*;

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect()
}

fn everywhere(pattern: ValuePattern) -> ValueRule {
    ValueRule { keys: Vec::new(), pattern, action: ValueAction::Replace("***".to_owned()) }
}

fn mask() -> KeyAction {
    KeyAction::Replace("***".to_owned())
}

fn by_key(pattern: KeyPattern, action: KeyAction) -> Config {
    Config { keys: vec![KeyRule { pattern, action }], hash_secret: b"pepper".to_vec(), ..Config::default() }
}

fn known(secret: SecretKind) -> Redactor {
    let rule = everywhere(ValuePattern::Known(secret));
    Redactor::new(&Config { values: vec![rule], ..Config::default() }).expect("known patterns compile")
}

fn redacted(redactor: &Redactor, input: &str) -> String {
    let mut value = text(input);
    redactor.value(&mut value);
    match value {
        Value::Str(text) => text,
        other => panic!("text stays text, not {other:?}"),
    }
}

fn span(resource: &Arc<Attributes>) -> Span {
    Span {
        trace_id: [1; 16],
        span_id: [1; 8],
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        service: "shop".into(),
        name: "GET /users/ann@example.com".to_owned(),
        kind: SpanKind::Server,
        start_unix_nano: 0,
        end_unix_nano: 1,
        status: SpanStatus { code: StatusCode::Error, message: "no such user bob@example.com".to_owned() },
        resource: Arc::clone(resource),
        attributes: attributes(&[("user.email", "ann@example.com"), ("http.method", "GET")]),
        scope: Arc::new(Scope::default()),
        events: vec![SpanEvent {
            time_unix_nano: 0,
            name: "sent".to_owned(),
            attributes: attributes(&[("to", "ann@example.com")]),
        }],
        links: Vec::new(),
    }
}

fn log(body: Value) -> LogRecord {
    LogRecord {
        time_unix_nano: 1,
        observed_unix_nano: 1,
        service: "shop".into(),
        severity_number: 9,
        severity_text: String::new(),
        body,
        trace_id: None,
        span_id: None,
        flags: 0,
        event_name: String::new(),
        resource: Arc::default(),
        attributes: Attributes::default(),
        scope: Arc::default(),
    }
}

#[test]
fn a_key_is_dropped_masked_or_hashed() {
    let apply = |action| {
        let redactor = Redactor::new(&by_key(KeyPattern::Exact("password".into()), action)).unwrap();
        let mut list = attributes(&[("password", "secret"), ("user", "ann")]);
        redactor.attributes(&mut list);
        list
    };
    assert_eq!(apply(KeyAction::Drop), attributes(&[("user", "ann")]));
    assert_eq!(apply(mask()), attributes(&[("password", "***"), ("user", "ann")]));
    let hashed = apply(KeyAction::Hash);
    assert!(
        matches!(&hashed[0].1, Value::Str(hash) if hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    );
    assert_eq!(hashed, apply(KeyAction::Hash), "the same value has the same hash");
}

#[test]
fn another_secret_gives_other_hashes() {
    let hash = |secret: &[u8]| {
        let config =
            Config { hash_secret: secret.to_vec(), ..by_key(KeyPattern::Exact("k".into()), KeyAction::Hash) };
        let mut list = attributes(&[("k", "value")]);
        Redactor::new(&config).unwrap().attributes(&mut list);
        list
    };
    assert_ne!(hash(b"one"), hash(b"two"));
}

#[test]
fn globs_and_expressions_choose_keys_as_a_whole() {
    let dropped = |pattern| {
        let redactor = Redactor::new(&by_key(pattern, KeyAction::Drop)).unwrap();
        let mut list =
            attributes(&[("http.request.header.cookie", "a"), ("http.method", "b"), ("xhttp.cookie", "c")]);
        redactor.attributes(&mut list);
        list.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(dropped(KeyPattern::Glob("http.*.cookie".into())), ["http.method", "xhttp.cookie"]);
    assert_eq!(
        dropped(KeyPattern::Glob("http.metho?".into())),
        ["http.request.header.cookie", "xhttp.cookie"]
    );
    assert_eq!(dropped(KeyPattern::Regex("x?http\\.(.*\\.)?cookie".into())), ["http.method"]);
    assert_eq!(
        dropped(KeyPattern::Regex("cookie".into())).len(),
        3,
        "an expression must match the whole key"
    );
}

#[test]
fn the_first_rule_that_matches_a_key_counts() {
    let rule = |pattern, action| KeyRule { pattern, action };
    let config = Config {
        keys: vec![
            rule(KeyPattern::Glob("user.*".into()), mask()),
            rule(KeyPattern::Exact("user.id".into()), KeyAction::Drop),
        ],
        ..Config::default()
    };
    let mut list = attributes(&[("user.id", "7")]);
    Redactor::new(&config).unwrap().attributes(&mut list);
    assert_eq!(list, attributes(&[("user.id", "***")]));
}

#[test]
fn rules_reach_into_maps_and_lists() {
    let config = Config {
        values: vec![everywhere(ValuePattern::Known(SecretKind::Email))],
        ..by_key(KeyPattern::Exact("token".into()), KeyAction::Drop)
    };
    let inner = vec![
        ("token".to_owned(), text("t")),
        ("to".to_owned(), Value::List(vec![text("a@b.example"), Value::Bool(true)])),
    ];
    let mut record = [log(Value::Map(vec![("request".to_owned(), Value::Map(inner))]))];
    Redactor::new(&config).unwrap().logs(&mut record);
    let inner = vec![("to".to_owned(), Value::List(vec![text("***"), Value::Bool(true)]))];
    assert_eq!(record[0].body, Value::Map(vec![("request".to_owned(), Value::Map(inner))]));
}

#[test]
fn a_span_is_redacted_wherever_people_write_text() {
    let resource = Arc::new(attributes(&[("service.name", "shop"), ("owner", "ops@example.com")]));
    let mut spans = [span(&resource), span(&resource)];
    known(SecretKind::Email).spans(&mut spans);
    let read = &spans[0];
    assert_eq!((read.name.as_str(), read.status.message.as_str()), ("GET /users/***", "no such user ***"));
    assert_eq!(read.attributes, attributes(&[("user.email", "***"), ("http.method", "GET")]));
    assert_eq!(read.events[0].attributes, attributes(&[("to", "***")]));
    assert_eq!(*read.resource, attributes(&[("service.name", "shop"), ("owner", "***")]));
    assert!(Arc::ptr_eq(&spans[0].resource, &spans[1].resource), "what was shared stays shared");
    assert_eq!(&*spans[0].service, "shop");
}

#[test]
fn a_resource_without_secrets_is_not_copied() {
    let resource = Arc::new(attributes(&[("service.name", "shop")]));
    let mut spans = [span(&resource)];
    known(SecretKind::Email).spans(&mut spans);
    assert!(Arc::ptr_eq(&spans[0].resource, &resource));
}

#[test]
fn a_service_name_that_is_taken_out_is_gone_everywhere() {
    let resource = Arc::new(attributes(&[("service.name", "shop")]));
    for (action, expected) in [(KeyAction::Drop, "unknown_service"), (mask(), "***")] {
        let mut spans = [span(&resource)];
        let config = by_key(KeyPattern::Exact("service.name".into()), action);
        Redactor::new(&config).unwrap().spans(&mut spans);
        assert_eq!(&*spans[0].service, expected);
    }
}

fn batch() -> MetricBatch {
    let mut batch = MetricBatch::default();
    let series = batch
        .add_series([("__name__", "logins"), ("job", "shop"), ("user", "ann@example.com")])
        .expect("a label set");
    batch.add_sample(series, Timestamp::from_millis(1), 1.0);
    let labels = Labels::new([("user", "ann@example.com")]).expect("a label set");
    let exemplar =
        Exemplar { ts: Timestamp::from_millis(1), value: 1.0, trace_id: None, span_id: None, labels };
    batch.exemplars.push(SeriesExemplar { series, exemplar });
    batch
}

#[test]
fn labels_of_metrics_are_redacted_only_when_asked() {
    let rule = everywhere(ValuePattern::Known(SecretKind::Email));
    let mut config = Config { values: vec![rule], ..Config::default() };
    let mut left = batch();
    Redactor::new(&config).unwrap().metrics(&mut left);
    assert_eq!(left.labels(SeriesIndex(0)).get("user"), Some("ann@example.com"));
    assert_eq!(left.exemplars[0].exemplar.labels.get("user"), Some("***"));

    config.metric_labels = true;
    let mut redacted = batch();
    Redactor::new(&config).unwrap().metrics(&mut redacted);
    assert_eq!(redacted.labels(SeriesIndex(0)).to_string(), r#"logins{job="shop", user="***"}"#);
    assert_eq!(redacted.samples, batch().samples);
}

#[test]
fn a_metric_keeps_its_name_whatever_the_rules() {
    let config = Config { metric_labels: true, ..by_key(KeyPattern::Glob("*".into()), KeyAction::Drop) };
    let mut redacted = batch();
    Redactor::new(&config).unwrap().metrics(&mut redacted);
    assert_eq!(redacted.labels(SeriesIndex(0)).to_string(), "logins");
}

#[test]
fn card_numbers_are_known_by_issuer_length_and_check_digit() {
    let cards = known(SecretKind::CreditCard);
    assert_eq!(redacted(&cards, "paid with 4111 1111 1111 1111, thanks"), "paid with ***, thanks");
    assert_eq!(redacted(&cards, "4111-1111-1111-1111"), "***");
    assert_eq!(redacted(&cards, "card=378282246310005;"), "card=***;");
    assert_eq!(redacted(&cards, "order 17 4111 1111 1111 1111 30"), "order 17 *** 30");
    for other in ["4111 1111 1111 1112", "1700000000000", "1700000000000000000", "41111111111111110000000000"]
    {
        assert_eq!(redacted(&cards, other), other);
    }
    let mut number = Value::Int(4_111_111_111_111_111);
    cards.value(&mut number);
    assert_eq!(number, text("***"));
}

#[test]
fn addresses_keys_and_tokens_are_known() {
    assert_eq!(
        redacted(&known(SecretKind::Email), "from <a.b+c@mail.example.co.uk>: hi @ all"),
        "from <***>: hi @ all"
    );
    assert_eq!(
        redacted(&known(SecretKind::BearerToken), "Authorization: bearer eyJhbGciOi.abc-_~+/=="),
        "Authorization: bearer ***"
    );
    assert_eq!(redacted(&known(SecretKind::AwsKey), "key AKIAIOSFODNN7EXAMPLE used"), "key *** used");
    assert_eq!(
        redacted(&known(SecretKind::Ipv4), "from 10.0.0.255:80 to 256.1.1.1"),
        "from ***:80 to 256.1.1.1"
    );
    assert_eq!(redacted(&known(SecretKind::Ipv4), "oid 1.3.6.1.4.1"), "oid 1.3.6.1.4.1");
}

#[test]
fn an_expression_of_ones_own_replaces_or_hashes_each_match() {
    let rule = |action| Config {
        values: vec![ValueRule {
            keys: Vec::new(),
            pattern: ValuePattern::Regex("id-[0-9]+".into()),
            action,
        }],
        hash_secret: b"pepper".to_vec(),
        ..Config::default()
    };
    let replaced = Redactor::new(&rule(ValueAction::Replace("$0".into()))).unwrap();
    assert_eq!(redacted(&replaced, "id-1 and id-22."), "$0 and $0.");
    let hashed = redacted(&Redactor::new(&rule(ValueAction::Hash)).unwrap(), "id-1 id-2 id-1");
    let parts: Vec<&str> = hashed.split(' ').collect();
    assert!(parts[0] == parts[2] && parts[0] != parts[1] && parts[0].len() == 32, "{hashed}");
}

#[test]
fn a_rule_for_some_attributes_reaches_all_that_is_within_them() {
    let rule = ValueRule {
        keys: vec![KeyPattern::Glob("req*".into())],
        ..everywhere(ValuePattern::Regex(r"\d+".into()))
    };
    let redactor = Redactor::new(&Config { values: vec![rule], ..Config::default() }).unwrap();
    let nested =
        |text: &str| Value::Map(vec![("id".to_owned(), Value::List(vec![Value::Str(text.to_owned())]))]);
    let mut list = vec![("request".to_owned(), nested("n17")), ("id".to_owned(), nested("n17"))];
    redactor.attributes(&mut list);
    assert_eq!(list, [("request".to_owned(), nested("n***")), ("id".to_owned(), nested("n17"))]);
    assert_eq!(redacted(&redactor, "n17"), "n17", "a log's body is no attribute");
}

#[test]
fn the_section_of_the_configuration_says_what_to_hide() {
    let yaml = "kandela:\n  redact:\n    - {keys: [password, '*.token']}\n    - {pattern: '\\b\\d{4}\\b', replacement: '####'}\n";
    let (loaded, _) = kandela_config::parse(yaml, "kandela.yaml", &|_| None).unwrap();
    let redactor = Redactor::new(&Config::of(&loaded.kandela).unwrap()).unwrap();
    let mut list = attributes(&[("password", "x"), ("api.token", "y"), ("pin", "is 1234")]);
    redactor.attributes(&mut list);
    assert_eq!(
        list,
        attributes(&[("password", "<redacted>"), ("api.token", "<redacted>"), ("pin", "is ####")])
    );
}

#[test]
fn rules_that_cannot_work_are_refused_by_name() {
    let broken = Config { values: vec![everywhere(ValuePattern::Regex("(".into()))], ..Config::default() };
    assert!(Redactor::new(&broken).unwrap_err().to_string().contains(r#"redaction pattern "(""#));
    let huge = Config {
        values: vec![everywhere(ValuePattern::Regex("(a{1000}){1000}".into()))],
        ..Config::default()
    };
    assert!(matches!(Redactor::new(&huge), Err(RedactError::Regex { .. })));
    let no_secret =
        Config { hash_secret: Vec::new(), ..by_key(KeyPattern::Exact("k".into()), KeyAction::Hash) };
    assert_eq!(Redactor::new(&no_secret).unwrap_err(), RedactError::NoSecret);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_and_has_no_secret_left(input in ".{0,60}[0-9 .-]{0,30}.{0,20}") {
        for secret in [SecretKind::Email, SecretKind::CreditCard, SecretKind::BearerToken, SecretKind::AwsKey, SecretKind::Ipv4] {
            let redactor = known(secret);
            let once = redacted(&redactor, &input);
            prop_assert_eq!(&redacted(&redactor, &once), &once, "twice changes nothing more");
        }
    }
}
