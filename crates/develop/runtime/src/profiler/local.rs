//! A thread's part of a profiler: its stack, and the cells that it alone writes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;

use super::emit::{Shown, ShownHere, Shows};
use super::ledger::{Ledger, Sheet};
use super::paths::{PathId, Paths};
use super::stack::{Paused, Stack, Taken};
use super::time::Time;
use super::times::{Cells, PathTimes, Tally};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::trace_context::SpanContext;

/// What all threads share of a profiler. After a thread's first operation of a path, it takes no lock of this.
pub(super) struct Core {
    pub(super) time: Time,
    pub(super) paths: Paths,
    pub(super) ledger: Ledger<ThreadSheet>,
    shows: Shows,
    /// No handle is left: threads let go of it when they next look for a profiler.
    pub(super) is_abandoned: AtomicBool,
    threads: AtomicU64,
}

impl Core {
    pub(super) fn new(time: Time, paths: Paths, shows: Shows) -> Core {
        let (is_abandoned, threads) = (AtomicBool::new(false), AtomicU64::new(0));
        Core { time, paths, ledger: Ledger::new(), shows, is_abandoned, threads }
    }
}

/// Where an operation belongs.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: PathId,
    /// Where operations are spans, that whose child it is.
    pub(super) span: Option<SpanContext>,
}

/// What one thread has counted, path by path.
#[derive(Default)]
pub(super) struct ThreadSheet {
    paths: Mutex<Vec<(PathId, Arc<Cells>)>>,
}

impl Sheet for ThreadSheet {
    type Sum = HashMap<PathId, PathTimes>;

    fn add_to(&self, sum: &mut Self::Sum) {
        use kandela_algebra::merge::Merge;
        for (path, cells) in self.paths.lock().iter() {
            sum.entry(*path).or_default().merge_from(&cells.read());
        }
    }
}

/// One thread's part of one profiler.
pub(super) struct Local {
    core: Arc<Core>,
    /// Of all parts of this profiler, only this one has it.
    number: u64,
    sheet: Arc<ThreadSheet>,
    state: RefCell<State>,
    pub(super) shown: ShownHere,
}

struct State {
    stack: Stack,
    nodes: Vec<Node>,
    /// What a node's `recent` does not hold. By address: a `'static` name that stands at an address stands there for ever.
    known: HashMap<(PathId, usize, usize), PathId>,
}

/// What the thread knows of a path.
struct Node {
    /// The operation that began last within it.
    recent: Option<(&'static str, PathId)>,
    /// Boxed, since a thread has a node for each path that any thread has, and a tally only for its own.
    tally: Option<Box<Tally>>,
}

/// Names with other addresses than those known are looked up again, so forgetting some costs time only.
const MOST_KNOWN: usize = 8192;

thread_local! {
    /// This thread's parts of the profilers that it works for.
    static HERE: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

impl Local {
    /// This thread's part of the profiler.
    #[inline]
    pub(super) fn of(core: &Arc<Core>) -> Rc<Local> {
        let first = HERE.try_with(|here| match here.borrow().first() {
            Some(local) if Arc::ptr_eq(&local.core, core) => Some(local.clone()),
            _ => None,
        });
        match first {
            Ok(Some(local)) => local,
            _ => Local::search(core),
        }
    }

    #[cold]
    fn search(core: &Arc<Core>) -> Rc<Local> {
        let found = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            if let Some(position) = here.iter().position(|local| Arc::ptr_eq(&local.core, core)) {
                here.swap(0, position);
                return (here[0].clone(), Vec::new());
            }
            let is_done = |local: &Rc<Local>| {
                Rc::strong_count(local) == 1 && local.core.is_abandoned.load(Ordering::Acquire)
            };
            let done: Vec<Rc<Local>> = here.extract_if(.., |local| is_done(local)).collect();
            here.insert(0, Rc::new(Local::new(core)));
            (here[0].clone(), done)
        });
        // A thread that is ending has no such list any more; its last operations bring their own.
        found.map_or_else(|_| Rc::new(Local::new(core)), |(local, _done)| local)
    }

    fn new(core: &Arc<Core>) -> Local {
        let sheet = Arc::new(ThreadSheet::default());
        core.ledger.open(sheet.clone());
        let number = core.threads.fetch_add(1, Ordering::Relaxed);
        let state = State { stack: Stack::new(), nodes: Vec::new(), known: HashMap::new() };
        let shown = ShownHere::new(&core.shows);
        Local { core: core.clone(), number, sheet, state: RefCell::new(state), shown }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.core.time.now()
    }

    /// Where an operation that begins now belongs.
    pub(super) fn path(&self) -> PathId {
        self.state.borrow().stack.path()
    }

    /// The span that an operation which begins now is a child of, where operations are spans.
    pub(super) fn span(&self) -> Option<SpanContext> {
        if self.shown.is_on() { self.shown.nearest(self.state.borrow().stack.ids()) } else { None }
    }

