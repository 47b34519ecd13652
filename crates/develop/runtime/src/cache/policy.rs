//! Which entry goes when room is needed. One policy orders the entries of one shard, or of one shadow.
//!
//! A policy knows entries by their [`Slot`], a small number that its owner gives and uses again, and remembers those that left by
//! their hash. It holds neither keys nor values; so the policy that orders a real cache is the very code that orders a shadow.
//! Each call costs a constant number of steps, amortised, but for evictions of LHD and `gittins`, which look at 40 entries.

mod arc;
mod ghosts;
mod gittins;
mod lhd;
mod lirs;
mod list;
mod lru;
mod s3fifo;
mod tinylfu;

use std::fmt;

use kandela_model::KnobValue;

use crate::knob::Scalar;

/// An entry's place: below the number of entries held at most.
pub(crate) type Slot = u32;

/// Orders resident entries. The owner keeps the sum of weights within the capacity. What comes in is announced by `miss`, then
/// the owner evicts until there is room, then inserts it; nothing else happens in between.
pub(crate) trait Policy: Send {
    /// Resident `slot` was asked for.
    fn hit(&mut self, slot: Slot);

    /// What has `hash` is about to come in.
    fn miss(&mut self, hash: u64, weight: u64);

    /// Chooses the resident that goes, and counts it as gone. There is one.
    fn evict(&mut self) -> Slot;

    /// The new resident, in a slot that is free. It weighs the capacity at most.
    fn insert(&mut self, slot: Slot, hash: u64, weight: u64);

    /// Resident `slot` has gone for another reason than room, and is not remembered.
    fn remove(&mut self, slot: Slot);

    /// The capacity is another now; the owner evicts what is too much.
    fn resize(&mut self, capacity: u64);

    /// All residents, the next to go first, as far as the policy has an order: what a successor starts from.
    fn coldest_first(&self) -> Vec<Slot>;

    /// What it has learned about the load, apart from the residents, if it is a policy that learns.
    fn learned(&self) -> Option<Learned> {
        None
    }

    /// Begins with what a policy of the same kind has learned.
    fn learn_from(&mut self, _learned: &Learned) {}
}

/// What a policy has learned, to be handed to one of the same kind.
#[derive(Clone)]
pub(crate) struct Learned(gittins::Curves);

impl Learned {
    /// The same for a policy that sees two to the power of `doublings` as many accesses in the same time.
    pub(crate) fn slower(&self, doublings: u32) -> Learned {
        Learned(self.0.slower(doublings))
    }
}

/// The policies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyKind {
    /// Three FIFO queues with lazy promotion: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
    S3Fifo,
    /// Least recently used.
    Lru,
    /// Adaptive replacement cache: Megiddo and Modha, FAST 2003.
    Arc,
    /// Low inter-reference recency set, with a bound on those remembered: Jiang and Zhang, SIGMETRICS 2002.
    Lirs,
    /// Least hit density, by age and the last two distances: Beckmann, Chen and Cidon, NSDI 2018.
    Lhd,
    /// Least Gittins index: hits to come for the time that they take, from the times between accesses that were observed, by what
    /// is remembered of an entry. Hit density as in LHD, with a memory for entries that left, and with the statistics of survival.
    Gittins,
    /// Least frequently used behind an admission window, with counts that age: Einziger, Friedman and Manes, TOS 2017.
    TinyLfu,
}

impl PolicyKind {
    /// All of them.
    pub const ALL: [PolicyKind; 7] = [
        PolicyKind::S3Fifo,
        PolicyKind::Gittins,
        PolicyKind::Lru,
        PolicyKind::Arc,
        PolicyKind::Lirs,
        PolicyKind::Lhd,
        PolicyKind::TinyLfu,
    ];

    /// Its name in knobs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            PolicyKind::S3Fifo => "s3fifo",
            PolicyKind::Lru => "lru",
            PolicyKind::Arc => "arc",
            PolicyKind::Lirs => "lirs",
            PolicyKind::Lhd => "lhd",
            PolicyKind::Gittins => "gittins",
            PolicyKind::TinyLfu => "tinylfu",
        }
    }

    /// The policy of that name.
    pub fn by_name(name: &str) -> Option<PolicyKind> {
        PolicyKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A policy without residents, for entries that weigh `capacity` at most.
    pub(crate) fn start(self, capacity: u64) -> Box<dyn Policy> {
        match self {
            PolicyKind::S3Fifo => Box::new(s3fifo::S3Fifo::new(capacity)),
            PolicyKind::Lru => Box::new(lru::Lru::default()),
            PolicyKind::Arc => Box::new(arc::Arc::new(capacity)),
            PolicyKind::Lirs => Box::new(lirs::Lirs::new(capacity)),
            PolicyKind::Lhd => Box::new(lhd::Lhd::new(capacity)),
            PolicyKind::Gittins => Box::new(gittins::Gittins::new(capacity)),
            PolicyKind::TinyLfu => Box::new(tinylfu::TinyLfu::new(capacity)),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As the policy's name.
impl Scalar for PolicyKind {
    fn to_bits(self) -> u64 {
        PolicyKind::ALL.iter().position(|kind| *kind == self).unwrap_or(0) as u64
    }
    fn from_bits(bits: u64) -> Self {
        PolicyKind::ALL.get(bits as usize).copied().unwrap_or(PolicyKind::S3Fifo)
    }
    fn to_value(self) -> KnobValue {
        KnobValue::Choice(self.name().to_owned())
    }
    fn from_value(value: &KnobValue) -> Option<Self> {
        match value {
            KnobValue::Choice(name) => PolicyKind::by_name(name),
            _ => None,
        }
    }
}

/// Room for the entry of `slot`, which may be the first one of so high a number.
fn entry_of<T: Default>(entries: &mut Vec<T>, slot: Slot) -> &mut T {
    let index = slot as usize;
    if entries.len() <= index {
        entries.resize_with(index + 1, T::default);
    }
    &mut entries[index]
}

/// `share` of `capacity`, one at least.
fn share_of(capacity: u64, share: f64) -> u64 {
    ((capacity as f64 * share) as u64).max(1)
}
