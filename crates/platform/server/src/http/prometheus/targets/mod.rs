//! `/api/v1/targets`, `/api/v1/targets/metadata` and `/api/v1/scrape_pools`: what the server knows of scraping.

mod global_url;
mod metadata;

use std::collections::BTreeMap;

use kandela_config::duration_text;
use kandela_ingest::scrape::{ActiveTarget, DroppedTarget, Manager, Targets};
use kandela_model::{TenantId, Timestamp};

use super::call::Call;
use super::error::ApiError;
use super::json::{
    push_int, push_key, push_labels, push_list, push_number, push_text, push_texts, push_time, separate,
};
use super::reply::Reply;
use global_url::GlobalUrl;

pub(super) use metadata::target_metadata;

pub(super) async fn targets(call: Call) -> Result<Reply, ApiError> {
    let pool = call.form.get("scrapePool");
    let state = call.form.get("state").to_lowercase();
    let shows = |which: &str| state.is_empty() || state == "any" || state == which;
    let Targets { mut active, mut dropped, dropped_counts } = of(&call);
    active.retain(|target| shows("active") && (pool.is_empty() || target.scrape_pool == pool));
    dropped.retain(|target| shows("dropped") && (pool.is_empty() || target.scrape_pool == pool));
    // Stable: the targets of a pool stay in their order.
    active.sort_by(|a, b| a.scrape_pool.cmp(&b.scrape_pool));
    dropped.sort_by(|a, b| a.scrape_pool.cmp(&b.scrape_pool));
    let counts = shows("dropped").then_some(dropped_counts);
    let global = GlobalUrl::of(&call.app);
    Ok(Reply::new(|out| {
        out.extend_from_slice(b"{\"activeTargets\":");
        push_list(out, &active, |out, target| push_active(out, target, &global));
        out.extend_from_slice(b",\"droppedTargets\":");
        push_list(out, &dropped, push_dropped);
        out.extend_from_slice(b",\"droppedTargetCounts\":");
        push_counts(out, counts.as_ref());
        out.push(b'}');
    }))
}

pub(super) async fn scrape_pools(call: Call) -> Reply {
    let pools = manager(&call).map(Manager::jobs).unwrap_or_default();
    Reply::new(|out| {
        out.extend_from_slice(b"{\"scrapePools\":");
        push_texts(out, &pools);
        out.push(b'}');
    })
}

/// All targets of the tenant. What is scraped goes to the default one, and nothing is scraped before the lake is open.
fn of(call: &Call) -> Targets {
    manager(call).map(Manager::targets).unwrap_or_default()
}

fn manager(call: &Call) -> Option<&Manager> {
    call.app.scrapes.get().filter(|_| call.tenant == TenantId::default())
}

fn push_active(out: &mut Vec<u8>, target: &ActiveTarget, global: &GlobalUrl) {
    out.extend_from_slice(b"{\"discoveredLabels\":");
    push_labels(out, target.discovered_labels.as_ref());
    out.extend_from_slice(b",\"labels\":");
    push_labels(out, target.labels.as_ref());
    let texts = [
        ("scrapePool", target.scrape_pool.as_str()),
        ("scrapeUrl", &target.scrape_url),
        ("globalUrl", &global.of_target(&target.scrape_url)),
        ("lastError", &target.last_error),
    ];
    for (key, text) in texts {
        push_member(out, key, text);
    }
    out.extend_from_slice(b",\"lastScrape\":");
    push_time(out, target.last_scrape.map(Timestamp::micros));
    out.extend_from_slice(b",\"lastScrapeDuration\":");
    push_number(out, target.last_scrape_duration.as_secs_f64());
    push_member(out, "health", target.health.as_str());
    push_member(out, "scrapeInterval", &duration_text(target.scrape_interval));
    push_member(out, "scrapeTimeout", &duration_text(target.scrape_timeout));
    out.push(b'}');
}

fn push_dropped(out: &mut Vec<u8>, target: &DroppedTarget) {
    out.extend_from_slice(b"{\"discoveredLabels\":");
    push_labels(out, target.discovered_labels.as_ref());
    push_member(out, "scrapePool", &target.scrape_pool);
    out.push(b'}');
}

fn push_member(out: &mut Vec<u8>, key: &str, text: &str) {
    out.push(b',');
    push_key(out, key);
    push_text(out, text);
}

fn push_counts(out: &mut Vec<u8>, counts: Option<&BTreeMap<String, usize>>) {
    let Some(counts) = counts else { return out.extend_from_slice(b"null") };
    out.push(b'{');
    for (place, (pool, count)) in counts.iter().enumerate() {
        separate(out, place);
        push_text(out, pool);
        out.push(b':');
        push_int(out, *count);
    }
    out.push(b'}');
}
