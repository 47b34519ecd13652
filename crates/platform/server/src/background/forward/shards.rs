//! Shards: each holds some of the series, batches their samples and sends one request at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kandela_ingest::remote_write::Encoder;
use kandela_model::{
    Exemplar, Histogram, Labels, MetricBatch, SeriesExemplar, SeriesHistogram, SeriesIndex, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::position::Part;
use super::send::Sender;
use crate::net::Shutdown;

/// One sample on its way.
pub(super) struct Item {
    pub labels: Arc<Labels>,
    pub point: Point,
    pub part: Part,
}

/// What a sample is.
pub(super) enum Point {
    Float(Timestamp, f64),
    Histogram(Timestamp, Box<Histogram>),
    Exemplar(Box<Exemplar>),
}

/// The shards of one receiver.
pub(super) struct Shards {
    queues: Vec<mpsc::Sender<Item>>,
    tasks: JoinSet<()>,
}

impl Shards {
    pub(super) fn start(count: usize, sender: &Sender, shutdown: &Shutdown) -> Self {
        let capacity = usize::try_from(sender.receiver.queue_config.capacity).unwrap_or(10_000).max(1);
        let mut tasks = JoinSet::new();
        let queues = (0..count.max(1))
            .map(|_| {
                let (queue, items) = mpsc::channel(capacity);
                tasks.spawn(run(items, sender.clone(), shutdown.clone()));
                queue
            })
            .collect();
        Self { queues, tasks }
    }

    pub(super) fn count(&self) -> usize {
        self.queues.len()
    }

    /// Hands an item to its series' shard; waits where that one is full, and says whether it had to. `None` once the
    /// shards have stopped.
    pub(super) async fn hand(&self, item: Item) -> Option<bool> {
        let hash = Labels::as_ref(&item.labels).series_id(0).unsigned_abs();
        let place = usize::try_from(hash % self.queues.len() as u64).unwrap_or(0);
        let queue = self.queues.get(place)?;
        match queue.try_send(item) {
            Ok(()) => Some(false),
            Err(mpsc::error::TrySendError::Full(item)) => queue.send(item).await.ok().map(|()| true),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    /// Takes nothing more, and waits until all that was handed over is settled or the server stops.
    pub(super) async fn drain(mut self) {
        self.queues.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run(mut items: mpsc::Receiver<Item>, sender: Sender, mut shutdown: Shutdown) {
    let queue = &sender.receiver.queue_config;
    let most = usize::try_from(queue.max_samples_per_send).unwrap_or(2_000).max(1);
    let deadline = queue.batch_send_deadline;
    let mut encoder = Encoder::default();
    let mut held = Vec::new();
    while let Some(open) = gather(&mut items, &mut held, most, deadline).await {
        if !held.is_empty() {
            let (batch, parts) = batch(held.drain(..));
            if !sender.send(&mut encoder, &batch, &mut shutdown).await {
                return;
            }
            parts.into_iter().for_each(Part::settle);
        }
        if !open {
            return;
        }
    }
}

/// Gathers items until there are `most`, or the first has waited long enough. `Some(false)` with the last ones.
async fn gather(
    items: &mut mpsc::Receiver<Item>,
    held: &mut Vec<Item>,
    most: usize,
    deadline: Duration,
) -> Option<bool> {
    held.push(items.recv().await?);
    let end = Instant::now() + deadline;
    while held.len() < most {
        match tokio::time::timeout_at(end, items.recv()).await {
            Ok(Some(item)) => held.push(item),
            Ok(None) => return Some(false),
            Err(_) => break,
        }
    }
    Some(true)
}

fn batch(items: impl Iterator<Item = Item>) -> (MetricBatch, Vec<Part>) {
    let mut batch = MetricBatch::default();
    let mut series: HashMap<Arc<Labels>, SeriesIndex> = HashMap::new();
    let mut parts = Vec::new();
    for Item { labels, point, part } in items {
        let index =
            *series.entry(labels).or_insert_with_key(|labels| batch.add_canonical(Labels::as_ref(labels)));
        match point {
            Point::Float(ts, value) => batch.add_sample(index, ts, value),
            Point::Histogram(ts, histogram) => {
                let histogram = SeriesHistogram { series: index, ts, histogram: *histogram, delta: false };
                batch.histograms.push(histogram);
            }
            Point::Exemplar(exemplar) => {
                batch.exemplars.push(SeriesExemplar { series: index, exemplar: *exemplar });
            }
        }
        parts.push(part);
    }
    (batch, parts)
}
