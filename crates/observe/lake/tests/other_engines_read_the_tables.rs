//! The tables are anybody's: Delta's Python library, Polars and DuckDB read them and get the same sums.
//!
//! Needs the Python packages that `peers/install clients` brings; without them the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{NOON, number, open};
use kandela_model::{MetricBatch, Timestamp};

const SCRIPT: &str = r#"
import os, sys, deltalake, duckdb, polars
root = sys.argv[1]
table = deltalake.DeltaTable(root + "/samples")
files = table.file_uris()
arrow = polars.scan_delta(root + "/samples")
print("polars", arrow.select(polars.col("value").sum()).collect().item(), arrow.select(polars.len()).collect().item())
print("duckdb", *duckdb.sql("SELECT sum(value), count(*) FROM read_parquet($files)", params={"files": files}).fetchall()[0])
rows = table.to_pyarrow_table()
print("deltalake", sum(v for v in rows["value"].to_pylist() if v is not None), rows.num_rows)
series = deltalake.DeltaTable(root + "/series").to_pyarrow_table()
print("labels", sorted(dict(labels)["n"] for labels in series["labels"].to_pylist())[:3])
print("versions", "deltalake", deltalake.__version__, "duckdb", duckdb.__version__, "polars", polars.__version__, file=sys.stderr)
# The libraries' threads sometimes abort the interpreter on its way out, after all has been told.
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"#;

fn python() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let venv =
        std::env::var_os("KANDELA_VENV").map_or_else(|| home.join(".cache/kandela/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    let check =
        Command::new(&python).args(["-c", "import deltalake, duckdb, polars, pyarrow"]).output().ok()?;
    check.status.success().then_some(python)
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_agree_before_and_after_compaction() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: no Python with deltalake, duckdb, polars and pyarrow; run peers/install clients");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for round in 0..10i64 {
        let mut batch = MetricBatch::default();
        for n in 0..50i64 {
            let series = batch.add_series([("__name__", "m".to_owned()), ("n", n.to_string())]).unwrap();
            batch.add_sample(series, Timestamp::from_millis(NOON + round * 15_000), (n * round) as f64 + 0.5);
        }
        lake.append(&batch).unwrap();
        lake.flush().await.unwrap();
    }
    let expected = number(&lake, "SELECT sum(value) FROM samples").await;
    for compacted in [false, true] {
        if compacted {
            assert!(lake.compact().await.unwrap().files_before > 0);
        }
        let output = Command::new(&python).args(["-c", SCRIPT]).arg(folder.path()).output().unwrap();
        let (told, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{complaint}");
        eprintln!("{told}{complaint}");
        for engine in ["polars", "duckdb", "deltalake"] {
            assert!(
                told.contains(&format!("{engine} {expected:?} 500")),
                "{engine} differs from {expected}: {told}"
            );
        }
        assert!(told.contains("labels ['0', '1', '10']"), "{told}");
    }
}
