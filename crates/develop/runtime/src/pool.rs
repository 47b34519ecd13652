//! A pool of what is dear to create, which can size itself.
//!
//! ```
//! use kandela_runtime::pool::{Manage, Pool};
//! use kandela_runtime::steward::Steward;
//!
//! struct Connect;
//!
//! impl Manage for Connect {
//!     type Resource = String;
//!     type Error = std::io::Error;
//!
//!     async fn create(&self) -> Result<String, std::io::Error> {
//!         Ok("a connection".to_owned())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let steward = Steward::default();
//! let pool = Pool::builder("orders.db", Connect).size(4).sizes(1..=64).build(&steward)?;
//! let connection = pool.acquire().await?;
//! assert_eq!(*connection, "a connection");
//! # Ok(())
//! # }
//! ```
//!
//! # Why a pool of our own
//! `deadpool` and `bb8` are good pools, and this one took over their manner. What sizing at run time needs they do not have. Neither
//! measures how long somebody waited and held, nor how many were in use meanwhile, of which all that a sizer knows is made. `bb8`
//! has no `resize`. `deadpool` has; but to fewer, it forgets permits only while more objects exist than may: a pool that shrinks
//! while it is quiet goes on lending as many as before. It leaves lifetimes and idle times to whoever calls `retain`. So the pool here
//! is its own, its accounting small enough to be checked under every interleaving. For code that is built on `deadpool` already,
//! the feature `deadpool` stands in front of such a pool, measures it, and keeps to the size.
//!
//! # Parts
//! - [`Pool`], [`Builder`], [`Manage`], [`Pooled`]: the pool;
//! - [`Sizer`]: the controller. It is pure: fed [`Sample`]s, it returns decisions, whatever the pool. It stands on [`usl`], what the
//!   downstream does with so many in use, and [`outlook`], what a size would do;
//! - [`SelfSizing`]: runs a sizer on a pool, by the process' [`Steward`](crate::steward::Steward);
//! - [`simulate`]: a pool over a downstream with contention, for tests of sizers: a day runs in a second.
//!
//! The page `docs/runtime-pool.md` has the numbers.

mod builder;
#[cfg(feature = "deadpool")]
pub mod deadpool;
mod error;
mod evidence;
mod guard;
mod ledger;
mod line;
mod meter;
mod metrics;
pub mod outlook;
mod random;
mod self_sizing;
pub mod simulate;
mod sizer;
mod upkeep;
pub mod usl;
mod view;

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kandela_model::KnobError;

use crate::clock::{Clock, Moment};
use crate::knob::LeasedKnob;
use builder::Settings;
pub use builder::{Builder, HealthCheck, LARGEST_SIZE};
pub use error::PoolError;
pub use guard::Pooled;
use ledger::Grant;
pub use ledger::Reuse;
use line::{Closed, Line};
pub use meter::{Level, Meter, Sample};
use metrics::Books;
pub use metrics::{ClosedBy, Metrics};
pub use self_sizing::{SelfSizing, Sizable};
pub use sizer::{Advice, MEASURE, Sizer, WhatIf};

/// Creates and judges what a pool lends.
///
/// A panic in any of these costs the resource at most: no place of the pool is lost.
pub trait Manage: Send + Sync + 'static {
    /// What is lent.
    type Resource: Send + 'static;
    /// Why creating or checking failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Creates a resource. Dropped half way when its borrower gives up.
    fn create(&self) -> impl Future<Output = Result<Self::Resource, Self::Error>> + Send;

    /// Whether an idle resource still works; when it is asked is the pool's [`HealthCheck`]. One that fails is closed.
    fn check(&self, resource: &mut Self::Resource) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = resource;
        std::future::ready(Ok(()))
    }

    /// Whether a resource that comes back is known to be broken, or in the middle of something. Quick, without waiting.
    fn is_broken(&self, resource: &Self::Resource) -> bool {
        let _ = resource;
        false
    }
}

