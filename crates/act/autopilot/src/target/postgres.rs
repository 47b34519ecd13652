//! What to search on a PostgreSQL server, and what PGTune would set there.
//!
//! Sources: the manual's chapters 20 (server configuration), 30.4 and 30.5 (asynchronous commit, configuration of the write-ahead log)
//! and `pg_settings`, version 15.

mod pgtune;

use std::collections::BTreeMap;

use kandela_model::{ApplyCost, KnobSpec, KnobType, KnobValue, StepCap};
use kandela_tune::space::Class;
use kandela_tune::{Parameter, Space, SpaceError};

use super::{Machine, Workload};
use crate::actuator::STRONGER;
use crate::actuator::settings::parse;

pub(crate) use pgtune::NAMED;
pub use pgtune::{Data, Form, Storage, pgtune};

/// What is known of a server before it is tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its major version.
    pub version: u32,
    /// What it runs on.
    pub machine: Machine,
    /// Bytes that are free where its write-ahead log lies, where that is known.
    pub wal_room: Option<u64>,
    /// Its settings by name, as `pg_settings` shows them.
    pub settings: BTreeMap<String, Setting>,
}

/// A row of `pg_settings`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// In force for new sessions, in `unit`.
    pub value: String,
    /// `kB`, `8kB`, `ms`, …; none where there is none.
    pub unit: Option<String>,
    /// `integer`, `real`, `bool`, `enum` or `string`.
    pub vartype: String,
    /// When a change takes effect: `postmaster` at a restart, `internal` never.
    pub context: String,
    /// The least that the server takes.
    pub min: Option<String>,
    /// The most.
    pub max: Option<String>,
    /// The words that it takes, of an enum.
    pub words: Vec<String>,
    /// Where the value came from: `default`, `configuration file`, `command line`, …
    pub source: String,
}

const OLTP: &[&str] = &[
    "shared_buffers",
    "wal_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "checkpoint_completion_target",
    "checkpoint_flush_after",
    "backend_flush_after",
    "wal_compression",
    "commit_delay",
    "bgwriter_lru_maxpages",
    "autovacuum_vacuum_cost_delay",
];

const ANALYTIC: &[&str] = &[
    "shared_buffers",
    "work_mem",
    "effective_cache_size",
    "random_page_cost",
    "effective_io_concurrency",
    "max_parallel_workers_per_gather",
    "jit",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
    "backend_flush_after",
];

const MIXED: &[&str] = &[
    "shared_buffers",
    "wal_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "checkpoint_completion_target",
    "wal_compression",
    "commit_delay",
    "bgwriter_lru_maxpages",
    "backend_flush_after",
    "work_mem",
    "effective_cache_size",
    "random_page_cost",
    "effective_io_concurrency",
    "max_parallel_workers_per_gather",
    "jit",
];

/// The knobs that are searched for a workload, the heaviest first.
///
/// A trial costs a minute or so, so a knob is here only if there is a mechanism by which it moves the workload's throughput *within*
/// such a trial. Writes wait for the flush of the log at commit (`commit_delay`, `wal_buffers`), for whole pages after each checkpoint
/// (`max_wal_size`, `checkpoint_timeout`, `wal_compression`), for what checkpoints, background writer and vacuum write meanwhile, and
/// for pages that are not in `shared_buffers`. Queries wait for plans that don't fit the machine and for sorts that spill. None decides
/// what survives a crash: a commit still waits for its flush, all of these leave the order of writes alone, and a longer log makes
/// recovery longer, not poorer.
///
/// Not here: what needs an `ANALYZE` to show (`default_statistics_target`), what only index builds and vacuum see
/// (`maintenance_work_mem`), what only measures (`track_io_timing`), what is best by default wherever it can be (`huge_pages = try`),
/// what helps only where commits don't wait (`wal_writer_delay`), and what only scales the effect of another one (`min_wal_size`,
/// `commit_siblings`, `bgwriter_delay`): each further knob costs the search some trials.
pub fn knobs(workload: Workload) -> &'static [&'static str] {
    match workload {
        Workload::Oltp => OLTP,
        Workload::Analytic => ANALYTIC,
        Workload::Web | Workload::Mixed | Workload::Desktop => MIXED,
    }
}

