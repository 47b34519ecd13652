//! How a command hears that it is to end: whoever runs something, or draws, puts that in order first.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask for the end.
pub(crate) struct Ends([Signal; 3]);

impl Ends {
    /// Hears them from now on.
    ///
    /// # Errors
    /// Where they can't be heard.
    pub(crate) fn listen() -> anyhow::Result<Ends> {
        let on = |kind| signal(kind).context("listening for signals");
        Ok(Ends([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    /// Completes with the next of them.
    pub(crate) async fn heard(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
