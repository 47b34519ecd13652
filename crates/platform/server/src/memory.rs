//! What the process holds of the machine's memory.
//!
//! Batches are made by the threads that receive and freed by those that flush. An allocator that gives each thread a heap of
//! its own then holds several times what is in use (measured: 1.1 GB where 170 MB were), so the C library's is used, with
//! few heaps, and asked to give back what a flush has freed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::Shutdown;

/// Fewer bytes than this are not worth a look at all that is free.
const MUCH: usize = 8 << 20;
/// How soon memory that a query has freed goes back.
const SOON: Duration = Duration::from_secs(1);

static FREED_MUCH: AtomicBool = AtomicBool::new(false);

/// Notes that so many bytes were freed, or are about to be.
pub(crate) fn freed(bytes: usize) {
    if bytes >= MUCH {
        FREED_MUCH.store(true, Ordering::Relaxed);
    }
}

/// Gives memory back soon after much of it was freed.
pub(crate) async fn keep_giving_back(mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SOON) => {}
            () = shutdown.wait() => return,
        }
        if FREED_MUCH.swap(false, Ordering::Relaxed) {
            // It looks at all that is free, which takes milliseconds. Where it fails, it is done after the next query.
            let _ = tokio::task::spawn_blocking(give_back).await;
        }
    }
}

/// Heaps that the allocator may have; two cores rarely wait for each other on as many.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: i32 = 2;

/// Keeps the allocator from making a heap for each thread. To be called before the first thread is started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other way to set this")]
pub fn share_heaps() {
    // SAFETY: mallopt takes two numbers and keeps no reference; no other thread runs yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

/// Gives freed memory back to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other way to ask for this")]
pub(crate) fn give_back() {
    // SAFETY: malloc_trim takes a number, and locks what it looks at.
    unsafe { libc::malloc_trim(0) };
}

/// Nothing: this C library has no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_heaps() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
