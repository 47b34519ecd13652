//! What a thread is at: the operations that are open on it, the innermost last, and who is charged for the time.
//!
//! Time is charged to the innermost operation. Each frame keeps how much of its time others above it have taken, `covered`; what
//! remains is its own. So on one thread the own times of all operations add up to the time in which there was any, whatever the
//! order in which they end, and however often futures come and go in between.

use hashbrown::HashMap;

use super::paths::PathId;

/// An operation that has begun, or a place among operations that was carried here from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    id: u64,
    pub(super) path: PathId,
    /// A carried place only says where operations belong; it takes no time itself.
    timed: bool,
    began: u64,
    /// How long it was on no stack.
    idle: u64,
    /// The part of its time that frames above it have taken.
    covered: u64,
    /// The part of its time that the frame below knows of already.
    settled: u64,
}

/// A frame that is on no stack, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paused {
    frame: Frame,
    since: u64,
}

/// What an operation took, in nanoseconds, once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) path: PathId,
    pub(super) total: u64,
    pub(super) idle: u64,
    pub(super) own: u64,
}

impl Frame {
    /// What the frame below is to be charged with: for a carried place, what was done there.
    fn charge(&self, now: u64) -> u64 {
        if self.timed { now.saturating_sub(self.began).saturating_sub(self.idle) } else { self.covered }
    }

    #[inline]
    fn taken(&self, now: u64) -> Taken {
        let total = now.saturating_sub(self.began);
        let busy = total.saturating_sub(self.idle);
        let own = busy.saturating_sub(self.covered);
        Taken { path: self.path, total, idle: total - busy, own }
    }

    fn end(&self, now: u64) -> Option<Taken> {
        self.timed.then(|| self.taken(now))
    }
}

impl Paused {
    /// A place among operations that is yet to be carried to a stack.
    pub(super) fn carried(path: PathId) -> Paused {
        let frame = Frame { id: 0, path, timed: false, began: 0, idle: 0, covered: 0, settled: 0 };
        Paused { frame, since: 0 }
    }

    /// An operation that begins now, on no stack.
    #[cfg(feature = "tracing")]
    pub(super) fn begun(path: PathId, now: u64) -> Paused {
        let frame = Frame { id: 0, path, timed: true, began: now, idle: 0, covered: 0, settled: 0 };
        Paused { frame, since: now }
    }

    /// Ends it, as of when it was paused: what came after is nobody's.
    pub(super) fn end(&self) -> Option<Taken> {
        self.frame.end(self.since)
    }

    /// Ends it now, idle since it was paused.
    pub(super) fn end_late(mut self, now: u64) -> Option<Taken> {
        self.frame.idle += now.saturating_sub(self.since);
        self.frame.end(now)
    }
}

/// The open operations of one thread.
#[derive(Debug)]
pub(super) struct Stack {
    /// The first is the place outside of all operations; it stays.
    frames: Vec<Frame>,
    /// Operations that began in a future which was left while their guards live.
    left_open: HashMap<u64, Paused>,
    next_id: u64,
}

impl Stack {
    pub(super) fn new() -> Stack {
        let Paused { frame: outside, .. } = Paused::carried(PathId::ROOT);
        Stack { frames: vec![outside], left_open: HashMap::new(), next_id: 0 }
    }

    /// Where an operation that begins now belongs.
    #[inline]
    pub(super) fn path(&self) -> PathId {
        self.frames.last().map_or(PathId::ROOT, |frame| frame.path)
    }

