//! The targets of one job, and their loops.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use kandela_config::ScrapeConfig;
use kandela_model::{Labels, Timestamp};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::Shared;
use super::client::Client;
use super::discovery::{self, TargetGroup};
use super::status::{PoolView, Status, lock};
use super::target::{self, Fate, Target};
use super::target_loop::{self, Job, TargetLoop};
use crate::exposition;

/// A running job.
pub(super) struct Pool {
    pub(super) config: ScrapeConfig,
    pub(super) view: Arc<Mutex<PoolView>>,
    orders: watch::Sender<Order>,
    task: JoinHandle<RetiredTargets>,
}

/// What a pool is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run,
    /// Scrape no more, end all series, then end.
    Drain,
    /// End at once; a successor takes the series over, or the process ends.
    Stop,
}

/// A target that is scraped no more and whose series have not ended yet. A target with the same labels takes them over: it
/// is the same one after a reload, or discovery lost it for a moment.
pub(super) struct Retired {
    target_loop: TargetLoop,
    /// When its series end: where its next scrape would have been.
    ends_at: Timestamp,
    /// When that is written, unless a successor came.
    due: Instant,
}

/// By the labels that a target's series carry.
pub(super) type RetiredTargets = HashMap<Labels, Retired>;

struct Running {
    target_loop: TargetLoop,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) -> Retired {
        // The loop may have ended by a panic; then nobody listens.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(url = %self.target_loop.status.target.url, %error, "a scrape loop broke off");
        }
        let interval = self.target_loop.status.target.interval;
        let now = (self.target_loop.job.shared.options.clock)();
        let micros = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        // As Prometheus waits: two intervals and a tenth, for the case that the target comes back.
        let due = Instant::now() + interval * 2 + interval / 10;
        Retired { target_loop: self.target_loop, ends_at: now.plus_micros(micros), due }
    }
}

impl Pool {
    /// Starts a job; `predecessors` are the targets that it had under an older config.
    pub(super) fn start(config: ScrapeConfig, shared: Arc<Shared>, predecessors: RetiredTargets) -> Self {
        let (orders, listen) = watch::channel(Order::Run);
        let view = Arc::new(Mutex::new(PoolView::default()));
        let client =
            Client::new(config.client.clone(), &shared.options.user_agent, config.enable_compression);
        let job = Job {
            accept: exposition::accept_header(&config.scrape_protocols, config.metric_name_escaping_scheme),
            config: config.clone(),
            client,
            shared,
            too_many: Mutex::default(),
        };
        let state =
            State { job: Arc::new(job), view: view.clone(), running: HashMap::new(), retired: predecessors };
        let task = tokio::spawn(state.run(listen));
        Self { config, view, orders, task }
    }

    /// Ends all loops and waits for them; what is left of their targets.
    pub(super) async fn stop(self) -> RetiredTargets {
        self.orders.send_replace(Order::Stop);
        match self.task.await {
            Ok(retired) => retired,
            Err(error) => {
                tracing::error!(job = self.config.job_name, %error, "a scrape pool broke off");
                RetiredTargets::new()
            }
        }
    }

