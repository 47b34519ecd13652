//! Stand-ins for what the shop does not run: a bank and a warehouse's old system.
//!
//! Each answers after a log-normal time. Up to a number of requests at a time it keeps its pace; beyond, each takes longer for
//! all, and far beyond it turns requests away: whoever presses harder gets less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::process::Endpoints;
use crate::random;

/// How such a system behaves.
struct Manners {
    median_ms: f64,
    sigma: f64,
    /// So many requests at a time keep the pace.
    comfortable: usize,
    under_way: AtomicUsize,
}

/// Beyond this many times its comfort it turns requests away.
const PATIENCE: usize = 4;

/// Charges of a bank: 300 ms in the median, 8 at a time.
pub(super) fn build_bank(endpoints: &mut Endpoints) -> Result<()> {
    let bank = Manners { median_ms: 300.0, sigma: 0.5, comfortable: 8, under_way: AtomicUsize::new(0) };
    endpoints.post("/charges", answer, &Arc::new(bank));
    Ok(())
}

/// Delivery dates of a warehouse: 40 ms in the median, 24 at a time.
pub(super) fn build_warehouse(endpoints: &mut Endpoints) -> Result<()> {
    let warehouse = Manners { median_ms: 40.0, sigma: 0.4, comfortable: 24, under_way: AtomicUsize::new(0) };
    endpoints.get("/deliveries", answer, &Arc::new(warehouse));
    Ok(())
}

async fn answer(State(manners): State<Arc<Manners>>) -> Result<Json<Value>, Failure> {
    let at_once = manners.under_way.fetch_add(1, Ordering::Relaxed) + 1;
    let _leaving = Leaving(&manners.under_way);
    if at_once > manners.comfortable * PATIENCE {
        return Err(Failure::busy("too many requests at a time"));
    }
    let pace = (at_once as f64 / manners.comfortable as f64).max(1.0).powi(2);
    let time = random::log_normal(&mut rand::rng(), manners.median_ms, manners.sigma) * pace;
    tokio::time::sleep(Duration::from_secs_f64(time / 1e3)).await;
    Ok(Json(json!({ "days": 1 + rand::random_range(0..5) })))
}

struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
