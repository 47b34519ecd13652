//! A pool that sizes itself while its load and its downstream change. Four minutes of it pass in a few seconds: tokio's time is
//! paused, and jumps to whatever is next.
//!
//! ```sh
//! cargo run --release -p kandela-runtime --example pool
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kandela_model::KnobValue;
use kandela_runtime::clock::{Clock, Moment};
use kandela_runtime::pool::usl::Usl;
use kandela_runtime::pool::{Manage, Pool, SelfSizing, Sizer};
use kandela_runtime::steward::Steward;
use parking_lot::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// What happens, one after the other.
const PHASES: [(&str, f64, Usl); 4] = [
    ("morning", 60.0, Usl { service: 0.03, sigma: 0.02, kappa: 0.0005 }),
    ("noon: five times the load", 300.0, Usl { service: 0.03, sigma: 0.02, kappa: 0.0005 }),
    ("somebody runs reports on the database", 120.0, Usl { service: 0.03, sigma: 0.1, kappa: 0.006 }),
    ("night", 20.0, Usl { service: 0.03, sigma: 0.02, kappa: 0.0005 }),
];

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let steward = Steward::new(Arc::new(TokioClock(tokio::time::Instant::now())));
    let pool =
        Pool::builder("orders.db", Connect).size(8).sizes(1..=64).build(&steward).expect("within range");
    let sizer = Sizer::new(1..=64).expect("within range");
    let sizing = SelfSizing::new(Arc::new(pool.clone()), sizer, &steward);
    let database = Arc::new(Database { law: Mutex::new(PHASES[0].2), busy: AtomicUsize::new(0) });
    let mut random = Random(7);
    let mut printed = Printed::default();
    for (name, rate, law) in PHASES {
        println!("\n— {name}: {rate:.0} requests a second; most is done with {:.0} at once", law.knee());
        *database.law.lock() = law;
        for second in 1..=60 {
            arrive_for_a_second(rate, &pool, &database, &mut random).await;
            steward.tick();
            print_news(&steward, &mut printed);
            if second % 20 == 0 {
                let metrics = pool.metrics();
                println!(
                    "  {:4.0} s  size {}, {} in use, {} waiting",
                    steward.clock().now().as_secs_f64(),
                    metrics.size,
                    metrics.in_use,
                    metrics.waiting
                );
            }
        }
        print_what_if(&sizing);
    }
    tokio::time::timeout(60 * SECOND, pool.close()).await.expect("all come back");
    let metrics = pool.metrics();
    println!("\nserved {}, created {}, closed {:?}", metrics.holds.count(), metrics.created, metrics.closed);
}

/// Requests come whether or not earlier ones were answered.
async fn arrive_for_a_second(rate: f64, pool: &Pool<Connect>, database: &Arc<Database>, random: &mut Random) {
    let ends = tokio::time::Instant::now() + SECOND;
    let gap = |random: &mut Random| Duration::from_secs_f64(random.exponential(1.0 / rate));
    let mut next = tokio::time::Instant::now() + gap(random);
    while next < ends {
        tokio::time::sleep_until(next).await;
        let (pool, database, work) = (pool.clone(), database.clone(), random.exponential(1.0));
        tokio::spawn(async move {
            let _connection = pool.acquire().await.expect("within half a minute");
            database.query(work).await;
        });
        next += gap(random);
    }
    tokio::time::sleep_until(ends).await;
}

/// How many decisions, and how many effects, were printed.
#[derive(Default)]
struct Printed {
    decisions: usize,
    effects: usize,
}

fn print_news(steward: &Steward, printed: &mut Printed) {
    let entries = steward.log().entries();
    while let Some(effect) = entries.get(printed.effects).and_then(|entry| entry.observed.as_ref()) {
        let expected = entries[printed.effects].reason.expected.as_ref().map_or(0.0, |effect| effect.after);
        println!(
            "          … p99 of waits went from {:.0} to {:.0} ms; {:.0} were expected",
            1e3 * effect.before,
            1e3 * effect.after,
            1e3 * expected
        );
        printed.effects += 1;
    }
    for entry in &entries[printed.decisions..] {
        let (KnobValue::Int(from), KnobValue::Int(to)) = (&entry.from, &entry.to) else { continue };
        let evidence =
            |name: &str| entry.reason.evidence.iter().find(|it| it.0 == name).map_or(0.0, |it| it.1);
        println!("  {:4.0} s  {} {from} → {to}: {}", entry.at.as_secs_f64(), entry.knob, entry.reason.why);
        println!(
            "          {:.0}/s, best between {:.0} and {:.0}, {:.0} % sure; a {:.0} ms, σ {:.3}, κ {:.4}",
            evidence("pool_arrivals_per_second"),
            evidence("pool_size_low"),
            evidence("pool_size_high"),
            100.0 * evidence("confidence"),
            1e3 * evidence("downstream_service_seconds"),
            evidence("downstream_sigma"),
            evidence("downstream_kappa"),
        );
    }
    printed.decisions = entries.len();
}

fn print_what_if(sizing: &SelfSizing) {
    println!("  what if size were   p99 of waits, ms (90 % interval)   throughput/s   in use");
    for size in [4, 8, 16, 32, 64] {
        let Some(outlook) = sizing.what_if(size) else { return };
        println!(
            "  {size:>17}   {:>8.1} ({:>7.1} to {:>7.1})        {:>10.0}   {:>4.0} %{}",
            1e3 * outlook.likeliest.wait_p99,
            1e3 * outlook.low.wait_p99,
            1e3 * outlook.high.wait_p99,
            outlook.likeliest.throughput,
            100.0 * outlook.likeliest.utilisation,
            if outlook.is_beyond_what_was_seen { "  (never seen)" } else { "" }
        );
    }
}

struct Connect;

impl Manage for Connect {
    type Resource = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }
}

/// Slower, the more is asked of it at once.
struct Database {
    law: Mutex<Usl>,
    busy: AtomicUsize,
}

impl Database {
    async fn query(&self, work: f64) {
        let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
        let hold = self.law.lock().hold(busy as f64);
        tokio::time::sleep(Duration::from_secs_f64(hold * work)).await;
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment::ORIGIN.after(self.0.elapsed())
    }
}

/// So that each run is the same.
struct Random(u64);

impl Random {
    /// Of mean `mean`.
    fn exponential(&mut self, mean: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        -mean * (((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64).ln()
    }
}
