//! One knob whose values are held under leases.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kandela_model::{Epoch, Hold, Knob, KnobError, KnobSpec, KnobValue, Lease};

use super::Scalar;
use crate::clock::{Clock, Moment};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// A knob whose values are held under leases.
pub struct LeasedKnob<T> {
    spec: KnobSpec,
    clock: Arc<dyn Clock>,
    /// The value's bits. Written before `lapses` is taken back, and after it is set: whoever sees a leased value sees its lease.
    value: AtomicU64,
    /// When the value lapses, in nanoseconds of the clock; `Moment::NEVER` where it is confirmed.
    lapses: AtomicU64,
    /// When the lease began. A clock that is before that has stepped back.
    leased: AtomicU64,
    holders: Mutex<Holders>,
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    of: PhantomData<T>,
}

struct Holders {
    confirmed: u64,
    seen: Epoch,
    /// Who confirmed the confirmed value, if somebody outside did.
    confirmed_by: Option<Epoch>,
    /// Who holds a lease, if somebody does.
    leased_by: Option<Epoch>,
}

impl<T: Scalar> LeasedKnob<T> {
    /// A knob that stands at `initial`, confirmed.
    ///
    /// # Errors
    /// [`KnobError::WrongType`] or [`KnobError::OutOfRange`] where `initial` is no value of `spec`.
    pub fn new(spec: KnobSpec, initial: T, clock: Arc<dyn Clock>) -> Result<LeasedKnob<T>, KnobError> {
        spec.check(&initial.to_value())?;
        Ok(LeasedKnob {
            spec,
            clock,
            value: AtomicU64::new(initial.to_bits()),
            lapses: AtomicU64::new(Moment::NEVER.as_nanos()),
            leased: AtomicU64::new(Moment::ORIGIN.as_nanos()),
            holders: Mutex::new(Holders {
                confirmed: initial.to_bits(),
                seen: Epoch::default(),
                confirmed_by: None,
                leased_by: None,
            }),
            changed: OnceLock::new(),
            of: PhantomData,
        })
    }

    /// Calls `changed` after each change of the value, a lapse included; it reads the new value from the knob. A lapse is noticed
    /// when the knob is next read. Only the first call counts.
    pub fn on_change(&self, changed: impl Fn() + Send + Sync + 'static) {
        let _ = self.changed.set(Box::new(changed));
    }

    /// The value that holds now.
    #[inline]
    pub fn read(&self) -> T {
        let bits = self.value.load(Ordering::Acquire);
        let lapses = self.lapses.load(Ordering::Acquire);
        if lapses == Moment::NEVER.as_nanos() {
            return T::from_bits(bits);
        }
        let now = self.clock.now();
        if now.as_nanos() >= lapses || now.as_nanos() < self.leased.load(Ordering::Acquire) {
            return self.read_out_of_lease(now);
        }
        T::from_bits(bits)
    }

    #[cold]
    fn read_out_of_lease(&self, now: Moment) -> T {
        let mut holders = self.holders.lock();
        let lapsed = self.revert_if_lapsed(&mut holders, now);
        let bits = self.value.load(Ordering::Acquire);
        drop(holders);
        if lapsed {
            self.tell();
        }
        T::from_bits(bits)
    }

    /// Turns the knob to `value` on behalf of the part's own controller: it becomes the confirmed value.
    ///
    /// # Errors
    /// [`KnobError::Held`] while somebody outside holds the knob; what [`KnobSpec::check`] and [`KnobSpec::check_step`] refuse.
    pub fn steer(&self, value: T) -> Result<(), KnobError> {
        // Notices a lapse and tells of it, even where the value is refused after that.
        self.read();
        let mut holders = self.holders.lock();
        if let Some(by) = holders.leased_by.or(holders.confirmed_by) {
            return Err(KnobError::Held { knob: self.spec.name.clone(), by });
        }
        self.check(value)?;
        holders.confirmed = value.to_bits();
        self.value.store(value.to_bits(), Ordering::Release);
        drop(holders);
        self.tell();
        Ok(())
    }

    fn check(&self, value: T) -> Result<(), KnobError> {
        let current = T::from_bits(self.value.load(Ordering::Acquire)).to_value();
        let value = value.to_value();
        self.spec.check(&value)?;
        self.spec.check_step(&current, &value)
    }

    fn revert_if_lapsed(&self, holders: &mut Holders, now: Moment) -> bool {
        let lapses = self.lapses.load(Ordering::Acquire);
        if lapses == Moment::NEVER.as_nanos() {
            return false;
        }
        let leased = self.leased.load(Ordering::Acquire);
        if now.as_nanos() < leased {
            // The clock stepped back: the lease begins anew, so that it ends a lease after the step at the latest.
            self.begin_lease(now, Duration::from_nanos(lapses - leased));
            return false;
        }
        if now.as_nanos() < lapses {
            return false;
        }
        self.go_back(holders);
        true
    }

