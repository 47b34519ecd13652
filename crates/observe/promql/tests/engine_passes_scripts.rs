//! Prometheus' own test scripts pass with the engine. They lie in `promqltest` under `KANDELA_DATA`, else under
//! `../shared/data` beside the workspace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use futures::executor::block_on;
use kandela_promql::script::{Query, QueryTime, run};
use kandela_promql::{Options, When, evaluate};

fn when(query: &Query) -> When {
    match query.time {
        QueryTime::Instant(at) => When::Instant(at),
        QueryTime::Range { from, through, step } => When::Range { from, through, step },
    }
}

#[test]
fn every_eval_of_the_scripts_passes() {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let folder = std::env::var_os("KANDELA_DATA").map_or_else(beside, PathBuf::from).join("promqltest");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "SKIPPED: there are no scripts in {}; name their parent folder in KANDELA_DATA",
            folder.display()
        );
        return;
    };
    let mut failed = Vec::new();
    for path in entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
    {
        let report = run(&std::fs::read_to_string(&path).unwrap(), |source, query| {
            block_on(evaluate(source, &query.expr, when(query), Options::of_scripts()))
                .map_err(|e| e.to_string())
        });
        failed.extend(report.failed.iter().map(|failure| format!("{}: {}", path.display(), failure.message)));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
