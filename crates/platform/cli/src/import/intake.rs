//! The lake's end of an import: takes batches in, flushes when memory asks for it, and shows how far it is.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures::FutureExt as _;
use kandela_lake::{Appended, Lake, LakeError};
use kandela_model::{MetricBatch, SeriesIndex, Timestamp};
use tokio::sync::mpsc;

use crate::ends::Ends;
use crate::output::grouped;
use crate::progress::Progress;

/// Points from a source, and how far it has read; in bytes or whatever else it counts by.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) batch: MetricBatch,
    pub(super) done: u64,
    pub(super) total: u64,
}

/// What the lake took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) interrupted: bool,
    /// Identities of the series.
    pub(super) series: HashSet<i64>,
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
    pub(super) duplicates: u64,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    pub(super) oldest: Option<Timestamp>,
    pub(super) newest: Option<Timestamp>,
    /// Points older than the lake keeps metrics as it is set up.
    pub(super) past_retention: u64,
    pub(super) took: Duration,
}

pub(super) struct Intake {
    lake: Lake,
    taken: Taken,
    progress: Progress,
    /// What is older than this goes at the next retention run.
    kept_from: Timestamp,
}

impl Intake {
    pub(super) fn new(lake: Lake) -> Self {
        let retention = lake.config().retention.metrics;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept_from = now.saturating_sub(retention).as_micros();
        Self {
            lake,
            taken: Taken::default(),
            progress: Progress::default(),
            kept_from: Timestamp::from_micros(i64::try_from(kept_from).unwrap_or(i64::MAX)),
        }
    }

    /// Takes everything in until the source ends, or somebody asks to stop.
    pub(super) async fn run(mut self, mut parcels: mpsc::Receiver<Parcel>) -> anyhow::Result<Taken> {
        let mut ends = Ends::listen()?;
        loop {
            let parcel = tokio::select! {
                parcel = parcels.recv() => parcel,
                () = ends.heard() => {
                    self.taken.interrupted = true;
                    None
                }
            };
            let Some(parcel) = parcel else { break };
            self.take(&parcel.batch).await?;
            self.show(parcel.done, parcel.total);
        }
        // The source sees that nobody listens, and ends.
        drop(parcels);
        self.progress.say("writing what is in memory");
        self.lake.flush().await.context("writing what was imported")?;
        self.progress.say("merging files");
        self.lake.compact().await.context("merging files")?;
        self.lake.close().await?;
        self.progress.clear();
        self.taken.took = self.progress.elapsed();
        Ok(self.taken)
    }

    async fn take(&mut self, batch: &MetricBatch) -> anyhow::Result<()> {
        let appended = match self.append(batch) {
            Err(LakeError::HeadFull { .. }) => {
                self.lake.flush().await?;
                self.append(batch)
            }
            appended => appended,
        }?;
        self.count(batch, &appended);
        if self.lake.flush_wanted().now_or_never().is_some() {
            self.lake.flush().await?;
        }
        Ok(())
    }

    fn append(&self, batch: &MetricBatch) -> Result<Appended, LakeError> {
        tokio::task::block_in_place(|| self.lake.import(batch))
    }

    fn count(&mut self, batch: &MetricBatch, appended: &Appended) {
        let taken = &mut self.taken;
        let series = (0..batch.series().len() as u32).map(SeriesIndex);
        taken.series.extend(series.map(|series| batch.labels(series).series_id(0)));
        taken.samples += appended.samples as u64;
        taken.histograms += appended.histograms as u64;
        taken.exemplars += appended.exemplars as u64;
        taken.duplicates += appended.duplicates as u64;
        for (reason, points) in &appended.rejections {
            *taken.rejected.entry(reason.as_str()).or_default() += *points as u64;
        }
        let times = batch.samples.iter().map(|sample| sample.ts);
        for ts in times.chain(batch.histograms.iter().map(|point| point.ts)) {
            taken.oldest = Some(taken.oldest.map_or(ts, |oldest| oldest.min(ts)));
            taken.newest = Some(taken.newest.map_or(ts, |newest| newest.max(ts)));
            taken.past_retention += u64::from(ts < self.kept_from);
        }
    }

    fn show(&mut self, done: u64, total: u64) {
        let points = self.taken.samples + self.taken.histograms;
        self.progress.show(|elapsed| {
            let share = done as f64 / total.max(1) as f64;
            let elapsed = elapsed.as_secs_f64();
            let left = if share > 0.0 { elapsed / share - elapsed } else { 0.0 };
            format!(
                "{:3.0} %  {} points  {}/s  {} left",
                share * 100.0,
                grouped(points),
                grouped((points as f64 / elapsed) as u64),
                clock(left)
            )
        });
    }
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_reads_as_a_clock() {
        assert_eq!(clock(0.0), "0:00");
        assert_eq!(clock(61.9), "1:01");
        assert_eq!(clock(6_000.0), "100:00");
    }
}
