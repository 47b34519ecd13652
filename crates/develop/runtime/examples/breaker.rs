//! A payment service has a good day, drags, fails, and comes back; what a breaker that nobody has set up does about it.
//!
//! ```text
//! cargo run -p kandela-runtime --example breaker
//! ```

use std::sync::Arc;
use std::time::Duration;

use kandela_runtime::breaker::{Breaker, Knowledge, Settings};
use kandela_runtime::clock::{Clock, ManualClock};
use kandela_runtime::steward::Steward;

/// From which second on, how long a call takes, in milliseconds, and how many of a hundred fail.
const DAY: [(u64, &str, u64, u64); 6] = [
    (0, "a good morning", 20, 1),
    (60, "it drags", 90, 1),
    (75, "well again", 20, 1),
    (120, "one in three fails", 20, 33),
    (140, "down", 5, 100),
    (170, "well again", 20, 1),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let breaker = Breaker::new("payment", Settings { seed: 7, ..Settings::default() }, &steward)?;
    let mut random = 1u64;
    println!("second  calls  refused  failed  state");
    for second in 0..240 {
        let (_, what, latency, fails) =
            DAY.iter().rev().find(|phase| phase.0 <= second).copied().unwrap_or(DAY[0]);
        if DAY.iter().any(|phase| phase.0 == second) {
            println!("        -- {what}");
        }
        let (mut refused, mut failed, before) = (0, 0, breaker.state());
        for _ in 0..200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let roll = (random >> 33) % 100;
            let spread = 50 + (random >> 40) % 100;
            match breaker.permit() {
                Err(_) => refused += 1,
                Ok(permit) if roll < fails => {
                    failed += 1;
                    permit.failure();
                }
                Ok(permit) => permit.success(Duration::from_micros(latency * 10 * spread)),
            }
            clock.advance(Duration::from_millis(5));
        }
        steward.tick();
        if second % 10 == 9 || breaker.state() != before {
            println!("{second:>6}  {:>5}  {refused:>7}  {failed:>6}  {}", 200, breaker.state().name());
        }
    }
    if let Knowledge::Learned(normal) = breaker.report().knowledge {
        println!(
            "\nnormal: {:.2} % fail, 99 of 100 within {:.1} ms",
            100.0 * normal.failure_rate,
            1e3 * normal.latency_p99
        );
    }
    println!("\ndecisions, of {:.0} s:", clock.now().as_secs_f64());
    for entry in steward.log().entries() {
        println!("{:>7.2} s  {} → {:?}: {}", entry.at.as_secs_f64(), entry.knob, entry.to, entry.reason.why);
        let number = |value: &f64| if *value < 1e-3 { format!("{value:.1e}") } else { format!("{value:.3}") };
        let evidence = entry.reason.evidence.iter().map(|(name, value)| format!("{name} {}", number(value)));
        let evidence: Vec<String> = evidence.collect();
        println!("           {}", evidence.join(", "));
    }
    Ok(())
}
