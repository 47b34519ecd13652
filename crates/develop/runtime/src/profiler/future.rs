//! Futures that are operations, or run at a place among operations.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::emit::Shown;
use super::local::{Core, Local};
use super::stack::Paused;

/// A frame that is on a thread's stack while something is done, and on none in between. Ends when it is dropped.
pub(super) struct Entry {
    core: Arc<Core>,
    /// None while it is on a stack, and once it has ended.
    paused: Option<Paused>,
    /// What was open within it when it was last paused, on the thread's part that has the number `home`.
    left_open: Vec<u64>,
    home: u64,
    shown: Option<Shown>,
}

impl Entry {
    pub(super) fn new(core: Arc<Core>, paused: Paused, shown: Option<Shown>) -> Entry {
        Entry { core, paused: Some(paused), left_open: Vec::new(), home: 0, shown }
    }

    /// An operation that has begun on this thread, from its stack.
    pub(super) fn taken(local: &Local, id: u64) -> Entry {
        let now = local.now();
        let shown = local.shown.take(id);
        let paused = local.take(id, now);
        Entry { core: local.core().clone(), paused, left_open: Vec::new(), home: local.number(), shown }
    }

    /// Until what is returned is dropped, this is the innermost frame of this thread.
    pub(super) fn enter(&mut self) -> Inside<'_> {
        let local = Local::of(&self.core);
        let id = self.resume(&local);
        Inside { entry: self, local, id }
    }

    /// Puts it on the stack of this thread; its id there. None if it is on one, or has ended.
    pub(super) fn resume(&mut self, local: &Local) -> Option<u64> {
        let paused = self.paused.take()?;
        if self.home != local.number() {
            // Guards stay on their thread, and so do the frames that they keep open.
            self.left_open.clear();
        }
        let now = local.now();
        let open = self.left_open.clone();
        let id = local.resume(paused, &mut self.left_open, now);
        local.shown.resume(id, self.shown.take(), &open);
        Some(id)
    }

    /// Takes it off the stack of this thread, where it has that id.
    pub(super) fn pause(&mut self, local: &Local, id: u64) {
        let now = local.now();
        self.paused = local.pause(id, &mut self.left_open, now);
        self.home = local.number();
        self.shown = local.shown.pause(id, &self.left_open);
    }

    /// Ends it, once.
    pub(super) fn finish(&mut self) {
        let Some(paused) = self.paused.take() else { return };
        if let Some(taken) = paused.end() {
            Local::of(&self.core).record(taken);
        }
        self.shown = None;
    }

    /// Ends it now, idle since it was paused.
    #[cfg(feature = "tracing")]
    pub(super) fn finish_now(&mut self) {
        let Some(paused) = self.paused.take() else { return };
        let local = Local::of(&self.core);
        if let Some(taken) = paused.end_late(local.now()) {
            local.record(taken);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.finish();
    }
}

/// An [`Entry`] that is on this thread's stack, until this is dropped: by a panic too.
pub(super) struct Inside<'a> {
    entry: &'a mut Entry,
    local: Rc<Local>,
    id: Option<u64>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.entry.pause(&self.local, id);
        }
    }
}

pin_project! {
    /// A future that is an operation, or runs at a place among operations: see [`Guard::instrument`](super::Guard::instrument)
    /// and [`Context::instrument`](super::Context::instrument).
    ///
    /// Its operation ends when it is ready, or is dropped before: by a cancellation, or by whoever caught the panic of a poll.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Instrumented<F> {
        // None once it is ready: what it holds is dropped within the operation.
        #[pin]
        future: Option<F>,
        entry: Entry,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _inside = this.entry.enter();
            this.future.set(None);
        }
    }
}

impl<F> Instrumented<F> {
    pub(super) fn new(future: F, entry: Entry) -> Instrumented<F> {
        Instrumented { future: Some(future), entry }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let inside = this.entry.enter();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("a future was polled after it had returned its value");
        };
        let polled = future.poll(context);
        if polled.is_ready() {
            this.future.set(None);
        }
        drop(inside);
        if polled.is_ready() {
            this.entry.finish();
        }
        polled
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").finish_non_exhaustive()
    }
}
