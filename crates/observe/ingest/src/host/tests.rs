//! Collectors over recorded machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kandela_model::{MetricBatch, MetricKind, Timestamp};
use tempfile::TempDir;

use super::{CollectorError, HostPaths, collect};

/// A small machine: two processors, one disk with a partition, one network device.
const MACHINE: &[(&str, &str)] = &[
    (
        "proc/stat",
        "cpu  300 0 60 4000 8 0 4 2 0 0\ncpu0 100 1 20 2000 4 0 2 1 5 6\ncpu1 200 0 40 2000 4\nintr 581 1 2\nctxt 825\nbtime 1795461735\nprocesses 19\nprocs_running 3\nprocs_blocked 1\nsoftirq 3 1 2\n",
    ),
    ("proc/loadavg", "0.08 0.18 0.26 1/120 4242\n"),
    ("proc/meminfo", "MemTotal:       24684092 kB\nActive(anon):      100 kB\nHugePages_Total:       7\n"),
    (
        "proc/vmstat",
        "nr_free_pages 5\npgpgin 11\npgpgout 12\npswpin 1\npgfault 99\npgmajfault 3\noom_kill 2\npgsteal_kswapd 4\n",
    ),
    (
        "proc/diskstats",
        " 254 0 vda 10 1 8 55 20 2 16 66 3 77 88 4 5 6 7 8 9\n 254 1 vda1 1 1 1 1 1 1 1 1 1 1 1\n   7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n",
    ),
    (
        "proc/1/mountinfo",
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n23 1 0:21 / /proc rw - proc proc rw\n24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n25 1 8:1 / /gone ro - ext4 /dev/sdz ro\n",
    ),
    (
        "proc/net/dev",
        "Inter-|   Receive |  Transmit\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    ),
    (
        "proc/net/arp",
        "IP address HW type Flags HW address Mask Device\n192.0.2.1 0x1 0x2 02:fc:00:00:00:05 * eth0\n192.0.2.2 0x1 0x2 02:fc:00:00:00:06 * eth0\n",
    ),
    ("proc/net/netstat", "TcpExt: SyncookiesSent TW ListenDrops\nTcpExt: 4 5 6\n"),
    ("proc/net/snmp", "Tcp: RtoMin CurrEstab InErrs\nTcp: 200 3 1\n"),
    ("proc/net/snmp6", "Ip6InOctets                     \t128\nIp6InReceives \t1\n"),
    ("proc/net/sockstat", "sockets: used 17\nTCP: inuse 4 orphan 0 tw 2 alloc 4 mem 2\n"),
    (
        "proc/net/softnet_stat",
        "0000000a 00000001 00000002 0 0 0 0 0 00000003 00000004 00000005 00000006 00000001\n",
    ),
    (
        "proc/net/udp",
        "  sl  local_address rem_address   st tx_queue rx_queue\n 1: 0100007F:0035 00000000:0000 07 00000010:00000020 00:00000000 0 0 0\n",
    ),
    ("proc/sys/fs/file-nr", "593\t0\t2466177\n"),
    ("proc/sys/kernel/random/entropy_avail", "256\n"),
    ("proc/sys/kernel/random/poolsize", "256\n"),
    (
        "proc/pressure/cpu",
        "some avg10=2.20 avg60=2.09 avg300=0.96 total=39161421\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/flags", "0x1003\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
    ("sys/class/net/eth0/statistics/rx_nohandler", "12\n"),
    ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet \n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ("root/etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"),
];

/// Parts that only some machines have.
const EXTRAS: &[(&str, &str)] = &[
    ("proc/schedstat", "version 17\ncpu0 0 0 0 0 0 0 2000000000 500000000 42\n domain0 3\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "123\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
    (
        "proc/net/stat/nf_conntrack",
        "entries found invalid\n00000001 0000000a 00000001\n00000001 00000001 00000002\n",
    ),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1699981\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors", "performance powersave\n"),
    ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu0/topology/core_id", "1\n"),
    ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "5\n"),
    ("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "30\n"),
    ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu1/topology/core_id", "1\n"),
    ("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "5\n"),
    ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "55000\n"),
    ("sys/class/hwmon/hwmon0/temp1_crit", "100000\n"),
    ("sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
    ("sys/class/hwmon/hwmon0/fan2_input", "1098\n"),
    ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
    ("sys/class/thermal/thermal_zone0/temp", "49925\n"),
    ("sys/class/thermal/cooling_device0/type", "Processor\n"),
    ("sys/class/thermal/cooling_device0/cur_state", "0\n"),
    ("sys/class/thermal/cooling_device0/max_state", "3\n"),
    (
        "root/run/udev/data/b254:0",
        "S:disk/by-path/x\nE:ID_MODEL=Fast\nE:ID_SERIAL_SHORT=S1\nE:ID_FS_TYPE=ext4\nE:ID_FS_UUID=u-1\n",
    ),
];

fn machine(files: &[&[(&str, &str)]]) -> (TempDir, HostPaths) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files.iter().copied().flatten() {
        write(folder.path(), name, content);
    }
    let at = |name| folder.path().join(name);
    let paths = HostPaths { proc: at("proc"), sys: at("sys"), root: at("root") };
    (folder, paths)
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Series as text with the labels that all share left out, and their values.
fn collected(paths: &HostPaths) -> (BTreeMap<String, f64>, Vec<CollectorError>, MetricBatch) {
    let mut batch = MetricBatch::default();
    let failures = collect(paths, Timestamp::from_millis(1_795_464_152_934), "web-1", &mut batch);
    let page = batch.samples.iter().map(|sample| {
        let labels = batch.labels(sample.series).to_string();
        let own = labels.replace(", instance=\"web-1\"", "").replace("instance=\"web-1\"", "");
        let own = own.replace(", job=\"node\"", "").replace("{, ", "{").replace("{}", "");
        (own, sample.value)
    });
    (page.collect(), failures, batch)
}

#[track_caller]
fn check(page: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (series, value) in expected {
        let found = page.get(*series).copied();
        assert!(
            found.is_some_and(|found| (found - value).abs() <= 1e-9 * value.abs()),
            "{series}: {found:?}, expected {value}; there are {:#?}",
            page.keys().filter(|key| key.starts_with(series.split('{').next().unwrap())).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_small_machine_is_served_in_node_exporters_units() {
    let (_folder, paths) = machine(&[MACHINE]);
    let (page, failures, _) = collected(&paths);
    assert_eq!(failures.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    check(
        &page,
        &[
            ("up", 1.0),
            (r#"node_cpu_seconds_total{cpu="0", mode="idle"}"#, 20.0),
            (r#"node_cpu_guest_seconds_total{cpu="0", mode="nice"}"#, 0.06),
            (r#"node_cpu_seconds_total{cpu="1", mode="steal"}"#, 0.0),
            ("node_boot_time_seconds", 1_795_461_735.0),
            ("node_context_switches_total", 825.0),
            ("node_intr_total", 581.0),
            ("node_forks_total", 19.0),
            ("node_procs_running", 3.0),
            ("node_load15", 0.26),
            ("node_memory_MemTotal_bytes", 24_684_092.0 * 1_024.0),
            ("node_memory_Active_anon_bytes", 102_400.0),
            ("node_memory_HugePages_Total", 7.0),
            ("node_vmstat_pgmajfault", 3.0),
            (r#"node_disk_read_bytes_total{device="vda"}"#, 4_096.0),
            (r#"node_disk_io_time_seconds_total{device="vda"}"#, 0.077),
            (r#"node_disk_flush_requests_time_seconds_total{device="vda"}"#, 0.009),
            (r#"node_disk_info{device="vda", major="254", minor="0"}"#, 1.0),
            (r#"node_network_receive_bytes_total{device="eth0"}"#, 1.0),
            (r#"node_network_transmit_compressed_total{device="eth0"}"#, 16.0),
            (r#"node_network_receive_nohandler_total{device="eth0"}"#, 12.0),
            (r#"node_network_speed_bytes{device="eth0"}"#, 125_000_000.0),
            (r#"node_network_up{device="eth0"}"#, 1.0),
            (r#"node_network_flags{device="eth0"}"#, 4_099.0),
            (r#"node_arp_entries{device="eth0"}"#, 2.0),
            ("node_netstat_TcpExt_SyncookiesSent", 4.0),
            ("node_netstat_Tcp_CurrEstab", 3.0),
            ("node_netstat_Ip6_InOctets", 128.0),
            ("node_sockstat_sockets_used", 17.0),
            ("node_sockstat_TCP_mem_bytes", 2.0 * rustix::param::page_size() as f64),
            (r#"node_softnet_processed_total{cpu="1"}"#, 10.0),
            (r#"node_softnet_backlog_len{cpu="1"}"#, 6.0),
            (r#"node_udp_queues{ip="v4", queue="rx"}"#, 32.0),
            ("node_filefd_maximum", 2_466_177.0),
            ("node_entropy_available_bits", 256.0),
            ("node_pressure_cpu_waiting_seconds_total", 39.161_421),
            ("node_time_seconds", 1_795_464_152.934),
            (r#"node_time_clocksource_available_info{clocksource="hpet", device="0"}"#, 1.0),
            (r#"node_os_info{id="debian", name="Debian GNU/Linux", version_id="12"}"#, 1.0),
            (r#"node_os_version{id="debian", name="Debian GNU/Linux"}"#, 12.0),
            (r#"node_scrape_collector_success{collector="meminfo"}"#, 1.0),
        ],
    );
    for absent in ["node_vmstat_nr_free_pages", "node_vmstat_pgsteal_kswapd", "node_netstat_TcpExt_TW"] {
        assert!(!page.contains_key(absent), "{absent}");
    }
    assert!(!page.keys().any(|series| series.contains("vda1") || series.contains("loop0")));
}

#[test]
fn parts_that_only_some_machines_have_are_served_where_they_are() {
    let (_folder, paths) = machine(&[MACHINE, EXTRAS]);
    let (page, failures, _) = collected(&paths);
    assert!(failures.is_empty(), "{failures:?}");
    check(
        &page,
        &[
            (r#"node_schedstat_running_seconds_total{cpu="0"}"#, 2.0),
            (r#"node_schedstat_waiting_seconds_total{cpu="0"}"#, 0.5),
            (r#"node_schedstat_timeslices_total{cpu="0"}"#, 42.0),
            ("node_nf_conntrack_entries", 123.0),
            ("node_nf_conntrack_stat_found", 11.0),
            ("node_nf_conntrack_stat_invalid", 3.0),
            (r#"node_cpu_scaling_frequency_hertz{cpu="0"}"#, 1_699_981_000.0),
            (r#"node_cpu_scaling_governor{cpu="0", governor="powersave"}"#, 1.0),
            (r#"node_cpu_scaling_governor{cpu="0", governor="performance"}"#, 0.0),
            (r#"node_cpu_core_throttles_total{core="1", package="0"}"#, 5.0),
            (r#"node_cpu_package_throttles_total{package="0"}"#, 30.0),
            (r#"node_hwmon_chip_names{chip="hwmon0", chip_name="coretemp"}"#, 1.0),
            (r#"node_hwmon_temp_celsius{chip="hwmon0", sensor="temp1"}"#, 55.0),
            (r#"node_hwmon_temp_crit_celsius{chip="hwmon0", sensor="temp1"}"#, 100.0),
            (r#"node_hwmon_sensor_label{chip="hwmon0", label="Package id 0", sensor="temp1"}"#, 1.0),
            (r#"node_hwmon_fan_rpm{chip="hwmon0", sensor="fan2"}"#, 1_098.0),
            (r#"node_thermal_zone_temp{type="acpitz", zone="0"}"#, 49.925),
            (r#"node_cooling_device_max_state{name="0", type="Processor"}"#, 3.0),
            (r#"node_disk_info{device="vda", major="254", minor="0", model="Fast", serial="S1"}"#, 1.0),
            (r#"node_disk_filesystem_info{device="vda", type="ext4", uuid="u-1"}"#, 1.0),
        ],
    );
}

#[test]
fn a_mount_that_is_gone_says_so_and_the_others_are_measured() {
    let (_folder, paths) = machine(&[MACHINE]);
    let (page, _, _) = collected(&paths);
    let root = r#"{device="/dev/vda", fstype="ext4", mountpoint="/"}"#;
    check(
        &page,
        &[
            (&format!("node_filesystem_device_error{root}"), 0.0),
            (&format!("node_filesystem_readonly{root}"), 0.0),
            (r#"node_filesystem_mount_info{device="/dev/vda", major="254", minor="0", mountpoint="/"}"#, 1.0),
        ],
    );
    assert!(page[&format!("node_filesystem_size_bytes{root}")] > 0.0);
    let gone: Vec<_> = page.iter().filter(|(series, _)| series.contains("/gone")).collect();
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(
        gone.iter().all(|(series, value)| series.contains("device_error=\"No such file") && **value == 1.0)
    );
}

#[test]
fn a_collector_that_fails_is_named_and_the_others_go_on() {
    let (folder, paths) = machine(&[MACHINE]);
    write(folder.path(), "proc/meminfo", "MemTotal: lots kB\n");
    fs::remove_file(folder.path().join("proc/loadavg")).unwrap();
    let (page, failures, _) = collected(&paths);
    let named: Vec<_> = failures.iter().map(|failure| failure.collector).collect();
    assert_eq!(named, ["loadavg", "meminfo"]);
    assert!(
        failures[1].to_string().contains("meminfo: \"lots\" stands where a number should"),
        "{}",
        failures[1]
    );
    check(
        &page,
        &[
            (r#"node_scrape_collector_success{collector="meminfo"}"#, 0.0),
            (r#"node_scrape_collector_success{collector="loadavg"}"#, 0.0),
            (r#"node_scrape_collector_success{collector="vmstat"}"#, 1.0),
            ("node_vmstat_oom_kill", 2.0),
        ],
    );
}

#[test]
fn an_absent_part_is_unsuccessful_without_being_an_error() {
    let (_folder, paths) = machine(&[MACHINE]);
    let (page, failures, _) = collected(&paths);
    assert!(failures.is_empty());
    check(
        &page,
        &[
            (r#"node_scrape_collector_success{collector="hwmon"}"#, 0.0),
            (r#"node_scrape_collector_success{collector="schedstat"}"#, 0.0),
            (r#"node_scrape_collector_success{collector="conntrack"}"#, 0.0),
        ],
    );
}

#[test]
fn an_empty_machine_fails_by_name_and_never_panics() {
    let (_folder, paths) = machine(&[]);
    let (page, failures, _) = collected(&paths);
    assert!(failures.iter().any(|failure| failure.collector == "cpu"));
    assert!(
        page.contains_key("node_uname_info") || page.keys().any(|key| key.starts_with("node_uname_info{"))
    );
}

#[test]
fn families_are_described_once_with_kind_and_unit() {
    let (_folder, paths) = machine(&[MACHINE]);
    let (_, _, batch) = collected(&paths);
    let cpu: Vec<_> = batch.metadata.iter().filter(|m| m.family == "node_cpu_seconds_total").collect();
    assert_eq!(cpu.len(), 1);
    assert_eq!((cpu[0].kind, cpu[0].unit.as_str()), (MetricKind::Counter, "seconds"));
    assert!(batch.series().iter().all(|series| series.metadata.is_some()));
    for sample in &batch.samples {
        let labels = batch.labels(sample.series);
        assert_eq!((labels.get("job"), labels.get("instance")), (Some("node"), Some("web-1")));
    }
}
