//! Real servers, on loopback and free ports, gone when their test ends.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod postgres;
pub(crate) mod redis;
