//! What PGTune would set: a peer to measure searches beside.
//!
//! Source: the rules of <https://github.com/le0pard/pgtune> (MIT), `src/features/configuration/configurationSlice.js` at commit
//! 7caef27c204d, for Linux.

use kandela_model::KnobValue;

use super::super::{Machine, Workload};
use super::GB;

/// What PGTune's form asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// The server's major version, 15 or later.
    pub version: u32,
    /// What it runs on, for itself alone.
    pub machine: Machine,
    /// What its data lie on.
    pub storage: Storage,
    /// How many sessions may be open; by the workload, where there is none.
    pub connections: Option<u32>,
    /// What it is used for.
    pub workload: Workload,
    /// How much data there is.
    pub data: Data,
}

/// What data lie on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Turning disks.
    Hdd,
    /// Flash.
    #[default]
    Ssd,
    /// Flash behind NVMe.
    Nvme,
    /// A storage network.
    San,
}

/// How much data there is beside memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// Less than memory.
    Less,
    /// About as much, up to three times.
    #[default]
    Similar,
    /// More.
    More,
}

/// The settings that PGTune prints, in the units that `pg_settings` of a server with pages of 8 kB shows: `shared_buffers`,
/// `effective_cache_size` and `wal_buffers` in pages, lengths of the log in MB, other memory in kB.
///
/// Two of its lines are left out. `max_connections` is what it was asked with. For the desktop it lowers `wal_level` to `minimal`, which is of
/// the class durability and never set here.
pub fn pgtune(form: &Form) -> Vec<(&'static str, KnobValue)> {
    let memory_kb = form.machine.memory / 1024;
    let desktop = form.workload == Workload::Desktop;
    let analytic = form.workload == Workload::Analytic;
    let shared = memory_kb / if desktop { 16 } else { 4 };
    let cache = if desktop { memory_kb / 4 } else { memory_kb * 3 / 4 };
    let maintenance = (memory_kb / if analytic { 8 } else { 16 }).min(8 * GB_IN_KB);
    let (min_wal, max_wal) = match form.workload {
        Workload::Web | Workload::Mixed => (1024, 4096),
        Workload::Oltp => (2048, 8192),
        Workload::Analytic => (4096, 16384),
        Workload::Desktop => (100, 2048),
    };
    let scattered = match (form.data, form.storage) {
        (Data::Less, _) => 1.1,
        (_, Storage::Hdd) => 4.0,
        _ if analytic => 4.0,
        _ => 1.1,
    };
    let concurrency = match form.storage {
        Storage::Hdd => 2,
        Storage::Ssd => 200,
        Storage::San => 300,
        Storage::Nvme => 1000,
    };
    let word = |word: &str| KnobValue::Choice(word.to_owned());
    let number = |number: u64| KnobValue::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let mut settings = vec![
        ("shared_buffers", number(pages(shared))),
        ("effective_cache_size", number(pages(cache))),
        ("maintenance_work_mem", number(maintenance)),
        ("checkpoint_completion_target", KnobValue::Float(0.9)),
        ("wal_buffers", number(pages(wal_buffers(shared)))),
        ("default_statistics_target", number(if analytic { 500 } else { 100 })),
        ("random_page_cost", KnobValue::Float(scattered)),
        ("effective_io_concurrency", number(concurrency)),
        ("work_mem", number(work_mem(form, memory_kb, shared))),
        ("huge_pages", word(if shared >= 2 * GB_IN_KB { "try" } else { "off" })),
        ("min_wal_size", number(min_wal)),
        ("max_wal_size", number(max_wal)),
        ("wal_compression", word("lz4")),
    ];
    if !analytic && !desktop {
        settings.push(("jit", KnobValue::Bool(false)));
    }
    settings.extend(workers(form).into_iter().map(|(name, count)| (name, number(count))));
    if maintenance >= 2 * GB_IN_KB {
        settings.push(("autovacuum_work_mem", number(2 * GB_IN_KB)));
    }
    if form.version >= 18 {
        settings.push(("io_method", word("io_uring")));
    }
    settings
}

/// All that [`pgtune`] may name.
pub(crate) const NAMED: [&str; 21] = [
    "shared_buffers",
    "effective_cache_size",
    "maintenance_work_mem",
    "checkpoint_completion_target",
    "wal_buffers",
    "default_statistics_target",
    "random_page_cost",
    "effective_io_concurrency",
    "work_mem",
    "huge_pages",
    "min_wal_size",
    "max_wal_size",
    "wal_compression",
    "jit",
    "max_worker_processes",
    "max_parallel_workers_per_gather",
    "max_parallel_workers",
    "max_parallel_maintenance_workers",
    "autovacuum_max_workers",
    "autovacuum_work_mem",
    "io_method",
];

const GB_IN_KB: u64 = GB / 1024;

