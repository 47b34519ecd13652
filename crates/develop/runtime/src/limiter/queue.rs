//! Who waits in front of a limit: pure, bounded, highest priority first.
//!
//! Within a class, the first come is the first served as long as the queue drains now and then. Where it has not been empty for as
//! long as anybody may wait, it is a standing queue: then the last come is served first. Who came first has waited nearly as long
//! as it may and would be answered late; served in that order, everyone would be. This is adaptive LIFO with the bound on waiting
//! of CoDel's interval (Maurer, *Fail at Scale*, ACM Queue 13(8), 2015).

use std::collections::VecDeque;
use std::time::Duration;

use super::priority::{CLASSES, Priority};
use crate::clock::Moment;
use crate::steady::Steady;

/// A bounded queue of `T`s.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    classes: [VecDeque<Waiter<T>>; CLASSES],
    next: u64,
    capacity: usize,
    patience: Duration,
    steady: Steady,
    /// Since when somebody waits without a break.
    standing_since: Moment,
}

#[derive(Debug)]
struct Waiter<T> {
    number: u64,
    since: Moment,
    what: T,
}

/// What became of somebody who wanted to wait.
#[derive(Debug, PartialEq)]
pub(crate) enum Pushed<T> {
    /// It waits under this number.
    Waits(u64),
    /// It waits under this number, in the place of one of lower priority.
    Displaces(u64, T),
    /// Nobody less important waits, and there is no room.
    Full(T),
}

impl<T> Queue<T> {
    /// Room for `capacity`, each for at most `patience`.
    pub(crate) fn new(capacity: usize, patience: Duration) -> Queue<T> {
        Queue {
            classes: Default::default(),
            next: 0,
            capacity,
            patience,
            steady: Steady::default(),
            standing_since: Moment::ORIGIN,
        }
    }

    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(crate) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    pub(crate) fn push(&mut self, priority: Priority, now: Moment, what: T) -> Pushed<T> {
        let now = self.steady.at(now);
        let len = self.len();
        if len == 0 {
            self.standing_since = now;
        }
        let displaced = if len < self.capacity {
            None
        } else {
            let lower = self.classes.iter_mut().skip(priority.class() + 1).rev();
            let Some(last) = lower.filter_map(VecDeque::pop_front).next() else { return Pushed::Full(what) };
            Some(last.what)
        };
        let number = self.next;
        self.next += 1;
        self.classes[priority.class()].push_back(Waiter { number, since: now, what });
        match displaced {
            None => Pushed::Waits(number),
            Some(other) => Pushed::Displaces(number, other),
        }
    }

    /// Whose turn it is.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<T> {
        let now = self.steady.at(now);
        let is_standing = now.since(self.standing_since) > self.patience;
        let class = self.classes.iter_mut().find(|class| !class.is_empty())?;
        let next = if is_standing { class.pop_back() } else { class.pop_front() };
        next.map(|waiter| waiter.what)
    }

    /// One who has waited for longer than it may.
    pub(crate) fn pop_expired(&mut self, now: Moment) -> Option<T> {
        let now = self.steady.at(now);
        let patience = self.patience;
        let has_expired = |class: &VecDeque<Waiter<T>>| {
            class.front().is_some_and(|first| now.since(first.since) > patience)
        };
        let class = self.classes.iter_mut().find(|class| has_expired(class))?;
        class.pop_front().map(|waiter| waiter.what)
    }

    /// Takes out whoever waits under `number`.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        self.classes.iter_mut().find_map(|class| {
            let at = class.binary_search_by_key(&number, |waiter| waiter.number).ok()?;
            class.remove(at).map(|waiter| waiter.what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN.after(Duration::from_millis(millis))
    }

    #[test]
    fn higher_priorities_go_first_and_the_first_come_within_one() {
        let mut queue = Queue::new(8, PATIENCE);
        for (priority, what) in [(Priority::Low, 'a'), (Priority::High, 'b'), (Priority::High, 'c')] {
            queue.push(priority, at(0), what);
        }
        let order: Vec<char> = std::iter::from_fn(|| queue.pop(at(1))).collect();
        assert_eq!(order, ['b', 'c', 'a']);
    }

    #[test]
    fn in_a_standing_queue_the_last_come_goes_first() {
        let mut queue = Queue::new(8, PATIENCE);
        queue.push(Priority::Normal, at(0), 'a');
        queue.push(Priority::Normal, at(5), 'b');
        queue.push(Priority::Normal, at(9), 'c');
        assert_eq!(queue.pop(at(9)), Some('a'));
        assert_eq!(queue.pop(at(11)), Some('c'));
    }

    #[test]
    fn a_full_queue_lets_the_least_important_go() {
        let mut queue = Queue::new(1, PATIENCE);
        assert_eq!(queue.push(Priority::Low, at(0), 'a'), Pushed::Waits(0));
        assert_eq!(queue.push(Priority::Low, at(0), 'b'), Pushed::Full('b'));
        assert_eq!(queue.push(Priority::Critical, at(0), 'c'), Pushed::Displaces(1, 'a'));
        assert_eq!(queue.push(Priority::High, at(0), 'd'), Pushed::Full('d'));
    }

    #[test]
    fn whoever_has_waited_too_long_is_found() {
        let mut queue = Queue::new(8, PATIENCE);
        queue.push(Priority::Normal, at(0), 'a');
        queue.push(Priority::Normal, at(5), 'b');
        assert_eq!(queue.pop_expired(at(10)), None);
        assert_eq!(queue.pop_expired(at(11)), Some('a'));
        assert_eq!(queue.pop_expired(at(11)), None);
    }

    #[test]
    fn a_clock_that_steps_back_lets_nobody_wait_for_longer() {
        let mut queue = Queue::new(8, PATIENCE);
        queue.push(Priority::Normal, at(3_600_000), 'a');
        assert_eq!(queue.pop_expired(at(0)), None);
        assert_eq!(queue.pop_expired(at(11)), Some('a'));
    }

    #[test]
    fn whoever_leaves_is_out() {
        let mut queue = Queue::new(8, PATIENCE);
        queue.push(Priority::Normal, at(0), 'a');
        queue.push(Priority::Normal, at(0), 'b');
        assert_eq!(queue.remove(0), Some('a'));
        assert_eq!(queue.remove(0), None);
        assert_eq!(queue.len(), 1);
    }
}
