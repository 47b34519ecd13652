//! Names of metrics, labels and units as Prometheus' OTLP endpoint makes them
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

use std::borrow::Cow;
use std::str::FromStr;

/// How OpenTelemetry's names become Prometheus' names: the key `translation_strategy` of Prometheus' section `otlp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TranslationStrategy {
    /// What Prometheus' old names do not allow becomes `_`; unit and kind become suffixes.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// What Prometheus' old names do not allow becomes `_`.
    UnderscoreEscapingWithoutSuffixes,
    /// Names stay as they are; unit and kind become suffixes.
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl TranslationStrategy {
    /// Whether names are limited to Prometheus' old alphabet.
    pub const fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    /// Whether unit and kind become suffixes.
    pub const fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

impl FromStr for TranslationStrategy {
    type Err = ();

    /// Reads the word that Prometheus' configuration has for it.
    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "UnderscoreEscapingWithSuffixes" => Self::UnderscoreEscapingWithSuffixes,
            "UnderscoreEscapingWithoutSuffixes" => Self::UnderscoreEscapingWithoutSuffixes,
            "NoUTF8EscapingWithSuffixes" => Self::NoUtf8EscapingWithSuffixes,
            "NoTranslation" => Self::NoTranslation,
            _ => return Err(()),
        })
    }
}

/// Which suffix the kind of a metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KindSuffix {
    /// A counter: `total`.
    Total,
    /// A gauge: `ratio` where its unit is `1`.
    Ratio,
    None,
}

/// Prometheus' name of a metric; `None` where nothing valid is left of it.
pub(super) fn metric_name(
    strategy: TranslationStrategy,
    name: &str,
    unit: &str,
    kind: KindSuffix,
) -> Option<String> {
    let translated = match (strategy.escapes(), strategy.adds_suffixes()) {
        (true, true) => escaped_with_suffixes(name, unit, kind),
        (true, false) => {
            let kept = |c: char| is_name_char(c) || c == '_';
            prefix_digit(join(name.split(|c| !kept(c)).filter(|token| !token.is_empty())))
        }
        (false, true) => unescaped_with_suffixes(name, unit, kind),
        (false, false) => name.to_owned(),
    };
    let only_underscores = strategy.escapes() && translated != name && translated.chars().all(|c| c == '_');
    (!translated.is_empty() && !only_underscores).then_some(translated)
}

fn escaped_with_suffixes(name: &str, unit: &str, kind: KindSuffix) -> String {
    let mut tokens: Vec<&str> = name.split(|c| !is_name_char(c)).filter(|token| !token.is_empty()).collect();
    let (main, per) = unit_parts(unit);
    let main = clean_unit(&main);
    let per = clean_unit(&per);
    let per = if per == "per_" { "" } else { per.strip_suffix('_').unwrap_or(&per) };
    let per = if tokens.contains(&per) { "" } else { per };
    let main = if tokens.contains(&main.as_str()) { "" } else { main.as_str() };
    let main = if per.is_empty() { main } else { main.strip_suffix('_').unwrap_or(main) };
    tokens.extend([main, per].into_iter().filter(|token| !token.is_empty()));
    let suffix = match kind {
        KindSuffix::Total => Some("total"),
        KindSuffix::Ratio if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(suffix) = suffix {
        tokens.retain(|token| *token != suffix);
        tokens.push(suffix);
    }
    prefix_digit(join(tokens.into_iter()))
}

fn unescaped_with_suffixes(name: &str, unit: &str, kind: KindSuffix) -> String {
    let ratio = kind == KindSuffix::Ratio && unit == "1";
    let total = kind == KindSuffix::Total;
    let (main, per) = unit_parts(unit);
    let mut name = name;
    if ratio {
        name = trim_suffix(name, "ratio");
    }
    if total {
        name = trim_suffix(name, "total");
    }
    if !per.is_empty() {
        name = trim_suffix(name, &per);
    }
    let main = if name.ends_with(&*main) { "" } else { &main };
    let suffixes = [main, &per, if total { "total" } else { "" }, if ratio { "ratio" } else { "" }];
    join(std::iter::once(name).chain(suffixes.into_iter().filter(|suffix| !suffix.is_empty())))
}

/// `name` without `suffix` and the one character before it, unless nothing would be left.
fn trim_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    if !name.ends_with(suffix) {
        return name;
    }
    let end = name.len().saturating_sub(suffix.len() + 1);
    name.get(..end).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// Prometheus' name of a label; `None` where nothing valid is left of it.
pub(super) fn label_name(name: &str, rules: LabelRules) -> Option<Cow<'_, str>> {
    if !rules.escape {
        let only_underscores = name.bytes().all(|byte| byte == b'_');
        return (!only_underscores).then_some(Cow::Borrowed(name));
    }
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let reserved = !rules.keep_underscores && is_reserved(name);
    let inner = if reserved { name.get(2..name.len() - 2).unwrap_or_default() } else { name };
    let mut escaped = String::with_capacity(name.len() + 4);
    if reserved {
        escaped.push_str("__");
    }
    let start = escaped.len();
    for c in inner.chars() {
        if c.is_ascii_alphanumeric() {
            escaped.push(c);
        } else if rules.keep_underscores || escaped.len() == start || !escaped.ends_with('_') {
            escaped.push('_');
        }
    }
    if reserved {
        escaped.push_str("__");
    }
    if escaped.starts_with(|c: char| c.is_ascii_digit()) {
        escaped.insert_str(0, "key_");
    } else if rules.prefix_underscore && escaped.starts_with('_') && !escaped.starts_with("__") {
        escaped.insert_str(0, "key");
    }
    Some(Cow::Owned(escaped))
}

