//! What a pool does between its borrowers: closes what is too old, checks what is quiet, keeps some ready.

use std::sync::Arc;
use std::time::Duration;

use super::{HealthCheck, Inner, Manage, Place, Pool, Slot};
use crate::pool::ledger::Grant;

impl<M: Manage> Pool<M> {
    /// One round: closes idle resources past their time, checks those that are due, creates up to `min_idle`. Returns when done.
    /// A resource that is being checked cannot be lent meanwhile; there is one such at a time.
    pub async fn maintain(&self) {
        // The size knob notices that a lease lapsed when it is read.
        self.inner.knob.read();
        self.inner.close_expired();
        self.inner.check_quiet().await;
        self.inner.fill().await;
    }

    /// Maintains the pool every `period` for as long as it is open and somebody has it: to be spawned.
    pub fn upkeep(&self, period: Duration) -> impl Future<Output = ()> + Send + 'static {
        let pool = Arc::downgrade(&self.inner);
        async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(inner) = pool.upgrade() else { return };
                if inner.line.look(|ledger, _| ledger.is_closed()) {
                    return;
                }
                Pool { inner }.maintain().await;
            }
        }
    }
}

impl<M: Manage> Inner<M> {
    fn close_expired(self: &Arc<Self>) {
        let now = self.clock.now();
        let is_old = |slot: &Slot<M::Resource>| now >= slot.expires;
        while let Some(slot) = self.line.look(|ledger, books| {
            let slot = ledger.take_idle(is_old)?;
            books.closed.lifetime += 1;
            Some(slot)
        }) {
            self.close_one(slot);
        }
        let Some(most) = self.settings.max_idle else { return };
        let is_quiet = |slot: &Slot<M::Resource>| now.since(slot.idle_since) > most;
        while let Some(slot) = self.line.look(|ledger, books| {
            if ledger.idle() <= self.settings.min_idle {
                return None;
            }
            let slot = ledger.take_idle(is_quiet)?;
            books.closed.idle += 1;
            Some(slot)
        }) {
            self.close_one(slot);
        }
    }

    /// Its place is free only once it is closed.
    fn close_one(self: &Arc<Self>, slot: Slot<M::Resource>) {
        let place = Place::new(self, Grant::Create);
        drop(slot);
        drop(place);
    }

    async fn check_quiet(self: &Arc<Self>) {
        let HealthCheck::Background(period) = self.settings.check else { return };
        let began = self.clock.now();
        let is_due = |slot: &Slot<M::Resource>| began.since(slot.checked) >= period;
        while let Some(mut slot) = self.line.look(|ledger, _| ledger.take_idle(is_due)) {
            let place = Place::new(self, Grant::Create);
            if !self.passes_check(&mut slot).await {
                self.line.look(|_, books| books.closed.failed_check += 1);
                drop(slot);
                continue;
            }
            place.keep();
            if let Some(surplus) = self.line.put_back(slot) {
                self.count_surplus();
                drop(surplus);
            }
        }
    }

    async fn fill(self: &Arc<Self>) {
        let min_idle = self.settings.min_idle;
        while self.line.look(|ledger, _| ledger.reserve(min_idle)) {
            let place = Place::new(self, Grant::Create);
            // Whoever asks for a resource is told why creating fails; here it is only counted.
            let Ok(slot) = self.create().await else { return };
            place.keep();
            if let Some(surplus) = self.line.give_back(slot, |_| {}) {
                self.count_surplus();
                drop(surplus);
            }
        }
    }
}
