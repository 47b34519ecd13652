//! Knobs under leases: whatever is set and read at once, a lapsed lease leaves the confirmed value behind.

use std::sync::Arc;
use std::time::Duration;

use kandela_model::{ApplyCost, Epoch, Knob, KnobSpec, KnobType, KnobValue, Lease, StepCap};
use loom::thread;

use crate::clock::ManualClock;
use crate::knob::LeasedKnob;

const MINUTE: Duration = Duration::from_secs(60);

/// A knob at 8.
pub type Size = LeasedKnob<usize>;

/// Each of `work` on a thread of its own, in every order; then all leases lapse, and the value must be one of `left`.
pub fn in_every_order(work: &[fn(&Size)], left: &[usize]) {
    let (work, left) = (work.to_vec(), left.to_vec());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (work.len() > 2).then_some(3);
    model.check(move || {
        let clock = ManualClock::new();
        let spec = KnobSpec {
            name: "size".to_owned(),
            kind: KnobType::Int { min: 1, max: 64, log: true },
            step_cap: StepCap::Unlimited,
            cost: ApplyCost::Live,
        };
        let size = Arc::new(Size::new(spec, 8, Arc::new(clock.clone())).unwrap());
        let running: Vec<_> = work
            .iter()
            .copied()
            .map(|work| {
                let size = size.clone();
                thread::spawn(move || work(&size))
            })
            .collect();
        running.into_iter().for_each(|thread| thread.join().unwrap());
        clock.advance(2 * MINUTE);
        let value = size.read();
        assert!(left.contains(&value), "{value} was left behind");
        assert_eq!(size.hold().confirmed, KnobValue::Int(value as i64));
        assert_eq!(size.hold().lapses_in, None);
    });
}

/// Sets 16 under a lease, as epoch 1.
pub fn lease(size: &Size) {
    let _ = size.set(KnobValue::Int(16), Epoch(1), Lease::For(MINUTE));
}

/// Sets 16 under a lease that has lapsed as soon as it is given.
pub fn lease_for_no_time(size: &Size) {
    size.set(KnobValue::Int(16), Epoch(1), Lease::For(Duration::ZERO)).unwrap();
}

/// Reads nothing but the confirmed 8.
pub fn read_what_is_confirmed(size: &Size) {
    assert_eq!(size.read(), 8, "a value was read whose lease has lapsed");
}

/// Sets 32 under a lease, as epoch 2.
pub fn lease_by_a_successor(size: &Size) {
    size.set(KnobValue::Int(32), Epoch(2), Lease::For(MINUTE)).unwrap();
}

/// Confirms 24, as epoch 1; a successor may be in office already.
pub fn confirm(size: &Size) {
    let _ = size.set(KnobValue::Int(24), Epoch(1), Lease::Confirmed);
}

/// Steers to 12, as the part's own controller; somebody may hold the knob.
pub fn steer(size: &Size) {
    let _ = size.steer(12);
}

/// Reads only values that somebody has set.
pub fn read(size: &Size) {
    let value = size.read();
    assert!([8, 12, 16, 24, 32].contains(&value), "nobody has set {value}");
}
