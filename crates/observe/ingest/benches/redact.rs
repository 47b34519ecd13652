//! Cost of redaction where there is little to take out, as is usual: 1,000 spans of six attributes each.
//!
//! `cargo bench -p kandela-ingest --bench redact`.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use kandela_ingest::redact::{
    Config, KeyAction, KeyPattern, KeyRule, Redactor, SecretKind, ValueAction, ValuePattern, ValueRule,
};
use kandela_model::{Attributes, Scope, Span, SpanKind, SpanStatus, Value};

const SPANS: usize = 1_000;

fn main() {
    divan::main();
}

fn spans() -> Vec<Span> {
    let text = |value: String| Value::Str(value);
    let resource: Arc<Attributes> = Arc::new(vec![("service.name".to_owned(), text("checkout".to_owned()))]);
    let scope = Arc::new(Scope::default());
    (0..SPANS)
        .map(|i| Span {
            trace_id: [1; 16],
            span_id: [1; 8],
            parent_span_id: None,
            trace_state: String::new(),
            flags: 0,
            service: "checkout".into(),
            name: "GET /cart/{id}".to_owned(),
            kind: SpanKind::Server,
            start_unix_nano: 0,
            end_unix_nano: 1,
            status: SpanStatus::default(),
            resource: Arc::clone(&resource),
            attributes: vec![
                ("http.request.method".to_owned(), text("GET".to_owned())),
                ("http.route".to_owned(), text(format!("/cart/{}/items", i % 50))),
                ("http.response.status_code".to_owned(), Value::Int(200)),
                ("url.full".to_owned(), text(format!("https://shop.example/cart/{i}?session={i:x}"))),
                ("http.request.header.cookie".to_owned(), text("session=secret".to_owned())),
                (
                    "enduser.id".to_owned(),
                    text(if i % 100 == 0 { "ann@example.com" } else { "u-17" }.to_owned()),
                ),
            ],
            scope: Arc::clone(&scope),
            events: Vec::new(),
            links: Vec::new(),
        })
        .collect()
}

#[divan::bench]
fn keys_and_all_known_secrets(bencher: Bencher<'_, '_>) {
    let known = [
        SecretKind::Email,
        SecretKind::CreditCard,
        SecretKind::BearerToken,
        SecretKind::AwsKey,
        SecretKind::Ipv4,
    ];
    let by_value = |secret| ValueRule {
        keys: Vec::new(),
        pattern: ValuePattern::Known(secret),
        action: ValueAction::Replace("***".to_owned()),
    };
    let keys = ["*.cookie", "*.authorization"]
        .map(|glob| KeyRule { pattern: KeyPattern::Glob(glob.to_owned()), action: KeyAction::Drop });
    let config = Config { keys: keys.into(), values: known.map(by_value).into(), ..Config::default() };
    let redactor = Redactor::new(&config).expect("the benchmark's rules are valid");
    bencher
        .counter(ItemsCount::new(SPANS))
        .with_inputs(spans)
        .bench_local_refs(|spans| redactor.spans(spans));
}