/// A pool. Copies share one.
pub struct Pool<M: Manage> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: Manage> {
    name: String,
    manage: M,
    settings: Settings,
    line: Line<Slot<M::Resource>, Books>,
    knob: Arc<LeasedKnob<usize>>,
    clock: Arc<dyn Clock>,
    serial: AtomicU64,
}

/// A resource and its history.
struct Slot<R> {
    resource: R,
    /// From when on it is lent no more.
    expires: Moment,
    idle_since: Moment,
    checked: Moment,
}

/// What has to be done with an idle resource before it is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fitness {
    Ready,
    ToCheck,
    TooOld,
    TooLongIdle,
}

impl<M: Manage> Pool<M> {
    /// Builds a pool called `name`, of what `manage` creates.
    pub fn builder(name: &str, manage: M) -> Builder<M> {
        Builder::new(name, manage)
    }

    fn of(
        name: String,
        manage: M,
        settings: Settings,
        knob: &Arc<LeasedKnob<usize>>,
        clock: Arc<dyn Clock>,
    ) -> Pool<M> {
        let now = clock.now();
        let line = Line::new(knob.read(), settings.reuse, Books::new(now));
        let serial = AtomicU64::new(0);
        let inner = Arc::new(Inner { name, manage, settings, line, knob: knob.clone(), clock, serial });
        let pool = Arc::downgrade(&inner);
        knob.on_change(move || {
            if let Some(pool) = pool.upgrade() {
                pool.follow_knob();
            }
        });
        Pool { inner }
    }

    /// Borrows a resource. First come, first served; giving up (by dropping this future) leaves the line and loses nothing.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn acquire(&self) -> Result<Pooled<M>, PoolError<M::Error>> {
        let inner = &self.inner;
        let asked = inner.clock.now();
        let grant = inner.line.take_now(|books, grant| {
            books.meter.arrived(asked);
            if matches!(grant, Some(Grant::Resource(slot)) if inner.fitness(slot, asked) == Fitness::Ready) {
                books.meter.began(asked, Duration::ZERO);
            }
        });
        match grant.map_err(|Closed| inner.closed())? {
            Some(Grant::Resource(slot)) if inner.fitness(&slot, asked) == Fitness::Ready => {
                Ok(Pooled::new(inner.clone(), slot, asked))
            }
            grant => {
                let place = grant.map(|grant| Place::new(inner, grant));
                self.obtain_in_time(place, asked).await
            }
        }
    }

    async fn obtain_in_time(
        &self,
        place: Option<Place<M>>,
        asked: Moment,
    ) -> Result<Pooled<M>, PoolError<M::Error>> {
        let after = self.inner.settings.acquire_timeout;
        let obtained = tokio::time::timeout(after, self.inner.obtain(place, asked)).await;
        obtained.unwrap_or_else(|_| {
            let (size, waiting) = self.inner.line.look(|ledger, books| {
                books.meter.gave_up();
                (ledger.size(), ledger.waiting())
            });
            Err(PoolError::Timeout { pool: self.inner.name.clone(), after, size, waiting })
        })
    }

    /// Sets how many resources there may be, in as many steps as the knob's cap asks for. More serve those who wait at once; fewer
    /// close idle ones now, borrowed ones when they come back.
    ///
    /// # Errors
    /// [`KnobError::OutOfRange`]; [`KnobError::Held`] while somebody outside holds the knob.
    pub fn resize(&self, size: usize) -> Result<(), KnobError> {
        use crate::knob::Scalar;
        use kandela_model::Knob;
        self.inner.knob.spec().check(&size.to_value())?;
        loop {
            let current = self.inner.knob.read();
            let step = size.clamp(current.div_ceil(2), current * 2);
            self.inner.knob.steer(step)?;
            if step == size {
                return Ok(());
            }
        }
    }

    /// Lends no more, tells those who wait, closes what is idle, and waits until all that is out has come back. Wrap it in a
    /// timeout to wait no longer than that; the pool stays closed.
    pub async fn close(&self) {
        let closed = self.inner.line.close(|books, count| books.closed.drained += count as u64);
        drop(closed);
        self.inner.line.drained().await;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its knob `<name>.size`.
    pub fn knob(&self) -> &Arc<LeasedKnob<usize>> {
        &self.inner.knob
    }

    /// What it counted so far.
    pub fn metrics(&self) -> Metrics {
        self.inner.knob.read();
        self.inner.line.look(|ledger, books| {
            books.metrics(ledger.size(), ledger.idle(), ledger.taken(), ledger.waiting())
        })
    }

    /// What it measured since this was last called: for whoever sizes it.
    pub fn take_sample(&self) -> Sample {
        let now = self.inner.clock.now();
        self.inner.line.look(|ledger, books| books.take_sample(now, ledger.waiting()))
    }
}