/// So many kB as pages, to the nearest, as the server rounds.
fn pages(kb: u64) -> u64 {
    (kb + 4) / 8
}

/// Three hundredths of the buffers in kB, 16 MB at most, which what is near it becomes.
fn wal_buffers(shared_kb: u64) -> u64 {
    match shared_kb * 3 / 100 {
        kb if kb > 14 * 1024 => 16 * 1024,
        kb => kb.max(32),
    }
}

fn work_mem(form: &Form, memory_kb: u64, shared_kb: u64) -> u64 {
    let connections = form.connections.unwrap_or(match form.workload {
        Workload::Web => 200,
        Workload::Oltp => 300,
        Workload::Analytic => 40,
        Workload::Desktop => 20,
        Workload::Mixed => 100,
    });
    let processes = if form.machine.cpus >= 4 { form.machine.cpus } else { 8 };
    let sessions = (f64::from(connections) + f64::from(processes)) * 3.0;
    let each = (memory_kb - shared_kb) as f64 / sessions;
    let share = match form.workload {
        Workload::Web | Workload::Oltp => each,
        Workload::Analytic | Workload::Mixed => each / 2.0,
        Workload::Desktop => each / 6.0,
    };
    let scaled = match form.data {
        Data::Less => share.floor() * 1.3,
        Data::Similar => share,
        Data::More => share.floor() * 0.9,
    };
    (scaled as u64).max(4 * 1024)
}

fn workers(form: &Form) -> Vec<(&'static str, u64)> {
    let cpus = u64::from(form.machine.cpus);
    let mut workers = Vec::new();
    if cpus >= 4 {
        let half = cpus.div_ceil(2);
        let a_query = if form.workload == Workload::Analytic { half } else { half.min(4) };
        workers.extend([
            ("max_worker_processes", cpus),
            ("max_parallel_workers_per_gather", a_query),
            ("max_parallel_workers", cpus),
            ("max_parallel_maintenance_workers", half.min(4)),
        ]);
    }
    match cpus {
        32.. => workers.push(("autovacuum_max_workers", 5)),
        16.. => workers.push(("autovacuum_max_workers", 4)),
        _ => {}
    }
    workers
}

/// The examples are PGTune's own, in `__tests__/configurationSlice.test.js` beside the source.
#[cfg(test)]
mod tests {
    use super::*;

    fn form(gb: u64, cpus: u32, workload: Workload) -> Form {
        Form {
            version: 15,
            machine: Machine { memory: gb * GB, cpus },
            storage: Storage::Ssd,
            connections: None,
            workload,
            data: Data::Similar,
        }
    }

