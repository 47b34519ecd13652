//! On a runtime of several threads, tasks keep their nesting wherever they are polled.
#![cfg(feature = "profiler")]

use std::sync::Arc;
use std::time::Duration;

use kandela_runtime::clock::ManualClock;
use kandela_runtime::profiler::TracedProfiler;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_move_between_threads_count_where_they_belong() {
    const TASKS: u64 = 50;
    let builder = TracedProfiler::builder().clock(Arc::new(ManualClock::new()));
    let profiler = builder.build().expect("within limits");
    let handler = |profiler: TracedProfiler| async move {
        for _ in 0..20 {
            {
                let _parse = profiler.trace("parse");
                let _field = profiler.trace("field");
            }
            profiler.trace("query").instrument(tokio::task::yield_now()).await;
        }
        // What a task spawns belongs to it only if it says so.
        let (of_task, of_nobody) = (profiler.clone(), profiler.clone());
        let carried = profiler.context().instrument(async move { drop(of_task.trace("carried")) });
        let spawned = [tokio::spawn(carried), tokio::spawn(async move { drop(of_nobody.trace("nobody's")) })];
        for task in spawned {
            task.await.expect("no panic");
        }
    };
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(profiler.trace("request").instrument(handler(profiler.clone()))))
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let summary = profiler.trace_summary();
    let count = |path: &[&str]| summary.times(path.iter().copied()).map_or(0, |times| times.count.0);
    assert_eq!(count(&["request"]), TASKS, "{summary}");
    assert_eq!(count(&["request", "parse", "field"]), 20 * TASKS);
    assert_eq!(count(&["request", "query"]), 20 * TASKS);
    assert_eq!(count(&["request", "carried"]), TASKS);
    assert_eq!(count(&["nobody's"]), TASKS);
    assert_eq!(summary.tree().nodes(), 7, "{summary}");
}

#[tokio::test]
async fn a_future_that_loses_a_race_ends_and_so_does_what_it_was_at() {
    let profiler = TracedProfiler::new();
    let inner = profiler.clone();
    let slow = profiler.trace("slow").instrument(async move {
        inner.trace("sleep").instrument(std::future::pending::<()>()).await;
    });
    assert!(tokio::time::timeout(Duration::from_millis(1), slow).await.is_err());
    drop(profiler.trace("after"));
    let summary = profiler.trace_summary();
    assert_eq!(summary.times(["slow", "sleep"]).map(|times| times.count.0), Some(1));
    let slow = summary.times(["slow"]).expect("it has ended");
    assert!(slow.count.0 == 1 && slow.idle.0 > 900_000, "{slow:?}");
    assert!(summary.times(["after"]).is_some());
}
