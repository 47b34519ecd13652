//! How fast pages like those of node_exporter are read: `cargo bench -p kandela-ingest --bench exposition`.
//!
//! Throughput is printed in bytes of the page and in samples.

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use kandela_ingest::exposition::{Format, ParseOptions, parse_as};
use kandela_model::{MetricBatch, Timestamp};

fn main() {
    divan::main();
}

/// About 1,900 series in 230 families, as a machine of 16 cores shows them. In OpenMetrics a counter's family lacks the
/// suffix that its samples have.
fn page(openmetrics: bool) -> String {
    let mut page = String::new();
    let mut family = |name: &str, kind: &str, suffix: &str, series: &mut dyn FnMut(&mut String, &str)| {
        let named = if openmetrics { name.to_owned() } else { format!("{name}{suffix}") };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "# HELP {named} Field {name} of the kernel, as it counts since boot.");
        let _ = writeln!(page, "# TYPE {named} {kind}");
        series(&mut page, &format!("{name}{suffix}"));
    };
    family("node_cpu_seconds", "counter", "_total", &mut |page, name| {
        for cpu in 0..16 {
            for (i, mode) in
                ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"].iter().enumerate()
            {
                let seconds = 104_729.31 / (i + 1) as f64 + f64::from(cpu);
                let _ = writeln!(page, "{name}{{cpu=\"{cpu}\",mode=\"{mode}\"}} {seconds:.2}");
            }
        }
    });
    for field in 0..40 {
        family(&format!("node_disk_field{field}"), "counter", "_total", &mut |page, name| {
            for disk in 0u64..8 {
                let _ = writeln!(
                    page,
                    "{name}{{device=\"nvme{disk}n1\"}} {}",
                    8_675_309 * (disk + 1) * (field + 1)
                );
            }
        });
    }
    for field in 0..8 {
        family(&format!("node_filesystem_field{field}_bytes"), "gauge", "", &mut |page, name| {
            for mount in 0..12 {
                let _ = writeln!(
                    page,
                    "{name}{{device=\"/dev/mapper/vg0-lv{mount}\",device_error=\"\",fstype=\"ext4\",\
                     mountpoint=\"/var/lib/volume/{mount}\"}} {}",
                    format_args!("{:e}", 1.073741824e11 / f64::from(mount + field + 1)),
                );
            }
        });
    }
    for field in 0..40 {
        family(&format!("node_network_field{field}"), "counter", "_total", &mut |page, name| {
            for device in 0u64..30 {
                let _ = writeln!(page, "{name}{{device=\"veth{device:x}a9f\"}} {}", 31_337 * device * field);
            }
        });
    }
    for field in 0..140 {
        family(&format!("node_memory_Field{field}_bytes"), "gauge", "", &mut |page, name| {
            let _ = writeln!(page, "{name} {:e}", 6.7e9 / f64::from(field + 1));
        });
    }
    if openmetrics {
        page.push_str("# EOF\n");
    }
    page
}

fn read(bencher: Bencher<'_, '_>, format: Format, options: ParseOptions) {
    let page = page(format == Format::OpenMetrics);
    let mut batch = MetricBatch::default();
    let read_once = |batch: &mut MetricBatch| {
        batch.clear();
        parse_as(format, page.as_bytes(), &options, batch)
    };
    assert!(read_once(&mut batch).is_ok(), "the page has to be a good one");
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(batch.points()))
        .bench_local(|| black_box(read_once(&mut batch)).is_ok());
}

#[divan::bench]
fn text(bencher: Bencher<'_, '_>) {
    read(bencher, Format::Text, ParseOptions::scrape(Timestamp::from_millis(0)));
}

#[divan::bench]
fn openmetrics(bencher: Bencher<'_, '_>) {
    read(bencher, Format::OpenMetrics, ParseOptions::scrape(Timestamp::from_millis(0)));
}

#[divan::bench]
fn openmetrics_by_the_specification(bencher: Bencher<'_, '_>) {
    read(bencher, Format::OpenMetrics, ParseOptions::spec(Timestamp::from_millis(0)));
}