/// The space to search: [`knobs`] that this server has, from where it stands now, in the units that `pg_settings` shows.
///
/// Ranges are what is sane on the machine, within what the server takes, and hold the present value. What something stronger than `ALTER
/// SYSTEM` sets is left out, and without `restart` what needs one. All of it fits: `shared_buffers` has two fifths of the memory at most,
/// and one sort or hash in each allowed session another half; the log has a quarter of the free space at most.
///
/// # Errors
/// [`SpaceError`], where the server shows a range that is none.
pub fn space(facts: &Facts, workload: Workload, restart: bool) -> Result<Space, SpaceError> {
    let parameters = knobs(workload).iter().filter_map(|name| {
        let setting = facts.settings.get(*name)?;
        let cost = cost(setting)?;
        let reachable = restart || cost != ApplyCost::Restart;
        let settable = reachable && !STRONGER.contains(&setting.source.as_str());
        let kind = settable.then(|| range(name, setting, facts)).flatten()?;
        parameter(name, setting, kind, cost)
    });
    Space::new(parameters.collect())
}

/// All of `names` that the server has and a program may set, each with the server's own range.
pub(crate) fn settable<'a>(
    settings: &BTreeMap<String, Setting>,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<Parameter> {
    let parameter = |name: &str| {
        let setting = settings.get(name)?;
        let bound = |text: &Option<String>| text.as_deref()?.parse::<f64>().ok();
        let kind = match setting.vartype.as_str() {
            "integer" => KnobType::Int {
                min: bound(&setting.min)? as i64,
                max: bound(&setting.max)? as i64,
                log: false,
            },
            "real" => KnobType::Float { min: bound(&setting.min)?, max: bound(&setting.max)?, log: false },
            "bool" => KnobType::Bool,
            "enum" => KnobType::Choice(setting.words.clone()),
            _ => return None,
        };
        let spec =
            KnobSpec { name: name.to_owned(), kind, step_cap: StepCap::Unlimited, cost: cost(setting)? };
        Some(Parameter { spec, default: None, when: None, class: Class::Free })
    };
    names.into_iter().filter_map(parameter).collect()
}

/// What a change of it takes; none where nothing changes it.
pub(crate) fn cost(setting: &Setting) -> Option<ApplyCost> {
    match setting.context.as_str() {
        "internal" => None,
        "postmaster" => Some(ApplyCost::Restart),
        _ => Some(ApplyCost::Reload),
    }
}

fn parameter(name: &str, setting: &Setting, kind: KnobType, cost: ApplyCost) -> Option<Parameter> {
    let spec = KnobSpec { name: name.to_owned(), kind, step_cap: StepCap::Unlimited, cost };
    let present = parse("", &spec, &setting.value).ok()?;
    let kind = holding(within(spec.kind, setting), &present)?;
    Some(Parameter {
        spec: KnobSpec { kind, ..spec },
        default: Some(present),
        when: None,
        class: Class::Free,
    })
}

