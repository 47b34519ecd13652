//! Units parse and convert as their standards say, and the table of what commutes is right in both
//! directions.

use kandela_algebra::unit::{Aggregate, MapClass, Quantity, Series, Unit, UnitError, commutes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn unit(name: &str) -> Unit {
    name.parse().unwrap_or_else(|error: UnitError| panic!("{error}"))
}

fn convert(value: f64, from: &str, to: &str) -> f64 {
    unit(from).conversion(unit(to)).unwrap_or_else(|error| panic!("{error}")).apply(value)
}

const AGGREGATES: [Aggregate; 13] = [
    Aggregate::First,
    Aggregate::Last,
    Aggregate::Min,
    Aggregate::Max,
    Aggregate::Quantile(0.3),
    Aggregate::Quantile(0.9),
    Aggregate::InterpolatedQuantile(0.3),
    Aggregate::InterpolatedQuantile(0.9),
    Aggregate::Mean,
    Aggregate::StdDev,
    Aggregate::Sum,
    Aggregate::Count,
    Aggregate::Rate,
];

/// A map, with the numbers that it was made from.
#[derive(Clone, Debug)]
struct Map {
    kind: usize,
    a: f64,
    b: f64,
}

impl Map {
    fn apply(&self, class: MapClass, x: f64) -> f64 {
        let Map { kind, a, b } = *self;
        match class {
            MapClass::PositiveScale => a.abs() * x,
            MapClass::Linear => a * x,
            MapClass::PositiveAffine => a.abs() * x + b,
            MapClass::Affine => a * x + b,
            MapClass::Increasing => [x.floor(), x.max(b), x.cbrt(), x.powi(3), a.abs() * x + b][kind % 5],
            MapClass::Any => [x.abs(), x * x, -x, (x * a).sin(), b][kind % 5],
        }
    }
}

fn map() -> impl Strategy<Value = Map> {
    let factor = prop_oneof![0.1..8.0, -8.0..-0.1];
    (0usize..5, factor, -50.0..50.0).prop_map(|(kind, a, b)| Map { kind, a, b })
}

fn series() -> impl Strategy<Value = Series<f64>> {
    vec((1i64..60, -100.0..100.0), 2..12).prop_map(|steps| {
        let mut time = 0;
        let points = steps.into_iter().map(|(step, value)| {
            time += step;
            (time, value)
        });
        Series { points: points.collect() }
    })
}

/// Both ways around: aggregate the mapped, map the aggregate.
fn both(aggregate: Aggregate, class: MapClass, map: &Map, series: &Series<f64>) -> (f64, f64) {
    let mapped = series.clone().map(|value| map.apply(class, value)).aggregate(aggregate);
    let aggregated = series.aggregate(aggregate).map(|value| map.apply(class, value));
    (mapped.expect("two points or more"), aggregated.expect("two points or more"))
}

fn agree((left, right): (f64, f64)) -> bool {
    (left - right).abs() <= 1e-9 * (1.0 + left.abs().max(right.abs()))
}

proptest! {
    #[test]
    fn where_the_table_says_true_both_ways_agree(map in map(), series in series()) {
        for aggregate in AGGREGATES {
            for class in MapClass::ALL.into_iter().filter(|&class| commutes(aggregate, class)) {
                let answers = both(aggregate, class, &map, &series);
                prop_assert!(agree(answers), "{:?} and {:?}: {:?}", aggregate, class, answers);
            }
        }
    }

    #[test]
    fn mapping_keeps_identity_and_composition(series in series(), map in map()) {
        let (f, g) = (|x: f64| map.apply(MapClass::Affine, x), |x: f64| map.apply(MapClass::Any, x));
        prop_assert_eq!(series.clone().map(|x| x), series.clone());
        prop_assert_eq!(series.clone().map(f).map(g), series.map(|x| g(f(x))));
    }

    #[test]
    fn there_and_back_again_is_the_same_value(value in -1e12..1e12, pair in 0usize..7) {
        let (a, b) = [
            ("ms", "d"), ("KiBy", "bits"), ("%", "1"), ("By/s", "MiBy/h"),
            ("[degF]", "Cel"), ("nanoseconds", "weeks"), ("kW", "mW"),
        ][pair];
        let back = convert(convert(value, a, b), b, a);
        prop_assert!((back - value).abs() <= 1e-12 * (value.abs() + 1e3));
    }

    #[test]
    fn any_text_is_parsed_or_refused(name in "[a-zA-Zµ%1{}/_ ]{0,12}") {
        if let Ok(unit) = name.parse::<Unit>() {
            prop_assert!(unit.factor() > 0.0 && unit.factor().is_finite());
        }
    }
}

#[test]
fn where_the_table_says_false_there_is_a_counterexample() {
    let mut runner = TestRunner::deterministic();
    for aggregate in AGGREGATES {
        for class in MapClass::ALL.into_iter().filter(|&class| !commutes(aggregate, class)) {
            let found = (0..1000).any(|_| {
                let (map, series) = (map(), series()).new_tree(&mut runner).unwrap().current();
                !agree(both(aggregate, class, &map, &series))
            });
            assert!(found, "{aggregate:?} and {class:?} agree in 1000 cases, so the table may be too strict");
        }
    }
}

#[test]
fn names_of_openmetrics_and_ucum_mean_the_same() {
    let pairs = [
        ("seconds", "s"),
        ("second", "s"),
        ("milliseconds", "ms"),
        ("microseconds", "us"),
        ("µs", "us"),
        ("nanoseconds", "ns"),
        ("hours", "h"),
        ("bytes", "By"),
        ("kibibytes", "KiBy"),
        ("megabytes", "MBy"),
        ("bits", "bit"),
        ("kilobits", "kbit"),
        ("ratio", "1"),
        ("percent", "%"),
        ("celsius", "Cel"),
        ("meters", "m"),
        ("volts", "V"),
        ("amperes", "A"),
        ("joules", "J"),
        ("watts", "W"),
        ("grams", "g"),
        ("bytes_per_second", "By/s"),
        ("hertz", "Hz"),
        ("1/s", "{request}/s"),
    ];
    for (word, symbol) in pairs {
        assert_eq!(unit(word), unit(symbol), "{word} and {symbol}");
    }
}

#[test]
fn conversions_round_once() {
    assert_eq!(convert(300.0, "ms", "s"), 0.3);
    assert_eq!(convert(0.07, "s", "ms"), 0.07 * 1000.0);
    assert_eq!(convert(1.0, "d", "ns"), 86_400e9);
    assert_eq!(convert(3.0, "GiBy", "MiBy"), 3072.0);
    assert_eq!(convert(90.0, "min", "h"), 1.5);
    assert_eq!(convert(50.0, "%", "1"), 0.5);
    assert_eq!(convert(60.0, "{request}/min", "Hz"), 1.0);
    assert_eq!(convert(8.0, "Mibit/s", "MiBy/s"), 1.0);
    assert_eq!(convert(1.0, "EiBy", "bit"), 2f64.powi(63));
    assert_eq!(convert(1.0, "EBy/ps", "pbit/wk"), 1e18 * 1e12 * 8e12 * 604_800.0);
}

#[test]
fn temperatures_have_different_zeros() {
    assert_eq!(convert(100.0, "Cel", "K"), 373.15);
    assert!((convert(212.0, "[degF]", "Cel") - 100.0).abs() < 1e-9);
    let conversion = unit("Cel").conversion(unit("[degF]")).unwrap();
    assert_eq!(conversion.class(), MapClass::PositiveAffine);
    assert!(!commutes(Aggregate::Sum, conversion.class()), "two temperatures cannot be added");
}

#[test]
fn what_measures_different_things_is_not_converted() {
    let refused = unit("ms").conversion(unit("KiBy")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "0.001 × seconds cannot be converted into 1024 × bytes: they measure different things"
    );
    assert!(unit("By").conversion(unit("By/s")).is_err());
    assert!(unit("{request}").conversion(unit("1")).is_err(), "a count is no ratio");
}

#[test]
fn unknown_names_are_refused() {
    for name in
        ["", "/", "By/By", "parsec", "Kis", "kibiseconds", "S", "Cel/s", "Hz/s", "{a}{b}", "msms", "milli"]
    {
        assert!(
            matches!(name.parse::<Unit>(), Err(UnitError::Unknown { .. })),
            "{name:?} was taken for a unit"
        );
    }
}

#[test]
fn quantities_are_told_apart() {
    assert_eq!(unit("{request}").quantity(), Quantity::Count);
    assert_eq!((unit("By/s").quantity(), unit("By/s").is_rate()), (Quantity::Data, true));
    assert_eq!(unit("GiBy/min").base(), unit("By/s"));
    assert_eq!(unit("KiBy").factor(), 1024.0);
}
