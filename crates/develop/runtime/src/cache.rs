//! A cache that measures which eviction policy suits its load, and changes to that.

mod hash;
mod policy;

mod shadow;

pub use policy::PolicyKind;
pub use shadow::Shadow;

