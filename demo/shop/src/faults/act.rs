//! Has faults happen.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use super::{Fault, Kind};
use crate::random;

const LEAK_STEP: Duration = Duration::from_millis(100);

/// The faults of one process.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    active: Arc<RwLock<Vec<Active>>>,
    lock: Arc<Mutex<()>>,
}

#[derive(Clone)]
struct Active {
    fault: Fault,
    ends: Option<Instant>,
}

/// A fault with what is left of its time.
#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    fault: Fault,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_s: Option<f64>,
}

/// What a request is struck by, beside what made it slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Struck {
    Not,
    Status(StatusCode),
    Drop,
}

impl Faults {
    /// These faults and no others, from now.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        let now = Instant::now();
        let active = faults.into_iter().map(|fault| {
            let ends = fault.duration_s.map(|seconds| now + Duration::from_secs_f64(seconds));
            Active { fault, ends }
        });
        *self.active.write() = active.collect();
    }

    /// Those that have not ended.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let now = Instant::now();
        let mut active = self.active.write();
        active.retain(|active| active.ends.is_none_or(|ends| now < ends));
        let shown = active.iter().map(|Active { fault, ends }| Shown {
            fault: fault.clone(),
            ends_in_s: ends.map(|ends| ends.saturating_duration_since(now).as_secs_f64()),
        });
        shown.collect()
    }

    /// Lets the faults of `endpoint` (`GET /items/{id}`) strike one request.
    pub(crate) async fn strike(&self, endpoint: &str) -> Struck {
        if self.active.read().is_empty() {
            return Struck::Not;
        }
        let now = Instant::now();
        let mut struck = Struck::Not;
        for fault in self.due(endpoint, now) {
            match fault.kind {
                Kind::Latency { fixed_ms: Some(fixed), .. } => tokio::time::sleep(millis(fixed)).await,
                Kind::Latency { median_ms, sigma, .. } => {
                    let wait =
                        random::log_normal(&mut rand::rng(), median_ms.unwrap_or(0.0), sigma.unwrap_or(0.0));
                    tokio::time::sleep(millis(wait)).await;
                }
                Kind::Errors { status } => {
                    struck = StatusCode::from_u16(status).map_or(Struck::Not, Struck::Status);
                }
                Kind::Cpu { burn_ms } => blocking(move || burn(millis(burn_ms))).await,
                Kind::Lock { hold_ms } => {
                    let lock = self.lock.clone();
                    blocking(move || {
                        let _held = lock.lock();
                        std::thread::sleep(millis(hold_ms));
                    })
                    .await;
                }
                Kind::Leak { .. } => {}
                Kind::Drop => return Struck::Drop,
            }
        }
        struck
    }

    fn due(&self, endpoint: &str, now: Instant) -> Vec<Fault> {
        let active = self.active.read();
        let here = active.iter().filter(|active| {
            let fault = &active.fault;
            active.ends.is_none_or(|ends| now < ends)
                && fault.endpoint.as_ref().is_none_or(|named| named == endpoint)
                && rand::random::<f64>() < fault.share
        });
        here.map(|active| active.fault.clone()).collect()
    }

    /// Holds what the leaks have taken, and takes more. Memory comes back when a leak ends or is cleared.
    pub(crate) async fn leak(self) {
        let mut taken: Vec<Vec<u8>> = Vec::new();
        let mut owed = 0.0;
        loop {
            tokio::time::sleep(LEAK_STEP).await;
            let Some((per_second, cap)) = self.leaks() else {
                taken = Vec::new();
                continue;
            };
            owed += per_second * LEAK_STEP.as_secs_f64();
            while owed >= 1.0 && (taken.len() as f64) < cap {
                // Not zeroes: those would take no memory before they are touched.
                taken.push(vec![0xA5; 1 << 20]);
                owed -= 1.0;
            }
            owed = owed.min(1.0);
        }
    }

    /// Megabytes a second and cap of all leaks together.
    fn leaks(&self) -> Option<(f64, f64)> {
        let now = Instant::now();
        let active = self.active.read();
        let rates =
            active.iter().filter(|active| active.ends.is_none_or(|ends| now < ends)).filter_map(|active| {
                match active.fault.kind {
                    Kind::Leak { mb_per_s, cap_mb } => Some((mb_per_s, cap_mb)),
                    _ => None,
                }
            });
        rates.reduce(|(rate, cap), (more, higher)| (rate + more, cap + higher))
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, 600_000.0) / 1e3)
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    // A fault that panics would be one more fault, and nobody's loss.
    let _ = tokio::task::spawn_blocking(work).await;
}

fn burn(time: Duration) {
    let since = Instant::now();
    let mut state = 1_u64;
    while since.elapsed() < time {
        for _ in 0..1000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::parse;

    fn faults(json: &str) -> Faults {
        let faults = Faults::default();
        faults.set(parse(json.as_bytes(), &["GET /a".to_owned(), "GET /b".to_owned()]).expect(json));
        faults
    }

    #[tokio::test]
    async fn a_fault_strikes_its_endpoint_and_no_other() {
        let faults = faults(r#"{"kind":"errors","status":503,"endpoint":"GET /a"}"#);
        assert_eq!(faults.strike("GET /a").await, Struck::Status(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(faults.strike("GET /b").await, Struck::Not);
    }

    #[tokio::test]
    async fn a_fault_strikes_its_share_of_requests() {
        let faults = faults(r#"{"kind":"drop","share":0.25}"#);
        let mut struck = 0;
        for _ in 0..2000 {
            struck += usize::from(faults.strike("GET /a").await == Struck::Drop);
        }
        assert!((400..600).contains(&struck), "{struck} of 2000");
    }

    #[tokio::test]
    async fn a_fault_ends_by_itself() {
        let faults = faults(r#"{"kind":"drop","duration_s":0.001}"#);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(faults.strike("GET /a").await, Struck::Not);
        assert!(faults.shown().is_empty());
    }

    #[tokio::test]
    async fn requests_struck_by_a_lock_wait_for_each_other() {
        let faults = faults(r#"{"kind":"lock","hold_ms":30}"#);
        let since = Instant::now();
        tokio::join!(faults.strike("GET /a"), faults.strike("GET /b"), faults.strike("GET /a"));
        assert!(since.elapsed() >= Duration::from_millis(90), "{:?}", since.elapsed());
    }
}