    fn begin_lease(&self, now: Moment, time: Duration) {
        // The end of time stands for a value that does not lapse.
        let lapses = now.after(time).as_nanos().min(Moment::NEVER.as_nanos() - 1);
        self.leased.store(now.as_nanos(), Ordering::Release);
        self.lapses.store(lapses, Ordering::Release);
    }

    /// Back to the confirmed value, without a lease.
    fn go_back(&self, holders: &mut Holders) {
        holders.leased_by = None;
        self.value.store(holders.confirmed, Ordering::Release);
        self.lapses.store(Moment::NEVER.as_nanos(), Ordering::Release);
    }

    fn check_epoch(&self, holders: &Holders, epoch: Epoch) -> Result<(), KnobError> {
        if epoch < holders.seen {
            return Err(KnobError::StaleEpoch {
                knob: self.spec.name.clone(),
                offered: epoch,
                seen: holders.seen,
            });
        }
        Ok(())
    }

    fn tell(&self) {
        if let Some(changed) = self.changed.get() {
            changed();
        }
    }
}

impl<T: Scalar> Knob for LeasedKnob<T> {
    fn spec(&self) -> &KnobSpec {
        &self.spec
    }

    fn get(&self) -> KnobValue {
        self.read().to_value()
    }

    fn hold(&self) -> Hold {
        self.read();
        let now = self.clock.now();
        let holders = self.holders.lock();
        let lapses = Moment::from_nanos(self.lapses.load(Ordering::Acquire));
        Hold {
            confirmed: T::from_bits(holders.confirmed).to_value(),
            seen: holders.seen,
            held: holders.leased_by.or(holders.confirmed_by).is_some(),
            lapses_in: (lapses != Moment::NEVER).then(|| lapses.since(now)),
        }
    }

    fn set(&self, value: KnobValue, epoch: Epoch, lease: Lease) -> Result<(), KnobError> {
        let wrong_type =
            || KnobError::WrongType { knob: self.spec.name.clone(), kind: self.spec.kind.clone() };
        self.spec.check(&value)?;
        let value = T::from_value(&value).ok_or_else(wrong_type)?;
        self.read();
        let now = self.clock.now();
        let mut holders = self.holders.lock();
        self.check_epoch(&holders, epoch)?;
        self.check(value)?;
        holders.seen = epoch;
        match lease {
            Lease::For(time) => {
                holders.leased_by = Some(epoch);
                self.begin_lease(now, time);
                self.value.store(value.to_bits(), Ordering::Release);
            }
            Lease::Confirmed => {
                holders.leased_by = None;
                holders.confirmed_by = Some(epoch);
                holders.confirmed = value.to_bits();
                self.value.store(value.to_bits(), Ordering::Release);
                self.lapses.store(Moment::NEVER.as_nanos(), Ordering::Release);
            }
        }
        drop(holders);
        self.tell();
        Ok(())
    }

    fn hand_back(&self, epoch: Epoch) -> Result<(), KnobError> {
        let mut holders = self.holders.lock();
        self.check_epoch(&holders, epoch)?;
        holders.seen = epoch;
        holders.confirmed_by = None;
        self.go_back(&mut holders);
        drop(holders);
        self.tell();
        Ok(())
    }
}

