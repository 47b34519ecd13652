//! Following the log for one receiver.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kandela_config::RemoteWrite;
use kandela_ingest::remote_write::{Encoder, Message};
use kandela_lake::{Lake, LakeError, LakeTail, Tailed};
use kandela_model::{MetricBatch, TenantId};

use super::position::Position;
use super::select::Selection;
use super::send::{Sender, is_too_old};
use super::shards::{Item, Point, Shards};
use crate::app::App;
use crate::net::Shutdown;
use crate::telemetry::events::{ForwardDropped, TaskFailed};

/// How often there is a look at whether the number of shards fits, and the position is saved.
const REVIEW: Duration = Duration::from_secs(10);
/// How long to wait where the log cannot be read.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Reader {
    app: Arc<App>,
    receiver: RemoteWrite,
    name: String,
    lake: Lake,
    sender: Sender,
    position: Position,
}

/// How busy the shards were since the last review.
#[derive(Default)]
struct Load {
    handed: u64,
    waited: Duration,
}

impl Reader {
    /// A reader that goes on where it stopped; a receiver that is new gets what comes in from now on. From here on the log
    /// is kept for it. `None` where the lake is not open or the receiver's address is no URL.
    pub(super) fn new(app: Arc<App>, receiver: RemoteWrite, name: String) -> Option<Self> {
        let lake = app.tenants.opened(&TenantId::default())?;
        let sender = Sender::new(receiver.clone(), &name, app.telemetry.clone())?;
        let position = Position::load(&file(&app, &name), lake.stats().log_seq);
        let reader = Self { app, receiver, name, lake, sender, position };
        // Where it begins must be known even if the process is killed before the receiver takes anything.
        reader.save();
        Some(reader)
    }

    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let telling = tell_families(self.lake.clone(), self.sender.clone(), shutdown.clone());
        let mut stopping = shutdown.clone();
        tokio::select! {
            () = self.follow(&shutdown) => {}
            () = telling => {}
            () = stopping.wait() => {}
        }
        shutdown.wait().await;
        self.save();
    }

    /// Tells the lake how much of its log is still to be sent.
    fn keep_log(&self) {
        let from = self.app.followed.advance(&self.name, self.position.done() + 1);
        self.lake.keep_log_from(Some(from));
    }

    fn save(&self) {
        self.keep_log();
        if let Err(error) = self.position.save() {
            self.app.telemetry.emit(TaskFailed { task: "save the forwarding position", error: &error });
        }
    }

    async fn follow(&self, shutdown: &Shutdown) {
        let Self { lake, sender, position, .. } = self;
        let external = self.app.options.config.global.external_labels.clone();
        let mut selection = Selection::new(external, self.receiver.write_relabel_configs.clone());
        let queue = &self.receiver.queue_config;
        let bound = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).max(1);
        let (fewest, most) = (bound(queue.min_shards), bound(queue.max_shards));
        let mut shards = Shards::start(fewest, sender, shutdown);
        let mut tail = lake.tail(position.done() + 1);
        let mut load = Load::default();
        let mut reviewed = Instant::now();
        loop {
            match self.read(tail).await {
                (back, Ok(Some(Tailed::Batch { seq, batch }))) => {
                    tail = back;
                    self.deal(seq, &batch, &mut selection, &shards, &mut load).await;
                }
                (back, Ok(Some(Tailed::Lost(lost)))) => {
                    tail = back;
                    let error = format!("log sequences {lost:?} were gone before they were read");
                    let samples = lost.end() - lost.start() + 1;
                    let name = self.name.as_str();
                    let dropped = ForwardDropped { receiver: name, reason: "lost", samples, error: &error };
                    self.app.telemetry.emit(dropped);
                }
                (mut back, Ok(None)) => {
                    // The review below must not wait for the next sample.
                    let _ = tokio::time::timeout(REVIEW, back.wait()).await;
                    tail = back;
                }
                (_, Err(error)) => {
                    self.app.telemetry.emit(TaskFailed { task: "read the log to forward it", error: &error });
                    tokio::time::sleep(RETRY).await;
                    tail = lake.tail(position.done() + 1);
                }
            }
            if reviewed.elapsed() >= REVIEW {
                self.save();
                let wanted = shards_for(shards.count(), &load, reviewed.elapsed()).clamp(fewest, most);
                if wanted != shards.count() {
                    shards.drain().await;
                    shards = Shards::start(wanted, sender, shutdown);
                }
                load = Load::default();
                reviewed = Instant::now();
            }
        }
    }

    /// Reads on a thread that may block.
    async fn read(&self, mut tail: LakeTail) -> (LakeTail, Result<Option<Tailed>, LakeError>) {
        let reading = tokio::task::spawn_blocking(move || {
            let next = tail.next();
            (tail, next)
        });
        match reading.await {
            Ok(read) => read,
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }

    async fn deal(
        &self,
        seq: u64,
        batch: &MetricBatch,
        selection: &mut Selection,
        shards: &Shards,
        load: &mut Load,
    ) {
        let limit = self.receiver.queue_config.sample_age_limit;
        let part = self.position.begin(seq);
        let floats = batch
            .samples
            .iter()
            .map(|sample| (sample.series, sample.ts, Point::Float(sample.ts, sample.value)));
        let histograms =
            batch.histograms.iter().filter(|_| self.receiver.send_native_histograms).map(|entry| {
                (entry.series, entry.ts, Point::Histogram(entry.ts, Box::new(entry.histogram.clone())))
            });
        let exemplars = batch.exemplars.iter().filter(|_| self.receiver.send_exemplars).map(|entry| {
            (entry.series, entry.exemplar.ts, Point::Exemplar(Box::new(entry.exemplar.clone())))
        });
        let mut too_old = 0;
        for (series, ts, point) in floats.chain(histograms).chain(exemplars) {
            let Some(labels) = selection.of(batch.labels(series)) else { continue };
            if is_too_old(ts, limit) {
                too_old += 1;
                continue;
            }
            let began = Instant::now();
            match shards.hand(Item { labels, point, part: part.another() }).await {
                Some(true) => load.waited += began.elapsed(),
                Some(false) => {}
                // They stop only with the server.
                None => return,
            }
            load.handed += 1;
        }
        part.settle();
        if too_old > 0 {
            let error = format!("samples older than sample_age_limit of {limit:?}");
            let name = self.name.as_str();
            let dropped =
                ForwardDropped { receiver: name, reason: "too old", samples: too_old, error: &error };
            self.app.telemetry.emit(dropped);
        }
    }
}

