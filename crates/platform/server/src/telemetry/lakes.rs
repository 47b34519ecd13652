//! What the lakes hold, as families of own metrics.

use kandela_lake::{Lake, LakeStats};
use kandela_model::{MetricKind, TenantId};

use super::registry::{Family, Point, PointValue, Word};

/// One gauge a tenant: its name, its help and what it reads.
type Gauge = (&'static str, &'static str, fn(&LakeStats) -> f64);

const GAUGES: [Gauge; 6] = [
    ("kandela_lake_active_series", "Series that are alive.", |stats| stats.series as f64),
    ("kandela_lake_series_bytes", "Memory that the living series take.", |stats| stats.series_bytes as f64),
    ("kandela_lake_head_bytes", "Memory that data not yet in tables take.", |stats| stats.head_bytes as f64),
    ("kandela_lake_head_samples", "Samples and histograms not yet in tables.", |stats| {
        stats.head_samples as f64
    }),
    ("kandela_lake_log_bytes", "Bytes of the write-ahead log.", |stats| stats.log_bytes as f64),
    ("kandela_lake_log_sequence", "The last sequence of the write-ahead log.", |stats| stats.log_seq as f64),
];

/// The families of all open lakes, by tenant and, for tables, by table.
pub(crate) fn lakes(lakes: &[(TenantId, Lake)]) -> Vec<Family> {
    let stats: Vec<(Word, LakeStats)> =
        lakes.iter().map(|(tenant, lake)| (Word::Owned(tenant.as_str().to_owned()), lake.stats())).collect();
    let mut families: Vec<Family> = GAUGES
        .into_iter()
        .map(|(name, help, read)| {
            let points = stats.iter().map(|(tenant, stats)| point([("tenant", tenant.clone())], read(stats)));
            Family { name, kind: MetricKind::Gauge, help, points: points.collect() }
        })
        .collect();
    families
        .push(per_table(&stats, "kandela_lake_table_rows", "Rows of a table.", |table| table.rows as f64));
    families
        .push(per_table(&stats, "kandela_lake_table_bytes", "Bytes of a table.", |table| table.bytes as f64));
    families
        .push(per_table(&stats, "kandela_lake_table_files", "Files of a table.", |table| table.files as f64));
    families
}

fn per_table(
    stats: &[(Word, LakeStats)],
    name: &'static str,
    help: &'static str,
    read: fn(&kandela_lake::TableStats) -> f64,
) -> Family {
    let points = stats.iter().flat_map(|(tenant, stats)| {
        stats.tables.iter().map(move |(table, of)| {
            point([("tenant", tenant.clone()), ("table", Word::Borrowed(table))], read(of))
        })
    });
    Family { name, kind: MetricKind::Gauge, help, points: points.collect() }
}

fn point<const N: usize>(labels: [(&'static str, Word); N], value: f64) -> Point {
    Point { labels: labels.into(), value: PointValue::Number(value) }
}
