//! How strong the machine is just now: the load of a demo is what it can take.

use std::time::{Duration, Instant};

/// How long is measured.
const MEASURED: Duration = Duration::from_millis(300);
/// Rounds of work a second, of all cores together, that a noon with all customers takes: platform, shop and customers take some 0.6
/// of a core that does 330,000.
const ENOUGH: f64 = 2.5e5;
/// A load below this would not be too much for the shop's defaults, whatever runs them.
const LEAST: f64 = 0.9;

/// The share of the usual load that this machine takes, [`LEAST`] to 1.
pub(super) async fn measured() -> f64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = move || {
        let running: Vec<_> = (0..threads).map(|_| std::thread::spawn(rounds)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).sum::<u64>()
    };
    let rounds = tokio::task::spawn_blocking(work).await.unwrap_or(0);
    (rounds as f64 / MEASURED.as_secs_f64() / ENOUGH).clamp(LEAST, 1.0)
}

/// What to say of a machine that does not take all of it.
pub(super) fn told(strength: f64) -> Option<String> {
    (strength < 1.0).then(|| {
        format!(
            "this machine is slow or busy: {:.0} % of the usual customers come, and it may be too many still",
            strength * 100.0
        )
    })
}

/// How often a thousand steps are done while it is measured.
fn rounds() -> u64 {
    let began = Instant::now();
    let (mut rounds, mut state) = (0, 1_u64);
    while began.elapsed() < MEASURED {
        for _ in 0..1_000 {
            // SplitMix64: each step waits for the one before.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state ^= state >> 27;
        }
        rounds += 1;
    }
    std::hint::black_box(state);
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_measured_is_a_share_and_less_than_all_is_told() {
        let strength = measured().await;
        assert!((LEAST..=1.0).contains(&strength), "{strength}");
        assert_eq!(told(1.0), None);
        assert!(told(0.8).is_some_and(|told| told.contains("80 %")));
    }
}
