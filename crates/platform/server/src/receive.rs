//! From a decoded payload to the lake: what every protocol has in common.

use std::net::SocketAddr;
use std::time::Instant;

use http::HeaderMap;
use kandela_lake::{Appended, Lake};
use kandela_model::{MetricBatch, TenantId};

use crate::app::App;
use crate::refusal::Refusal;
use crate::telemetry::events::{PayloadRefused, TelemetryDropped, TelemetryReceived};
use crate::tenants::{Tenants, refusal_of};

/// A payload's way in: over which protocol, from whom, for whom.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub protocol: &'static str,
    pub tenant: TenantId,
    /// The sender as the status page names it.
    pub sender: String,
    /// Bytes over the wire.
    pub bytes: u64,
}

impl Delivery {
    /// A delivery by request; the sender is the address that it came from.
    ///
    /// # Errors
    /// 400 where the tenant's name is not valid.
    pub(crate) fn by_request(
        protocol: &'static str,
        headers: &HeaderMap,
        remote: Option<SocketAddr>,
    ) -> Result<Self, Refusal> {
        let sender =
            remote.map_or_else(|| "unknown".to_owned(), |address| address.ip().to_canonical().to_string());
        Ok(Self { protocol, tenant: Tenants::named_by(headers)?, sender, bytes: 0 })
    }
}

impl App {
    /// The lake that the delivery goes to.
    ///
    /// # Errors
    /// 503 while the server recovers, else as [`Tenants::lake`].
    pub(crate) async fn lake_for(&self, delivery: &Delivery) -> Result<Lake, Refusal> {
        self.lake(&delivery.tenant).await
    }

    /// Counts what was kept and who sent it.
    pub(crate) fn received(&self, delivery: &Delivery, received: TelemetryReceived) {
        let received = TelemetryReceived { protocol: delivery.protocol, bytes: delivery.bytes, ..received };
        self.telemetry.emit(received);
        self.sources.note(&delivery.sender, delivery.tenant.as_str(), &received, Instant::now());
    }

    /// Counts what was left out of a payload.
    pub(crate) fn dropped(&self, delivery: &Delivery, signal: &'static str, count: u64, example: &str) {
        if count > 0 {
            let Delivery { protocol, ref sender, .. } = *delivery;
            self.telemetry.emit(TelemetryDropped { protocol, sender, signal, count, example });
        }
    }

    /// Counts a payload that was refused as a whole.
    pub(crate) fn refused(&self, protocol: &'static str, refusal: Refusal) -> Refusal {
        self.telemetry.emit(PayloadRefused { protocol, status: refusal.status, error: &refusal.message });
        refusal
    }
}

/// Appends a batch and says what became of it.
///
/// # Errors
/// What a client should hear of the lake's error.
pub(crate) fn append(lake: &Lake, batch: &MetricBatch) -> Result<Appended, Refusal> {
    lake.append(batch).map_err(|error| refusal_of(&error))
}

/// What an append counts as in own telemetry; duplicates were kept before and count as received.
pub(crate) fn counted(appended: &Appended) -> TelemetryReceived {
    TelemetryReceived {
        samples: (appended.samples + appended.duplicates) as u64,
        histograms: appended.histograms as u64,
        exemplars: appended.exemplars as u64,
        ..TelemetryReceived::default()
    }
}

/// The exemplars that an append left out, in words; `None` where there are none. That is nobody's error: pages show old ones.
pub(crate) fn left_out_exemplars(appended: &Appended) -> Option<String> {
    let count = appended.untimely_exemplars;
    (count > 0).then(|| format!("{count} exemplars past the retention or ahead of the clock were left out"))
}

/// The points that an append rejected, in words; `None` where there are none.
pub(crate) fn rejections(appended: &Appended) -> Option<String> {
    if appended.rejections.is_empty() {
        return None;
    }
    let counts: Vec<String> = appended
        .rejections
        .iter()
        .map(|(reason, count)| {
            format!("{count} point{} {}", if *count == 1 { "" } else { "s" }, reason.as_str())
        })
        .collect();
    let example =
        appended.rejected.first().map(|first| format!("; the first: {} at {}", first.series, first.ts));
    Some(format!("{}{}", counts.join(", "), example.unwrap_or_default()))
}
