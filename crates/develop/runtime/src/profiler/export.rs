//! Profiles in the formats of others.

pub(super) mod collapsed;
pub(super) mod prometheus;
pub(super) mod speedscope;