/// What is worth a search on this machine, in the setting's own unit.
fn range(name: &str, setting: &Setting, facts: &Facts) -> Option<KnobType> {
    let unit = bytes(setting.unit.as_deref().unwrap_or_default());
    let memory = facts.machine.memory;
    let size = |low: u64, high: u64| {
        let unit = unit?;
        let low = (low / unit).max(1);
        Some(KnobType::Int { min: low as i64, max: (high / unit).max(low) as i64, log: true })
    };
    let whole = |min: i64, max: i64, log: bool| Some(KnobType::Int { min, max, log });
    match name {
        "shared_buffers" => size(32 * MB, memory / 5 * 2),
        "effective_cache_size" => size(memory / 16, memory),
        "work_mem" => {
            let number = |name: &str, otherwise: f64| {
                let setting = facts.settings.get(name);
                setting.and_then(|setting| setting.value.parse::<f64>().ok()).unwrap_or(otherwise).max(1.0)
            };
            let sharers = number("max_connections", 100.0) * number("hash_mem_multiplier", 1.0);
            size(MB, (memory as f64 / 2.0 / sharers) as u64)
        }
        "wal_buffers" => size(MB, 64 * MB),
        "max_wal_size" => size((256 * MB).max(wal_least(facts)), wal_most(facts)),
        "checkpoint_timeout" => whole(60, 1800, true),
        "checkpoint_completion_target" => Some(KnobType::Float { min: 0.5, max: 0.95, log: false }),
        // 2 MB of pages is the most that the server takes; 0 leaves it to the system.
        "checkpoint_flush_after" | "backend_flush_after" => whole(0, 256, false),
        "wal_compression" => {
            let known = ["off", "pglz", "lz4", "zstd"].map(str::to_owned);
            let words: Vec<String> = known.into_iter().filter(|word| setting.words.contains(word)).collect();
            (words.len() > 1).then_some(KnobType::Choice(words))
        }
        // Microseconds. Half of what one flush takes is the manual's advice (30.5): longer ones only make every commit wait.
        "commit_delay" => whole(0, 1000, false),
        "bgwriter_lru_maxpages" => whole(10, 5000, true),
        "autovacuum_vacuum_cost_delay" => Some(KnobType::Float { min: 0.0, max: 10.0, log: false }),
        "random_page_cost" => Some(KnobType::Float { min: 1.0, max: 4.0, log: true }),
        "effective_io_concurrency" => whole(1, 512, true),
        "max_parallel_workers_per_gather" => whole(0, i64::from(facts.machine.cpus), false),
        "jit" => Some(KnobType::Bool),
        _ => None,
    }
}

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// Two segments of the log: a server that has less written down does not start.
fn wal_least(facts: &Facts) -> u64 {
    let segment = facts.settings.get("wal_segment_size");
    let length = segment.and_then(|row| {
        row.value.parse::<u64>().ok()?.checked_mul(bytes(row.unit.as_deref().unwrap_or("B"))?)
    });
    length.unwrap_or(16 * MB).saturating_mul(2)
}

/// How long the log may get between checkpoints: 16 GB at most, which is PGTune's longest too, and 4 GB where nobody knows the room.
fn wal_most(facts: &Facts) -> u64 {
    facts.wal_room.map_or(4 * GB, |room| (room / 4).min(16 * GB))
}

/// The part of a range that the server takes.
fn within(kind: KnobType, setting: &Setting) -> KnobType {
    let bound = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let low = bound(&setting.min).unwrap_or(f64::NEG_INFINITY);
    let high = bound(&setting.max).unwrap_or(f64::INFINITY);
    match kind {
        KnobType::Int { min, max, log } => {
            let min = (min as f64).max(low).min(high) as i64;
            KnobType::Int { min, max: (max as f64).max(low).min(high) as i64, log }
        }
        KnobType::Float { min, max, log } => {
            KnobType::Float { min: min.max(low).min(high), max: max.max(low).min(high), log }
        }
        other => other,
    }
}

/// A range that holds `present` too. A special value that no logarithm has (0, -1) makes the scale linear.
fn holding(kind: KnobType, present: &KnobValue) -> Option<KnobType> {
    match (kind, present) {
        (KnobType::Int { min, max, log }, KnobValue::Int(now)) => {
            let (min, max) = (min.min(*now), max.max(*now));
            Some(KnobType::Int { min, max, log: log && min >= 1 })
        }
        (KnobType::Float { min, max, log }, KnobValue::Float(now)) => {
            let (min, max) = (min.min(*now), max.max(*now));
            Some(KnobType::Float { min, max, log: log && min > 0.0 })
        }
        (KnobType::Choice(mut words), KnobValue::Choice(now)) => {
            if !words.contains(now) {
                words.push(now.clone());
            }
            Some(KnobType::Choice(words))
        }
        (KnobType::Bool, KnobValue::Bool(_)) => Some(KnobType::Bool),
        _ => None,
    }
}

