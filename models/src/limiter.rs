//! The limiter: nobody is let in beyond the limit, no permit is lost, and nobody waits where there is room.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::clock::Moment;
use crate::limiter_parts::gate::{Entered, Fate, Gate, Place};
use crate::limiter_parts::priority::Priority;

const NOW: Moment = Moment::ORIGIN;

/// A gate, and how many are inside by their own count.
pub struct Door {
    gate: Gate,
    inside: AtomicUsize,
}

struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits until its fate is settled. If nobody ever settles it, the model says that all threads are blocked.
fn wait(place: &Place) -> Fate {
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(bell.clone());
    loop {
        match place.poll(&waker) {
            Fate::Waits => bell.0.wait(),
            fate => return fate,
        }
    }
}

/// What is the case before anything happens.
#[derive(Clone, Copy)]
pub struct Scene {
    /// The limit.
    pub limit: usize,
    /// How many are inside.
    pub held: usize,
    /// How many of them stay until all is over.
    pub staying: usize,
    /// How many may wait.
    pub capacity: usize,
    /// How often threads may be interrupted.
    pub preemptions: usize,
}

/// Each of `work` on a thread of its own, in every order. In the end nobody is inside or waits.
pub fn in_every_order(scene: Scene, work: &[fn(&Door)]) {
    let Scene { limit, held, staying, capacity, preemptions } = scene;
    let work = work.to_vec();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let gate = Gate::new(limit, capacity, Duration::from_secs(1));
        let door = Arc::new(Door { gate, inside: AtomicUsize::new(held) });
        (0..held).for_each(|_| assert!(door.gate.try_enter()));
        let run = |work: fn(&Door)| {
            let door = door.clone();
            thread::spawn(move || work(&door))
        };
        let running: Vec<_> = work.iter().copied().map(run).collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((door.gate.in_flight(), door.gate.waiting()), (staying, 0));
    });
}

fn inside(door: &Door) {
    let others = door.inside.fetch_add(1, Ordering::SeqCst);
    assert!(others < door.gate.limit(), "{others} are inside already");
    leave(door);
}

/// One that is inside leaves.
pub fn leave(door: &Door) {
    door.inside.fetch_sub(1, Ordering::SeqCst);
    door.gate.leave(NOW);
}

/// Comes in, waiting if need be, and leaves.
pub fn visit(door: &Door) {
    if !door.gate.try_enter() {
        match door.gate.enter(Priority::Normal, NOW) {
            Entered::Admitted => {}
            Entered::Full => return,
            Entered::Waits(place) => {
                if wait(&place) != Fate::Admitted {
                    return;
                }
            }
        }
    }
    inside(door);
}

/// The same, as somebody who matters more.
pub fn visit_as_critical(door: &Door) {
    match door.gate.enter(Priority::Critical, NOW) {
        Entered::Admitted => inside(door),
        Entered::Full => panic!("somebody less important waits"),
        Entered::Waits(place) => {
            assert_eq!(wait(&place), Fate::Admitted);
            inside(door);
        }
    }
}

/// Wants to come in, and gives up at once.
pub fn give_up(door: &Door) {
    match door.gate.enter(Priority::Normal, NOW) {
        Entered::Admitted => {
            door.inside.fetch_add(1, Ordering::SeqCst);
            leave(door);
        }
        Entered::Full => {}
        Entered::Waits(place) => {
            door.gate.quit(&place, NOW);
        }
    }
}

/// Lets one more in.
pub fn widen(door: &Door) {
    door.gate.set_limit(2, NOW);
}
