//! Which keys a thread is loading, so that a load that waits for itself is found out.

use std::cell::RefCell;

thread_local! {
    static UNDER_WAY: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A load of this thread, until it is dropped.
pub(super) struct Loading;

impl Loading {
    pub(super) fn begin(cache: usize, hash: u64) -> Loading {
        UNDER_WAY.with_borrow_mut(|loads| loads.push((cache, hash)));
        Loading
    }

    pub(super) fn is_under_way(cache: usize, hash: u64) -> bool {
        UNDER_WAY.with_borrow(|loads| loads.contains(&(cache, hash)))
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        UNDER_WAY.with_borrow_mut(|loads| loads.pop());
    }
}