/// How many bytes a unit of `pg_settings` is: `8kB`, `kB`, `MB`, …
pub(crate) fn bytes(unit: &str) -> Option<u64> {
    let digits = unit.len() - unit.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = unit.split_at(digits);
    let count = if count.is_empty() { 1 } else { count.parse().ok()? };
    let one = match unit {
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => MB,
        "GB" => GB,
        "TB" => 1 << 40,
        _ => return None,
    };
    u64::checked_mul(count, one).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::actuator::hard;

    fn setting(value: &str, unit: &str, vartype: &str, context: &str, range: (&str, &str)) -> Setting {
        Setting {
            value: value.to_owned(),
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
            vartype: vartype.to_owned(),
            context: context.to_owned(),
            min: Some(range.0.to_owned()),
            max: Some(range.1.to_owned()),
            words: Vec::new(),
            source: "default".to_owned(),
        }
    }

    /// A server of version 15 as `initdb` leaves it.
    fn fresh(memory: u64) -> Facts {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let compression = Setting {
            words: words(&["pglz", "lz4", "zstd", "on", "off"]),
            ..setting("off", "", "enum", "superuser", ("", ""))
        };
        let settings = [
            ("shared_buffers", setting("16384", "8kB", "integer", "postmaster", ("16", "1073741823"))),
            ("wal_buffers", setting("512", "8kB", "integer", "postmaster", ("-1", "262143"))),
            ("max_wal_size", setting("1024", "MB", "integer", "sighup", ("2", "2147483647"))),
            ("min_wal_size", setting("80", "MB", "integer", "sighup", ("2", "2147483647"))),
            ("checkpoint_timeout", setting("300", "s", "integer", "sighup", ("30", "86400"))),
            ("checkpoint_completion_target", setting("0.9", "", "real", "sighup", ("0", "1"))),
            ("checkpoint_flush_after", setting("32", "8kB", "integer", "sighup", ("0", "256"))),
            ("backend_flush_after", setting("0", "8kB", "integer", "user", ("0", "256"))),
            ("wal_compression", compression),
            ("commit_delay", setting("0", "", "integer", "superuser", ("0", "100000"))),
            ("commit_siblings", setting("5", "", "integer", "user", ("0", "1000"))),
            ("bgwriter_delay", setting("200", "ms", "integer", "sighup", ("10", "10000"))),
            ("bgwriter_lru_maxpages", setting("100", "", "integer", "sighup", ("0", "1073741823"))),
            ("autovacuum_vacuum_cost_delay", setting("2", "ms", "real", "sighup", ("-1", "100"))),
            ("work_mem", setting("4096", "kB", "integer", "user", ("64", "2147483647"))),
            ("effective_cache_size", setting("524288", "8kB", "integer", "user", ("1", "2147483647"))),
            ("random_page_cost", setting("4", "", "real", "user", ("0", "1.79769e+308"))),
            ("effective_io_concurrency", setting("1", "", "integer", "user", ("0", "1000"))),
            ("max_parallel_workers_per_gather", setting("2", "", "integer", "user", ("0", "1024"))),
            ("jit", setting("on", "", "bool", "user", ("", ""))),
            ("max_connections", setting("100", "", "integer", "postmaster", ("1", "262143"))),
            ("hash_mem_multiplier", setting("2", "", "real", "user", ("1", "1000"))),
            ("fsync", setting("on", "", "bool", "sighup", ("", ""))),
        ];
        let settings = settings.map(|(name, setting)| (name.to_owned(), setting)).into();
        Facts { version: 15, machine: Machine { memory, cpus: 4 }, wal_room: Some(100 * GB), settings }
    }

    fn ends(space: &Space, name: &str) -> (i64, i64) {
        match &space.parameter(name).expect(name).spec.kind {
            KnobType::Int { min, max, .. } => (*min, *max),
            other => panic!("{name} is {other}"),
        }
    }

    #[test]
    fn each_workload_has_ten_to_sixteen_knobs_and_none_that_keeps_data_safe() {
        for workload in Workload::ALL {
            let space = space(&fresh(16 * GB), workload, true).expect("a space");
            assert!((10..=16).contains(&space.axes().len()), "{workload}: {}", space.axes().len());
            assert_eq!(space.axes().len(), knobs(workload).len(), "{workload} names a knob without a range");
            for parameter in space.parameters() {
                assert_eq!(hard::postgres(&parameter.spec.name), None, "{}", parameter.spec.name);
            }
        }
    }

    #[test]
    fn a_search_begins_where_the_server_stands() {
        let space = space(&fresh(16 * GB), Workload::Oltp, true).expect("a space");
        assert!(space.has_start());
        let start = space.decode(&space.start());
        assert_eq!(start["shared_buffers"], KnobValue::Int(16384));
        assert_eq!(start["wal_compression"], KnobValue::Choice("off".into()));
        assert_eq!(start["checkpoint_completion_target"], KnobValue::Float(0.9));
    }

    #[test]
    fn sizes_are_in_the_servers_units_and_bounded_by_the_machine() {
        let space = space(&fresh(16 * GB), Workload::Mixed, true).expect("a space");
        assert_eq!(ends(&space, "shared_buffers"), (4096, (16 * GB / 5 * 2 / 8192) as i64));
        // Half of 16 GB for 100 sessions of two shares each.
        assert_eq!(ends(&space, "work_mem"), (1024, 41943));
        assert_eq!(ends(&space, "max_wal_size"), (256, 16384));
        assert_eq!(ends(&space, "max_parallel_workers_per_gather"), (0, 4));
    }

    #[test]
    fn a_log_takes_a_quarter_of_what_is_free_at_most() {
        let mut facts = fresh(16 * GB);
        facts.wal_room = Some(20 * GB);
        assert_eq!(ends(&space(&facts, Workload::Oltp, true).expect("a space"), "max_wal_size"), (256, 5120));
        facts.wal_room = None;
        assert_eq!(ends(&space(&facts, Workload::Oltp, true).expect("a space"), "max_wal_size"), (256, 4096));
    }

    #[test]
    fn a_log_has_room_for_two_segments_without_which_its_server_does_not_start() {
        let mut facts = fresh(16 * GB);
        let segment = setting("268435456", "B", "integer", "internal", ("1048576", "1073741824"));
        facts.settings.insert("wal_segment_size".into(), segment);
        let space = space(&facts, Workload::Oltp, true).expect("a space");
        assert_eq!(ends(&space, "max_wal_size").0, 512);
    }

    #[test]
    fn without_a_restart_only_what_a_reload_changes_is_searched() {
        let space = space(&fresh(16 * GB), Workload::Oltp, false).expect("a space");
        assert!(space.parameter("shared_buffers").is_none() && space.parameter("wal_buffers").is_none());
        assert_eq!(space.axes().len(), OLTP.len() - 2);
        assert!(space.parameters().iter().all(|parameter| parameter.spec.cost == ApplyCost::Reload));
    }

    #[test]
    fn what_the_command_line_or_a_role_sets_is_left_out() {
        let mut facts = fresh(16 * GB);
        facts.settings.get_mut("max_wal_size").expect("there").source = "command line".into();
        facts.settings.remove("commit_delay");
        let space = space(&facts, Workload::Oltp, true).expect("a space");
        assert!(space.parameter("max_wal_size").is_none() && space.parameter("commit_delay").is_none());
    }

    #[test]
    fn a_range_holds_the_present_value_whatever_it_is() {
        let mut facts = fresh(GB);
        for (name, now) in
            [("shared_buffers", "130000"), ("bgwriter_lru_maxpages", "0"), ("random_page_cost", "0.5")]
        {
            facts.settings.get_mut(name).expect("there").value = now.into();
        }
        let space = space(&facts, Workload::Mixed, true).expect("a space");
        assert_eq!(ends(&space, "shared_buffers").1, 130_000);
        let pages = &space.parameter("bgwriter_lru_maxpages").expect("there").spec.kind;
        assert_eq!(*pages, KnobType::Int { min: 0, max: 5000, log: false });
        let cost = &space.parameter("random_page_cost").expect("there").spec.kind;
        assert_eq!(*cost, KnobType::Float { min: 0.5, max: 4.0, log: true });
    }

    #[test]
    fn a_unit_is_so_many_bytes() {
        for (unit, count) in [
            ("8kB", Some(8192)),
            ("MB", Some(MB)),
            ("16B", Some(16)),
            ("0kB", None),
            ("ms", None),
            ("", None),
        ] {
            assert_eq!(bytes(unit), count, "{unit:?}");
        }
    }

    proptest! {
        #[test]
        fn every_machine_has_a_space_that_its_server_takes(
            memory in (32 * MB)..(1 << 45), cpus in 1..1024_u32, room in proptest::option::of(0..(1_u64 << 50)),
        ) {
            let mut facts = fresh(memory);
            (facts.machine.cpus, facts.wal_room) = (cpus, room);
            for workload in Workload::ALL {
                let space = space(&facts, workload, true).expect("a space");
                prop_assert!(space.has_start());
                let own = Space::new(settable(&facts.settings, knobs(workload).iter().copied())).expect("the server's");
                for end in [0.0, 1.0] {
                    for (name, value) in space.decode(&vec![end; space.axes().len()]) {
                        prop_assert!(own.parameter(&name).expect("settable").spec.check(&value).is_ok(), "{name} {value}");
                    }
                }
            }
        }
    }
}
