//! How a command hears that it is to end: whoever runs something, or draws, puts that in order first.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask for the end.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// None where it was to be ignored, as `nohup` has it.
    hang_up: Option<Signal>,
}

impl Ends {
    /// Hears them from now on.
    ///
    /// # Errors
    /// Where they can't be heard.
    pub(crate) fn listen() -> anyhow::Result<Ends> {
        let on = |kind| signal(kind).context("listening for signals");
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hang_up = (!ignores_hang_up(&status)).then(|| on(SignalKind::hangup())).transpose()?;
        Ok(Ends { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())?, hang_up })
    }

    /// Completes with the next of them.
    pub(crate) async fn heard(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Whether a process with this `/proc/PID/status` ignores SIGHUP, which is number 1.
fn ignores_hang_up(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_has_ignored_stays_so() {
        assert!(ignores_hang_up("Name:\tkandela\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n"));
        assert!(!ignores_hang_up("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hang_up(""));
    }
}
