//! All knobs of a process under their names: what an endpoint such as `GET /knobs` shows and `PUT /knobs` turns.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use kandela_model::Knob;
use parking_lot::RwLock;

/// Knobs by name. Copies share one set.
///
/// A knob is its part's: it is here until the part drops it, and then gone.
#[derive(Clone, Default)]
pub struct Knobs {
    by_name: Arc<RwLock<ByName>>,
}

#[derive(Default)]
struct ByName {
    knobs: BTreeMap<String, Weak<dyn Knob>>,
    /// So many were left when those of dropped parts were last cleared away.
    left: usize,
}

/// Fewer knobs than this are not worth clearing away.
const FEW: usize = 64;

impl Knobs {
    /// No knobs yet.
    pub fn new() -> Knobs {
        Knobs::default()
    }

    /// Adds `knob`, until it is dropped; one that had its name before is gone.
    pub fn add<K: Knob + 'static>(&self, knob: &Arc<K>) {
        let name = knob.spec().name.clone();
        let knob: Weak<K> = Arc::downgrade(knob);
        let mut by_name = self.by_name.write();
        // At twice the number, so that parts that come and go leave nothing behind and adding stays cheap.
        if by_name.knobs.len() >= 2 * by_name.left.max(FEW) {
            by_name.knobs.retain(|_, knob| knob.strong_count() > 0);
            by_name.left = by_name.knobs.len();
        }
        by_name.knobs.insert(name, knob);
    }

    /// The knob of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Knob>> {
        self.by_name.read().knobs.get(name).and_then(Weak::upgrade)
    }

    /// All knobs, in the order of their names.
    pub fn all(&self) -> Vec<Arc<dyn Knob>> {
        self.by_name.read().knobs.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use kandela_model::{ApplyCost, KnobSpec, KnobType, StepCap};

    use super::*;
    use crate::clock::ManualClock;
    use crate::knob::LeasedKnob;

    fn switch(name: &str) -> Arc<LeasedKnob<bool>> {
        let spec = KnobSpec {
            name: name.to_owned(),
            kind: KnobType::Bool,
            step_cap: StepCap::Unlimited,
            cost: ApplyCost::Live,
        };
        Arc::new(LeasedKnob::new(spec, true, Arc::new(ManualClock::new())).expect("a truth value"))
    }

    fn names(knobs: &Knobs) -> Vec<String> {
        knobs.all().iter().map(|knob| knob.spec().name.clone()).collect()
    }

    #[test]
    fn a_knob_whose_part_is_dropped_is_gone() {
        let knobs = Knobs::new();
        let (kept, dropped) = (switch("kept.on"), switch("dropped.on"));
        knobs.add(&kept);
        knobs.add(&dropped);
        assert_eq!(names(&knobs), ["dropped.on", "kept.on"]);
        drop(dropped);
        assert_eq!(names(&knobs), ["kept.on"]);
        assert!(knobs.get("dropped.on").is_none());
    }

    #[test]
    fn a_knob_that_took_a_name_over_stays_when_the_one_before_is_dropped() {
        let knobs = Knobs::new();
        let (before, after) = (switch("cache.on"), switch("cache.on"));
        knobs.add(&before);
        knobs.add(&after);
        drop(before);
        assert_eq!(names(&knobs), ["cache.on"]);
    }

    #[test]
    fn parts_that_come_and_go_leave_no_names_behind() {
        let knobs = Knobs::new();
        for number in 0..10_000 {
            knobs.add(&switch(&format!("endpoint {number}.on")));
        }
        assert!(knobs.by_name.read().knobs.len() <= 2 * FEW);
    }
}
