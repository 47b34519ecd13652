//! What holds for a ledger after any steps, against a plain account of who has what.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Cancel(usize),
    Release(usize),
    Break(usize),
    FailToCreate,
    Resize(usize),
    Reserve(usize),
    LookAt,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Acquire),
        3 => (0..8_usize).prop_map(Step::Cancel),
        6 => (0..8_usize).prop_map(Step::Release),
        2 => (0..8_usize).prop_map(Step::Break),
        2 => Just(Step::FailToCreate),
        2 => (1..6_usize).prop_map(Step::Resize),
        1 => (0..3_usize).prop_map(Step::Reserve),
        1 => Just(Step::LookAt),
    ]
}

/// A ledger, and what those who use it know.
struct World {
    ledger: Ledger<u32>,
    created: u32,
    /// Resources that are out, and places for which none was created yet.
    lent: Vec<u32>,
    creating: usize,
    /// Tickets in the order in which they were drawn, of those who still wait for their grant.
    queue: VecDeque<u64>,
    /// The largest size since the last time that everything fitted.
    bound: usize,
}

impl World {
    fn got(&mut self, grant: &Grant<u32>) {
        match grant {
            Grant::Resource(resource) => self.lent.push(*resource),
            Grant::Create => self.creating += 1,
        }
    }

    fn create(&mut self) {
        if self.creating > 0 {
            self.creating -= 1;
            self.created += 1;
            self.lent.push(self.created);
        }
    }

    fn pick(&mut self, which: usize) -> Option<u32> {
        self.create();
        let count = self.lent.len();
        (count > 0).then(|| self.lent.swap_remove(which % count))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Acquire => match self.ledger.take() {
                Some(grant) => self.got(&grant),
                None if self.ledger.is_closed() => {}
                None => self.queue.push_back(self.ledger.wait(Waker::noop().clone())),
            },
            Step::Cancel(which) if !self.queue.is_empty() => {
                let ticket = self.queue.remove(which % self.queue.len()).expect("within");
                assert_eq!(self.ledger.leave(ticket), None, "what is granted is fetched at once here");
            }
            Step::Release(which) => {
                if let Some(resource) = self.pick(which) {
                    let _ = self.ledger.give_back(resource);
                }
            }
            Step::Break(which) => {
                if self.pick(which).is_some() {
                    let _ = self.ledger.free_place();
                }
            }
            Step::FailToCreate if self.creating > 0 => {
                self.creating -= 1;
                let _ = self.ledger.free_place();
            }
            Step::Resize(size) => {
                let _ = self.ledger.resize(size);
            }
            Step::Reserve(min_idle) => {
                if self.ledger.reserve(min_idle) {
                    self.created += 1;
                    let _ = self.ledger.give_back(self.created);
                }
            }
            Step::LookAt => {
                if let Some(resource) = self.ledger.take_idle(|_| true) {
                    let _ = self.ledger.put_back(resource);
                }
            }
            Step::Close => {
                let _ = self.ledger.close();
                self.queue.clear();
            }
            Step::Cancel(_) | Step::FailToCreate => {}
        }
    }

    /// All who were granted something fetch it; they are those who have waited longest.
    fn fetch(&mut self) {
        let mut has_seen_one_wait = false;
        for ticket in std::mem::take(&mut self.queue) {
            match self.ledger.fetch(ticket) {
                Some(grant) => {
                    assert!(!has_seen_one_wait, "ticket {ticket} passed somebody");
                    self.got(&grant);
                }
                None => {
                    has_seen_one_wait = true;
                    self.queue.push_back(ticket);
                }
            }
        }
    }

    fn check(&mut self) {
        let out = self.lent.len() + self.creating;
        assert_eq!(self.ledger.taken(), out + self.ledger.idle(), "a place was lost or found");
        self.bound = self.ledger.size().max(self.bound.min(self.ledger.taken()));
        assert!(self.ledger.taken() <= self.bound, "more than there may be");
        if self.ledger.waiting() > 0 {
            assert_eq!(self.ledger.idle(), 0, "somebody waits beside an idle one");
            assert!(self.ledger.taken() >= self.ledger.size(), "somebody waits beside a free place");
        }
        assert_eq!(self.ledger.waiting(), self.queue.len());
    }
}

proptest! {
    #[test]
    fn no_place_is_lost_none_is_made_up_and_nobody_is_passed(
        size in 1..5_usize,
        oldest in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
        closes in any::<bool>(),
    ) {
        let reuse = if oldest { Reuse::Oldest } else { Reuse::Newest };
        let mut world = World {
            ledger: Ledger::new(size, reuse),
            created: 0,
            lent: Vec::new(),
            creating: 0,
            queue: VecDeque::new(),
            bound: size,
        };
        for step in steps.iter().chain(closes.then_some(&Step::Close)) {
            world.step(step);
            world.fetch();
            world.check();
        }
        while let Some(resource) = world.pick(0) {
            let _ = world.ledger.give_back(resource);
            world.fetch();
            world.check();
        }
        prop_assert_eq!(world.ledger.waiting(), 0, "all come to their turn");
        prop_assert!(world.ledger.idle() <= world.ledger.size());
        prop_assert!(!closes || world.ledger.is_drained(Waker::noop()));
    }
}
