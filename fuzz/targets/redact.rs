//! Text under all known rules of redaction.
#![no_main]

use std::sync::LazyLock;

use kandela_ingest::redact::{Config, Redactor, SecretKind, ValueAction, ValuePattern, ValueRule};
use kandela_model::Value;
use libfuzzer_sys::fuzz_target;

static ONE_EACH: LazyLock<Vec<Redactor>> = LazyLock::new(|| {
    let secrets = [SecretKind::Email, SecretKind::CreditCard, SecretKind::BearerToken, SecretKind::AwsKey, SecretKind::Ipv4];
    let redactor = |secret| {
        let action = ValueAction::Replace("***".to_owned());
        let rule = ValueRule { keys: Vec::new(), pattern: ValuePattern::Known(secret), action };
        Redactor::new(&Config { values: vec![rule], ..Config::default() }).expect("known rules are valid")
    };
    secrets.map(redactor).into()
});

fuzz_target!(|text: &str| {
    for redactor in ONE_EACH.iter() {
        let mut once = Value::Str(text.to_owned());
        redactor.value(&mut once);
        let mut twice = once.clone();
        redactor.value(&mut twice);
        assert_eq!(once, twice);
    }
});
