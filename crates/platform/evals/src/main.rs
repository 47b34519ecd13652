//! Placeholder while the house is being raised.
fn main() {}