/// Whether a name begins and ends with two underscores, which stay.
fn is_reserved(name: &str) -> bool {
    name.len() >= 4 && name.starts_with("__") && name.ends_with("__")
}

/// How label names are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelRules {
    /// Whether they are limited to Prometheus' old alphabet.
    pub(super) escape: bool,
    /// Whether a single leading underscore gets `key` before it.
    pub(super) prefix_underscore: bool,
    /// Whether runs of underscores stay.
    pub(super) keep_underscores: bool,
}

/// The unit that metadata give: `By/s` is `bytes_per_second`.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = unit_parts(unit);
    let (main, per) = (clean_unit(&main), clean_unit(&per));
    let name = join([main.as_str(), per.as_str()].into_iter().filter(|part| !part.is_empty()));
    let name = name.strip_prefix('_').unwrap_or(&name);
    name.strip_suffix('_').unwrap_or(name).to_owned()
}

/// A unit in words: what is counted, and `per_…` where it is a rate. Annotations in braces say nothing.
fn unit_parts(unit: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let spoken = |part: &str| !part.is_empty() && !part.contains(['{', '}']);
    let (main, per) = (main.trim(), per.trim());
    let main = if spoken(main) { main_unit(main) } else { "" };
    let per = if spoken(per) { Cow::Owned(format!("per_{}", per_unit(per))) } else { Cow::Borrowed("") };
    (Cow::Borrowed(main), per)
}

/// The words of UCUM's symbols that telemetry uses.
fn main_unit(symbol: &str) -> &str {
    match symbol {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => other,
    }
}