    /// The ids of all frames, from the innermost.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.frames.iter().rev().map(|frame| frame.id)
    }

    #[inline]
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Begins an operation and returns its id, which no other of this stack ever has.
    #[inline]
    pub(super) fn begin(&mut self, path: PathId, now: u64) -> u64 {
        self.push(path, true, now)
    }

    /// What begins from now on belongs to `path`.
    pub(super) fn carry(&mut self, path: PathId) -> u64 {
        self.push(path, false, 0)
    }

    #[inline]
    fn push(&mut self, path: PathId, timed: bool, began: u64) -> u64 {
        let id = self.new_id();
        self.frames.push(Frame { id, path, timed, began, idle: 0, covered: 0, settled: 0 });
        id
    }

    /// Ends the frame `id`, at little cost if it is the innermost. None for a carried place, and for a frame that is not here any more.
    #[inline]
    pub(super) fn end(&mut self, id: u64, now: u64) -> Option<Taken> {
        let [.., below, frame] = &mut self.frames[..] else { return self.end_out_of_order(id, now) };
        if frame.id != id || !frame.timed {
            return self.end_out_of_order(id, now);
        }
        let taken = frame.taken(now);
        below.covered += (taken.total - taken.idle).saturating_sub(frame.settled);
        self.frames.pop();
        Some(taken)
    }

    #[cold]
    fn end_out_of_order(&mut self, id: u64, now: u64) -> Option<Taken> {
        match self.take(id, now) {
            Some(paused) => paused.end(),
            None => self.left_open.remove(&id)?.end_late(now),
        }
    }

    /// Takes the frame `id` off the stack, from under those that came after it.
    pub(super) fn take(&mut self, id: u64, now: u64) -> Option<Paused> {
        let position = self.position(id)?;
        self.settle_from(position, now);
        Some(Paused { frame: self.frames.remove(position), since: now })
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.frames.iter().rposition(|frame| frame.id == id)
    }

    /// Charges each frame from `position` up to the one below it, up to now.
    fn settle_from(&mut self, position: usize, now: u64) {
        for above in (position..self.frames.len()).rev() {
            let charge = self.frames[above].charge(now);
            let unsettled = charge.saturating_sub(self.frames[above].settled);
            self.frames[above].settled = charge;
            if let Some(below) = above.checked_sub(1) {
                self.frames[below].covered += unsettled;
            }
        }
    }

    /// Puts a paused frame on top, under a new id, and above it those that were left open within it.
    pub(super) fn resume(&mut self, paused: Paused, left_open: &mut Vec<u64>, now: u64) -> u64 {
        let id = self.new_id();
        self.resume_frame(paused, id, now);
        for id in left_open.drain(..) {
            if let Some(paused) = self.left_open.remove(&id) {
                self.resume_frame(paused, id, now);
            }
        }
        id
    }

    fn resume_frame(&mut self, paused: Paused, id: u64, now: u64) {
        let Paused { mut frame, since } = paused;
        frame.id = id;
        if frame.timed {
            frame.idle += now.saturating_sub(since);
        }
        self.frames.push(frame);
    }

    /// Takes off the frame `id` and all that came after it; the ids of the latter, which are open still, go to `left_open`.
    pub(super) fn pause(&mut self, id: u64, left_open: &mut Vec<u64>, now: u64) -> Option<Paused> {
        let position = self.position(id)?;
        self.settle_from(position, now);
        for frame in self.frames.drain(position + 1..) {
            left_open.push(frame.id);
            self.left_open.insert(frame.id, Paused { frame, since: now });
        }
        self.frames.pop().map(|frame| Paused { frame, since: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PathId = PathId::ROOT;
    const B: PathId = PathId::OTHER;

    fn taken(path: PathId, total: u64, idle: u64, own: u64) -> Option<Taken> {
        Some(Taken { path, total, idle, own })
    }

    #[test]
    fn what_is_within_is_not_ones_own() {
        let mut stack = Stack::new();
        let a = stack.begin(A, 10);
        let b = stack.begin(B, 12);
        assert_eq!(stack.end(b, 15), taken(B, 3, 0, 3));
        assert_eq!(stack.end(a, 20), taken(A, 10, 0, 7));
    }

    #[test]
    fn an_operation_that_ends_before_one_within_it_is_charged_for_it_once() {
        let mut stack = Stack::new();
        let around = stack.begin(A, 0);
        let a = stack.begin(A, 10);
        let b = stack.begin(B, 12);
        assert_eq!(stack.end(a, 20), taken(A, 10, 0, 2), "8 of its 10 were b's");
        assert_eq!(stack.end(b, 23), taken(B, 11, 0, 11));
        assert_eq!(stack.end(around, 30), taken(A, 30, 0, 17));
    }

    #[test]
    fn a_paused_frame_is_idle_and_takes_along_what_is_open_within_it() {
        let mut stack = Stack::new();
        let mut left_open = Vec::new();
        let around = stack.begin(A, 0);
        let future = stack.begin(A, 10);
        let within = stack.begin(B, 12);
        let paused = stack.pause(future, &mut left_open, 15).expect("on the stack");
        assert_eq!((stack.frames.len(), left_open.len()), (2, 1));
        let future = stack.resume(paused, &mut left_open, 50);
        assert_eq!(stack.path(), B);
        assert_eq!(stack.end(within, 53), taken(B, 41, 35, 6));
        assert_eq!(stack.end(future, 54), taken(A, 44, 35, 3));
        assert_eq!(stack.end(around, 60), taken(A, 60, 0, 51));
    }

    #[test]
    fn a_guard_taken_out_of_a_paused_future_ends_when_it_is_dropped() {
        let mut stack = Stack::new();
        let mut left_open = Vec::new();
        let future = stack.begin(A, 0);
        let within = stack.begin(B, 2);
        let paused = stack.pause(future, &mut left_open, 5).expect("on the stack");
        assert_eq!(stack.end(within, 9), taken(B, 7, 4, 3));
        assert_eq!(stack.end(within, 9), None, "it has ended");
        let future = stack.resume(paused, &mut left_open, 10);
        assert_eq!(stack.end(future, 11), taken(A, 11, 5, 3));
        assert!(stack.frames.len() == 1 && stack.left_open.is_empty());
    }

    #[test]
    fn a_carried_place_takes_no_time_and_hides_none() {
        let mut stack = Stack::new();
        let around = stack.begin(A, 0);
        let place = stack.carry(B);
        let within = stack.begin(B, 2);
        assert_eq!(stack.end(within, 5), taken(B, 3, 0, 3));
        assert_eq!(stack.end(place, 6), None);
        assert_eq!(stack.end(around, 10), taken(A, 10, 0, 7));
    }

    #[test]
    fn a_step_backwards_of_the_clock_takes_nothing() {
        let mut stack = Stack::new();
        let a = stack.begin(A, 100);
        let b = stack.begin(B, 90);
        assert_eq!(stack.end(b, 80), taken(B, 0, 0, 0));
        assert_eq!(stack.end(a, 50), taken(A, 0, 0, 0));
    }
}
