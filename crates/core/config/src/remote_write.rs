//! `remote_write`: whom samples are passed on to.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::discovery::required_url;
use crate::http_client::{self, HttpClient, check_header};
use crate::named::{NameValidation, named};
use crate::read::Fields;
use crate::relabel::{self, Rule};
use crate::secret::{Secret, Url};
use crate::units::serialize_duration;

/// Ways to sign requests that Prometheus knows and Kandela does not serve.
const CLOUD_AUTH: [&str; 3] = ["sigv4", "azuread", "google_iam"];

named! {
    /// The protobuf message that a receiver gets.
    pub enum WriteMessage {
        /// Remote write 1.0.
        V1 = "prometheus.WriteRequest",
        /// Remote write 2.0.
        V2 = "io.prometheus.write.v2.Request",
    }
}

/// One receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RemoteWrite {
    /// Its name in metrics and logs; unique where given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it listens.
    pub url: Url,
    /// How long a request may take.
    #[serde(serialize_with = "serialize_duration")]
    pub remote_timeout: Duration,
    /// Headers of each request; their values do not print, since many receivers take a token there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// Rules for the series that are passed on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<Rule>,
    /// Whether exemplars are passed on.
    pub send_exemplars: bool,
    /// Whether native histograms are passed on.
    pub send_native_histograms: bool,
    /// The protocol's version.
    pub protobuf_message: WriteMessage,
    /// How to connect.
    #[serde(flatten)]
    pub client: HttpClient,
    /// How samples are batched and retried.
    pub queue_config: Queue,
    /// How metadata is sent; with remote write 2.0 it travels with the samples.
    pub metadata_config: MetadataQueue,
}

/// How samples are batched and retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Samples that a shard buffers.
    pub capacity: u64,
    /// The most shards, each of which sends one request at a time.
    pub max_shards: u64,
    /// The fewest shards.
    pub min_shards: u64,
    /// The most samples of one request.
    pub max_samples_per_send: u64,
    /// How long a sample waits for its batch to fill.
    #[serde(serialize_with = "serialize_duration")]
    pub batch_send_deadline: Duration,
    /// The first wait before a retry; doubled each time.
    #[serde(serialize_with = "serialize_duration")]
    pub min_backoff: Duration,
    /// The longest wait before a retry.
    #[serde(serialize_with = "serialize_duration")]
    pub max_backoff: Duration,
    /// Whether a request that the receiver answered with 429 is retried.
    pub retry_on_http_429: bool,
    /// Samples older than this are dropped; zero keeps all.
    #[serde(serialize_with = "serialize_duration")]
    pub sample_age_limit: Duration,
}

/// How metadata is sent with remote write 1.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetadataQueue {
    /// Whether it is.
    pub send: bool,
    /// How often.
    #[serde(serialize_with = "serialize_duration")]
    pub send_interval: Duration,
    /// The most metrics of one request.
    pub max_samples_per_send: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_http_429: false,
            sample_age_limit: Duration::ZERO,
        }
    }
}

impl Default for MetadataQueue {
    fn default() -> Self {
        Self { send: true, send_interval: Duration::from_secs(60), max_samples_per_send: 2_000 }
    }
}

/// Reads the receivers under `remote_write`.
pub(crate) fn remote_writes(fields: &mut Fields<'_>, names: NameValidation) -> Vec<RemoteWrite> {
    let mut taken: HashSet<String> = HashSet::new();
    let receivers = fields.list("remote_write", |fields| {
        let whole = fields.whole().clone();
        let receiver = RemoteWrite::read(fields, names)?;
        if let Some(name) = &receiver.name
            && !taken.insert(name.clone())
        {
            whole.invalid(format!("name {name:?} is used by an earlier receiver; names are unique"));
        }
        Some(receiver)
    });
    receivers.into_iter().flatten().collect()
}

