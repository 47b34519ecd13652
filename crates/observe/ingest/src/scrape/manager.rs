//! All jobs together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use kandela_config::ScrapeConfig;

use super::pool::{Pool, RetiredTargets};
use super::sink::Sink;
use super::status::{DroppedTarget, PoolView, Targets, lock};
use super::{ScrapeOptions, Shared};

/// Runs the jobs of a config.
pub struct Manager {
    shared: Arc<Shared>,
    /// Held while jobs start and stop, so that two reloads don't mix.
    pools: tokio::sync::Mutex<Pools>,
    views: Mutex<BTreeMap<String, Arc<Mutex<PoolView>>>>,
}

#[derive(Default)]
struct Pools {
    running: BTreeMap<String, Pool>,
    /// Jobs that are gone and whose series have yet to end.
    draining: Vec<Pool>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<String> = lock(&self.views).keys().cloned().collect();
        f.debug_struct("Manager").field("jobs", &jobs).finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager without jobs.
    pub fn new(sink: Arc<dyn Sink>, options: ScrapeOptions) -> Self {
        let shared = Arc::new(Shared::new(sink, options));
        Self { shared, pools: tokio::sync::Mutex::default(), views: Mutex::default() }
    }

    /// Runs exactly these jobs. A job that is as it was goes on undisturbed; the targets of one that changed keep what is
    /// known of their series; the series of one that is gone end.
    ///
    /// To be called within a Tokio runtime, on which the jobs then run.
    pub async fn apply(&self, jobs: &[ScrapeConfig]) {
        let mut pools = self.pools.lock().await;
        pools.draining.retain(|pool| !pool.has_ended());
        let gone: Vec<String> = pools
            .running
            .keys()
            .filter(|name| jobs.iter().all(|job| job.job_name != **name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(pool) = pools.running.remove(&name) {
                pool.drain();
                pools.draining.push(pool);
            }
        }
        for job in jobs {
            let predecessors = match pools.running.remove(&job.job_name) {
                Some(pool) if pool.config == *job => {
                    pools.running.insert(job.job_name.clone(), pool);
                    continue;
                }
                Some(pool) => pool.stop().await,
                None => RetiredTargets::new(),
            };
            let pool = Pool::start(job.clone(), self.shared.clone(), predecessors);
            pools.running.insert(job.job_name.clone(), pool);
        }
        *lock(&self.views) =
            pools.running.iter().map(|(name, pool)| (name.clone(), pool.view.clone())).collect();
    }

    /// All targets as they are now.
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::default();
        for (name, view) in lock(&self.views).iter() {
            let view = lock(view);
            targets.active.extend(view.active.iter().map(|status| status.show(name)));
            targets.dropped.extend(view.dropped.iter().map(|labels| DroppedTarget {
                discovered_labels: labels.clone(),
                scrape_pool: name.clone(),
            }));
            targets.dropped_counts.insert(name.clone(), view.dropped_count);
        }
        targets
    }

    /// The names of the jobs that run, sorted.
    pub fn jobs(&self) -> Vec<String> {
        lock(&self.views).keys().cloned().collect()
    }

    /// Ends all jobs and waits for them. Series don't end by this: who restarts goes on with them.
    pub async fn shutdown(&self) {
        let mut pools = self.pools.lock().await;
        lock(&self.views).clear();
        let Pools { running, draining } = std::mem::take(&mut *pools);
        let stopping: Vec<_> =
            running.into_values().chain(draining).map(|pool| tokio::spawn(pool.stop())).collect();
        for pool in stopping {
            // A pool that panicked has said so itself.
            let _ = pool.await;
        }
    }
}
