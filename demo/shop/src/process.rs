//! One process of the shop: a service with its knobs and faults behind one listener.

mod admin;
mod endpoints;
mod health;
mod listen;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kandela_runtime::steward::Steward;

use crate::downstream::{Downstream, HttpClient, http_client};
use crate::extract;
use crate::knobs::KnobMaker;
use crate::services::Service;
use crate::settings::Settings;
use crate::split::Split;
use crate::telemetry;
pub(crate) use endpoints::Endpoints;
pub(crate) use health::Health;
pub(crate) use listen::{PORT_TAKEN, stdin_ended};

/// What a process is started with.
pub(crate) struct Plan {
    pub(crate) service: Service,
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) knobs: Option<PathBuf>,
    pub(crate) otlp: Option<String>,
    pub(crate) self_tuning: bool,
    /// Addresses of the replicas of each service that this one calls.
    pub(crate) downstreams: BTreeMap<String, Vec<String>>,
    /// Whether the end of standard input is the end of the process.
    pub(crate) end_with_stdin: bool,
}

/// What a service is built from.
pub(crate) struct Site {
    pub(crate) knobs: KnobMaker,
    client: HttpClient,
    data: PathBuf,
    downstreams: BTreeMap<String, Vec<String>>,
    splits: BTreeMap<String, Arc<Split>>,
}

impl Site {
    /// The downstream `name`.
    ///
    /// # Errors
    /// Where no address is given for it.
    pub(crate) fn downstream(&mut self, name: &'static str) -> Result<Downstream> {
        let Some(addresses) = self.downstreams.get(name).filter(|addresses| !addresses.is_empty()) else {
            bail!("no address for {name}: give --downstream {name}=HOST:PORT");
        };
        let split = Arc::new(Split::even(addresses.clone()));
        self.splits.insert(name.to_owned(), split.clone());
        Downstream::new(&self.knobs, name, &self.client, split)
    }

    /// Where the database of that name lies.
    pub(crate) fn database(&self, name: &str) -> PathBuf {
        self.data.join(format!("{name}.db"))
    }
}

/// Serves until told to stop.
pub(crate) async fn run(plan: Plan) -> Result<()> {
    let instance = format!("{}@{}", plan.service.name(), plan.listen);
    let telemetry = telemetry::start(plan.service.name(), &instance, plan.otlp.as_deref())?;
    std::fs::create_dir_all(&plan.data).with_context(|| format!("making {}", plan.data.display()))?;
    let listener = listen::bind(plan.listen).await?;

    let steward = Steward::default();
    let settings = Settings::with_file(plan.knobs.as_deref())?;
    let mut site = Site {
        knobs: KnobMaker::new(plan.service.name(), steward.clone(), settings).self_tuning(plan.self_tuning),
        client: http_client(),
        data: plan.data,
        downstreams: plan.downstreams,
        splits: BTreeMap::new(),
    };
    let mut endpoints = Endpoints::new(plan.service, &site.knobs)?;
    plan.service.build(&mut site, &mut endpoints)?;
    let faults = endpoints.faults();
    let admin = admin::Admin {
        steward: steward.clone(),
        faults: faults.clone(),
        endpoints: endpoints.names(),
        splits: site.splits,
        turning: Arc::default(),
    };
    let router = endpoints.router().merge(admin::router(admin));
    let router = router.fallback(extract::no_such_path).method_not_allowed_fallback(extract::no_such_method);
    tokio::spawn(faults.leak());
    tokio::spawn(look_after(steward));
    tracing::info!(service = plan.service.name(), address = %plan.listen, "serving");
    listen::serve(listener, router, listen::stopped(plan.end_with_stdin)).await;
    drop(telemetry);
    Ok(())
}

/// Has the parts look at what they measured, once a second.
async fn look_after(steward: Steward) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        steward.tick();
    }
}

/// Makes the databases before any service asks for them.
pub(crate) fn prepare(data: &Path) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    crate::services::prepare_databases(data)
}
