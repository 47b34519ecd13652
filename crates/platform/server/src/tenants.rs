//! One lake a tenant, opened when it is first needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use kandela_lake::{ErrorClass, Lake, LakeConfig, LakeError};
use kandela_model::TenantId;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::refusal::Refusal;
use crate::telemetry::Telemetry;
use crate::telemetry::events::TenantOpened;

/// The header that names a tenant, as Mimir and Loki have it.
const TENANT_HEADER: &str = "x-scope-orgid";
/// When a client should come again while a lake recovers or its disk is full.
const RETRY: Duration = Duration::from_secs(5);

/// What a request wants of its tenant's lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only what is there.
    Read,
    /// Opens a lake for a tenant that has none.
    Write,
}

/// The lakes that are open.
pub(crate) struct Tenants {
    config: LakeConfig,
    max: usize,
    telemetry: Telemetry,
    lakes: Mutex<BTreeMap<TenantId, Arc<OnceCell<Lake>>>>,
    opened: Box<dyn Fn(&TenantId, &Lake) + Send + Sync>,
}

impl Tenants {
    /// No lake is open yet. `config.root` will hold one folder a tenant and `config.memory_limit` is for all of them;
    /// `opened` hears of each lake once.
    pub(crate) fn new(
        config: LakeConfig,
        max: usize,
        telemetry: Telemetry,
        opened: impl Fn(&TenantId, &Lake) + Send + Sync + 'static,
    ) -> Self {
        Self { config, max: max.max(1), telemetry, lakes: Mutex::default(), opened: Box::new(opened) }
    }

    /// The tenant that a request names, else the default one.
    ///
    /// # Errors
    /// 400 where the name is not valid.
    pub(crate) fn named_by(headers: &HeaderMap) -> Result<TenantId, Refusal> {
        let Some(value) = headers.get(TENANT_HEADER) else { return Ok(TenantId::default()) };
        let name = String::from_utf8_lossy(value.as_bytes());
        TenantId::new(name).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
    }

    /// The lake of a tenant, opened if need be.
    ///
    /// # Errors
    /// 404 where there is nothing to read, 429 where no more lakes may be open, else what [`refusal_of`] makes of the
    /// lake's error.
    pub(crate) async fn lake(&self, tenant: &TenantId, access: Access) -> Result<Lake, Refusal> {
        let cell = self.place_for(tenant, access)?;
        let opened = cell.get_or_try_init(|| self.open(tenant)).await;
        opened.cloned().map_err(|error| {
            let mut lakes = self.lakes.lock();
            if lakes.get(tenant).is_some_and(|cell| cell.get().is_none()) {
                lakes.remove(tenant);
            }
            refusal_of(&error)
        })
    }

    /// As [`Tenants::lake`] of the default tenant, with the lake's own error.
    pub(crate) async fn open_default(&self) -> Result<Lake, LakeError> {
        let tenant = TenantId::default();
        let cell = self.lakes.lock().entry(tenant.clone()).or_default().clone();
        cell.get_or_try_init(|| self.open(&tenant)).await.cloned()
    }

    fn place_for(&self, tenant: &TenantId, access: Access) -> Result<Arc<OnceCell<Lake>>, Refusal> {
        let mut lakes = self.lakes.lock();
        if let Some(cell) = lakes.get(tenant) {
            return Ok(cell.clone());
        }
        if access == Access::Read && !self.folder(tenant).is_dir() {
            let message = format!("tenant {tenant} has sent nothing yet; check X-Scope-OrgID");
            return Err(Refusal::new(StatusCode::NOT_FOUND, message));
        }
        if lakes.len() >= self.max {
            let message = format!(
                "{} tenants are open, which is the limit; raise kandela.tenants.max for tenant {tenant}",
                self.max
            );
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, message));
        }
        Ok(lakes.entry(tenant.clone()).or_default().clone())
    }

    async fn open(&self, tenant: &TenantId) -> Result<Lake, LakeError> {
        let began = Instant::now();
        let lake = Lake::open(LakeConfig {
            root: self.folder(tenant),
            memory_limit: self.memory_for(tenant),
            ..self.config.clone()
        })
        .await?;
        self.telemetry.emit(TenantOpened { tenant: tenant.as_str(), took: began.elapsed(), recovery: lake.recovery() });
        (self.opened)(tenant, &lake);
        Ok(lake)
    }

    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.config.root.join(tenant.as_str())
    }

    /// An eighth of all memory stays with the server. Of the rest the default tenant has three quarters and the others
    /// share a quarter evenly; where only one lake may be open, it has all.
    fn memory_for(&self, tenant: &TenantId) -> usize {
        let lakes = self.config.memory_limit / 8 * 7;
        match (self.max - 1, *tenant == TenantId::default()) {
            (0, _) => lakes,
            (_, true) => lakes / 4 * 3,
            (others, false) => lakes / 4 / others,
        }
    }

    /// Every lake that is open.
    pub(crate) fn all(&self) -> Vec<(TenantId, Lake)> {
        let lakes = self.lakes.lock();
        lakes.iter().filter_map(|(tenant, cell)| Some((tenant.clone(), cell.get()?.clone()))).collect()
    }
}

/// How a lake's error is told to a client that sends telemetry or asks.
pub(crate) fn refusal_of(error: &LakeError) -> Refusal {
    let message = error.to_string();
    match error.class() {
        ErrorClass::BadRequest => Refusal::new(StatusCode::BAD_REQUEST, message),
        // Prometheus repeats a write after 503 always, after 429 only if told to.
        _ if matches!(error, LakeError::HeadFull { .. }) => {
            Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, message, RETRY)
        }
        ErrorClass::LimitExceeded => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message),
        ErrorClass::Unavailable => Refusal::retry(StatusCode::SERVICE_UNAVAILABLE, message, RETRY),
        ErrorClass::Timeout => Refusal::new(StatusCode::GATEWAY_TIMEOUT, message),
        ErrorClass::Internal => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message),
    }
}
