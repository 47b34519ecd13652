//! `/api/v1/status/runtimeinfo` and `/api/v1/status/walreplay`.

use kandela_config::duration_text;

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::json::{push_int, push_key, push_text, push_time};
use super::super::reply::Reply;
use super::super::time::now;
use crate::background::machine_name;

/// Prometheus' members but those about Go's own machinery, which there is none of.
pub(crate) async fn runtime_info(call: Call) -> Result<Reply, ApiError> {
    let app = &call.app;
    let lake = call.lake().await?;
    let now = now();
    let uptime = i64::try_from(app.started.elapsed().as_micros()).unwrap_or(i64::MAX);
    let folder = std::env::current_dir().unwrap_or_default().display().to_string();
    let configured = *app.configured.lock();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let retention = app.options.kandela().retention.metrics;
    Ok(Reply::new(|out| {
        let key = |out: &mut Vec<u8>, key| {
            out.push(if out.ends_with(b":") { b'{' } else { b',' });
            push_key(out, key);
        };
        key(out, "startTime");
        push_time(out, Some(now.saturating_sub(uptime)));
        key(out, "CWD");
        push_text(out, &folder);
        key(out, "hostname");
        push_text(out, &machine_name());
        key(out, "serverTime");
        push_time(out, Some(now));
        key(out, "reloadConfigSuccess");
        out.extend_from_slice(if configured.succeeded { b"true" } else { b"false" });
        key(out, "lastConfigTime");
        push_time(out, Some(configured.at.micros()));
        key(out, "corruptionCount");
        push_int(out, lake.in_quarantine().len());
        key(out, "GOMAXPROCS");
        push_int(out, threads);
        key(out, "storageRetention");
        push_text(out, &duration_text(retention));
        out.push(b'}');
    }))
}

/// The log is read back in one go before the server is ready, so that there is no half-way to tell.
pub(crate) async fn wal_replay(call: Call) -> Reply {
    let done = u8::from(call.app.is_ready());
    Reply::new(|out| {
        out.extend_from_slice(b"{\"min\":0,\"max\":1,\"current\":");
        push_int(out, done);
        out.push(b'}');
    })
}
