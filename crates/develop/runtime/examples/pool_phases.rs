//! Days of shifting load, simulated: the pool that sizes itself against every fixed size from 1 to 64.
//!
//! ```sh
//! cargo run --release -p kandela-runtime --example pool_phases -- 301 302 303
//! ```
//!
//! Each seed is a day of eight phases of five minutes, drawn at random: load, downstream, and how holds vary. Ours lives through the day
//! as it comes, and begins it with 16. A fixed size is given each phase by itself, from an empty pool, so that none suffers from
//! what came before; the best of the 64 is picked afterwards. With `--decisions`, every decision is printed.

use std::time::Duration;

use kandela_runtime::pool::simulate::{Phase, Request, Served, Shape, requests, run};
use kandela_runtime::pool::usl::Usl;
use kandela_runtime::pool::{Sample, Sizer};

const SIZES: usize = 64;
const LENGTH: Duration = Duration::from_secs(300);
const WINDOW: Duration = Duration::from_secs(1);
/// From when on a phase counts as settled.
const SETTLED: f64 = 60.0;
/// Waits below a millisecond are equal: nobody feels them beside holds of 20 ms and more.
const NEGLIGIBLE: f64 = 1e-3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let prints_decisions = arguments.iter().any(|argument| argument == "--decisions");
    let mut seeds: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if seeds.is_empty() {
        seeds = vec![301, 302, 303];
    }
    println!("p99 of waits in ms; * after {SETTLED} s of the phase, else all of it; total: wait and hold");
    println!(
        "{:>4} {:>5} {:>5} {:>5} {:>11} | {:>4} {:>9} | {:>4} {:>9} {:>9} {:>6} {:>6} | {:>6} {:>6} | turns",
        "day",
        "rate",
        "knee",
        "load",
        "holds",
        "best",
        "wait*",
        "ours",
        "wait*",
        "wait",
        "ratio*",
        "ratio",
        "total*",
        "total"
    );
    let mut rows = Vec::new();
    for seed in seeds {
        rows.extend(day(seed, prints_decisions));
    }
    for (name, ratio) in [
        ("wait, settled", (|row: &Row| row.wait_settled) as fn(&Row) -> f64),
        ("wait, all", |row| row.wait),
        ("wait and hold, settled", |row| row.total_settled),
        ("wait and hold, all", |row| row.total),
    ] {
        let mut ratios: Vec<f64> = rows.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let within = ratios.iter().filter(|ratio| **ratio <= 1.1).count();
        println!(
            "{name}: {within} of {} phases within 10 % of the best fixed size; median {:.2}, worst {:.2}",
            ratios.len(),
            ratios[ratios.len() / 2],
            ratios[ratios.len() - 1]
        );
    }
}

/// Ours over the best.
struct Row {
    wait: f64,
    wait_settled: f64,
    total: f64,
    total_settled: f64,
}

/// p99 of a phase, in seconds.
#[derive(Clone, Copy)]
struct Score {
    wait: f64,
    wait_settled: f64,
    total: f64,
    total_settled: f64,
}

fn day(seed: u64, prints_decisions: bool) -> Vec<Row> {
    let phases = phases(seed);
    let requests = requests(&phases, seed);
    let mut sizer = Sizer::new(1..=SIZES).expect("within range");
    let mut turns: Vec<(f64, usize)> = vec![(0.0, 16)];
    let served = run(&phases, &requests, 16, WINDOW, |now, sample, size| {
        let Some(decision) = sizer.update(sample, size) else { return size };
        if prints_decisions {
            print_decision(now.as_secs_f64(), sample, size, decision.value, &decision.reason.why, &sizer);
        }
        turns.push((now.as_secs_f64(), decision.value));
        decision.value
    });
    let length = LENGTH.as_secs_f64();
    let row = |(index, phase): (usize, &Phase)| {
        let begins = length * index as f64;
        let of_phase = |request: &&Request| request.phase == index;
        let alone = |request: &Request| Request { phase: 0, at: request.at - begins, ..*request };
        let fixed =
            scores_of_all_sizes(phase, &requests.iter().filter(of_phase).map(alone).collect::<Vec<_>>());
        let ours = score(&served, index, begins);
        let before = turns.iter().rev().find(|(at, _)| *at < begins + length).map_or(16, |(_, size)| *size);
        let count = turns.iter().filter(|(at, _)| (begins..begins + length).contains(at)).count();
        print_row(seed, phase, &fixed, &ours, before, count)
    };
    phases.iter().enumerate().map(row).collect()
}

