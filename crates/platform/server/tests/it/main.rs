//! Scenarios: a real server, driven by real clients over sockets. One file a subject, one test a scenario.

mod door;
mod health;
mod support;