    /// Begins an operation, within the one that is open if `within` names no other place.
    #[inline]
    pub(super) fn begin(&self, within: Option<&Place>, operation: &'static str) -> u64 {
        let mut state = self.state.borrow_mut();
        let path = within.map_or_else(|| state.stack.path(), |place| place.path);
        let path = state.path_of(&self.core.paths, path, operation);
        // Read last, so that what was done above is not part of the operation.
        let now = self.core.time.now();
        let id = state.stack.begin(path, now);
        drop(state);
        if self.shown.is_on() {
            let parent = within.map_or_else(|| self.span(), |place| place.span.clone());
            self.shown.begin(id, parent, operation);
        }
        id
    }

    /// The path of `operation` within `within`.
    #[cfg(feature = "tracing")]
    pub(super) fn path_of(&self, within: PathId, operation: &'static str) -> PathId {
        self.state.borrow_mut().path_of(&self.core.paths, within, operation)
    }

    /// What begins from now on belongs to `place`.
    pub(super) fn carry(&self, place: &Place) -> u64 {
        let id = self.state.borrow_mut().stack.carry(place.path);
        self.shown.put(id, Some(Shown::within(place.span.clone())));
        id
    }

    #[inline]
    pub(super) fn end(&self, id: u64, now: u64) {
        let mut state = self.state.borrow_mut();
        if let Some(taken) = state.stack.end(id, now) {
            state.record(&self.sheet, taken);
        }
        drop(state);
        drop(self.shown.take(id));
    }

    pub(super) fn record(&self, taken: Taken) {
        self.state.borrow_mut().record(&self.sheet, taken);
    }

    /// Takes an operation off the stack without ending it.
    pub(super) fn take(&self, id: u64, now: u64) -> Option<Paused> {
        self.state.borrow_mut().stack.take(id, now)
    }

    pub(super) fn resume(&self, paused: Paused, left_open: &mut Vec<u64>, now: u64) -> u64 {
        self.state.borrow_mut().stack.resume(paused, left_open, now)
    }

    pub(super) fn pause(&self, id: u64, left_open: &mut Vec<u64>, now: u64) -> Option<Paused> {
        self.state.borrow_mut().stack.pause(id, left_open, now)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.core.ledger.close(&self.sheet);
    }
}

impl State {
    #[inline]
    fn record(&mut self, sheet: &ThreadSheet, taken: Taken) {
        let tally = self.nodes.get_mut(taken.path.index()).and_then(|node| node.tally.as_mut());
        match tally {
            Some(tally) => tally.record(taken.total, taken.idle, taken.own),
            None => self.record_first(sheet, taken),
        }
    }

    /// The first operation of a path that ends on this thread.
    #[cold]
    fn record_first(&mut self, sheet: &ThreadSheet, taken: Taken) {
        let mut tally = Tally::new();
        tally.record(taken.total, taken.idle, taken.own);
        sheet.paths.lock().push((taken.path, tally.cells().clone()));
        self.node(taken.path).tally = Some(Box::new(tally));
    }

    #[inline]
    fn path_of(&mut self, paths: &Paths, within: PathId, operation: &'static str) -> PathId {
        match self.nodes.get(within.index()).and_then(|node| node.recent) {
            Some((recent, path)) if std::ptr::eq(recent, operation) => path,
            _ => self.find(paths, within, operation),
        }
    }

    fn find(&mut self, paths: &Paths, within: PathId, operation: &'static str) -> PathId {
        let address = (within, operation.as_ptr() as usize, operation.len());
        let path = match self.known.get(&address) {
            Some(&path) => path,
            None => self.learn(paths, address, operation),
        };
        self.node(within).recent = Some((operation, path));
        path
    }

    #[cold]
    fn learn(&mut self, paths: &Paths, address: (PathId, usize, usize), operation: &'static str) -> PathId {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let path = paths.find(address.0, operation);
        self.known.insert(address, path);
        path
    }

    fn node(&mut self, path: PathId) -> &mut Node {
        if self.nodes.len() <= path.index() {
            self.nodes.resize_with(path.index() + 1, || Node { recent: None, tally: None });
        }
        &mut self.nodes[path.index()]
    }
}

#[cfg(test)]
mod tests {
    use crate::profiler::TracedProfiler;

    #[test]
    fn a_thread_that_ended_takes_no_memory() {
        let profiler = TracedProfiler::new();
        for _ in 0..3 {
            let profiler = profiler.clone();
            std::thread::spawn(move || drop(profiler.trace("operation"))).join().expect("no panic");
        }
        assert_eq!(profiler.core.ledger.open_sheets(), 0);
        assert_eq!(profiler.trace_summary().times(["operation"]).map(|times| times.count.0), Some(3));
    }

    #[test]
    fn a_thread_lets_go_of_profilers_that_are_gone() {
        let profiler = TracedProfiler::new();
        drop(profiler.trace("operation"));
        let core = std::sync::Arc::downgrade(&profiler.core);
        drop(profiler);
        drop(TracedProfiler::new().trace("another's"));
        assert!(core.upgrade().is_none());
    }
}
