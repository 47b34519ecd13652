//! A borrowed resource.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Inner, Manage, Slot};
use crate::clock::Moment;

/// A borrowed resource, which goes back when this is dropped.
///
/// One that [`Manage::is_broken`] says is broken does not go back, nor one whose borrower panicked: nobody knows in the middle of
/// what it was left. A borrower whose future is dropped half way leaves it so too, without a panic; `is_broken` must see that.
pub struct Pooled<M: Manage> {
    pool: Arc<Inner<M>>,
    /// Empty only once it is dropped or detached.
    slot: Option<Slot<M::Resource>>,
    since: Moment,
}

impl<M: Manage> Pooled<M> {
    pub(super) fn new(pool: Arc<Inner<M>>, slot: Slot<M::Resource>, since: Moment) -> Pooled<M> {
        Pooled { pool, slot: Some(slot), since }
    }

    /// Keeps the resource for good: the pool counts it no longer, and may create another.
    pub fn detach(mut self) -> M::Resource {
        let slot = self.slot.take().expect("full until dropped");
        self.pool.detached(self.since);
        slot.resource
    }

    /// Closes the resource, which its borrower found broken.
    pub fn discard(mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.returned(slot, self.since, true);
        }
    }
}

impl<M: Manage> Deref for Pooled<M> {
    type Target = M::Resource;

    fn deref(&self) -> &M::Resource {
        &self.slot.as_ref().expect("full until dropped").resource
    }
}

impl<M: Manage> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut M::Resource {
        &mut self.slot.as_mut().expect("full until dropped").resource
    }
}

impl<M: Manage> Drop for Pooled<M> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.pool.returned(slot, self.since, std::thread::panicking());
        }
    }
}

impl<M: Manage> fmt::Debug for Pooled<M>
where
    M::Resource: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&**self).finish()
    }
}
