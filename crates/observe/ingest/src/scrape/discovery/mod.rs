//! Discovery: where targets come from.
//!
//! Every mechanism is one function, `async fn run(config, updates)`, that runs until it is dropped and hands over all target
//! groups that it knows whenever they change. One that fails keeps what it knew: a discovery that is down must not blind
//! the monitoring. Labels are those that Prometheus documents for each mechanism.

mod dns;
mod file;
mod http;
mod kubernetes;

use std::sync::{Arc, Mutex};

use kandela_config::discovery::{Discovery, TargetGroup as ConfiguredGroup};
use kandela_model::{LabelError, Labels};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::ScrapeOptions;
use super::status::lock;

const ADDRESS: &str = "__address__";

/// Targets that share labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// What it was made from: a file and a place in it, a name, an object.
    pub source: String,
    /// The labels of each, `__address__` among them.
    pub targets: Vec<Labels>,
    /// The labels of all.
    pub labels: Labels,
}

/// Takes what one discovery knows; the pool on the other side looks at the latest only.
#[derive(Clone, Debug)]
pub struct Updates {
    slot: Arc<Mutex<Arc<Vec<TargetGroup>>>>,
    news: Arc<Notify>,
}

impl Updates {
    fn new(news: Arc<Notify>) -> Self {
        Self { slot: Arc::default(), news }
    }

    /// Hands over all groups that there are now.
    pub fn send(&self, groups: Vec<TargetGroup>) {
        *lock(&self.slot) = Arc::new(groups);
        self.news.notify_one();
    }
}

/// What all discoveries of a job know.
pub(super) struct Discovered {
    slots: Vec<Updates>,
    news: Arc<Notify>,
}

impl Discovered {
    /// The latest of each discovery.
    pub(super) fn groups(&self) -> Vec<Arc<Vec<TargetGroup>>> {
        self.slots.iter().map(|updates| lock(&updates.slot).clone()).collect()
    }

    /// Waits until one of them has news.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }
}

/// Starts all discoveries of a job on `tasks`.
pub(super) fn start(discovery: &Discovery, options: &ScrapeOptions, tasks: &mut JoinSet<()>) -> Discovered {
    let mut discovered = Discovered { slots: Vec::new(), news: Arc::default() };
    let mut slot = || {
        let updates = Updates::new(discovered.news.clone());
        discovered.slots.push(updates.clone());
        updates
    };
    slot().send(static_groups(&discovery.static_configs));
    let user_agent = &options.user_agent;
    for config in &discovery.file_sd_configs {
        tasks.spawn(file::run(config.clone(), slot()));
    }
    for config in &discovery.http_sd_configs {
        tasks.spawn(http::run(config.clone(), user_agent.clone(), slot()));
    }
    for config in &discovery.dns_sd_configs {
        tasks.spawn(dns::run(config.clone(), slot()));
    }
    for config in &discovery.kubernetes_sd_configs {
        tasks.spawn(kubernetes::run(config.clone(), user_agent.clone(), slot()));
    }
    discovered
}

fn static_groups(groups: &[ConfiguredGroup]) -> Vec<TargetGroup> {
    let all = groups.iter().enumerate().map(|(index, group)| written_group(group, index.to_string(), None));
    all.filter_map(|group| match group {
        Ok(group) => Some(group),
        Err(error) => {
            tracing::warn!(%error, "a static target group can't be used");
            None
        }
    })
    .collect()
}

/// A group as somebody wrote it, with one more label that says where.
fn written_group(
    group: &ConfiguredGroup,
    source: String,
    meta: Option<(&str, &str)>,
) -> Result<TargetGroup, LabelError> {
    let own = group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = own.filter(|(name, _)| meta.is_none_or(|(meta, _)| meta != *name));
    let targets = group.targets.iter().map(|address| Labels::new([(ADDRESS, address)]));
    Ok(TargetGroup {
        source,
        targets: targets.collect::<Result<_, _>>()?,
        labels: Labels::new(own.chain(meta))?,
    })
}

/// `host:port`, with brackets around a host that holds colons.
fn host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
