//! `/api/v1/targets/metadata`: what the metrics of each target are.
//!
//! Families are described once for all targets, so a target has those of which it has series.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use kandela_lake::{Lake, LakeError};
use kandela_model::{Labels, METRIC_NAME, Metadata};
use kandela_promql::{Matcher, parse_selector};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::json::{push_labels, separate};
use super::super::metadata::number;
use super::super::reply::{Notes, large};
use super::super::time::now;
use super::{of, push_member};

pub(crate) async fn target_metadata(call: Call) -> Result<Response, ApiError> {
    let limit = number(&call, "limit")?;
    let selector = call.form.get("match_target");
    let matchers = if selector.is_empty() {
        Vec::new()
    } else {
        parse_selector(selector).map_err(|error| ApiError::invalid("match_target", error))?
    };
    let metric = call.form.get("metric").to_owned();
    let lake = call.lake().await?;
    let mut found: Vec<(Labels, Vec<Metadata>)> = Vec::new();
    let mut count = 0;
    for target in of(&call).active {
        // As in Prometheus, the target that reaches the limit is listed in full.
        if count >= limit {
            break;
        }
        if !matchers.iter().all(|matcher| matcher.matches_labels(target.labels.as_ref())) {
            continue;
        }
        let mut families = families_of(&lake, &target.labels).await?;
        families.retain(|name, _| metric.is_empty() || *name == metric);
        count += families.len();
        found.push((target.labels, families.into_values().collect()));
    }
    large(&call, Notes::default(), move |pen| {
        pen.out().push(b'[');
        let mut place = 0;
        for (labels, families) in &found {
            for family in families {
                let out = pen.out();
                separate(out, place);
                push(out, labels, family, metric.is_empty());
                place += 1;
            }
            if !pen.pass_on() {
                return;
            }
        }
        pen.out().push(b']');
    })
    .await
}

/// The families of which the target has series today.
async fn families_of(lake: &Lake, target: &Labels) -> Result<BTreeMap<String, Metadata>, LakeError> {
    let matchers: Vec<Matcher> = target.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    let now = now();
    let metrics = lake.label_values(METRIC_NAME, &matchers, now..=now, usize::MAX).await?;
    let metrics: BTreeSet<_> = metrics.into_iter().collect();
    let described = metrics.iter().filter_map(|metric| lake.metadata_of(metric));
    Ok(described.map(|family| (family.family.clone(), family)).collect())
}

/// The family's name is left out where it was asked for.
fn push(out: &mut Vec<u8>, target: &Labels, family: &Metadata, with_name: bool) {
    out.extend_from_slice(b"{\"target\":");
    push_labels(out, target.as_ref());
    if with_name {
        push_member(out, "metric", &family.family);
    }
    push_member(out, "type", family.kind.as_str());
    push_member(out, "help", &family.help);
    push_member(out, "unit", &family.unit);
    out.push(b'}');
}
