//! The pool's line: no place is lost, no resource leaks, nobody waits for ever.

#[path = "../../crates/develop/runtime/src/pool/ledger.rs"]
#[allow(unreachable_pub, dead_code, reason = "the pool uses the rest")]
mod ledger;
#[path = "../../crates/develop/runtime/src/pool/line.rs"]
#[allow(unreachable_pub, dead_code, reason = "the pool uses the rest")]
mod line;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use ledger::{Grant, Reuse};
use line::{Closed, Line};

/// A pool of things that know of how many there are.
pub struct Pool {
    line: Line<Thing, ()>,
    alive: Arc<AtomicUsize>,
    most: AtomicUsize,
}

struct Thing(Arc<AtomicUsize>);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pool {
    fn new(size: usize) -> Pool {
        Pool {
            line: Line::new(size, Reuse::Newest, ()),
            alive: Arc::new(AtomicUsize::new(0)),
            most: AtomicUsize::new(size),
        }
    }

    fn take(&self) -> Thing {
        let grant = self.line.take_now(|(), _| {}).expect("open").expect("a free place");
        self.use_up(grant)
    }

    fn use_up(&self, grant: Grant<Thing>) -> Thing {
        match grant {
            Grant::Resource(thing) => thing,
            Grant::Create => {
                let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(alive <= self.most.load(Ordering::SeqCst), "{alive} are too many");
                Thing(self.alive.clone())
            }
        }
    }
}

/// Runs each of `work` on a thread of its own against a pool of `size`, in every order that there is; of three threads, in every
/// order with at most four preemptions. Then checks what must hold.
pub fn in_every_order(size: usize, work: &[fn(&Pool)], then: fn(&Pool)) {
    beside_a_hog(0, size, work, then);
}

/// The same, while somebody holds `hogged` of the places, and gives them back only when all work is done.
pub fn beside_a_hog(hogged: usize, size: usize, work: &[fn(&Pool)], then: fn(&Pool)) {
    let work = work.to_vec();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (work.len() > 2).then_some(4);
    model.check(move || {
        let pool = Arc::new(Pool::new(size));
        let held: Vec<Thing> = (0..hogged).map(|_| pool.take()).collect();
        let running: Vec<_> = work
            .iter()
            .copied()
            .map(|work| {
                let pool = pool.clone();
                thread::spawn(move || work(&pool))
            })
            .collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
        held.into_iter().for_each(|thing| drop(pool.line.give_back(thing, |()| {})));
        then(&pool);
    });
}

/// Waits for its turn, and gives back what it got.
pub fn acquire(pool: &Pool) {
    let mut waiting = pool.line.stand();
    let grant = block_on(pin!(waiting.turn())).expect("nobody closes this pool");
    let thing = pool.use_up(grant);
    drop(pool.line.give_back(thing, |()| {}));
}

/// The same, of a pool that somebody may close.
pub fn acquire_if_open(pool: &Pool) {
    let mut waiting = pool.line.stand();
    match block_on(pin!(waiting.turn())) {
        Ok(grant) => drop(pool.line.give_back(pool.use_up(grant), |()| {})),
        Err(Closed) => {}
    }
}

/// Asks once or twice, and gives up, whatever was granted meanwhile.
pub fn give_up(pool: &Pool) {
    let mut waiting = pool.line.stand();
    for _ in 0..2 {
        let polled = {
            let turn = pin!(waiting.turn());
            turn.poll(&mut Context::from_waker(Waker::noop()))
        };
        if let Poll::Ready(Ok(grant)) = polled {
            drop(pool.line.give_back(pool.use_up(grant), |()| {}));
            return;
        }
        thread::yield_now();
    }
}

/// Gets a place and fails to create anything; or something, and breaks it.
pub fn fail(pool: &Pool) {
    let mut waiting = pool.line.stand();
    match block_on(pin!(waiting.turn())).expect("nobody closes this pool") {
        Grant::Resource(thing) => drop(thing),
        Grant::Create => {}
    }
    pool.line.free_place(|()| {});
}

/// One place more.
pub fn grow(pool: &Pool) {
    pool.most.store(2, Ordering::SeqCst);
    drop(pool.line.resize(2, |(), _| {}));
}

/// One place only.
pub fn shrink(pool: &Pool) {
    drop(pool.line.resize(1, |(), _| {}));
}

/// Closes, and waits until all came back.
pub fn close(pool: &Pool) {
    drop(pool.line.close(|(), _| {}));
    block_on(pin!(pool.line.drained()));
    assert_eq!(pool.line.look(|ledger, ()| ledger.taken()), 0);
}

/// All that exists lies idle, nobody waits, and as many as there are places can be had.
pub fn is_whole(pool: &Pool) {
    let alive = pool.alive.load(Ordering::SeqCst);
    let size = pool.line.look(|ledger, ()| {
        assert_eq!((ledger.taken(), ledger.idle(), ledger.waiting()), (alive, alive, 0));
        ledger.size()
    });
    let mut had = 0;
    let mut held = Vec::new();
    while let Ok(Some(grant)) = pool.line.take_now(|(), _| {}) {
        held.push(pool.use_up(grant));
        had += 1;
    }
    assert_eq!(had, size, "a place was lost or found");
}

/// Nothing exists any more.
pub fn is_gone(pool: &Pool) {
    assert_eq!(pool.alive.load(Ordering::SeqCst), 0, "a resource leaked");
}

/// Wakes the thread that it was made on.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until ready, and sleeps in between: one wake that is lost is a deadlock, which loom reports.
fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