impl<M: Manage> Inner<M> {
    /// A resource for whoever asked at `asked`, in the place that it has, or once it is its turn.
    async fn obtain(
        self: &Arc<Self>,
        place: Option<Place<M>>,
        asked: Moment,
    ) -> Result<Pooled<M>, PoolError<M::Error>> {
        let mut place = match place {
            Some(place) => place,
            None => Place::new(self, self.line.stand().turn().await.map_err(|Closed| self.closed())?),
        };
        let slot = loop {
            match place.granted.take() {
                None | Some(Grant::Create) => break self.create().await?,
                Some(Grant::Resource(slot)) => {
                    if let Some(slot) = self.fit(slot).await {
                        break slot;
                    }
                    place.granted = Some(self.line.look(|ledger, _| ledger.exchange()));
                }
            }
        };
        place.keep();
        let now = self.clock.now();
        self.line.look(|_, books| books.meter.began(now, now.since(asked)));
        Ok(Pooled::new(self.clone(), slot, now))
    }

    async fn create(&self) -> Result<Slot<M::Resource>, PoolError<M::Error>> {
        let after = self.settings.create_timeout;
        let pool = || self.name.clone();
        let created = tokio::time::timeout(after, self.manage.create()).await;
        let created = match created {
            Ok(created) => created.map_err(|source| PoolError::Create { pool: pool(), source }),
            Err(_) => Err(PoolError::CreateTimeout { pool: pool(), after }),
        };
        let now = self.clock.now();
        self.line.look(|_, books| match &created {
            Ok(_) => books.created += 1,
            Err(_) => books.failed_creates += 1,
        });
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let expires =
            self.settings.max_lifetime.map_or(Moment::NEVER, |time| now.after(spread(time, serial)));
        Ok(Slot { resource: created?, expires, idle_since: now, checked: now })
    }

    /// The resource, if it may be lent; else it is closed.
    async fn fit(&self, mut slot: Slot<M::Resource>) -> Option<Slot<M::Resource>> {
        let fitness = self.fitness(&slot, self.clock.now());
        let is_fit = match fitness {
            Fitness::Ready => true,
            Fitness::ToCheck => self.passes_check(&mut slot).await,
            Fitness::TooOld | Fitness::TooLongIdle => false,
        };
        if is_fit {
            return Some(slot);
        }
        self.line.look(|_, books| books.closed.count(fitness));
        None
    }

    async fn passes_check(&self, slot: &mut Slot<M::Resource>) -> bool {
        let checked =
            tokio::time::timeout(self.settings.create_timeout, self.manage.check(&mut slot.resource));
        let passed = matches!(checked.await, Ok(Ok(())));
        slot.checked = self.clock.now();
        passed
    }

    fn fitness(&self, slot: &Slot<M::Resource>, now: Moment) -> Fitness {
        let idle = now.since(slot.idle_since);
        if now >= slot.expires {
            return Fitness::TooOld;
        }
        if self.settings.max_idle.is_some_and(|most| idle > most) {
            return Fitness::TooLongIdle;
        }
        let to_check = match self.settings.check {
            HealthCheck::Never | HealthCheck::Background(_) => false,
            HealthCheck::OnBorrow => true,
            HealthCheck::AfterIdle(time) => idle >= time,
        };
        if to_check { Fitness::ToCheck } else { Fitness::Ready }
    }

