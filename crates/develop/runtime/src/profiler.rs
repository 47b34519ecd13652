//! Where a program's time goes, by call path: `profiler.trace("operation")`.
//!
//! ```
//! use kandela_runtime::profiler::TracedProfiler;
//!
//! let profiler = TracedProfiler::new();
//! {
//!     let _checkout = profiler.trace("checkout");
//!     let _pay = profiler.trace("pay");
//! }
//! println!("{}", profiler.trace_summary());
//! assert_eq!(profiler.trace_summary().times(["checkout", "pay"]).map(|times| times.count.0), Some(1));
//! ```
//!
//! An operation is named where it begins, and is within the one that is open on its thread. Each thread counts for itself: after its
//! first operation of a path it takes no lock and writes no memory that another thread writes. A summary merges what threads have
//! counted, those that ended included.
//!
//! Across `.await`, threads and tasks:
//!
//! - [`Guard::instrument`] makes a future the operation, wherever it is polled;
//! - [`Context`] carries the place of an operation to another thread ([`attach`](Context::attach)) or a spawned task
//!   ([`instrument`](Context::instrument)).
//!
//! The cost is bounded: beyond [`Builder::paths`] paths or [`Builder::depth`] levels, operations count as one path,
//! [`OTHER`].
//!
//! The page `docs/runtime-profiler.md` has the formats and the numbers.

#[cfg(feature = "tracing")]
mod bridge;
mod buckets;
mod emit;
mod export;
mod future;
mod guard;
mod ledger;
mod local;
mod paths;
mod stack;
mod summary;
mod time;
mod times;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "tracing")]
pub use bridge::ProfilerLayer;
use emit::Shows;
#[cfg(feature = "tracing")]
pub use emit::TARGET;
pub use future::Instrumented;
pub use guard::{Attached, Context, Guard};
use local::{Core, Local, Place};
pub use paths::OTHER;
use paths::{PathId, Paths};
pub use summary::TraceSummary;
pub use time::CounterClock;
use time::Time;
pub use times::PathTimes;

use crate::clock::Clock;
use crate::range::{OutOfRange, within};
use crate::sync::Ordering;
use crate::tracer::Tracer;

/// Measures operations by call path. Copies share what they measure.
#[derive(Clone)]
pub struct TracedProfiler {
    core: Arc<Core>,
    _handle: Arc<Handle>,
}

/// Tells threads, which keep their parts of the profiler, that nobody else does.
struct Handle(Arc<Core>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.is_abandoned.store(true, Ordering::Release);
    }
}

impl TracedProfiler {
    /// A profiler with the default limits and clock.
    pub fn new() -> TracedProfiler {
        let Builder { paths, depth, .. } = Builder::default();
        TracedProfiler::with(Time::Counter(CounterClock::new()), Paths::new(paths, depth), Shows::default())
    }

    /// Sets limits and the clock.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn with(time: Time, paths: Paths, shows: Shows) -> TracedProfiler {
        let core = Arc::new(Core::new(time, paths, shows));
        TracedProfiler { _handle: Arc::new(Handle(core.clone())), core }
    }

    /// Begins an operation, which lasts until the guard is dropped, within the one that is open on this thread.
    ///
    /// Names should be few: each path of names has counts of its own, on each thread.
    #[inline]
    pub fn trace(&self, operation: &'static str) -> Guard {
        Guard::begin(Local::of(&self.core), None, operation)
    }

    /// The place of the operation that is open on this thread, to be carried to another.
    pub fn context(&self) -> Context {
        let local = Local::of(&self.core);
        Context::new(&self.core, Place { path: local.path(), span: local.span() })
    }

    /// The place outside of all operations, for tasks that belong to nobody.
    pub fn root(&self) -> Context {
        Context::new(&self.core, Place { path: PathId::ROOT, span: None })
    }

    /// The times of all operations that have ended, on all threads, since the profiler was made.
    pub fn trace_summary(&self) -> TraceSummary {
        let mut summary = TraceSummary::default();
        for (path, times) in self.core.ledger.sum() {
            summary.add(&self.core.paths.names(path), &times);
        }
        summary
    }
}

impl Default for TracedProfiler {
    fn default() -> Self {
        TracedProfiler::new()
    }
}

impl fmt::Debug for TracedProfiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedProfiler").finish_non_exhaustive()
    }
}

/// What a profiler is to be.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    paths: usize,
    depth: usize,
    clock: Option<Arc<dyn Clock>>,
    shows: Shows,
}

impl Default for Builder {
    fn default() -> Self {
        Builder { paths: 1024, depth: 64, clock: None, shows: Shows::default() }
    }
}

impl Builder {
    /// The most paths that are told apart: 1 to 65,536, by default 1,024. A path takes about 1 KiB on each thread that it is on.
    pub fn paths(mut self, most: usize) -> Builder {
        self.paths = most;
        self
    }

    /// The most operations within one another that are told apart: 1 to 256, by default 64.
    pub fn depth(mut self, most: usize) -> Builder {
        self.depth = most;
        self
    }

    /// Reads the time from `clock`; by default from a [`CounterClock`]. A clock must not trace.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Builder {
        self.clock = Some(clock);
        self
    }

    /// Makes each operation a span of `service` too: a child of the span of the operation that it is within, or the root of a new
    /// trace. [`Context::span`] is what an outgoing request names as its parent, and [`Context::within_span`] takes up that of an
    /// incoming one. A span costs several times what an operation does.
    pub fn spans(mut self, tracer: Tracer, service: impl Into<Arc<str>>) -> Builder {
        self.shows.tracer = Some((tracer, service.into()));
        self
    }

    /// Shows each operation as a span of the `tracing` crate too, so that subscribers see it: of target [`TARGET`] and level
    /// INFO, called `operation`, with the operation's name in the fields `operation` and `otel.name`. This costs what the
    /// subscriber costs.
    #[cfg(feature = "tracing")]
    pub fn show_spans(mut self) -> Builder {
        self.shows.tracing = true;
        self
    }

    /// The profiler.
    ///
    /// # Errors
    /// [`OutOfRange`] where a limit is.
    pub fn build(self) -> Result<TracedProfiler, OutOfRange> {
        let paths = within("profiler.paths", self.paths, 1..=65_536)?;
        let depth = within("profiler.depth", self.depth, 1..=256)?;
        let time = self.clock.map_or_else(|| Time::Counter(CounterClock::new()), Time::Given);
        Ok(TracedProfiler::with(time, Paths::new(paths, depth), self.shows))
    }
}
