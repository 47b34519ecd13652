//! What a sizer does with pools whose load and downstream change, in simulated time.

use std::time::Duration;

use kandela_runtime::pool::simulate::{Phase, Request, Served, Shape, requests, run};
use kandela_runtime::pool::usl::Usl;
use kandela_runtime::pool::{Level, Sample, Sizer};

const SECOND: Duration = Duration::from_secs(1);
const CALM: Usl = Usl { service: 0.05, sigma: 0.02, kappa: 0.0008 };
const CONTENDED: Usl = Usl { service: 0.05, sigma: 0.05, kappa: 0.01 };

fn phase(seconds: u64, rate: f64, downstream: Usl) -> Phase {
    Phase { length: Duration::from_secs(seconds), rate, downstream, shape: Shape::LogNormal(1.0) }
}

/// Lives through `phases` from a pool of `size`. Returns what was served, and the sizes as they were turned to, and when.
fn live(phases: &[Phase], size: usize, seed: u64) -> (Vec<Served>, Vec<(f64, usize)>) {
    let mut sizer = Sizer::new(1..=64).expect("within range");
    let mut turns = vec![(0.0, size)];
    let served = run(phases, &requests(phases, seed), size, SECOND, |now, sample, size| {
        let Some(decision) = sizer.update(sample, size) else { return size };
        turns.push((now.as_secs_f64(), decision.value));
        decision.value
    });
    (served, turns)
}

fn p99(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99).div_ceil(100) - 1]
}

/// The 99th percentile of waits of requests that came between these seconds.
fn p99_wait(served: &[Served], from: f64, to: f64) -> f64 {
    p99(served.iter().filter(|it| (from..to).contains(&it.request.at)).map(|it| it.wait))
}

#[test]
fn a_pool_too_small_for_its_load_grows_until_nobody_waits() {
    let (served, turns) = live(&[phase(120, 150.0, CALM)], 2, 1);
    assert!(p99_wait(&served, 60.0, 120.0) < 0.001, "{turns:?}");
    assert!((12..=30).contains(&turns.last().expect("the first").1), "{turns:?}");
}

#[test]
fn a_pool_far_beyond_the_knee_shrinks_until_the_downstream_recovers() {
    // With 64 in use, 27 a second are done; with 10, 87.
    let (served, turns) = live(&[phase(180, 75.0, CONTENDED)], 64, 2);
    let late = p99_wait(&served, 120.0, 180.0);
    assert!(late < 1.0, "{late} s; {turns:?}");
    assert!((7..=14).contains(&turns.last().expect("the first").1), "{turns:?}");
}

#[test]
fn a_pool_that_is_larger_than_needed_shrinks_but_not_so_far_that_anybody_waits() {
    let (served, turns) = live(&[phase(180, 40.0, CALM)], 64, 3);
    assert!(turns.last().expect("the first").1 <= 12, "{turns:?}");
    assert!(p99_wait(&served, 0.0, 180.0) < 0.001, "{turns:?}");
}

#[test]
fn a_steady_load_comes_to_a_steady_size() {
    for (seed, rate) in [(4, 40.0), (5, 150.0)] {
        let (_, turns) = live(&[phase(600, rate, CALM)], 16, seed);
        let late = turns.iter().filter(|(at, _)| *at > 300.0).count();
        assert!(late <= 4, "{late} turns in five steady minutes at {rate}/s: {turns:?}");
    }
}

#[test]
fn no_step_is_larger_than_a_factor_of_two() {
    let phases = [phase(60, 20.0, CALM), phase(60, 280.0, CALM), phase(60, 60.0, CONTENDED)];
    let (_, turns) = live(&phases, 16, 7);
    assert!(turns.len() > 3);
    for pair in turns.windows(2) {
        let (from, to) = (pair[0].1, pair[1].1);
        assert!(to <= 2 * from && 2 * to >= from, "{from} to {to}");
    }
}

#[test]
fn the_same_measurements_lead_to_the_same_decisions() {
    let phases = [phase(60, 150.0, CALM), phase(60, 60.0, CONTENDED)];
    assert_eq!(live(&phases, 8, 8).1, live(&phases, 8, 8).1);
}

