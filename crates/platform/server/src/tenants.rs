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

/// Who hears of a lake that was opened.
type Opened = Box<dyn Fn(&TenantId, &Lake) + Send + Sync>;

/// The lakes that are open.
pub(crate) struct Tenants {
    config: LakeConfig,
    known: Vec<TenantId>,
    telemetry: Telemetry,
    lakes: Mutex<BTreeMap<TenantId, Arc<OnceCell<Lake>>>>,
    opened: Opened,
}

impl Tenants {
    /// No lake is open yet. `config.root` will hold one folder a tenant and `config.memory_limit` is for all of them;
    /// `known` are the tenants beside the default one; `opened` hears of each lake once.
    pub(crate) fn new(
        config: LakeConfig,
        known: &[TenantId],
        telemetry: Telemetry,
        opened: impl Fn(&TenantId, &Lake) + Send + Sync + 'static,
    ) -> Self {
        Self { config, known: known.to_vec(), telemetry, lakes: Mutex::default(), opened: Box::new(opened) }
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
    /// 404 for a tenant that is not configured, else what [`refusal_of`] makes of the lake's error.
    pub(crate) async fn lake(&self, tenant: &TenantId) -> Result<Lake, Refusal> {
        if *tenant != TenantId::default() && !self.known.contains(tenant) {
            let message =
                format!("tenant {tenant} is not known; add it to kandela.tenants, or check X-Scope-OrgID");
            return Err(Refusal::new(StatusCode::NOT_FOUND, message));
        }
        self.open_once(tenant).await.map_err(|error| refusal_of(&error))
    }

    /// As [`Tenants::lake`] for a tenant that is known, with the lake's own error. A failed opening is tried again by the
    /// next caller.
    pub(crate) async fn open_once(&self, tenant: &TenantId) -> Result<Lake, LakeError> {
        let cell = self.lakes.lock().entry(tenant.clone()).or_default().clone();
        cell.get_or_try_init(|| self.open(tenant)).await.cloned()
    }

    async fn open(&self, tenant: &TenantId) -> Result<Lake, LakeError> {
        let began = Instant::now();
        let lake = Lake::open(LakeConfig {
            root: self.folder(tenant),
            memory_limit: self.memory_for(tenant),
            ..self.config.clone()
        })
        .await?;
        self.telemetry.emit(TenantOpened {
            tenant: tenant.as_str(),
            took: began.elapsed(),
            recovery: lake.recovery(),
        });
        (self.opened)(tenant, &lake);
        Ok(lake)
    }

    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.config.root.join(tenant.as_str())
    }

    /// An eighth of all memory stays with the server. Of the rest the default tenant has three quarters and the others
    /// share a quarter evenly; where there are no others, it has all.
    fn memory_for(&self, tenant: &TenantId) -> usize {
        let lakes = self.config.memory_limit / 8 * 7;
        match (self.known.len(), *tenant == TenantId::default()) {
            (0, _) => lakes,
            (_, true) => lakes / 4 * 3,
            (others, false) => lakes / 4 / others,
        }
    }

    /// The lake of a tenant, if it is open.
    pub(crate) fn opened(&self, tenant: &TenantId) -> Option<Lake> {
        self.lakes.lock().get(tenant)?.get().cloned()
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
