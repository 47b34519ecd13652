//! What to search on a Redis server.
//!
//! Source: `redis.conf` of version 7.

use std::collections::BTreeMap;

use kandela_model::{ApplyCost, KnobSpec, KnobType, KnobValue, StepCap};
use kandela_tune::space::Class;
use kandela_tune::{Parameter, Space, SpaceError};

use crate::actuator::settings::parse;

/// The parameters that are searched.
///
/// How often housekeeping runs and how long it may take, what is freed in the background, what each command is measured with, and up to
/// which length lists, hashes and sorted sets stay packed, which trades memory for time.
///
/// Not here: what is fixed while the server runs (`io-threads`), what only some builds take (`activedefrag` needs an allocator of Redis' own),
/// what only snapshots see (`rdbcompression`), and `hll-sparse-max-bytes`, `set-max-intset-entries` and the like, of data that few have: a
/// space file names them where they count.
pub const KNOBS: [&str; 13] = [
    "hz",
    "dynamic-hz",
    "active-expire-effort",
    "activerehashing",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "latency-tracking",
    "list-max-listpack-size",
    "hash-max-listpack-entries",
    "zset-max-listpack-entries",
    "maxmemory-samples",
    "lazyfree-lazy-eviction",
];

/// Those that matter only where `maxmemory` has keys evicted.
const EVICTING: [&str; 2] = ["maxmemory-samples", "lazyfree-lazy-eviction"];

/// The space to search, from where the server stands now, which `parameters` says as `CONFIG GET` spells it. What the server does not have
/// is left out, and a range that does not hold the present value is made to.
///
/// # Errors
/// [`SpaceError`], which no server's values should lead to.
pub fn space(parameters: &BTreeMap<String, String>) -> Result<Space, SpaceError> {
    let evicts = parameters.get("maxmemory").is_some_and(|limit| limit != "0");
    let searched = KNOBS.into_iter().filter(|name| evicts || !EVICTING.contains(name));
    Space::new(searched.filter_map(|name| parameter(name, parameters.get(name)?)).collect())
}

fn parameter(name: &str, text: &str) -> Option<Parameter> {
    let spec =
        |kind| KnobSpec { name: name.to_owned(), kind, step_cap: StepCap::Unlimited, cost: ApplyCost::Live };
    let default = parse("", &spec(range(name)), text).ok()?;
    let kind = match (range(name), &default) {
        // Below 0 it is a class of sizes, above 0 a count; no scale holds both.
        (KnobType::Int { max, .. }, KnobValue::Int(now)) if max < 0 && *now >= 0 => {
            return None;
        }
        (KnobType::Int { min, max, log }, KnobValue::Int(now)) => {
            let min = min.min(*now);
            KnobType::Int { min, max: max.max(*now), log: log && min >= 1 }
        }
        (kind, _) => kind,
    };
    Some(Parameter { spec: spec(kind), default: Some(default), when: None, class: Class::Free })
}

fn range(name: &str) -> KnobType {
    let whole = |min, max, log| KnobType::Int { min, max, log };
    match name {
        "hz" => whole(1, 500, true),
        "active-expire-effort" => whole(1, 10, false),
        // Pages of 64 kB down to 4 kB.
        "list-max-listpack-size" => whole(-5, -1, false),
        "hash-max-listpack-entries" | "zset-max-listpack-entries" => whole(16, 2048, true),
        "maxmemory-samples" => whole(1, 20, true),
        _ => KnobType::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuator::hard;

    fn fresh() -> BTreeMap<String, String> {
        let numbers = [
            ("hz", "10"),
            ("active-expire-effort", "1"),
            ("list-max-listpack-size", "-2"),
            ("hash-max-listpack-entries", "128"),
            ("zset-max-listpack-entries", "128"),
            ("maxmemory-samples", "5"),
            ("maxmemory", "0"),
        ];
        let switches = KNOBS.iter().filter(|name| range(name) == KnobType::Bool).map(|name| (*name, "no"));
        numbers.into_iter().chain(switches).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn a_search_begins_where_the_server_stands_and_touches_nothing_that_keeps_data_safe() {
        let space = space(&fresh()).expect("a space");
        assert!(space.has_start());
        assert_eq!(space.decode(&space.start())["hz"], KnobValue::Int(10));
        for name in KNOBS {
            assert_eq!(hard::redis(name), None, "{name}");
        }
    }

    #[test]
    fn eviction_is_searched_only_where_keys_are_evicted() {
        let mut parameters = fresh();
        assert!(space(&parameters).expect("a space").parameter("maxmemory-samples").is_none());
        parameters.insert("maxmemory".into(), "104857600".into());
        assert!(space(&parameters).expect("a space").parameter("maxmemory-samples").is_some());
    }

    #[test]
    fn a_range_holds_the_present_value_whatever_it_is() {
        let mut parameters = fresh();
        parameters.insert("hash-max-listpack-entries".into(), "0".into());
        parameters.insert("list-max-listpack-size".into(), "128".into());
        let space = space(&parameters).expect("a space");
        let entries = &space.parameter("hash-max-listpack-entries").expect("there").spec.kind;
        assert_eq!(*entries, KnobType::Int { min: 0, max: 2048, log: false });
        assert!(space.parameter("list-max-listpack-size").is_none(), "counts and sizes share no scale");
    }
}
