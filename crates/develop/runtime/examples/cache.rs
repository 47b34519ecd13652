//! A cache whose load changes: first skewed look-ups, then a scan in a loop, then skewed look-ups again. It says which policy it changes to, and why.
//!
//! `cargo run --release -p kandela-runtime --example cache`

use kandela_runtime::cache::{Cache, PolicyKind};

const CAPACITY: usize = 2_000;
const LOOKUPS: u64 = 400_000;

fn main() {
    let policies = [PolicyKind::S3Fifo, PolicyKind::Gittins, PolicyKind::Lru, PolicyKind::Lirs];
    let builder = Cache::builder("catalogue.items", CAPACITY).policies(&policies);
    let cache: Cache<u64, String> = builder.build().expect("2,000 entries are a size");
    let mut random = 7;
    phase(&cache, "skewed", |_| skewed(&mut random));
    phase(&cache, "a loop over 3,000 keys", |lookup| 1_000_000 + lookup % 3_000);
    phase(&cache, "skewed again", |_| skewed(&mut random));

    println!("\nWhat it decided:");
    for entry in cache.steward().expect("it looks after itself").log().entries() {
        println!("  {} → {}: {}", entry.from, entry.to, entry.reason.why);
        for (what, effect) in [("expected", entry.reason.expected), ("observed", entry.observed)] {
            if let Some(effect) = effect {
                println!("    {what}: {} {:.3} → {:.3}", effect.measure, effect.before, effect.after);
            }
        }
    }

    println!("\nWhat other sizes would miss, as lookups are now:");
    for point in cache.miss_ratio_curve() {
        let bar = "█".repeat((point.miss_ratio * 40.0) as usize);
        println!("  {:>6} entries {:>6.1} % {bar}", point.capacity, point.miss_ratio * 100.0);
    }
    if let Some(size) = cache.recommended(0.02) {
        println!(
            "\nRecommended: {} entries; twice as many would save less than 2 % of the lookups.",
            size.capacity
        );
    }
}

/// Looks up keys, and loads what is not there.
fn phase(cache: &Cache<u64, String>, name: &str, mut key: impl FnMut(u64) -> u64) {
    let before = cache.stats();
    for lookup in 0..LOOKUPS {
        let loaded = cache
            .get_or_load_sync(key(lookup), |key| Ok::<_, std::convert::Infallible>(format!("item {key}")));
        assert!(loaded.is_ok());
    }
    let after = cache.stats();
    let misses = (after.misses - before.misses) as f64 / LOOKUPS as f64;
    println!("{name:<24} missed {:>5.1} % under {} at the end", misses * 100.0, cache.policy());
}

/// Rank r of 50,000 keys with a chance in proportion to 1/r.
fn skewed(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let uniform = (*state >> 11) as f64 / (1_u64 << 53) as f64;
    50_000_f64.powf(uniform) as u64
}