fn per_unit(symbol: &str) -> &str {
    match symbol {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

/// A unit limited to the alphabet of names, without runs of underscores or one in front.
fn clean_unit(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for c in unit.chars() {
        if is_name_char(c) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn join<'a>(tokens: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for token in tokens {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(token);
    }
    out
}

fn prefix_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TranslationStrategy::*;

    fn named(strategy: TranslationStrategy, name: &str, unit: &str, kind: KindSuffix) -> String {
        metric_name(strategy, name, unit, kind).unwrap()
    }

    #[test]
    fn units_and_kinds_become_suffixes() {
        let name = |name, unit, kind| named(UnderscoreEscapingWithSuffixes, name, unit, kind);
        assert_eq!(name("requests", "", KindSuffix::Total), "requests_total");
        assert_eq!(name("cpu_usage", "1", KindSuffix::Ratio), "cpu_usage_ratio");
        assert_eq!(name("items", "1", KindSuffix::Total), "items_total");
        assert_eq!(name("response_time", "ms", KindSuffix::Ratio), "response_time_milliseconds");
        assert_eq!(name("requests", "1/s", KindSuffix::Ratio), "requests_per_second");
        assert_eq!(name("throughput", "By/s", KindSuffix::Ratio), "throughput_bytes_per_second");
        assert_eq!(name("custom_metric", "custom_unit", KindSuffix::Ratio), "custom_metric_custom_unit");
        assert_eq!(
            name("http.server.request.duration", "s", KindSuffix::None),
            "http_server_request_duration_seconds"
        );
    }

    #[test]
    fn annotations_in_braces_are_no_unit() {
        let name = |unit| named(UnderscoreEscapingWithSuffixes, "custom_metric", unit, KindSuffix::Ratio);
        assert_eq!(name("{custom}"), "custom_metric");
        assert_eq!(name("By/{custom}"), "custom_metric_bytes");
    }

    #[test]
    fn suffixes_that_are_there_are_not_repeated() {
        let name = |name, unit, kind| named(UnderscoreEscapingWithSuffixes, name, unit, kind);
        assert_eq!(name("requests_total", "", KindSuffix::Total), "requests_total");
        assert_eq!(name("cpu_usage_ratio", "1", KindSuffix::Ratio), "cpu_usage_ratio");
        assert_eq!(name("response_time_seconds", "s", KindSuffix::Ratio), "response_time_seconds");
    }

    #[test]
    fn without_suffixes_only_the_alphabet_is_kept() {
        let name = |name| metric_name(UnderscoreEscapingWithoutSuffixes, name, "s", KindSuffix::Total);
        assert_eq!(name("metric@with#special$chars").as_deref(), Some("metric_with_special_chars"));
        assert_eq!(name("metric@@##$$name").as_deref(), Some("metric_name"));
        assert_eq!(name("123metric").as_deref(), Some("_123metric"));
        assert_eq!(name("@#$%"), None);
        assert_eq!(name("@_#_$_%"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn names_of_any_alphabet_get_suffixes_too() {
        let name = |name, unit, kind| named(NoUtf8EscapingWithSuffixes, name, unit, kind);
        assert_eq!(name("requests_total", "", KindSuffix::Total), "requests_total");
        assert_eq!(name("cpu_usage_ratio", "1", KindSuffix::Ratio), "cpu_usage_ratio");
        assert_eq!(name("cpu_seconds_total", "s", KindSuffix::Total), "cpu_seconds_total");
        assert_eq!(
            name("otelcol_process_cpu_seconds", "s", KindSuffix::Total),
            "otelcol_process_cpu_seconds_total"
        );
        assert_eq!(name("http.server.duration", "s", KindSuffix::None), "http.server.duration_seconds");
        assert_eq!(
            named(NoTranslation, "http.server.duration", "s", KindSuffix::Total),
            "http.server.duration"
        );
    }

    #[test]
    fn labels_are_escaped_as_prometheus_does_by_default() {
        let rules = LabelRules { escape: true, prefix_underscore: true, keep_underscores: true };
        let name = |name| label_name(name, rules).map(Cow::into_owned);
        assert_eq!(name("label:with:colons").as_deref(), Some("label_with_colons"));
        assert_eq!(name("label!with&special$chars)").as_deref(), Some("label_with_special_chars_"));
        assert_eq!(name("with_字符").as_deref(), Some("with___"));
        assert_eq!(name(".foo").as_deref(), Some("key_foo"));
        assert_eq!(name("123label").as_deref(), Some("key_123label"));
        assert_eq!(name("__two").as_deref(), Some("__two"));
        assert_eq!(name("label__with__double").as_deref(), Some("label__with__double"));
        assert_eq!(name("ようこそ"), None);
        assert_eq!(name("__"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn runs_of_underscores_collapse_when_asked() {
        let rules = LabelRules { escape: true, prefix_underscore: false, keep_underscores: false };
        let name = |name| label_name(name, rules).map(Cow::into_owned);
        assert_eq!(
            name("label.name__with&&special##chars").as_deref(),
            Some("label_name_with_special_chars")
        );
        assert_eq!(name("__reserved__label__name__").as_deref(), Some("__reserved_label_name__"));
        assert_eq!(name("__two").as_deref(), Some("_two"));
        assert_eq!(name("trailing___").as_deref(), Some("trailing_"));
        assert_eq!(name("__name__").as_deref(), Some("__name__"));
    }

    #[test]
    fn units_of_metadata_are_words() {
        let units = ["", "s", "By/s", "1", "1/s", "requests/s", "{x}"].map(unit_name);
        assert_eq!(units, ["", "seconds", "bytes_per_second", "", "per_second", "requests_per_second", ""]);
    }
}
