//! What the autopilot does, as families of own metrics.

use kandela_autopilot::explain::{Earnings, Status};
use kandela_model::MetricKind;

use super::registry::{Family, Point, PointValue, Word};

/// A system's name, and how it stands where somebody manages it.
pub(crate) type Managed = (String, Option<Status>);

type OfSystem = (&'static str, &'static str, fn(&Status) -> f64);
type OfStrategy = (&'static str, MetricKind, &'static str, fn(&Earnings) -> f64);

const OF_SYSTEM: [OfSystem; 2] = [
    (
        "kandela_autopilot_times_as_good",
        "How many times as good the objective is with the good settings as with the initial ones.",
        |status| status.times_as_good,
    ),
    (
        "kandela_autopilot_error_probability_left",
        "How much of the probability of wrong promotions is left.",
        |status| status.alpha_left,
    ),
];

const OF_STRATEGY: [OfStrategy; 5] = [
    ("kandela_autopilot_proposals_total", MetricKind::Counter, "Settings that were proposed.", |of| {
        of.proposals as f64
    }),
    ("kandela_autopilot_trials_total", MetricKind::Counter, "Proposals that were tried.", |of| {
        of.trials as f64
    }),
    (
        "kandela_autopilot_unsafe_trials_total",
        MetricKind::Counter,
        "Trials that broke a constraint and were taken back.",
        |of| of.unsafe_trials as f64,
    ),
    ("kandela_autopilot_slices_total", MetricKind::Counter, "Slices that trials took.", |of| {
        of.slices as f64
    }),
    (
        "kandela_autopilot_promotions_in_force",
        MetricKind::Gauge,
        "Promotions that were not rolled back.",
        |of| of.promoted as f64,
    ),
];

/// The families of all systems; none where none is under management.
pub(crate) fn autopilot(systems: &[Managed]) -> Vec<Family> {
    if systems.is_empty() {
        return Vec::new();
    }
    let managed =
        systems.iter().map(|(name, status)| point(name, &[], f64::from(u8::from(status.is_some()))));
    let mut families = vec![Family {
        name: "kandela_autopilot_managed",
        kind: MetricKind::Gauge,
        help: "Whether a manager is in office here.",
        points: managed.collect(),
    }];
    let known = || systems.iter().filter_map(|(name, status)| Some((name, status.as_ref()?)));
    families.extend(OF_SYSTEM.into_iter().map(|(name, help, read)| {
        let points = known().map(|(system, status)| point(system, &[], read(status)));
        Family { name, kind: MetricKind::Gauge, help, points: points.collect() }
    }));
    families.extend(OF_STRATEGY.into_iter().map(|(name, kind, help, read)| {
        let points = known().flat_map(|(system, status)| {
            status
                .strategies
                .iter()
                .map(move |(strategy, of)| point(system, &[("strategy", strategy)], read(of)))
        });
        Family { name, kind, help, points: points.collect() }
    }));
    families
}

fn point(system: &str, more: &[(&'static str, &str)], value: f64) -> Point {
    let labels = std::iter::once(("system", system)).chain(more.iter().copied());
    Point {
        labels: labels.map(|(name, value)| (name, Word::Owned(value.to_owned()))).collect(),
        value: PointValue::Number(value),
    }
}
