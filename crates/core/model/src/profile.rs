//! Profiles in pprof's model.

use crate::Attributes;

/// Where a resource went during an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// When it began, in nanoseconds since the epoch.
    pub time_unix_nano: i64,
    /// How long it lasted, in nanoseconds.
    pub duration_nano: i64,
    /// The profiled service.
    pub service: String,
    /// What is counted, and in which unit.
    pub value_type: ValueType,
    /// The stacks and what each of them used.
    pub samples: Vec<ProfileSample>,
    /// What was profiled.
    pub resource: Attributes,
}

/// What a profile counts: `cpu` in `nanoseconds`, `alloc_space` in `bytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueType {
    /// The resource.
    pub kind: String,
    /// The unit of values.
    pub unit: String,
}

/// What one call stack used.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileSample {
    /// From the innermost function outwards.
    pub stack: Vec<Frame>,
    /// In the profile's unit.
    pub value: i64,
    /// The span that it ran in, where known.
    pub span: Option<([u8; 16], [u8; 8])>,
}

/// One call on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function, or `module+offset` where no symbol is known.
    pub function: String,
    /// The source file, or empty.
    pub file: String,
    /// The line, or 0.
    pub line: u32,
}
