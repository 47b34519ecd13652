//! Asking a target for its page.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};

use super::client::{Client, explain};
use super::error::ScrapeError;
use super::target::Target;

/// What a target answered.
pub(super) struct Page {
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Asks `target` for its page; `max_body` holds even where the job sets no limit.
pub(super) async fn fetch(
    client: &Client,
    accept: &str,
    target: &Target,
    max_body: u64,
) -> Result<Page, ScrapeError> {
    match tokio::time::timeout(target.timeout, ask(client, accept, target, max_body)).await {
        Ok(answer) => answer,
        Err(_) => Err(ScrapeError::Timeout(target.timeout)),
    }
}

async fn ask(client: &Client, accept: &str, target: &Target, max_body: u64) -> Result<Page, ScrapeError> {
    let failed = |error: reqwest::Error| ScrapeError::Connection(explain(&error));
    let request = client
        .get(target.url.clone())
        .await?
        .header(ACCEPT, accept)
        .header("X-Prometheus-Scrape-Timeout-Seconds", seconds(target.timeout));
    let mut answer = request.send().await.map_err(failed)?;
    if answer.status() != http::StatusCode::OK {
        return Err(ScrapeError::Status(answer.status()));
    }
    let content_type =
        answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // What the header claims is taken for a hint, not for a promise: at most a mebibyte in advance.
    let claimed = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::with_capacity(claimed.unwrap_or(0usize).min(1 << 20));
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if (body.len() + chunk.len()) as u64 > max_body {
            return Err(ScrapeError::BodySize(max_body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Page { content_type, body })
}

fn seconds(timeout: Duration) -> String {
    timeout.as_secs_f64().to_string()
}