impl RemoteWrite {
    fn read(mut fields: Fields<'_>, names: NameValidation) -> Option<Self> {
        let url = required_url(&mut fields);
        let client = HttpClient::read(&mut fields, false);
        let has_auth = client.basic_auth.is_some() || client.authorization.is_some();
        let cloud = CLOUD_AUTH.iter().filter(|key| fields.peek(key).is_some_and(|item| !item.is_null()));
        if usize::from(has_auth) + cloud.count() > 1 {
            fields.whole().invalid(
                "basic_auth, authorization, sigv4, azuread and google_iam exclude each other; keep one of them",
            );
        }
        let name = fields.word("name");
        let remote_timeout = fields.period("remote_timeout").unwrap_or(Duration::from_secs(30));
        let headers = headers(&mut fields);
        let write_relabel_configs = relabel::rules(&mut fields, "write_relabel_configs", names);
        let send_exemplars = fields.boolean("send_exemplars", false);
        let send_native_histograms = fields.boolean("send_native_histograms", false);
        let protobuf_message = fields.parse("protobuf_message", WriteMessage::parse);
        let queue_config = fields.section("queue_config", queue).unwrap_or_default();
        let metadata_config = fields.section("metadata_config", metadata).unwrap_or_default();
        let others = ["round_robin_dns", "failed_request_logging"].as_slice();
        fields.finish(&[CLOUD_AUTH.as_slice(), others, http_client::NOT_SERVED].concat());
        Some(Self {
            name,
            url: url?,
            remote_timeout,
            headers,
            write_relabel_configs,
            send_exemplars,
            send_native_histograms,
            protobuf_message: protobuf_message.unwrap_or(WriteMessage::V1),
            client,
            queue_config,
            metadata_config,
        })
    }

    /// The files that this names, to be resolved against the config's folder.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.client.paths()
    }
}

fn headers(fields: &mut Fields<'_>) -> BTreeMap<String, Secret> {
    let Some(item) = fields.get("headers") else { return BTreeMap::new() };
    let mut headers = BTreeMap::new();
    for (name, item) in item.entries() {
        if let Err(message) = check_header(name) {
            item.invalid(message);
        }
        if let Some(value) = item.text() {
            headers.insert(name.to_owned(), Secret::new(value));
        }
    }
    headers
}

fn queue(mut fields: Fields<'_>) -> Queue {
    let default = Queue::default();
    let mut above_zero = |key, default| {
        let Some(item) = fields.get_set(key) else { return default };
        let count = item.count();
        if count == Some(0) {
            item.invalid(format!("{key} must be above zero"));
        }
        count.unwrap_or(default)
    };
    let capacity = above_zero("capacity", default.capacity);
    let max_shards = above_zero("max_shards", default.max_shards);
    let min_shards = above_zero("min_shards", default.min_shards);
    let max_samples_per_send = above_zero("max_samples_per_send", default.max_samples_per_send);
    let queue = Queue {
        capacity,
        max_shards,
        min_shards,
        max_samples_per_send,
        batch_send_deadline: fields.duration("batch_send_deadline").unwrap_or(default.batch_send_deadline),
        min_backoff: fields.duration("min_backoff").unwrap_or(default.min_backoff),
        max_backoff: fields.duration("max_backoff").unwrap_or(default.max_backoff),
        retry_on_http_429: fields.boolean("retry_on_http_429", false),
        sample_age_limit: fields.duration("sample_age_limit").unwrap_or_default(),
    };
    if queue.min_shards > queue.max_shards {
        fields.whole().invalid("min_shards is above max_shards");
    }
    if queue.min_backoff > queue.max_backoff {
        fields.whole().invalid("min_backoff is longer than max_backoff");
    }
    fields.finish(&[]);
    queue
}

fn metadata(mut fields: Fields<'_>) -> MetadataQueue {
    let default = MetadataQueue::default();
    let metadata = MetadataQueue {
        send: fields.boolean("send", default.send),
        send_interval: fields.period("send_interval").unwrap_or(default.send_interval),
        max_samples_per_send: fields.limit("max_samples_per_send").unwrap_or(default.max_samples_per_send),
    };
    fields.finish(&[]);
    metadata
}