#[test]
fn too_little_to_tell_changes_nothing_and_says_so() {
    let mut sizer = Sizer::new(1..=64).expect("within range");
    let phases = [phase(30, 2.0, CALM)];
    run(&phases, &requests(&phases, 9), 4, SECOND, |_, sample, size| {
        assert_eq!(sizer.update(sample, size), None);
        size
    });
    assert_eq!(sizer.advice(), None);
    assert_eq!(sizer.update(&Sample::default(), 4), None);
    assert_eq!(Sizer::new(1..=64).expect("within range").what_if(8), None);
}

#[test]
fn what_was_never_in_use_is_said_to_be_a_guess() {
    let mut sizer = Sizer::new(1..=64).expect("within range");
    let phases = [phase(60, 300.0, CALM)];
    run(&phases, &requests(&phases, 10), 4, SECOND, |now, sample, size| {
        // What is left of the backlog afterwards is another load.
        if now.as_secs_f64() <= 60.0 {
            sizer.update(sample, size);
        }
        size
    });
    let at = |size| sizer.what_if(size).expect("much was measured");
    assert!(!at(4).is_beyond_what_was_seen && at(40).is_beyond_what_was_seen);
    let width = |size| at(size).high.throughput / at(size).low.throughput;
    assert!(width(40) > 2.0 * width(4), "{:?} {:?}", at(4), at(40));
    assert!(sizer.what_if(0).is_none() && sizer.what_if(usize::MAX).is_none());
}

#[test]
fn every_phase_settles_to_within_a_tenth_of_its_best_fixed_size() {
    let phases = [phase(120, 60.0, CALM), phase(120, 160.0, CALM), phase(120, 45.0, CONTENDED)];
    let requests = requests(&phases, 11);
    let (served, turns) = live(&phases, 16, 11);
    for (index, phase) in phases.iter().enumerate() {
        let begins = 120.0 * index as f64;
        let alone: Vec<Request> = requests
            .iter()
            .filter(|request| request.phase == index)
            .map(|request| Request { phase: 0, at: request.at - begins, ..*request })
            .collect();
        let fixed = (1..=64).map(|size| {
            let served = run(&[*phase], &alone, size, Duration::from_secs(3600), |_, _, size| size);
            p99_wait(&served, 45.0, 120.0)
        });
        let best = fixed.fold(f64::INFINITY, f64::min);
        let ours = p99_wait(&served, begins + 45.0, begins + 120.0);
        assert!(
            ours.max(0.001) <= 1.1 * best.max(0.001),
            "phase {index}: {ours} s, best {best} s; {turns:?}"
        );
    }
}

/// A second with these numbers in use for equal shares of it, of a downstream that follows `law`.
fn second(law: &Usl, in_use: std::ops::RangeInclusive<usize>, arrivals: u64, waiting: usize) -> Sample {
    let seconds = 1.0 / in_use.clone().count() as f64;
    let level = |n: usize| match in_use.contains(&n) {
        true => Level { seconds, ended: seconds * law.throughput(n as f64) },
        false => Level::default(),
    };
    let levels: Vec<Level> = (0..=*in_use.end()).map(level).collect();
    let ended = levels.iter().map(|level| level.ended).sum::<f64>() as u64;
    let gap = 1.0 / arrivals as f64;
    let mut sample = Sample {
        length: SECOND,
        arrivals,
        gap_sum: 1.0,
        gap_square_sum: 2.0 * gap,
        levels,
        ..Sample::default()
    };
    sample.waiting = waiting;
    sample.holds.record_n(law.hold(*in_use.end() as f64), ended);
    sample.waits.record_n(if waiting > 0 { 1.0 } else { 0.0 }, ended);
    sample
}

#[test]
fn a_pool_that_has_been_full_for_long_doubts_what_it_knew_of_other_sizes() {
    let law = Usl { service: 0.02, sigma: 0.02, kappa: 0.01 };
    let mut sizer = Sizer::new(1..=64).expect("within range");
    for _ in 0..120 {
        sizer.update(&second(&law, 1..=10, 200, 0), 10);
    }
    // As much is done as was expected of 10, so nothing tells that 15 might do more now. The pool stays put, and then looks.
    let decisions: Vec<_> =
        (0..40).filter_map(|at| Some((at, sizer.update(&second(&law, 10..=10, 900, 5000), 10)?))).collect();
    let (at, first) = decisions.first().expect("it looks");
    assert!(*at >= 10 && first.value == 15, "{at} {first:?}");
    assert!(first.reason.why.contains("is old"), "{first:?}");
}
