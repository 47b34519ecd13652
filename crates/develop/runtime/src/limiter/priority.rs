//! How much a request matters.

/// How many classes there are.
pub const CLASSES: usize = 4;

/// How much a request matters: under overload, what matters least is shed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Must not fail: a payment, a health check.
    Critical,
    /// A person waits for it.
    High,
    /// Whatever nobody has classed.
    #[default]
    Normal,
    /// Can be done later, or not at all: prefetching, a batch.
    Low,
}

impl Priority {
    /// All, the most important first.
    pub const ALL: [Priority; CLASSES] =
        [Priority::Critical, Priority::High, Priority::Normal, Priority::Low];

    /// Its place in [`Priority::ALL`].
    pub const fn class(self) -> usize {
        self as usize
    }
}
