//! An open-loop load generator: requests go out when they are due, whether or not earlier ones were answered, and a request's
//! time counts from when it was due. So a shop that stalls is seen to stall (no coordinated omission; Gil Tene, 2013).

mod arrivals;
mod follow;
mod minutes;
mod objective;
mod report;
mod send;
mod session;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::Format;
use crate::downstream::http_client;
pub(crate) use minutes::{day, read_minutes};
pub(crate) use objective::Objective;

/// Where the number of requests comes from.
pub(crate) enum Source {
    /// So many in each minute.
    Minutes(Vec<f64>),
    /// So many a second, as standard input says from time to time.
    Stdin,
}

/// What is to be sent.
pub(crate) struct Plan {
    pub(crate) target: String,
    pub(crate) source: Source,
    /// A minute passes in 60 seconds over this.
    pub(crate) compress: f64,
    /// Requests a second of the source times this are requests a second that are sent.
    pub(crate) scale: f64,
    pub(crate) skip: Duration,
    pub(crate) duration: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) in_flight: usize,
    pub(crate) timeout: Duration,
    pub(crate) objective: Objective,
    pub(crate) format: Format,
}

impl Plan {
    /// The target as paths are put behind it.
    fn target(&self) -> &str {
        self.target.trim_end_matches('/')
    }

    /// How long a minute takes.
    fn minute(&self) -> Duration {
        Duration::from_secs_f64(60.0 / self.compress)
    }

    /// How many requests are expected in each minute that is sent.
    fn expected(&self, minutes: &[f64]) -> Result<Vec<f64>> {
        let skipped = usize::try_from(self.skip.as_secs() / 60)?;
        if skipped >= minutes.len() {
            bail!("--skip leaves out all of the source's {} minutes", minutes.len());
        }
        let left = &minutes[skipped..];
        let wanted = self.duration.map(|time| time.as_secs_f64() / self.minute().as_secs_f64());
        let wanted = wanted.map_or(left.len(), |minutes| (minutes.ceil() as usize).clamp(1, left.len()));
        Ok(left[..wanted].iter().map(|count| count * self.scale / self.compress).collect())
    }

    /// Sends all of it, and prints what came of it.
    pub(crate) async fn run(self) -> Result<()> {
        let expected = match &self.source {
            Source::Minutes(minutes) => Some(self.expected(minutes)?),
            Source::Stdin => None,
        };
        let first_minute = usize::try_from(self.skip.as_secs() / 60)?;
        // Before anything is printed: where nobody answers there is nothing to report.
        let client = http_client();
        send::check(&client, self.target()).await?;
        let (told, outcomes) = tokio::sync::mpsc::unbounded_channel();
        let report = tokio::task::spawn_blocking({
            let (objective, format, total) = (self.objective, self.format, expected.as_ref().map(Vec::len));
            move || report::print(outcomes, objective, format, first_minute, total)
        });
        match expected {
            Some(expected) => send::all(&self, client, &expected, told).await,
            None => follow::standard_input(&self, client, told).await?,
        }
        report.await?
    }
}
