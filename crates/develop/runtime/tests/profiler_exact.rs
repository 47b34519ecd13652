//! For any program of operations on threads and tasks, the figures add up.
#![cfg(feature = "profiler")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kandela_algebra::merge::Merge;
use kandela_runtime::clock::{Clock, ManualClock};
use kandela_runtime::profiler::{TraceSummary, TracedProfiler};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What a program does next.
#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    /// Ends the open guard of that number, counted from the innermost, whatever began after it.
    End(usize),
    Pass(u16),
    /// An await: others come before it goes on.
    Wait,
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..NAMES.len()).prop_map(Step::Begin),
        2 => (0usize..3).prop_map(Step::End),
        3 => (0u16..1000).prop_map(Step::Pass),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 0..30)
}

fn programs() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(program(), 1..6)
}

fn profiler() -> (ManualClock, TracedProfiler) {
    let clock = ManualClock::new();
    let builder = TracedProfiler::builder().clock(Arc::new(clock.clone()));
    (clock, builder.build().expect("within limits"))
}

async fn run(program: Vec<Step>, profiler: TracedProfiler, clock: ManualClock) {
    let mut open = Vec::new();
    for step in program {
        match step {
            Step::Begin(name) => open.push(profiler.trace(NAMES[name])),
            Step::End(inward) if inward < open.len() => drop(open.remove(open.len() - 1 - inward)),
            Step::End(_) => {}
            Step::Pass(nanos) => clock.advance(Duration::from_nanos(nanos.into())),
            Step::Wait => wait().await,
        }
    }
}

async fn wait() {
    let mut waited = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

fn task(
    program: &[Step],
    profiler: &TracedProfiler,
    clock: &ManualClock,
) -> Pin<Box<dyn Future<Output = ()>>> {
    let running = run(program.to_vec(), profiler.clone(), clock.clone());
    Box::pin(profiler.trace("task").instrument(running))
}

/// Polls all in turn until they are ready, but drops the one of that number after its first poll.
fn take_turns(mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>, cancelled: Option<usize>) {
    let mut round = 0;
    while !tasks.is_empty() {
        let mut number = 0;
        tasks.retain_mut(|task| {
            number += 1;
            let is_ready = task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            let is_cancelled = round == 0 && cancelled == Some(number - 1);
            !(is_ready || is_cancelled)
        });
        round += 1;
    }
}

fn begins(programs: &[Vec<Step>]) -> u64 {
    programs.iter().flatten().filter(|step| matches!(step, Step::Begin(_))).count() as u64
}

fn sums(summary: &TraceSummary) -> (u64, i128) {
    let total = summary.tree().total();
    (total.count.0, total.own.0)
}

/// Runs each program to its end by itself, `programs[i]` on thread `threads[i]`.
fn split(programs: &[Vec<Step>], threads: &[usize]) -> TraceSummary {
    let (clock, profiler) = profiler();
    let highest = threads.iter().max().copied().unwrap_or(0);
    for thread in 0..=highest {
        // One thread after the other, so that the manual clock serves one at a time.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (program, at) in programs.iter().zip(threads) {
                    if *at == thread {
                        take_turns(vec![task(program, &profiler, &clock)], None);
                    }
                }
            });
        });
    }
    profiler.trace_summary()
}

proptest! {
    #[test]
    fn own_times_add_up_to_the_time_in_which_tasks_were_polled(
        programs in programs(), cancelled in prop::option::of(0usize..6),
    ) {
        let (clock, profiler) = profiler();
        let tasks: Vec<_> = programs.iter().map(|program| task(program, &profiler, &clock)).collect();
        let began = clock.now();
        take_turns(tasks, cancelled);
        let summary = profiler.trace_summary();
        let passed = clock.now().since(began).as_nanos() as i128;
        // The clock moves only while some task is polled, and each task is an operation.
        prop_assert_eq!(summary.tree().total().own.0, passed, "{}", summary);
        let tasks = summary.times(["task"]).expect("there are tasks");
        prop_assert_eq!(tasks.busy().0, passed, "{}", summary);
        prop_assert_eq!(tasks.count.0, programs.len() as u64);
    }

    #[test]
    fn each_start_has_one_end(programs in programs()) {
        let (clock, profiler) = profiler();
        take_turns(programs.iter().map(|program| task(program, &profiler, &clock)).collect(), None);
        let count = sums(&profiler.trace_summary()).0;
        prop_assert_eq!(count, begins(&programs) + programs.len() as u64);
    }

    #[test]
    fn a_program_of_guards_alone_has_own_times_that_add_up_to_its_roots(program in program()) {
        let (clock, profiler) = profiler();
        {
            let _root = profiler.trace("root");
            let mut running = Box::pin(run(program, profiler.clone(), clock.clone()));
            while running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
        }
        let summary = profiler.trace_summary();
        let root = summary.times(["root"]).expect("it has ended");
        prop_assert_eq!(sums(&summary).1, root.total.0, "{}", summary);
    }

    #[test]
    fn a_summary_does_not_depend_on_how_work_was_split_over_threads(
        programs in programs(), threads in prop::collection::vec(0usize..3, 6),
    ) {
        let alone = split(&programs, &[0; 6]);
        prop_assert_eq!(&split(&programs, &threads), &alone);
        // Nor on whether it was split over processes.
        let mut merged = TraceSummary::default();
        programs.iter().for_each(|program| merged.merge_from(&split(std::slice::from_ref(program), &[0])));
        prop_assert_eq!(merged, alone);
    }
}

#[test]
fn a_summary_taken_while_threads_count_never_falls_and_ends_exact() {
    const EACH: u64 = 20_000;
    let profiler = TracedProfiler::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let _outer = profiler.trace("outer");
                    let _inner = profiler.trace("inner");
                }
            });
        }
        let mut before = 0;
        while before < 4 * EACH {
            let now = sums(&profiler.trace_summary()).0;
            assert!((before..=4 * EACH).contains(&now), "{before} then {now}");
            before = now;
            std::thread::yield_now();
        }
    });
    let summary = profiler.trace_summary();
    let root = summary.times(["outer"]).expect("ended");
    assert_eq!((root.count.0, summary.tree().total().own), (2 * EACH, root.total));
}
