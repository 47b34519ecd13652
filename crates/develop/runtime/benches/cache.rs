//! Throughput of the cache beside `moka` and `quick_cache`, in one run: `cargo bench -p kandela-runtime --bench cache`.
//!
//! Two threads draw keys by Zipf's law (exponent 0.9) from ten times as many keys as the caches hold; nine operations of ten are
//! look-ups, the tenth is an insertion of the key that was drawn. Rounds of all caches alternate, so that what the machine does besides hits all of them alike;
//! what is told is the median of the rounds and their range, and the median of the ratios within a round.

use std::time::{Duration, Instant};

use kandela_runtime::cache::{Cache, PolicyKind};

const CAPACITY: usize = 100_000;
const KEYS: usize = 10 * CAPACITY;
const THREADS: u64 = 2;
const OPERATIONS: usize = 1_000_000;
const ROUNDS: usize = 9;

/// What is measured of a cache.
trait Subject: Sync {
    fn get(&self, key: u64) -> Option<u64>;
    fn insert(&self, key: u64);
}

impl Subject for Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        Cache::get(self, &key)
    }
    fn insert(&self, key: u64) {
        Cache::insert(self, key, key);
    }
}

impl Subject for moka::sync::Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        moka::sync::Cache::get(self, &key)
    }
    fn insert(&self, key: u64) {
        moka::sync::Cache::insert(self, key, key);
    }
}

impl Subject for quick_cache::sync::Cache<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        quick_cache::sync::Cache::get(self, &key)
    }
    fn insert(&self, key: u64) {
        quick_cache::sync::Cache::insert(self, key, key);
    }
}

fn main() {
    let keys: Vec<Vec<u64>> = (0..THREADS).map(|thread| zipf_keys(thread + 1)).collect();
    let ours = |policies: &[PolicyKind]| -> Box<dyn Subject> {
        Box::new(Cache::<u64, u64>::builder("bench", CAPACITY).policies(policies).build().expect("a size"))
    };
    let all = [
        PolicyKind::Gittins,
        PolicyKind::S3Fifo,
        PolicyKind::Lru,
        PolicyKind::Arc,
        PolicyKind::Lirs,
        PolicyKind::TinyLfu,
    ];
    let subjects: Vec<(&str, Box<dyn Subject>)> = vec![
        ("kandela", ours(&all)),
        ("kandela, s3fifo only", ours(&[PolicyKind::S3Fifo])),
        ("kandela, gittins only", ours(&[PolicyKind::Gittins])),
        ("moka", Box::new(moka::sync::Cache::new(CAPACITY as u64))),
        ("quick_cache", Box::new(quick_cache::sync::Cache::new(CAPACITY))),
    ];
    for (_, subject) in &subjects {
        round(&**subject, &keys);
    }
    let mut speeds = vec![Vec::new(); subjects.len()];
    let mut hits = vec![0.0; subjects.len()];
    for _ in 0..ROUNDS {
        for (number, (_, subject)) in subjects.iter().enumerate() {
            let (time, hit) = round(&**subject, &keys);
            speeds[number].push(THREADS as f64 * OPERATIONS as f64 / time.as_secs_f64() / 1e6);
            hits[number] = hit;
        }
    }
    let against = |number: usize, other: usize| {
        median(speeds[number].iter().zip(&speeds[other]).map(|(a, b)| a / b).collect())
    };
    let (moka, quick) = (subjects.len() - 2, subjects.len() - 1);
    println!(
        "{:<24}{:>10}{:>18}{:>10}{:>10}{:>15}",
        "", "Mops/s", "range", "hits", "of moka", "of quick_cache"
    );
    for (number, (name, _)) in subjects.iter().enumerate() {
        let (low, high) = (
            speeds[number].iter().copied().fold(f64::INFINITY, f64::min),
            speeds[number].iter().copied().fold(0.0, f64::max),
        );
        println!(
            "{name:<24}{:>10.2}{:>18}{:>9.1}%{:>10.2}{:>15.2}",
            median(speeds[number].clone()),
            format!("{low:.2} to {high:.2}"),
            hits[number] * 100.0,
            against(number, moka),
            against(number, quick),
        );
    }
}

/// All threads go through their keys once; how long that took, and the share of look-ups that hit.
fn round(subject: &dyn Subject, keys: &[Vec<u64>]) -> (Duration, f64) {
    let began = Instant::now();
    let hits: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = keys.iter().map(|keys| scope.spawn(|| replay(subject, keys))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no replay panics")).sum()
    });
    let lookups = keys.len() * OPERATIONS * 9 / 10;
    (began.elapsed(), hits as f64 / lookups as f64)
}

fn replay(subject: &dyn Subject, keys: &[u64]) -> usize {
    let mut hits = 0;
    for (number, key) in keys.iter().enumerate() {
        if number % 10 == 9 {
            subject.insert(*key);
        } else {
            hits += usize::from(subject.get(*key).is_some());
        }
    }
    hits
}

/// Keys by Zipf's law: rank r with a chance in proportion to r^−0.9, by inverting the sum's integral.
fn zipf_keys(seed: u64) -> Vec<u64> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let most = (KEYS as f64).powf(0.1);
    (0..OPERATIONS).map(|_| (1.0 + uniform() * (most - 1.0)).powi(10) as u64).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
