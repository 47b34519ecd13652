//! Guards nest, and each start has one end: on return, panic and cancellation, across threads, tasks and awaits.
#![cfg(feature = "profiler")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kandela_runtime::clock::ManualClock;
use kandela_runtime::profiler::{OTHER, TraceSummary, TracedProfiler};

fn profiler() -> (ManualClock, TracedProfiler) {
    let clock = ManualClock::new();
    let builder = TracedProfiler::builder().clock(Arc::new(clock.clone()));
    (clock, builder.build().expect("within limits"))
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Count, total, idle and own time of a path.
fn times(summary: &TraceSummary, path: &[&str]) -> (u64, i128, i128, i128) {
    let times = summary.times(path.iter().copied()).unwrap_or_else(|| panic!("no {path:?} in\n{summary}"));
    (times.count.0, times.total.0, times.idle.0, times.own.0)
}

/// Pending at its first poll, ready at its second.
#[derive(Default)]
struct Once(bool);

impl Future for Once {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_begins_within_a_guard_is_its_child_and_not_its_own_time() {
    let (clock, profiler) = profiler();
    for _ in 0..3 {
        let _outer = profiler.trace("outer");
        clock.advance(nanos(5));
        let _inner = profiler.trace("inner");
        clock.advance(nanos(2));
    }
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["outer"]), (3, 21, 0, 15));
    assert_eq!(times(&summary, &["outer", "inner"]), (3, 6, 0, 6));
}

#[test]
fn a_panic_ends_what_it_leaves() {
    let (clock, profiler) = profiler();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _outer = profiler.trace("outer");
        let _inner = profiler.trace("inner");
        clock.advance(nanos(2));
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    drop(profiler.trace("after"));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["outer", "inner"]), (1, 2, 0, 2));
    assert_eq!(times(&summary, &["after"]).0, 1, "the next one is nobody's child");
}

#[test]
fn guards_dropped_in_any_order_end_once_and_leave_nothing() {
    let (clock, profiler) = profiler();
    let (a, b, c) = (profiler.trace("a"), profiler.trace("b"), profiler.trace("c"));
    clock.advance(nanos(1));
    drop(b);
    clock.advance(nanos(1));
    drop(a);
    let d = profiler.trace("d");
    clock.advance(nanos(1));
    drop(c);
    drop(d);
    drop(profiler.trace("after"));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["a"]), (1, 2, 0, 0));
    assert_eq!(times(&summary, &["a", "b"]), (1, 1, 0, 0));
    assert_eq!(times(&summary, &["a", "b", "c"]), (1, 3, 0, 2), "one was d's");
    assert_eq!(times(&summary, &["a", "b", "c", "d"]), (1, 1, 0, 1));
    assert_eq!(times(&summary, &["after"]).0, 1);
}

#[test]
fn a_futures_wait_is_idle_and_its_polls_are_busy() {
    let (clock, profiler) = profiler();
    let inner = profiler.clone();
    let ticking = clock.clone();
    let mut future = pin!(profiler.trace("future").instrument(async move {
        ticking.advance(nanos(3));
        let _guard = inner.trace("held across an await");
        Once::default().await;
        ticking.advance(nanos(4));
    }));
    clock.advance(nanos(10));
    assert!(poll(future.as_mut()).is_pending());
    drop(profiler.trace("meanwhile"));
    clock.advance(nanos(20));
    assert!(poll(future.as_mut()).is_ready());
    clock.advance(nanos(40));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["future"]), (1, 37, 30, 3));
    assert_eq!(times(&summary, &["future", "held across an await"]), (1, 24, 20, 4));
    assert_eq!(times(&summary, &["meanwhile"]).0, 1, "not within what waits");
}

