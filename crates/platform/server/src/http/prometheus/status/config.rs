//! `/api/v1/status/config` and `/api/v1/status/flags`.

use std::collections::BTreeMap;

use kandela_config::{duration_text, size_text};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::json::{push_text, separate};
use super::super::reply::Reply;

/// The config in force, secrets hidden.
pub(crate) async fn config(call: Call) -> Result<Reply, ApiError> {
    let settings = call.app.settings.load();
    let yaml = settings.config.to_yaml().map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Reply::new(|out| {
        out.extend_from_slice(b"{\"yaml\":");
        push_text(out, &yaml);
        out.push(b'}');
    }))
}

/// Settings that Prometheus has as flags, under its names.
pub(crate) async fn flags(call: Call) -> Reply {
    let options = &call.app.options;
    let kandela = options.kandela();
    let retention = kandela.retention.metrics;
    let flags = BTreeMap::from([
        ("query.lookback-delta", "5m".to_owned()),
        ("query.timeout", duration_text(kandela.limits.query.timeout)),
        ("storage.tsdb.path", options.data.display().to_string()),
        ("storage.tsdb.retention.size", kandela.retention.size.map_or_else(|| "0B".to_owned(), size_text)),
        ("storage.tsdb.retention.time", duration_text(retention)),
        ("web.enable-admin-api", "false".to_owned()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("web.listen-address", call.app.addresses.http.to_string()),
    ]);
    Reply::new(|out| {
        out.push(b'{');
        for (place, (flag, value)) in flags.iter().enumerate() {
            separate(out, place);
            push_text(out, flag);
            out.push(b':');
            push_text(out, value);
        }
        out.push(b'}');
    })
}
