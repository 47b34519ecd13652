//! The names of units.

use super::{Quantity, Unit, reduce};

/// What takes a prefix: symbol, word, unit.
const METRIC: [(&str, &str, Unit); 10] = [
    ("s", "seconds", Unit::new(Quantity::Time, 1, 1)),
    ("By", "bytes", Unit::new(Quantity::Data, 1, 1)),
    ("bit", "bits", Unit::new(Quantity::Data, 1, 8)),
    ("m", "meters", Unit::new(Quantity::Length, 1, 1)),
    ("g", "grams", Unit::new(Quantity::Mass, 1, 1)),
    ("J", "joules", Unit::new(Quantity::Energy, 1, 1)),
    ("W", "watts", Unit::new(Quantity::Power, 1, 1)),
    ("A", "amperes", Unit::new(Quantity::Current, 1, 1)),
    ("V", "volts", Unit::new(Quantity::Voltage, 1, 1)),
    ("Hz", "hertz", Unit { per_time: true, ..Unit::new(Quantity::Count, 1, 1) }),
];

/// Symbol, word, and what one is, as numerator and denominator.
const PREFIXES: [(&str, &str, u128, u128); 10] = [
    ("p", "pico", 1, 1_000_000_000_000),
    ("n", "nano", 1, 1_000_000_000),
    ("u", "micro", 1, 1_000_000),
    ("m", "milli", 1, 1_000),
    ("k", "kilo", 1_000, 1),
    ("M", "mega", 1_000_000, 1),
    ("G", "giga", 1_000_000_000, 1),
    ("T", "tera", 1_000_000_000_000, 1),
    ("P", "peta", 1_000_000_000_000_000, 1),
    ("E", "exa", 1_000_000_000_000_000_000, 1),
];

/// Prefixes of powers of 1024, for data only.
const BINARY_PREFIXES: [(&str, &str, u32); 6] = [
    ("Ki", "kibi", 10),
    ("Mi", "mebi", 20),
    ("Gi", "gibi", 30),
    ("Ti", "tebi", 40),
    ("Pi", "pebi", 50),
    ("Ei", "exbi", 60),
];

pub(super) fn parse(name: &str) -> Option<Unit> {
    let name = name.trim();
    match name.split_once('/').or_else(|| name.split_once("_per_")) {
        None => parse_simple(name),
        Some((amount, time)) => {
            let amount = if amount.is_empty() { parse_simple("{thing}")? } else { parse_simple(amount)? };
            let time = parse_simple(time).filter(|time| time.quantity == Quantity::Time)?;
            if amount.per_time || amount.offset != 0.0 {
                return None;
            }
            // "1/s" is UCUM for things per second.
            let quantity = if amount.quantity == Quantity::Ratio { Quantity::Count } else { amount.quantity };
            let (numerator, denominator) =
                reduce(amount.numerator * time.denominator, amount.denominator * time.numerator);
            Some(Unit { quantity, per_time: true, numerator, denominator, offset: 0.0 })
        }
    }
}

fn parse_simple(name: &str) -> Option<Unit> {
    if let Some(thing) = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return (!thing.contains(['{', '}'])).then_some(Unit::new(Quantity::Count, 1, 1));
    }
    irregular(name).or_else(|| prefixed(name))
}

fn irregular(name: &str) -> Option<Unit> {
    let temperature = |numerator, denominator, offset| Unit {
        offset,
        ..Unit::new(Quantity::Temperature, numerator, denominator)
    };
    Some(match name {
        "1" | "ratio" => Unit::new(Quantity::Ratio, 1, 1),
        "%" | "percent" => Unit::new(Quantity::Ratio, 1, 100),
        "count" => Unit::new(Quantity::Count, 1, 1),
        "min" | "minute" | "minutes" => Unit::new(Quantity::Time, 60, 1),
        "h" | "hour" | "hours" => Unit::new(Quantity::Time, 3_600, 1),
        "d" | "day" | "days" => Unit::new(Quantity::Time, 86_400, 1),
        "wk" | "week" | "weeks" => Unit::new(Quantity::Time, 604_800, 1),
        "µs" | "μs" => Unit::new(Quantity::Time, 1, 1_000_000),
        "K" | "kelvin" => temperature(1, 1, 0.0),
        "Cel" | "celsius" => temperature(1, 1, 273.15),
        "[degF]" | "fahrenheit" => temperature(5, 9, 459.67),
        _ => return None,
    })
}

fn prefixed(name: &str) -> Option<Unit> {
    METRIC.iter().find_map(|&(symbol, plural, unit)| {
        let singular = plural.strip_suffix('s').unwrap_or(plural);
        [(plural, true), (singular, true), (symbol, false)].into_iter().find_map(|(ending, is_word)| {
            let (numerator, denominator) = match name.strip_suffix(ending)? {
                "" => (1, 1),
                prefix => multiple(prefix, is_word, unit.quantity)?,
            };
            let (numerator, denominator) = reduce(unit.numerator * numerator, unit.denominator * denominator);
            Some(Unit { numerator, denominator, ..unit })
        })
    })
}

/// What a prefix multiplies by, as numerator and denominator. Words take words as prefixes, symbols take
/// symbols.
fn multiple(prefix: &str, is_word: bool, quantity: Quantity) -> Option<(u128, u128)> {
    let matches = |symbol: &str, word: &str| prefix == if is_word { word } else { symbol };
    let decimal = PREFIXES.iter().find(|(symbol, word, ..)| matches(symbol, word));
    if let Some(&(.., numerator, denominator)) = decimal {
        return Some((numerator, denominator));
    }
    let binary = BINARY_PREFIXES.iter().find(|(symbol, word, _)| matches(symbol, word))?;
    (quantity == Quantity::Data).then_some((1 << binary.2, 1))
}