    /// Has the job end by itself once its series have ended.
    pub(super) fn drain(&self) {
        self.orders.send_replace(Order::Drain);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

struct State {
    job: Arc<Job>,
    view: Arc<Mutex<PoolView>>,
    /// By all labels of the target.
    running: HashMap<Labels, Running>,
    retired: RetiredTargets,
}

impl State {
    async fn run(mut self, mut orders: watch::Receiver<Order>) -> RetiredTargets {
        let mut providers = JoinSet::new();
        let updates = discovery::start(&self.job.config.discovery, &self.job.shared.options, &mut providers);
        let mut next_sync = Instant::now();
        let mut has_news = true;
        loop {
            let order = *orders.borrow_and_update();
            match order {
                Order::Run => {}
                Order::Stop => break,
                Order::Drain => {
                    providers.abort_all();
                    self.retire_all().await;
                    *lock(&self.view) = PoolView::default();
                    has_news = false;
                    if self.retired.is_empty() {
                        break;
                    }
                }
            }
            if has_news && Instant::now() >= next_sync {
                let groups = updates.groups();
                self.sync(&groups).await;
                // The first answer of a discovery need not wait.
                if groups.iter().any(|groups| !groups.is_empty()) {
                    next_sync = Instant::now() + self.job.shared.options.sync_throttle;
                }
                has_news = false;
            }
            self.end_due().await;
            let due = self.retired.values().map(|retired| retired.due).min();
            let wake = [has_news.then_some(next_sync), due].into_iter().flatten().min();
            tokio::select! {
                changed = orders.changed() => if changed.is_err() { break },
                () = updates.changed(), if order == Order::Run => has_news = true,
                () = sleep_until(wake) => {}
            }
        }
        providers.shutdown().await;
        self.retire_all().await;
        self.retired
    }

    /// Starts and stops loops so that they are those of `groups`.
    async fn sync(&mut self, groups: &[Arc<Vec<TargetGroup>>]) {
        let mut view = PoolView::default();
        let mut wanted: HashMap<Labels, (Target, Labels)> = HashMap::new();
        let options = &self.job.shared.options;
        let mut left_out = 0usize;
        for group in groups.iter().flat_map(|groups| groups.iter()) {
            for labels in &group.targets {
                let discovered = target::discovered(&self.job.config, group, labels);
                match target::decide(&self.job.config, &discovered) {
                    Fate::Kept(target) if wanted.len() < options.max_targets_per_job => {
                        wanted.insert(target.labels.clone(), (target, discovered));
                    }
                    Fate::Kept(target) => left_out += usize::from(!wanted.contains_key(&target.labels)),
                    Fate::Dropped => {
                        view.dropped_count += 1;
                        if view.dropped.len() < options.max_dropped_shown {
                            view.dropped.push(discovered);
                        }
                    }
                    Fate::Unusable(reason) => {
                        let job = &self.job.config.job_name;
                        tracing::warn!(job, source = group.source, %discovered, reason, "a target can't be scraped");
                    }
                }
            }
        }
        if left_out > 0 {
            let (job, limit) = (&self.job.config.job_name, options.max_targets_per_job);
            tracing::warn!(job, left_out, limit, "the job has more targets than are scraped of one job");
        }
        self.limit_targets(wanted.len());
        self.stop_unwanted(&wanted).await;
        for (key, (target, discovered)) in wanted {
            match self.running.get(&key) {
                Some(running) => running.target_loop.status.set_discovered(discovered),
                None => self.start_loop(key, target, discovered),
            }
        }
        view.active = self.running.values().map(|running| running.target_loop.status.clone()).collect();
        view.active.sort_by(|a, b| a.target.labels.cmp(&b.target.labels));
        *lock(&self.view) = view;
    }

    fn limit_targets(&self, targets: usize) {
        let limit = self.job.config.limits.target_limit;
        *lock(&self.job.too_many) =
            limit.filter(|limit| targets as u64 > *limit).map(|limit| (targets, limit));
    }

    async fn stop_unwanted(&mut self, wanted: &HashMap<Labels, (Target, Labels)>) {
        let unwanted: Vec<Labels> =
            self.running.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        let unwanted = unwanted.iter().filter_map(|key| self.running.remove(key)).collect();
        self.retire(unwanted).await;
    }

    async fn retire_all(&mut self) {
        let all = self.running.drain().map(|(_, running)| running).collect();
        self.retire(all).await;
    }

    /// All are told before any is waited for.
    async fn retire(&mut self, loops: Vec<Running>) {
        for running in &loops {
            let _ = running.stop.send(());
        }
        for running in loops {
            let public = running.target_loop.status.target.public.clone();
            self.retired.insert(public, running.stop().await);
        }
    }

    fn start_loop(&mut self, key: Labels, target: Target, discovered: Labels) {
        let status = Arc::new(Status::new(Arc::new(target), discovered));
        let predecessor = self.retired.remove(&status.target.public).map(|retired| retired.target_loop);
        let series = match predecessor {
            Some(predecessor) => {
                status.inherit(&predecessor.status);
                let had = &predecessor.job.config;
                // What a series became depends on these; the series live on, what they became is found anew.
                let same_labels = had.metric_relabel_configs == self.job.config.metric_relabel_configs
                    && had.honor_labels == self.job.config.honor_labels
                    && had.metric_name_validation_scheme == self.job.config.metric_name_validation_scheme;
                if !same_labels {
                    lock(&predecessor.series).forget_labels();
                }
                predecessor.series
            }
            None => Arc::default(),
        };
        let target_loop = TargetLoop { job: self.job.clone(), status, series };
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(target_loop::run(target_loop.clone(), stopped));
        self.running.insert(key, Running { target_loop, stop, task });
    }

    /// Ends the series of targets that have not come back in time.
    async fn end_due(&mut self) {
        let now = Instant::now();
        let due: Vec<Retired> =
            self.retired.extract_if(|_, retired| retired.due <= now).map(|(_, retired)| retired).collect();
        if due.is_empty() {
            return;
        }
        let scraped: HashSet<&Labels> =
            self.running.values().map(|running| &running.target_loop.status.target.public).collect();
        let gone: Vec<Retired> =
            due.into_iter().filter(|one| !scraped.contains(&one.target_loop.status.target.public)).collect();
        let ending = tokio::task::spawn_blocking(move || {
            for retired in gone {
                target_loop::end(&retired.target_loop, retired.ends_at);
            }
        });
        if let Err(panic) = ending.await {
            tracing::error!(job = self.job.config.job_name, %panic, "ending a target's series panicked");
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
