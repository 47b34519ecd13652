//! What a service does under twice the load that it can bear, behind nothing, behind fixed limits, and behind each adaptive one.
//!
//! ```text
//! cargo run --release -p kandela-runtime --example limiter
//! ```
//!
//! Simulated, so a minute takes a moment, and the same numbers come each time. `--choose` has the servers and seeds that settings
//! were chosen on, `--fresh` those that were looked at only once all was settled.

#[path = "../tests/overload/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests use the rest")]
mod overload;

use kandela_runtime::limiter::Algorithm;
use overload::{Capacity, Guard, Load, Outcome, Server, adaptive, capacity, simulate};

const SECONDS: f64 = 60.0;

fn main() {
    let (servers, seed) = match std::env::args().nth(1).as_deref() {
        Some("--choose") => (overload::servers_to_choose_on(), 77),
        Some("--fresh") => (overload::fresh_servers(), 4711),
        _ => (overload::servers(), 2026),
    };
    println!("Twice the capacity for {SECONDS} simulated seconds. Goodput: answers within four times the");
    println!("uncontended p99, as a share of capacity. p99: of calls that were let in, waiting included,");
    println!("as a multiple of the uncontended one.");
    let tables: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> =
            servers.into_iter().map(|server| scope.spawn(move || table(server, seed))).collect();
        running.into_iter().map(|table| table.join().expect("no panic")).collect()
    });
    tables.iter().for_each(|table| println!("{table}"));
}

/// What comes of each guard in front of `server`.
fn table(server: Server, seed: u64) -> String {
    let capacity = capacity(server, SECONDS, seed);
    let rate = 2.0 * capacity.sustained;
    let load = Load { rate, seconds: SECONDS, deadline: 4.0 * capacity.p99, seed: seed + 1 };
    let run = |guard: &Guard| simulate(server, guard, load);
    let mut rows = vec![
        format!(
            "\n{}: {:.0} calls/s, p99 {:.1} ms uncontended",
            server.name,
            capacity.per_second,
            capacity.p99 * 1e3
        ),
        format!("  {:<20} {:>8} {:>8} {:>8}   served by priority", "", "goodput", "p99", "limit"),
        row("none", &run(&Guard::Nothing), capacity),
    ];
    let (limit, best) = best_fixed(&run, capacity.p99);
    rows.push(row(&format!("best fixed, {limit}"), &best, capacity));
    for algorithm in Algorithm::ALL {
        rows.push(row(algorithm.name(), &run(&adaptive(algorithm)), capacity));
    }
    rows.join("\n")
}

/// Of 1 to 64, the limit with the best goodput among those that keep p99 within twice the uncontended one; if none does, of all.
fn best_fixed(run: &impl Fn(&Guard) -> Outcome, p99: f64) -> (usize, Outcome) {
    let tried = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64];
    let outcomes = tried.map(|limit| (limit, run(&Guard::Fixed(limit))));
    let worth = |outcome: &Outcome| (outcome.p99 <= 2.0 * p99, outcome.goodput);
    outcomes
        .into_iter()
        .max_by(|a, b| worth(&a.1).partial_cmp(&worth(&b.1)).expect("numbers"))
        .expect("some were tried")
}

fn row(name: &str, outcome: &Outcome, capacity: Capacity) -> String {
    let served: Vec<String> = outcome.served.iter().map(|share| format!("{:3.0} %", share * 100.0)).collect();
    format!(
        "  {name:<20} {:>6.1} % {:>8.2} {:>8.1}   {}",
        100.0 * outcome.goodput / capacity.per_second,
        outcome.p99 / capacity.p99,
        outcome.limit,
        served.join(" ")
    )
}
