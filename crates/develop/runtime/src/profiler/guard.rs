//! What marks an operation, or a place among operations, on a thread.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use super::emit::Shown;
use super::future::{Entry, Instrumented};
use super::local::{Core, Local, Place};
use super::stack::Paused;
use crate::trace_context::SpanContext;

/// An operation that lasts until this is dropped, by return, `?` or panic.
///
/// What begins on this thread in the meantime is within it. Guards may be dropped in any order. They stay on their thread: one that
/// is held across an `.await` would have the other tasks of the thread within it, so a future that holds one is not [`Send`] and a
/// runtime of several threads refuses it. An operation with an `.await` in it is [`instrument`](Guard::instrument)ed instead.
///
/// ```compile_fail
/// # use kandela_runtime::profiler::TracedProfiler;
/// # let profiler = TracedProfiler::new();
/// fn spawn(_: impl Future<Output = ()> + Send) {}
/// spawn(async move {
///     let _guard = profiler.trace("held across an await");
///     std::future::ready(()).await;
/// });
/// ```
#[must_use = "the operation ends when the guard is dropped: bind it, `let _guard = …`"]
pub struct Guard {
    local: Rc<Local>,
    id: u64,
}

impl Guard {
    #[inline]
    pub(super) fn begin(local: Rc<Local>, within: Option<&Place>, operation: &'static str) -> Guard {
        let id = local.begin(within, operation);
        Guard { local, id }
    }

    /// Lets `future` be the operation: it ends when the future does, or is dropped.
    ///
    /// What begins while the future is polled is within it, whatever thread polls it and whatever else runs there in between. The
    /// time in which it waits counts as [`idle`](super::PathTimes::idle).
    ///
    /// ```
    /// # use kandela_runtime::profiler::TracedProfiler;
    /// # async fn answer() {}
    /// # async fn serve(profiler: TracedProfiler) {
    /// profiler.trace("answer").instrument(answer()).await;
    /// # }
    /// ```
    pub fn instrument<F: Future>(self, future: F) -> Instrumented<F> {
        let entry = Entry::taken(&self.local, self.id);
        Instrumented::new(future, entry)
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        let now = self.local.now();
        self.local.end(self.id, now);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// A place among operations, to be carried to other threads and tasks.
///
/// ```
/// # use kandela_runtime::profiler::TracedProfiler;
/// # let profiler = TracedProfiler::new();
/// let _import = profiler.trace("import");
/// let place = profiler.context();
/// std::thread::spawn(move || {
///     let _place = place.attach();
///     let _parse = place.trace("parse"); // import;parse
/// }).join().unwrap();
/// ```
#[derive(Clone)]
pub struct Context {
    core: Arc<Core>,
    place: Place,
}

impl Context {
    pub(super) fn new(core: &Arc<Core>, place: Place) -> Context {
        Context { core: core.clone(), place }
    }

    /// This place within a span of another service: where operations are spans, those that begin here are its children.
    pub fn within_span(mut self, span: SpanContext) -> Context {
        self.place.span = Some(span);
        self
    }

    /// Where operations are spans, that which is open at this place: what an outgoing request names as its parent.
    pub fn span(&self) -> Option<&SpanContext> {
        self.place.span.as_ref()
    }

    /// Until what is returned is dropped, what begins on this thread belongs here.
    pub fn attach(&self) -> Attached {
        let local = Local::of(&self.core);
        let id = local.carry(&self.place);
        Attached { local, id }
    }

    /// Begins an operation here, on this thread.
    pub fn trace(&self, operation: &'static str) -> Guard {
        Guard::begin(Local::of(&self.core), Some(&self.place), operation)
    }

    /// What begins while `future` is polled belongs here; for tasks that are spawned. The future itself is no operation.
    pub fn instrument<F: Future>(&self, future: F) -> Instrumented<F> {
        let carried = Paused::carried(self.place.path);
        Instrumented::new(
            future,
            Entry::new(self.core.clone(), carried, Some(Shown::within(self.place.span.clone()))),
        )
    }

    /// The names of the operations from the outermost one to this place.
    pub fn path(&self) -> Vec<&'static str> {
        self.core.paths.names(self.place.path)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.path()).finish()
    }
}

/// As long as this lives, what begins on this thread belongs to a [`Context`].
#[must_use = "the place is left when this is dropped: bind it, `let _place = …`"]
pub struct Attached {
    local: Rc<Local>,
    id: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let now = self.local.now();
        self.local.end(self.id, now);
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}
