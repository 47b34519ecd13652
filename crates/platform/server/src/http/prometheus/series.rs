//! `/api/v1/series`, `/api/v1/labels` and `/api/v1/label/NAME/values`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use kandela_lake::{IndexedSeries, Lake, LakeError, TimeRange};
use kandela_promql::Matcher;

use super::call::Call;
use super::error::ApiError;
use super::escaped_name::unescape;
use super::json::{push_labels, push_text, separate};
use super::matchers::matcher_sets;
use super::memory::Held;
use super::reply::{Notes, large};
use super::time::{Range, TRUNCATED, limit_of};

pub(super) async fn series(call: Call) -> Result<Response, ApiError> {
    call.form.check()?;
    if call.form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = limit_of(&call.form)?;
    let range = Range::of(&call.form)?;
    let sets = matcher_sets(&call.form).map_err(|error| ApiError::invalid("match[]", error.message))?;
    let lake = call.lake().await?;
    let mut found = match range.lake() {
        Some(range) => select(&lake, &sets, &range, one_more(limit)).await?,
        None => Vec::new(),
    };
    let mut notes = Notes::default();
    cut(&mut found, limit, &mut notes);
    let held = Held::of(&lake);
    held.take(
        found.iter().map(|series| size_of_val(series) + series.labels.as_ref().as_bytes().len()).sum(),
    )?;
    large(&call, notes, move |pen| {
        let _held = held;
        pen.out().push(b'[');
        for (place, series) in found.iter().enumerate() {
            let out = pen.out();
            separate(out, place);
            push_labels(out, series.labels.as_ref());
            if !pen.pass_on() {
                return;
            }
        }
        pen.out().push(b']');
    })
    .await
}

/// The series that any of the sets means, each once and ordered by labels; about `limit` of each set.
async fn select(
    lake: &Lake,
    sets: &[Vec<Matcher>],
    range: &TimeRange,
    limit: usize,
) -> Result<Vec<IndexedSeries>, LakeError> {
    let mut found = Vec::new();
    for matchers in sets {
        found.extend(lake.series(matchers, range.clone(), limit).await?);
    }
    found.sort_unstable_by(|a, b| a.labels.iter().cmp(b.labels.iter()));
    found.dedup_by_key(|series| series.id);
    Ok(found)
}

pub(super) async fn label_names(call: Call) -> Result<Response, ApiError> {
    let limit = limit_of(&call.form)?;
    let range = Range::of(&call.form)?;
    let sets = any_set(matcher_sets(&call.form)?);
    let lake = call.lake().await?;
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    if let Some(range) = range.lake() {
        for matchers in &sets {
            names.extend(lake.label_names(matchers, range.clone()).await?);
        }
    }
    texts(&call, names, limit).await
}

pub(super) async fn label_values(
    name: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::bad_data("invalid label name: it is not UTF-8"))?;
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let limit = limit_of(&call.form)?;
    let range = Range::of(&call.form)?;
    let sets = any_set(matcher_sets(&call.form)?);
    let lake = call.lake().await?;
    let mut values: BTreeSet<Arc<str>> = BTreeSet::new();
    if let Some(range) = range.lake() {
        for matchers in &sets {
            values.extend(lake.label_values(&name, matchers, range.clone(), one_more(limit)).await?);
        }
    }
    texts(&call, values, limit).await
}

/// Where no selector is given, every series is meant.
fn any_set(sets: Vec<Vec<Matcher>>) -> Vec<Vec<Matcher>> {
    if sets.is_empty() { vec![Vec::new()] } else { sets }
}

async fn texts(call: &Call, texts: BTreeSet<Arc<str>>, limit: Option<usize>) -> Result<Response, ApiError> {
    let mut texts: Vec<Arc<str>> = texts.into_iter().collect();
    let mut notes = Notes::default();
    cut(&mut texts, limit, &mut notes);
    large(call, notes, move |pen| {
        pen.out().push(b'[');
        for (place, text) in texts.iter().enumerate() {
            let out = pen.out();
            separate(out, place);
            push_text(out, text);
            if !pen.pass_on() {
                return;
            }
        }
        pen.out().push(b']');
    })
    .await
}

/// One item past the limit tells whether there are more.
fn one_more(limit: Option<usize>) -> usize {
    limit.map_or(usize::MAX, |limit| limit.saturating_add(1))
}

fn cut<T>(items: &mut Vec<T>, limit: Option<usize>, notes: &mut Notes) {
    if let Some(limit) = limit.filter(|limit| items.len() > *limit) {
        items.truncate(limit);
        notes.warn(TRUNCATED);
    }
}