/// Where a receiver's position is kept.
fn file(app: &App, name: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    app.options.data.join("forward").join(format!("{name}.position"))
}

/// Twice as many where the reader mostly waited, half where it never did.
fn shards_for(now: usize, load: &Load, over: Duration) -> usize {
    if load.waited > over / 2 {
        now * 2
    } else if load.waited.is_zero() && load.handed > 0 {
        now.div_ceil(2)
    } else {
        now
    }
}

/// Sends the families' metadata at an interval. 2.0 has no message of its own for them.
async fn tell_families(lake: Lake, sender: Sender, mut shutdown: Shutdown) {
    let config = sender.receiver.metadata_config.clone();
    if !config.send || sender.message() == Message::V2 {
        return std::future::pending().await;
    }
    let most = usize::try_from(config.max_samples_per_send).unwrap_or(2_000).max(1);
    let mut encoder = Encoder::default();
    loop {
        tokio::time::sleep(config.send_interval).await;
        for families in lake.metadata().chunks(most) {
            let mut batch = MetricBatch::default();
            batch.metadata.extend_from_slice(families);
            if !sender.send(&mut encoder, &batch, &mut shutdown).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_the_load() {
        let over = Duration::from_secs(10);
        let load = |handed, waited| Load { handed, waited: Duration::from_secs(waited) };
        assert_eq!(shards_for(2, &load(1_000, 8), over), 4);
        assert_eq!(shards_for(4, &load(1_000, 2), over), 4);
        assert_eq!(shards_for(4, &load(1_000, 0), over), 2);
        assert_eq!(shards_for(4, &load(0, 0), over), 4, "an idle log tells nothing");
    }
}