fn print_row(seed: u64, phase: &Phase, fixed: &[Score], ours: &Score, size: usize, turns: usize) -> Row {
    let best = |measure: fn(&Score) -> f64| {
        let all = fixed.iter().map(measure).enumerate();
        all.min_by(|a, b| a.1.total_cmp(&b.1)).expect("64 sizes")
    };
    let ratio = |measure: fn(&Score) -> f64| measure(ours).max(NEGLIGIBLE) / best(measure).1.max(NEGLIGIBLE);
    let row = Row {
        wait: ratio(|score| score.wait),
        wait_settled: ratio(|score| score.wait_settled),
        total: ratio(|score| score.total),
        total_settled: ratio(|score| score.total_settled),
    };
    let downstream = &phase.downstream;
    let knee = downstream.knee().min(SIZES as f64);
    let (index, wait) = best(|score| score.wait_settled);
    println!(
        "{seed:>4} {:>5.0} {knee:>5.1} {:>5.2} {:>11} | {:>4} {:>9.1} | {size:>4} {:>9.1} {:>9.1} {:>6.2} {:>6.2} | {:>6.2} {:>6.2} | {turns}",
        phase.rate,
        phase.rate / downstream.throughput(knee),
        match phase.shape {
            Shape::Exponential => "exponential",
            Shape::LogNormal(_) => "log-normal",
            Shape::Hyperexponential(_) => "hyper-exp",
        },
        index + 1,
        wait * 1e3,
        ours.wait_settled * 1e3,
        ours.wait * 1e3,
        row.wait_settled,
        row.wait,
        row.total_settled,
        row.total,
    );
    row
}

fn print_decision(now: f64, sample: &Sample, size: usize, to: usize, why: &str, sizer: &Sizer) {
    let Some(advice) = sizer.advice() else { return };
    let Usl { service, sigma, kappa } = advice.downstream;
    println!(
        "  {now:6.0} s  {size:>2} to {to:>2}  best in {:?}, sure {:.2}; {:.0}/s, in use {:.1}, waiting {}, a {:.1} ms σ {sigma:.3} κ {kappa:.5}: {why}",
        advice.interval,
        advice.confidence,
        advice.load.rate,
        sample.mean_in_use(),
        sample.waiting,
        service * 1e3,
    );
}

/// Phases of a day. Loads go up to nine tenths of what the downstream can do with 64 at most.
fn phases(seed: u64) -> Vec<Phase> {
    let mut state = seed.wrapping_mul(0x5851_F42D_4C95_7F2D);
    let mut uniform = move |from: f64, to: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (to - from) * (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let phase = |_| {
        let service = 0.02 * uniform(0.0, 1.6_f64).exp();
        let kappa = if uniform(0.0, 1.0) < 0.2 { 0.0 } else { 0.0004 * uniform(0.0, 3.2_f64).exp() };
        let downstream = Usl { service, sigma: uniform(0.0, 0.1), kappa };
        let most = downstream.throughput(downstream.knee().min(SIZES as f64));
        let shape = match uniform(0.0, 3.0) as u32 {
            0 => Shape::Exponential,
            1 => Shape::LogNormal(uniform(0.5, 1.5)),
            _ => Shape::Hyperexponential(uniform(1.2, 2.0)),
        };
        Phase { length: LENGTH, rate: most * uniform(0.1, 0.9), downstream, shape }
    };
    (0..8).map(phase).collect()
}

fn scores_of_all_sizes(phase: &Phase, requests: &[Request]) -> Vec<Score> {
    let score_of = |size: usize| {
        let served = run(&[*phase], requests, size, Duration::from_secs(3600), |_, _, size| size);
        score(&served, 0, 0.0)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut scores = vec![None; SIZES];
    std::thread::scope(|scope| {
        let score_of = &score_of;
        let shares = (0..threads).map(|first| {
            let sizes = (1 + first..=SIZES).step_by(threads);
            scope.spawn(move || sizes.map(|size| (size, score_of(size))).collect::<Vec<_>>())
        });
        for share in shares.collect::<Vec<_>>() {
            for (size, score) in share.join().expect("no simulation panics") {
                scores[size - 1] = Some(score);
            }
        }
    });
    scores.into_iter().flatten().collect()
}

fn score(served: &[Served], phase: usize, begins: f64) -> Score {
    let of = |from: f64, measure: fn(&Served) -> f64| {
        let counts = |served: &&Served| served.request.phase == phase && served.request.at >= begins + from;
        p99(served.iter().filter(counts).map(measure).collect())
    };
    Score {
        wait: of(0.0, |served| served.wait),
        wait_settled: of(SETTLED, |served| served.wait),
        total: of(0.0, |served| served.total),
        total_settled: of(SETTLED, |served| served.total),
    }
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() * 99).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