impl<T: Scalar> fmt::Debug for LeasedKnob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedKnob").field("name", &self.spec.name).field("value", &self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{ApplyCost, KnobType, StepCap};

    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn size(clock: &ManualClock) -> LeasedKnob<usize> {
        let spec = KnobSpec {
            name: "pool.size".to_owned(),
            kind: KnobType::Int { min: 1, max: 64, log: true },
            step_cap: StepCap::Factor(2.0),
            cost: ApplyCost::Live,
        };
        LeasedKnob::new(spec, 8, Arc::new(clock.clone())).expect("8 is a size")
    }

    #[test]
    fn a_lapsed_lease_takes_the_value_back_to_the_confirmed_one() {
        let clock = ManualClock::new();
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(3), Lease::For(MINUTE)).expect("within range and step");
        assert_eq!(size.read(), 16);
        clock.advance(MINUTE);
        assert_eq!(size.read(), 8);
        assert!(!size.hold().held);
    }

    #[test]
    fn a_renewed_lease_holds() {
        let clock = ManualClock::new();
        let size = size(&clock);
        for _ in 0..3 {
            size.set(KnobValue::Int(16), Epoch(3), Lease::For(MINUTE)).expect("renewed");
            clock.advance(MINUTE / 2);
        }
        assert_eq!(size.read(), 16);
    }

    #[test]
    fn a_controller_of_a_lower_epoch_is_refused_even_after_the_lapse() {
        let clock = ManualClock::new();
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(3), Lease::For(MINUTE)).expect("first");
        clock.advance(2 * MINUTE);
        let refused = size.set(KnobValue::Int(4), Epoch(2), Lease::Confirmed);
        assert!(matches!(refused, Err(KnobError::StaleEpoch { seen: Epoch(3), .. })), "{refused:?}");
        assert_eq!(size.read(), 8);
    }

    #[test]
    fn a_confirmed_value_is_what_later_leases_revert_to() {
        let clock = ManualClock::new();
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(1), Lease::Confirmed).expect("confirmed");
        size.set(KnobValue::Int(32), Epoch(1), Lease::For(MINUTE)).expect("leased");
        clock.advance(MINUTE);
        assert_eq!(size.read(), 16);
    }

    #[test]
    fn the_parts_own_controller_waits_while_somebody_outside_holds_the_knob() {
        let clock = ManualClock::new();
        let size = size(&clock);
        size.steer(10).expect("nobody holds it");
        size.set(KnobValue::Int(16), Epoch(1), Lease::For(MINUTE)).expect("leased");
        assert!(matches!(size.steer(12), Err(KnobError::Held { by: Epoch(1), .. })));
        clock.advance(MINUTE);
        size.steer(12).expect("the lease has lapsed");
        assert_eq!(size.read(), 12);
    }

    #[test]
    fn a_knob_handed_back_is_steered_again() {
        let clock = ManualClock::new();
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(1), Lease::Confirmed).expect("confirmed");
        assert!(size.steer(12).is_err());
        size.hand_back(Epoch(1)).expect("the holder's own epoch");
        size.steer(12).expect("handed back");
    }

    #[test]
    fn a_clock_that_steps_backwards_ends_no_lease_early() {
        let clock = ManualClock::new();
        clock.advance(10 * MINUTE);
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(1), Lease::For(MINUTE)).expect("leased");
        clock.set(Moment::ORIGIN);
        assert_eq!(size.read(), 16);
    }

    #[test]
    fn a_clock_that_steps_backwards_prolongs_a_lease_by_no_more_than_one() {
        let clock = ManualClock::new();
        clock.advance(1000 * MINUTE);
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(1), Lease::For(MINUTE)).expect("leased");
        clock.set(Moment::ORIGIN);
        size.read();
        clock.advance(MINUTE);
        assert_eq!(size.read(), 8);
    }

    #[test]
    fn the_longest_lease_is_still_a_lease() {
        let clock = ManualClock::new();
        clock.advance(MINUTE);
        let size = size(&clock);
        size.set(KnobValue::Int(16), Epoch(1), Lease::For(Duration::MAX)).expect("leased");
        assert!(size.hold().lapses_in.is_some());
        clock.set(Moment::NEVER);
        assert_eq!(size.read(), 8);
    }

    #[test]
    fn whoever_listens_hears_of_changes_and_of_lapses() {
        let clock = ManualClock::new();
        let size = Arc::new(size(&clock));
        let heard = Arc::new(Mutex::new(Vec::new()));
        size.on_change({
            let (size, heard) = (Arc::downgrade(&size), heard.clone());
            move || heard.lock().push(size.upgrade().expect("alive").read())
        });
        size.set(KnobValue::Int(16), Epoch(1), Lease::For(MINUTE)).expect("leased");
        clock.advance(MINUTE);
        size.read();
        assert_eq!(*heard.lock(), [16, 8]);
    }

    #[test]
    fn a_lapse_that_is_noticed_by_one_who_is_refused_is_heard_of() {
        let clock = ManualClock::new();
        let size = size(&clock);
        let heard = Arc::new(Mutex::new(0));
        size.on_change({
            let heard = heard.clone();
            move || *heard.lock() += 1
        });
        size.set(KnobValue::Int(16), Epoch(2), Lease::For(MINUTE)).expect("leased");
        clock.advance(MINUTE);
        assert!(size.set(KnobValue::Int(4), Epoch(1), Lease::Confirmed).is_err());
        assert_eq!(*heard.lock(), 2);
    }

    #[test]
    fn a_step_over_the_cap_leaves_the_knob_where_it_was() {
        let size = size(&ManualClock::new());
        assert!(matches!(
            size.set(KnobValue::Int(40), Epoch(1), Lease::Confirmed),
            Err(KnobError::StepTooLarge { .. })
        ));
        assert_eq!(size.read(), 8);
        assert_eq!(size.hold().seen, Epoch(0));
    }
}