#[test]
fn tasks_that_take_turns_on_one_thread_keep_their_own_nesting() {
    let (clock, profiler) = profiler();
    let task = |name: &'static str, within: &'static str| {
        let (profiler, clock) = (profiler.clone(), clock.clone());
        profiler.clone().trace(name).instrument(async move {
            for _ in 0..3 {
                let _guard = profiler.trace(within);
                clock.advance(nanos(1));
                Once::default().await;
                clock.advance(nanos(1));
            }
        })
    };
    let (mut a, mut b) = (pin!(task("a", "in a")), pin!(task("b", "in b")));
    let mut ready = [false; 2];
    while ready != [true; 2] {
        ready[0] = ready[0] || poll(a.as_mut()).is_ready();
        ready[1] = ready[1] || poll(b.as_mut()).is_ready();
    }
    let summary = profiler.trace_summary();
    assert_eq!(summary.tree().nodes(), 5, "{summary}");
    for path in [["a", "in a"], ["b", "in b"]] {
        let (count, total, idle, own) = times(&summary, &path);
        assert_eq!((count, total - idle, own), (3, 6, 6), "{path:?}");
    }
}

#[test]
fn a_bare_guard_held_across_an_await_takes_in_no_instrumented_task() {
    let (clock, profiler) = profiler();
    let inner = profiler.clone();
    let mut instrumented = pin!(profiler.trace("task").instrument(async move {
        drop(inner.trace("within task"));
        Once::default().await;
        let _guard = inner.trace("within task");
        clock.advance(nanos(2));
    }));
    let mut bare = pin!(async {
        let _guard = profiler.trace("bare");
        Once::default().await;
    });
    assert!(poll(bare.as_mut()).is_pending());
    assert!(poll(instrumented.as_mut()).is_pending());
    assert!(poll(bare.as_mut()).is_ready());
    assert!(poll(instrumented.as_mut()).is_ready());
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["task", "within task"]), (2, 2, 0, 2));
    assert_eq!(times(&summary, &["bare"]), (1, 0, 0, 0));
    assert_eq!(summary.tree().nodes(), 4, "{summary}");
}

#[test]
fn a_cancelled_future_ends_once_with_all_that_it_held() {
    let (clock, profiler) = profiler();
    {
        let inner = profiler.clone();
        let mut future = Box::pin(profiler.trace("future").instrument(async move {
            let _guard = inner.trace("held");
            std::future::pending::<()>().await;
        }));
        clock.advance(nanos(1));
        assert!(poll(future.as_mut()).is_pending());
        clock.advance(nanos(1));
    }
    drop(profiler.trace("never polled").instrument(Once::default()));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["future"]), (1, 2, 2, 0));
    assert_eq!(times(&summary, &["future", "held"]).0, 1);
    assert_eq!(times(&summary, &["never polled"]).0, 1);
    assert_eq!(summary.tree().nodes(), 4);
}

#[test]
fn a_future_that_panics_ends_once_and_leaves_the_thread_clean() {
    let (_, profiler) = profiler();
    let inner = profiler.clone();
    let mut future = Box::pin(profiler.trace("future").instrument(async move {
        let _guard = inner.trace("held");
        Once::default().await;
        panic!("on purpose");
    }));
    assert!(poll(future.as_mut()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
    drop(profiler.trace("between"));
    drop(future);
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["future"]).0, 1);
    assert_eq!(times(&summary, &["future", "held"]).0, 1);
    assert_eq!(times(&summary, &["between"]).0, 1);
}

#[test]
fn a_future_may_move_between_threads_and_what_it_does_there_is_within_it() {
    let (clock, profiler) = profiler();
    let inner = profiler.clone();
    let mut future = Box::pin(profiler.trace("future").instrument(async move {
        for _ in 0..4 {
            drop(inner.trace("step"));
            Once::default().await;
        }
    }));
    loop {
        let clock = clock.clone();
        let (polled, back) = std::thread::spawn(move || {
            let polled = poll(future.as_mut());
            clock.advance(nanos(5));
            (polled, future)
        })
        .join()
        .expect("no panic");
        if polled.is_ready() {
            break;
        }
        future = back;
    }
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["future", "step"]).0, 4);
    assert_eq!(times(&summary, &["future"]), (1, 20, 20, 0), "the threads did other things");
}

