//! What a pool is built from. Every value is checked when it is built.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use kandela_model::{ApplyCost, KnobSpec, KnobType, StepCap};

use super::ledger::Reuse;
use super::{Manage, Pool};
use crate::knob::LeasedKnob;
use crate::range::{OutOfRange, within};
use crate::steward::Steward;

/// The largest size that a pool may have.
pub const LARGEST_SIZE: usize = 65_536;

/// A step of `<name>.size` at most doubles or halves it.
const STEP: f64 = 2.0;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// When a resource is looked at by [`Manage::check`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthCheck {
    /// Never: the resource tells by failing, and [`Manage::is_broken`] sorts it out when it comes back.
    #[default]
    Never,
    /// Each time before it is lent. Costs every borrower one check.
    OnBorrow,
    /// Before it is lent, if it lay idle for so long: firewalls and far sides close what is quiet, not what is used.
    AfterIdle(Duration),
    /// By [upkeep](Pool::upkeep), while it lies idle, so often. Costs no borrower anything, and finds a break only so fast.
    Background(Duration),
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) min_idle: usize,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) max_idle: Option<Duration>,
    pub(super) acquire_timeout: Duration,
    pub(super) create_timeout: Duration,
    pub(super) check: HealthCheck,
    pub(super) reuse: Reuse,
}

/// Builds a [`Pool`]. Begins with 8 resources of at most 64, none kept idle on purpose, none closed for its age, half a minute to
/// acquire one and ten seconds to create one.
#[derive(Debug)]
#[must_use]
pub struct Builder<M> {
    name: String,
    manage: M,
    size: usize,
    sizes: RangeInclusive<usize>,
    settings: Settings,
}

impl<M: Manage> Builder<M> {
    pub(super) fn new(name: &str, manage: M) -> Builder<M> {
        let settings = Settings {
            min_idle: 0,
            max_lifetime: None,
            max_idle: None,
            acquire_timeout: Duration::from_secs(30),
            create_timeout: Duration::from_secs(10),
            check: HealthCheck::Never,
            reuse: Reuse::Newest,
        };
        Builder { name: name.to_owned(), manage, size: 8, sizes: 1..=64, settings }
    }

    /// How many resources there may be at first.
    pub fn size(self, size: usize) -> Self {
        Builder { size, ..self }
    }

    /// Between which sizes the knob `<name>.size` may be turned. Within 1 to [`LARGEST_SIZE`].
    pub fn sizes(self, sizes: RangeInclusive<usize>) -> Self {
        Builder { sizes, ..self }
    }

    /// How many resources [upkeep](Pool::upkeep) keeps idle, if the size leaves room. At most the largest size.
    pub fn min_idle(mut self, min_idle: usize) -> Self {
        self.settings.min_idle = min_idle;
        self
    }

    /// A resource older than this is lent no more; one that is out is closed when it comes back. Each resource's own limit is
    /// up to a tenth shorter, so that those created together do not end together. 1 ms to a year.
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.settings.max_lifetime = Some(time);
        self
    }

    /// A resource that lay idle for longer is lent no more, and closed by [upkeep](Pool::upkeep), but for `min_idle` of them.
    /// 1 ms to a year.
    pub fn max_idle(mut self, time: Duration) -> Self {
        self.settings.max_idle = Some(time);
        self
    }

    /// How long [`Pool::acquire`] tries, creation and checks included. 1 ms to a year.
    pub fn acquire_timeout(mut self, time: Duration) -> Self {
        self.settings.acquire_timeout = time;
        self
    }

    /// How long [`Manage::create`] and [`Manage::check`] may take. 1 ms to a year.
    pub fn create_timeout(mut self, time: Duration) -> Self {
        self.settings.create_timeout = time;
        self
    }

    /// When resources are checked.
    pub fn check(mut self, check: HealthCheck) -> Self {
        self.settings.check = check;
        self
    }

    /// Which idle resource is lent next.
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.settings.reuse = reuse;
        self
    }

    /// The pool. Its knob `<name>.size` is among those of `steward`.
    ///
    /// # Errors
    /// [`OutOfRange`], which names the setting and its range.
    pub fn build(self, steward: &Steward) -> Result<Pool<M>, OutOfRange> {
        let largest = *self.sizes.end();
        let knob = Arc::new(size_knob(&self.name, self.size, self.sizes, steward)?);
        within("pool.min_idle", self.settings.min_idle, 0..=largest)?;
        let settings = &self.settings;
        let (check, time) = match settings.check {
            HealthCheck::Never | HealthCheck::OnBorrow => ("", None),
            HealthCheck::AfterIdle(time) => ("pool.check.after_idle", Some(time)),
            HealthCheck::Background(time) => ("pool.check.background", Some(time)),
        };
        let times = [
            ("pool.max_lifetime", settings.max_lifetime),
            ("pool.max_idle", settings.max_idle),
            ("pool.acquire_timeout", Some(settings.acquire_timeout)),
            ("pool.create_timeout", Some(settings.create_timeout)),
            (check, time),
        ];
        for (setting, time) in times {
            time.map(|time| within(setting, time, SHORTEST..=LONGEST)).transpose()?;
        }
        let pool = Pool::of(self.name, self.manage, self.settings, &knob, steward.clock().clone());
        steward.knobs().add(&knob);
        Ok(pool)
    }
}

/// The knob `<name>.size`, which stands at `size` and takes `sizes`.
pub(super) fn size_knob(
    name: &str,
    size: usize,
    sizes: RangeInclusive<usize>,
    steward: &Steward,
) -> Result<LeasedKnob<usize>, OutOfRange> {
    within("pool.sizes, their end", *sizes.end(), 1..=LARGEST_SIZE)?;
    within("pool.sizes, their start", *sizes.start(), 1..=*sizes.end())?;
    within("pool.size", size, sizes.clone())?;
    let bound = |size: usize| i64::try_from(size).expect("at most LARGEST_SIZE");
    let spec = KnobSpec {
        name: format!("{name}.size"),
        kind: KnobType::Int { min: bound(*sizes.start()), max: bound(*sizes.end()), log: true },
        step_cap: StepCap::Factor(STEP),
        cost: ApplyCost::Live,
    };
    Ok(LeasedKnob::new(spec, size, steward.clock().clone()).expect("its size is within its range"))
}