    fn of(form: &Form, name: &str) -> Option<KnobValue> {
        pgtune(form).into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn number(form: &Form, name: &str) -> Option<i64> {
        match of(form, name)? {
            KnobValue::Int(number) => Some(number),
            other => panic!("{name} is {other}"),
        }
    }

    fn word(word: &str) -> Option<KnobValue> {
        Some(KnobValue::Choice(word.to_owned()))
    }

    #[test]
    fn maintenance_memory_is_a_sixteenth_and_8_gb_at_most() {
        assert_eq!(number(&form(16, 4, Workload::Web), "maintenance_work_mem"), Some(1_048_576));
        assert_eq!(number(&form(256, 4, Workload::Web), "maintenance_work_mem"), Some(8_388_608));
    }

    #[test]
    fn vacuum_gets_2_gb_where_maintenance_has_more() {
        assert_eq!(number(&form(4, 4, Workload::Web), "autovacuum_work_mem"), None);
        assert_eq!(number(&form(256, 4, Workload::Web), "autovacuum_work_mem"), Some(2_097_152));
    }

    #[test]
    fn huge_pages_are_tried_from_2_gb_of_buffers_on() {
        assert_eq!(of(&form(4, 4, Workload::Web), "huge_pages"), word("off"));
        assert_eq!(of(&form(16, 4, Workload::Web), "huge_pages"), word("try"));
    }

    #[test]
    fn a_sort_gets_4_mb_at_least() {
        let crowded = Form { connections: Some(9999), ..form(4, 4, Workload::Web) };
        assert_eq!(number(&crowded, "work_mem"), Some(4096));
    }

    #[test]
    fn a_sort_gets_three_tenths_more_where_all_data_fit_and_a_tenth_less_where_they_are_many() {
        // 64 GB, a quarter of it buffers; 200 sessions and 8 workers, three sorts each.
        let similar = form(64, 1, Workload::Web);
        assert_eq!(number(&similar, "work_mem"), Some(80_659));
        assert_eq!(number(&Form { data: Data::Less, ..similar }, "work_mem"), Some(104_856));
        assert_eq!(number(&Form { data: Data::More, ..similar }, "work_mem"), Some(72_593));
    }

    #[test]
    fn scattered_reads_cost_by_storage_workload_and_how_much_fits() {
        let cost = |storage, workload, data| {
            of(&Form { storage, data, ..form(16, 4, workload) }, "random_page_cost")
        };
        for (storage, expected) in
            [(Storage::Hdd, 4.0), (Storage::Ssd, 1.1), (Storage::San, 1.1), (Storage::Nvme, 1.1)]
        {
            assert_eq!(cost(storage, Workload::Web, Data::Similar), Some(KnobValue::Float(expected)));
        }
        assert_eq!(cost(Storage::Hdd, Workload::Web, Data::Less), Some(KnobValue::Float(1.1)));
        assert_eq!(cost(Storage::Ssd, Workload::Analytic, Data::Similar), Some(KnobValue::Float(4.0)));
        assert_eq!(cost(Storage::Ssd, Workload::Analytic, Data::Less), Some(KnobValue::Float(1.1)));
    }

    #[test]
    fn reads_ahead_by_storage() {
        for (storage, expected) in
            [(Storage::Hdd, 2), (Storage::Ssd, 200), (Storage::San, 300), (Storage::Nvme, 1000)]
        {
            let form = Form { storage, ..form(16, 4, Workload::Web) };
            assert_eq!(number(&form, "effective_io_concurrency"), Some(expected));
        }
    }

    #[test]
    fn workers_follow_the_cores_from_four_on() {
        let workers = |cpus, workload| {
            [
                "max_worker_processes",
                "max_parallel_workers_per_gather",
                "max_parallel_workers",
                "max_parallel_maintenance_workers",
                "autovacuum_max_workers",
            ]
            .map(|name| number(&form(16, cpus, workload), name))
        };
        assert_eq!(workers(1, Workload::Web), [None; 5]);
        assert_eq!(workers(12, Workload::Web), [Some(12), Some(4), Some(12), Some(4), None]);
        assert_eq!(workers(31, Workload::Web), [Some(31), Some(4), Some(31), Some(4), Some(4)]);
        assert_eq!(workers(31, Workload::Analytic), [Some(31), Some(16), Some(31), Some(4), Some(4)]);
        assert_eq!(number(&form(16, 8, Workload::Web), "autovacuum_max_workers"), None);
        assert_eq!(number(&form(16, 16, Workload::Web), "autovacuum_max_workers"), Some(4));
        assert_eq!(number(&form(16, 32, Workload::Web), "autovacuum_max_workers"), Some(5));
    }

    #[test]
    fn queries_are_compiled_only_where_they_are_long() {
        for workload in [Workload::Web, Workload::Oltp, Workload::Mixed] {
            assert_eq!(of(&form(16, 4, workload), "jit"), Some(KnobValue::Bool(false)));
        }
        assert_eq!(of(&form(16, 4, Workload::Analytic), "jit"), None);
    }

    #[test]
    fn statistics_are_finer_where_queries_are_long() {
        for workload in Workload::ALL {
            let expected = if workload == Workload::Analytic { 500 } else { 100 };
            assert_eq!(number(&form(16, 4, workload), "default_statistics_target"), Some(expected));
        }
    }

    #[test]
    fn asynchronous_io_came_with_18() {
        assert_eq!(of(&Form { version: 17, ..form(16, 4, Workload::Web) }, "io_method"), None);
        assert_eq!(of(&Form { version: 18, ..form(16, 4, Workload::Web) }, "io_method"), word("io_uring"));
    }

    #[test]
    fn a_whole_configuration_of_a_shop_database_with_16_gb() {
        let form = Form { connections: Some(100), ..form(16, 4, Workload::Oltp) };
        let expected = [
            ("shared_buffers", 524_288),         // 4 GB
            ("effective_cache_size", 1_572_864), // 12 GB
            ("wal_buffers", 2048),               // 16 MB
            ("work_mem", 40_329),                // (16 GB - 4 GB) / ((100 + 4) * 3)
            ("min_wal_size", 2048),
            ("max_wal_size", 8192),
        ];
        for (name, value) in expected {
            assert_eq!(number(&form, name), Some(value), "{name}");
        }
        assert_eq!(of(&form, "wal_compression"), word("lz4"));
    }

    #[test]
    fn all_that_is_set_is_named_and_nothing_of_it_keeps_data_safe() {
        for (workload, cpus, gb, version) in
            [(Workload::Oltp, 64, 512, 18), (Workload::Desktop, 2, 1, 15), (Workload::Analytic, 16, 64, 16)]
        {
            for (name, _) in pgtune(&Form { version, ..form(gb, cpus, workload) }) {
                assert!(NAMED.contains(&name), "{name}");
                assert_eq!(crate::actuator::hard::postgres(name), None, "{name}");
            }
        }
    }
}