#[test]
fn a_context_carries_the_path_to_threads_and_spawned_futures() {
    let (clock, profiler) = profiler();
    {
        let _import = profiler.trace("import");
        let place = profiler.context();
        assert_eq!(place.path(), ["import"]);
        let (there, ticking) = (place.clone(), clock.clone());
        let working = profiler.clone();
        std::thread::spawn(move || {
            let _place = there.attach();
            let _parse = working.trace("parse");
            ticking.advance(nanos(7));
        })
        .join()
        .expect("no panic");
        let inner = profiler.clone();
        let mut spawned = pin!(profiler.root().instrument(place.instrument(async move {
            drop(inner.trace("spawned"));
            Once::default().await;
            drop(inner.trace("spawned"));
        })));
        assert!(poll(spawned.as_mut()).is_pending());
        drop(profiler.trace("beside"));
        assert!(poll(spawned.as_mut()).is_ready());
        drop(place.trace("directly"));
    }
    let summary = profiler.trace_summary();
    for (name, count) in [("parse", 1), ("spawned", 2), ("beside", 1), ("directly", 1)] {
        assert_eq!(times(&summary, &["import", name]).0, count, "{name}");
    }
    assert_eq!(times(&summary, &["import"]), (1, 7, 0, 7), "what another thread did is not taken off");
}

#[test]
fn a_guard_that_outlives_its_future_ends_when_it_is_dropped() {
    let (clock, profiler) = profiler();
    let kept = std::cell::Cell::new(None);
    let mut future = Box::pin(profiler.trace("future").instrument(async {
        kept.set(Some(profiler.trace("kept")));
        Once::default().await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    clock.advance(nanos(9));
    kept.set(None);
    drop(profiler.trace("after"));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["future", "kept"]), (1, 9, 9, 0));
    assert_eq!(times(&summary, &["after"]).0, 1);
}

#[test]
fn paths_and_levels_beyond_the_limits_count_as_one() {
    let builder = TracedProfiler::builder().paths(3).depth(2).clock(Arc::new(ManualClock::new()));
    let profiler = builder.build().expect("within limits");
    {
        let _guards =
            (profiler.trace("a"), profiler.trace("b"), profiler.trace("too deep"), profiler.trace("a"));
    }
    for name in ["c", "one too many", "and another", "c"] {
        drop(profiler.trace(name));
    }
    let summary = profiler.trace_summary();
    assert_eq!(summary.folded(), 4);
    assert_eq!(times(&summary, &[OTHER]).0, 4);
    assert_eq!(times(&summary, &["c"]).0, 2);
    assert!(summary.to_string().contains("4 operations were beyond the limits"), "{summary}");
}

#[test]
fn limits_out_of_range_are_refused_with_their_range() {
    let refused = TracedProfiler::builder().paths(0).build().expect_err("zero");
    assert_eq!(refused.to_string(), "profiler.paths is 0; it may be 1 to 65536");
    let refused = TracedProfiler::builder().depth(257).build().expect_err("too deep");
    assert_eq!(refused.to_string(), "profiler.depth is 257; it may be 1 to 256");
}

#[test]
fn names_are_told_apart_by_content_and_not_by_address() {
    let (_, profiler) = profiler();
    let copied: &'static str = Box::leak("operation".to_owned().into_boxed_str());
    drop(profiler.trace("operation"));
    drop(profiler.trace(copied));
    drop(profiler.trace(""));
    let summary = profiler.trace_summary();
    assert_eq!(times(&summary, &["operation"]).0, 2);
    assert_eq!(times(&summary, &[""]).0, 1);
}

#[test]
fn threads_that_ended_keep_their_counts_and_profilers_do_not_mix() {
    let ((_, one), (_, other)) = (profiler(), profiler());
    for _ in 0..5 {
        let (one, other) = (one.clone(), other.clone());
        std::thread::spawn(move || {
            let _guards = (one.trace("one"), other.trace("other"), one.trace("one"));
        })
        .join()
        .expect("no panic");
    }
    assert_eq!(times(&one.trace_summary(), &["one"]).0, 5);
    assert_eq!(times(&one.trace_summary(), &["one", "one"]).0, 5);
    assert_eq!(times(&other.trace_summary(), &["other"]).0, 5);
}

#[test]
fn a_guard_outlives_its_profiler() {
    let (_, profiler) = profiler();
    let guard = profiler.trace("operation");
    let place = profiler.context();
    drop(profiler);
    drop(TracedProfiler::new().trace("another's"));
    drop(guard);
    drop(place.trace("late"));
}
