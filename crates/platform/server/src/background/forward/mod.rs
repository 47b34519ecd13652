//! `remote_write` out: what comes in goes on to other receivers, read from the write-ahead log as Prometheus does it.
//!
//! One reader a receiver follows the log and deals series out to shards, so that each series keeps its order. A shard
//! batches, sends and repeats. How far everything was taken is kept in a file, and the log is kept from there on, so a
//! receiver that was away gets what it missed, over restarts too.

mod position;
mod reader;
mod select;
mod send;
mod shards;

use std::future::Future;
use std::sync::Arc;

use kandela_config::RemoteWrite;

pub(crate) use position::Followed;

use crate::app::App;
use crate::net::Shutdown;

/// Passes samples on to one receiver until the shutdown. The log is kept for the receiver from this call on, not only from
/// when the work begins.
pub(crate) fn forward(
    app: Arc<App>,
    receiver: RemoteWrite,
    name: String,
    shutdown: Shutdown,
) -> impl Future<Output = ()> {
    let reader = reader::Reader::new(app, receiver, name);
    async move {
        if let Some(reader) = reader {
            reader.run(shutdown).await;
        }
    }
}

/// A receiver's name in metrics, logs and on disk: its own, else made of its place and its host.
pub(crate) fn name_of(receiver: &RemoteWrite, place: usize) -> String {
    let host = url::Url::parse(receiver.url.expose()).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    receiver.name.clone().unwrap_or_else(|| format!("{place}-{host}"))
}