    fn returned(self: &Arc<Self>, mut slot: Slot<M::Resource>, since: Moment, is_broken: bool) {
        let now = self.clock.now();
        let held = now.since(since);
        let judge = || self.manage.is_broken(&slot.resource);
        let is_broken = is_broken || catch_unwind(AssertUnwindSafe(judge)).unwrap_or(true);
        let is_too_old = now >= slot.expires;
        if is_broken || is_too_old {
            // Its place is free only once it is closed: there are never more than there may be.
            let place = Place::new(self, Grant::Create);
            self.line.look(|_, books| {
                books.meter.ended(now, held);
                books.closed.lifetime += u64::from(!is_broken);
                books.closed.broken += u64::from(is_broken);
            });
            drop(slot);
            drop(place);
            return;
        }
        slot.idle_since = now;
        let surplus = self.line.give_back(slot, |books| books.meter.ended(now, held));
        if let Some(surplus) = surplus {
            self.count_surplus();
            drop(surplus);
        }
    }

    fn detached(&self, since: Moment) {
        let now = self.clock.now();
        self.line.free_place(|books| {
            books.meter.ended(now, now.since(since));
            books.closed.detached += 1;
        });
    }

    fn count_surplus(&self) {
        self.line.look(|ledger, books| {
            let closed = &mut books.closed;
            let counter = if ledger.is_closed() { &mut closed.drained } else { &mut closed.shrunk };
            *counter += 1;
        });
    }

    /// Resizes to what the knob says. Where the knob is turned meanwhile, whoever sees it last sets it right.
    fn follow_knob(&self) {
        loop {
            let size = self.knob.read();
            drop(self.line.resize(size, |books, count| books.closed.shrunk += count as u64));
            if self.knob.read() == size {
                return;
            }
        }
    }

    fn closed(&self) -> PoolError<M::Error> {
        PoolError::Closed { pool: self.name.clone() }
    }
}

impl ClosedBy {
    fn count(&mut self, fitness: Fitness) {
        match fitness {
            Fitness::TooOld => self.lifetime += 1,
            Fitness::TooLongIdle => self.idle += 1,
            Fitness::Ready | Fitness::ToCheck => self.failed_check += 1,
        }
    }
}

/// A place that is freed when this is dropped: by an error, a panic, or a future that is given up. Unless it is kept.
struct Place<M: Manage> {
    pool: Option<Arc<Inner<M>>>,
    granted: Option<Grant<Slot<M::Resource>>>,
}

impl<M: Manage> Place<M> {
    fn new(pool: &Arc<Inner<M>>, granted: Grant<Slot<M::Resource>>) -> Place<M> {
        Place { pool: Some(pool.clone()), granted: Some(granted) }
    }

    fn keep(mut self) {
        self.pool = None;
    }
}

impl<M: Manage> Drop for Place<M> {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        match self.granted.take() {
            // It was granted and never looked at: as good as before.
            Some(Grant::Resource(slot)) => {
                if let Some(surplus) = pool.line.give_back(slot, |_| {}) {
                    pool.count_surplus();
                    drop(surplus);
                }
            }
            Some(Grant::Create) | None => pool.line.free_place(|_| {}),
        }
    }
}

/// `time`, up to a tenth shorter: consecutive serial numbers are spread evenly (by the golden ratio).
fn spread(time: Duration, serial: u64) -> Duration {
    let share = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64;
    time.mul_f64(1.0 - 0.1 * share)
}

impl<M: Manage> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Pool { inner: self.inner.clone() }
    }
}

impl<M: Manage> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.metrics();
        f.debug_struct("Pool")
            .field("name", &self.inner.name)
            .field("size", &metrics.size)
            .field("idle", &metrics.idle)
            .field("in_use", &metrics.in_use)
            .field("waiting", &metrics.waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
